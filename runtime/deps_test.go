package kixx_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Every application inherits what the runtime imports. A module more is argued for in the README, then named here.
func TestRuntimeImportsFewModulesAndNoCgo(t *testing.T) {
	allowed := []string{
		"github.com/gabriel-vasile/mimetype",            // validator
		"github.com/go-playground/locales",              // validator
		"github.com/go-playground/universal-translator", // validator
		"github.com/go-playground/validator/v10",
		"github.com/google/btree",
		"github.com/leodido/go-urn", // validator
		"github.com/philhofer/fwd",  // msgp
		"github.com/tinylib/msgp",
		"golang.org/x/crypto", // validator
		"golang.org/x/sys",    // locks and reservations of the file store
		"golang.org/x/text",   // validator
	}
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}} {{.ImportPath}} {{len .CgoFiles}} {{.Standard}}", "github.com/kixxgen/kixxgen/runtime").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := make(map[string]bool)
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if f[len(f)-1] == "true" {
			continue // the standard library's own
		}
		if cgo := f[len(f)-2]; cgo != "0" {
			t.Errorf("%s has %s files of cgo", f[len(f)-3], cgo)
		}
		if f[0] == "github.com/kixxgen/kixxgen" {
			continue
		}
		if found[f[0]] = true; !slices.Contains(allowed, f[0]) {
			t.Errorf("the runtime imports %s of the module %s, which is not in the list", f[1], f[0])
		}
	}
	if len(found) == 0 || len(found) > 16 {
		t.Errorf("the runtime imports %d modules, want 1 to 16", len(found))
	}
	for _, m := range allowed {
		if !found[m] {
			t.Errorf("the list has %s, which the runtime does not import", m)
		}
	}
}
