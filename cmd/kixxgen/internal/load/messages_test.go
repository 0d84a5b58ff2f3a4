package load

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// unseen are texts that no golden shows, and why.
var unseen = map[string]string{
	"its type cannot be resolved":         "of a type of which go/types says nothing: it always says something",
	"type %s cannot be resolved":          "the same of a type by its name",
	"could not import " + anything + " (": "what go/types says before the reason, which is cut off",
	"invalid type":                        "what go/types calls one, to compare with",
	"exit status %d":                      "an error without a cause, of which what it has to say was printed",
}

// TestEveryMessageHasAGolden looks for each text that the generator can say in what its tests expect: in the archives of
// testdata/script and testdata/model, and in the tests of this package and of output. A text is every string of several words
// in the source, or a sum with such a string; verbs and what is not constant stand for anything.
func TestEveryMessageHasAGolden(t *testing.T) {
	var goldens strings.Builder
	for _, pattern := range []string{"../../../../testdata/script/*.txtar", "testdata/model/*.txtar", "*_test.go", "../output/*_test.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, name := range names {
			if name == "messages_test.go" {
				continue
			}
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			goldens.Write(src)
		}
	}
	// Goldens are quoted in want comments, and regular expressions in scripts.
	golden := strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\.`, `.`, `\(`, `(`, `\)`, `)`, `\[`, `[`, `\]`, `]`, `\{`, `{`, `\}`, `}`, `\*`, `*`, `\+`, `+`).Replace(goldens.String())

	var sources []string
	for _, pattern := range []string{"*.go", "../output/*.go", "../../generate.go", "../../check.go", "../../main.go"} {
		names, _ := filepath.Glob(pattern)
		sources = append(sources, names...)
	}
	found := 0
	used := map[string]bool{}
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		syntax, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		texts(syntax, func(at token.Pos, text string) {
			found++
			if unseen[text] != "" {
				used[text] = true
				return
			}
			if !regexp.MustCompile(textPattern(text)).MatchString(golden) {
				t.Errorf("%s: no test expects\n\t%s\nadd it to an archive of testdata/script, or to unseen with the reason", fset.Position(at), strings.ReplaceAll(text, anything, "…"))
			}
		})
	}
	for text := range unseen {
		if !used[text] {
			t.Errorf("unseen has a text that nothing says: %q", text)
		}
	}
	t.Logf("%d texts", found)
	if found < 150 {
		t.Errorf("only %d texts were found", found)
	}
}

// anything stands for what is not constant in a text.
const anything = "\x00"

// verb matches the verbs of a format.
var verb = regexp.MustCompile(`%[-+# 0-9.]*[a-zA-Z]`)

// textPattern returns a regular expression for what comes of a text.
func textPattern(text string) string {
	var b strings.Builder
	for i, piece := range strings.Split(verb.ReplaceAllString(strings.ReplaceAll(text, "%%", "%"), anything), anything) {
		if i > 0 {
			b.WriteString(`[^\n]*?`)
		}
		b.WriteString(regexp.QuoteMeta(strings.TrimSuffix(piece, "\n")))
	}
	return b.String()
}

// worded matches a string that is a text for people.
var worded = regexp.MustCompile(`[a-z,;:]{2,} [a-z]+`)

// texts calls found for every text in the code of a file. Tags, and arguments of functions that make no text, are none.
func texts(syntax *ast.File, found func(at token.Pos, text string)) {
	visit := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			return n.Tag == nil
		case *ast.CallExpr:
			name := ""
			switch fun := n.Fun.(type) {
			case *ast.Ident:
				name = fun.Name
			case *ast.SelectorExpr:
				name = fun.Sel.Name
			}
			switch name {
			case "set", "MustCompile", "Description", "keyText":
				return false
			}
		case *ast.BinaryExpr, *ast.BasicLit:
			text, constant := sum(n.(ast.Expr))
			if constant && worded.MatchString(text) {
				found(n.Pos(), text)
				return false
			}
		}
		return true
	}
	for _, d := range syntax.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "Help" { // help_test.go is about these
			continue
		}
		ast.Inspect(d, visit)
	}
}

// sum returns the value of a sum of strings, with anything in the place of what is not constant. It reports false if nothing
// is constant.
func sum(x ast.Expr) (text string, constant bool) {
	switch x := x.(type) {
	case *ast.BasicLit:
		if x.Kind == token.STRING {
			text, _ = strconv.Unquote(x.Value)
			return text, true
		}
	case *ast.BinaryExpr:
		if x.Op == token.ADD {
			a, constA := sum(x.X)
			b, constB := sum(x.Y)
			return a + b, constA || constB
		}
	}
	return anything, false
}
