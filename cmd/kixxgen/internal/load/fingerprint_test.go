package load

import (
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// viewSource is a package with a view; each change to it is one edit.
const viewSource = `-- app.go --
package app

import (
	"strings"

	"example.com/app/sub"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

//kixx:entity
//kixx:view ByName func=emit
type Item struct {
	ID   string   ` + "`kixx:\"key\"`" + `
	Rev  kixx.Rev ` + "`kixx:\"rev\"`" + `
	Name string
}

const (
	prefix = "a"
	second = "b"
)

var table = map[string]string{"x": "y"}

// emit emits.
func emit(it *Item, emit kixx.Emit[string, int]) {
	if it.hidden() { // skip it
		return
	}
	emit(strings.ToLower(prefix+normal(it.Name)), len(table))
}

func (it *Item) hidden() bool { return it.Name == "" }

func (it *Item) unrelated() int { return 1 }

func normal(s string) string { return sub.Trim(s, sub.Options{Max: 3}) }

func unrelated() int { return 2 }
-- sub/sub.go --
package sub

type Options struct{ Max int }

func (o Options) limit() int { return o.Max }

func (o Options) Less(p Options) bool { return o.Max < p.Max }

func Trim(s string, o Options) string { return s[:min(len(s), o.limit())] }

func Unrelated() int { return 3 }
`

// TestFingerprintFollowsWhatAViewReaches edits the package of a view and checks which edits count.
func TestFingerprintFollowsWhatAViewReaches(t *testing.T) {
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Setenv("GOPROXY", "off")
	t.Setenv("GOWORK", "off")
	of := func(source string) string {
		t.Helper()
		result, err := Load(t.Context(), Config{Dir: extract(t, txtar.Parse([]byte(source))), Patterns: []string{"."}})
		if err != nil {
			t.Fatal(err)
		}
		return result.Packages[0].Models[0].Entities[0].Views[0].Of
	}
	plain := of(viewSource)
	if !strings.HasPrefix(plain, "string int source ") || len(plain) != len("string int source ")+16 {
		t.Errorf("definition of the view is %q", plain)
	}
	edits := 0
	for _, edit := range []struct {
		what, old, new string
		counts         bool
	}{
		{"a comment", "// skip it", "// do not emit it", false},
		{"a doc comment", "// emit emits.", "// emit emits\n// much.", false},
		{"layout", "it.Name == \"\" }", "it.Name ==\n\t\"\"\n}", false},
		{"another function", "return 2", "return 22", false},
		{"another method of the entity", "return 1", "return 11", false},
		{"another function of a package in the module", "return 3", "return 33", false},
		{"the body", "len(table)", "len(table)+1", true},
		{"a constant", "prefix = \"a\"", "prefix = \"c\"", true},
		{"a variable", "\"x\": \"y\"", "\"x\": \"z\"", true},
		{"a method of the entity that it calls", "it.Name == \"\"", "it.Name == \"-\"", true},
		{"a function that it calls", "Max: 3", "Max: 4", true},
		{"a function in a package of the module", "s[:min", "s[0:min", true},
		{"a method in a package of the module", "return o.Max", "return o.Max + 1", true},
		{"a method that an interface may call", "o.Max < p.Max", "o.Max > p.Max", true},
		{"a field of the entity", "Name string", "Name string\n\tSize int", true},
	} {
		changed := strings.Replace(viewSource, edit.old, edit.new, 1)
		if changed == viewSource {
			t.Fatalf("edit of %s changes nothing", edit.what)
		}
		if got := of(changed) != plain; got != edit.counts {
			t.Errorf("edit of %s changes the fingerprint: %v, want %v", edit.what, got, edit.counts)
		}
		edits++
	}
	versioned := strings.Replace(viewSource, "func=emit\n", "func=emit version=7\n", 1)
	if got := of(versioned); got != "string int version 7" {
		t.Errorf("definition with a version is %q", got)
	}
	if got := of(strings.Replace(versioned, "len(table)", "len(table)+1", 1)); got != "string int version 7" {
		t.Errorf("definition with a version changes with the source: %q", got)
	}
	t.Logf("%d edits", edits)
}
