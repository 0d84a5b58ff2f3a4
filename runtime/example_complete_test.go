package kixx_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// Every method of the types that applications call is shown in an Example: in one of its own, or of its type.
func TestEveryMethodIsShown(t *testing.T) {
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{"DB", "Repo", "SoftRepo", "Query", "Range", "TextRange", "Snapshot", "Rev", "Fields"}
	examples := make(map[string]*ast.FuncDecl)
	var methods []string
	for _, entry := range names {
		if !strings.HasSuffix(entry.Name(), ".go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), entry.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			switch {
			case !ok:
			case strings.HasPrefix(fn.Name.Name, "Example"):
				examples[strings.TrimPrefix(fn.Name.Name, "Example")] = fn
			case fn.Recv != nil && fn.Name.IsExported() && !strings.HasSuffix(entry.Name(), "_test.go"):
				if typ := receiver(fn.Recv.List[0].Type); slices.Contains(shown, typ) {
					methods = append(methods, typ+"_"+fn.Name.Name)
				}
			}
		}
	}
	if len(methods) < 60 {
		t.Errorf("only %d methods were found", len(methods))
	}
	for _, m := range methods {
		typ, name, _ := strings.Cut(m, "_")
		if examples[m] == nil && !calls(examples[typ], name) && !strings.HasPrefix(name, "Marshal") && !strings.HasPrefix(name, "Unmarshal") && name != "String" {
			t.Errorf("%s.%s is shown in no Example: neither Example%s nor Example%s calls it", typ, name, m, typ)
		}
	}
}

// receiver returns the name of the type of a receiver.
func receiver(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return receiver(x.X)
	case *ast.IndexExpr:
		return receiver(x.X)
	case *ast.IndexListExpr:
		return receiver(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}

// calls reports whether fn calls something with the name.
func calls(fn *ast.FuncDecl, name string) (found bool) {
	if fn == nil {
		return false
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == name {
			found = true
		}
		return true
	})
	return found
}
