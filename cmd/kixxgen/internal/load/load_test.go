package load

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden parts of testdata")

// stub is a runtime with what annotations need. The module that applications have is tested at the root of the repository.
const stub = `-- kixx/go.mod --
module github.com/kixxgen/kixxgen
go 1.26
-- kixx/runtime/kixx.go --
package kixx
import "github.com/kixxgen/kixxgen/runtime/gen"
type Rev struct{ n uint64; incarnation uint32 }
func (r Rev) MarshalText() ([]byte, error) { return nil, nil }
type Emit[K, V any] func(K, V)
type Fields struct{ list []byte }
type Unknown = gen.Unknown
-- kixx/runtime/gen/gen.go --
package gen
type Unknown struct{ fields []byte }
`

// extract writes the files of an archive, and the stub of the runtime, under a new directory.
func extract(t testing.TB, ar *txtar.Archive) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(txtar.Parse([]byte(stub)).Files, ar.Files...) {
		name := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mod := filepath.Join(dir, "go.mod")
	if _, err := os.Stat(mod); err != nil {
		text := "module example.com/app\ngo 1.26\nrequire github.com/kixxgen/kixxgen v0.0.0\nreplace github.com/kixxgen/kixxgen => ./kixx\n"
		if err := os.WriteFile(mod, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestModels loads the packages of each archive in testdata/model and compares the model, the schema file and the notes
// with those in the archive. Each is loaded once more with all declarations of every package that is reached: the walk may
// leave out only what makes no difference.
func TestModels(t *testing.T) {
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Setenv("GOPROXY", "off")
	t.Setenv("GOWORK", "off")
	archives, err := filepath.Glob("testdata/model/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir := extract(t, ar)
			got := loaded(t, Config{Dir: dir, Patterns: []string{"./..."}})
			compareArchive(t, name, ar, got)
			whole := loaded(t, Config{Dir: dir, Patterns: []string{"./..."}, whole: func(*pkg) bool { return true }})
			for part, text := range got {
				if whole[part] != text {
					t.Errorf("with all declarations of each package, %s is\n%s\nwith those that are reached\n%s", part, whole[part], text)
				}
			}
		})
	}
	t.Logf("%d archives", len(archives))
}

// loaded returns what comes out of Load as text.
func loaded(t *testing.T, cfg Config) map[string]string {
	t.Helper()
	got := map[string]string{}
	result, err := Load(t.Context(), cfg)
	var problems Problems
	switch {
	case errors.As(err, &problems):
		got["want.problems"] = problems.Format(cfg.Dir)
	case err != nil:
		t.Fatal(err)
	default:
		got["want.notes"] = result.Notes.Format(cfg.Dir)
		for _, p := range result.Packages {
			for _, m := range p.Models {
				got["want.model"] += dump(m)
			}
			got["want.schema"] += string(p.Schema)
		}
	}
	return got
}

// compareArchive compares the want files of an archive with what came out, and rewrites them under -update.
func compareArchive(t *testing.T, name string, ar *txtar.Archive, got map[string]string) {
	t.Helper()
	var files []txtar.File
	want := map[string]string{}
	for _, f := range ar.Files {
		if strings.HasPrefix(f.Name, "want.") {
			want[f.Name] = string(f.Data)
		} else {
			files = append(files, f)
		}
	}
	changed := false
	for _, part := range []string{"want.problems", "want.notes", "want.model", "want.schema"} {
		if got[part] != want[part] {
			changed = true
			if !*update {
				t.Errorf("%s of %s is\n%s\nwant\n%s", part, name, got[part], want[part])
			}
		}
		if got[part] != "" {
			files = append(files, txtar.File{Name: part, Data: []byte(got[part])})
		}
	}
	if changed && *update {
		data := txtar.Format(&txtar.Archive{Comment: ar.Comment, Files: files})
		if old, err := os.ReadFile(name); err != nil || !bytes.Equal(old, data) {
			if err := os.WriteFile(name, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
