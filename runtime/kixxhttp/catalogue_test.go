package kixxhttp_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/kixxhttp"
)

var update = flag.Bool("update", false, "write docs/errors.md anew")

// sentinels are the values behind the names that errors.go declares.
var sentinels = map[string]error{
	"ErrNotFound": kixx.ErrNotFound, "ErrExists": kixx.ErrExists, "ErrInvalid": kixx.ErrInvalid, "ErrUnique": kixx.ErrUnique,
	"ErrBadCursor": kixx.ErrBadCursor, "ErrBadKey": kixx.ErrBadKey, "ErrBuilding": kixx.ErrBuilding, "ErrSchema": kixx.ErrSchema,
	"ErrConflict": kixx.ErrConflict, "ErrTooLarge": kixx.ErrTooLarge, "ErrUnknown": kixx.ErrUnknown, "ErrTxScope": kixx.ErrTxScope,
	"ErrReadOnly": kixx.ErrReadOnly, "ErrSnapshotTooOld": kixx.ErrSnapshotTooOld, "ErrNotSupported": kixx.ErrNotSupported,
	"ErrFull": kixx.ErrFull, "ErrFailed": kixx.ErrFailed, "ErrCorrupt": kixx.ErrCorrupt, "ErrLocked": kixx.ErrLocked,
	"ErrUnavailable": kixx.ErrUnavailable, "ErrClosed": kixx.ErrClosed,
}

const errorsHead = `# Errors

What kixx returns, made of the comments in ` + "`runtime`" + ` by ` + "`go test ./runtime/kixxhttp -run TestErrorsPage -update`" + `. A sentinel is found
by ` + "`errors.Is`" + `, a type by ` + "`errors.As`" + `. The code is that of ` + "`kixx.Code`" + `, stable, for logs and for clients; the status is what
` + "`kixxhttp.WriteError`" + ` answers with, apart from the headers of a request: with If-Match a conflict is 412.

| error | code | status | what it means | what to do |
| --- | --- | --- | --- | --- |
`

const errorTypesHead = `
## Types

Their fields have the facts; their sentences say which entity and key it is about. Keys may stand in an error, values of
fields do not, except where an application's own hook, ` + "`Validate`" + ` or change function puts them into its error, and the
keys of maps in the fields that a merge names.

| type | what it says |
| --- | --- |
`

// TestErrorsPage holds docs/errors.md against the comments.
func TestErrorsPage(t *testing.T) {
	got := errorsPage(t)
	const name = "../../docs/errors.md"
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := must[[]byte](t)(os.ReadFile(name))
	if string(want) != got {
		t.Errorf("docs/errors.md is stale; run go test ./runtime/kixxhttp -run TestErrorsPage -update")
	}
}

func errorsPage(t *testing.T) string {
	var vars, types []string
	files := must[[]string](t)(filepath.Glob("../*.go"))
	slices.Sort(files)
	found := make(map[string]bool)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f := must[*ast.File](t)(parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments))
		for _, d := range f.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				switch spec := spec.(type) {
				case *ast.ValueSpec:
					if gen.Tok == token.VAR && strings.HasPrefix(spec.Names[0].Name, "Err") {
						found[spec.Names[0].Name] = true
						vars = append(vars, sentinelRow(t, spec))
					}
				case *ast.TypeSpec:
					if n := spec.Name.Name; strings.HasSuffix(n, "Error") && ast.IsExported(n) && n != "FieldError" { // that is none, but a part of one
						types = append(types, typeRow(t, gen, spec))
					}
				}
			}
		}
	}
	for name := range sentinels {
		if !found[name] {
			t.Errorf("%s is no more among the errors of kixx", name)
		}
	}
	slices.Sort(types)
	return errorsHead + strings.Join(vars, "") + errorTypesHead + strings.Join(types, "")
}

func sentinelRow(t *testing.T, spec *ast.ValueSpec) string {
	name := spec.Names[0].Name
	err := sentinels[name]
	if err == nil {
		t.Fatalf("%s is a new error: add it to sentinels", name)
	}
	doc := plain(spec.Doc.Text())
	means, do, ok := strings.Cut(doc, " What to do: ")
	means, named := strings.CutPrefix(means, name+" ")
	means = strings.TrimPrefix(strings.TrimPrefix(means, "says that "), "is ")
	if !ok || !named {
		t.Errorf(`the comment on %s is %q; it has to begin with the name, and to say "What to do: …"`, name, doc)
	}
	if kixx.Code(err) == "OTHER" {
		t.Errorf("%s has no code", name)
	}
	w := httptest.NewRecorder()
	kixxhttp.WriteError(w, httptest.NewRequest(http.MethodGet, "/", nil), err)
	return fmt.Sprintf("| `%s` | `%s` | %d | %s | %s |\n", name, kixx.Code(err), w.Code, means, do)
}

func typeRow(t *testing.T, gen *ast.GenDecl, spec *ast.TypeSpec) string {
	doc := spec.Doc.Text() + spec.Comment.Text()
	if doc == "" && !gen.Lparen.IsValid() {
		doc = gen.Doc.Text()
	}
	if doc == "" {
		t.Errorf("%s has no comment", spec.Name.Name)
	}
	doc = plain(doc)
	if _, rest, ok := strings.Cut(doc, spec.Name.Name+" "); ok && len(doc)-len(rest) < len(spec.Name.Name)+5 {
		doc = rest
	}
	return fmt.Sprintf("| `*%s` | %s |\n", spec.Name.Name, doc)
}

// plain makes one line of a comment, for a cell of a table.
func plain(doc string) string {
	return strings.NewReplacer("[", "", "]", "", "|", `\|`).Replace(strings.Join(strings.Fields(doc), " "))
}
