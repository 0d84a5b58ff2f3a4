package kixx_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// An event is a call of a logger: what docs/events.md has a row for.
type event struct{ message, level, attributes, at string }

// TestEventsAreDocumented holds every call of a logger in the runtime and its stores against the table of docs/events.md:
// whoever watches a log for these messages must learn that one is new, or not there any more.
func TestEventsAreDocumented(t *testing.T) {
	calls := loggerCalls(t)
	if len(calls) < 20 {
		t.Errorf("only %d calls of a logger were found", len(calls))
	}
	page := string(must[[]byte](t)(os.ReadFile("../docs/events.md")))
	rows := make(map[string]string) // by message, level and attributes
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) == 4 && strings.HasPrefix(cells[0], "| `") {
			rows[strings.TrimPrefix(cells[0], "| ")] = cells[1] + " | " + cells[2]
			if when := strings.TrimSuffix(cells[3], " |"); len(when) < 10 {
				t.Errorf("docs/events.md does not say when %s is logged", cells[0])
			}
		}
	}
	for _, c := range calls {
		key := "`" + c.message + "`"
		switch have, ok := rows[key]; {
		case !ok:
			t.Errorf("%s: docs/events.md has no row for %q; add\n| %s | %s | %s | when |", c.at, c.message, key, c.level, c.attributes)
		case have != c.level+" | "+c.attributes:
			t.Errorf("%s: docs/events.md has %q with %s, the code has %s | %s", c.at, c.message, have, c.level, c.attributes)
		}
	}
	for key := range rows {
		if !slices.ContainsFunc(calls, func(c event) bool { return "`"+c.message+"`" == key }) {
			t.Errorf("docs/events.md has a row for %s, which nobody logs", key)
		}
	}
}

// loggerCalls returns the calls of loggers below this directory, except in tests.
func loggerCalls(t *testing.T) (calls []event) {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if e, ok := loggerCall(call); ok {
					e.at = fset.Position(call.Pos()).String()
					calls = append(calls, e)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return calls
}

// loggerCall returns what is logged if a call is that of a logger: of the package slog, or of something that is called log
// or Logger.
func loggerCall(call *ast.CallExpr) (e event, ok bool) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return e, false
	}
	level, inContext := strings.CutSuffix(sel.Sel.Name, "Context")
	if !slices.Contains([]string{"Debug", "Info", "Warn", "Error", "Log", "LogAttrs"}, level) {
		return e, false
	}
	on := ""
	switch x := sel.X.(type) {
	case *ast.Ident:
		on = x.Name
	case *ast.SelectorExpr:
		on = x.Sel.Name
	}
	if !slices.Contains([]string{"slog", "log", "Logger"}, on) {
		return e, false
	}
	args := call.Args
	if inContext {
		args = args[1:]
	}
	text := func(x ast.Expr) string {
		lit, _ := x.(*ast.BasicLit)
		s, err := strconv.Unquote(cmp.Or(lit, &ast.BasicLit{}).Value)
		if err != nil {
			return "not a constant text"
		}
		return s
	}
	e = event{message: text(args[0]), level: level}
	var keys []string
	for i := 1; i < len(args); i += 2 {
		keys = append(keys, text(args[i]))
	}
	e.attributes = strings.Join(keys, ", ")
	return e, true
}
