package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kixxgen/kixxgen/cmd/kixxgen/internal/load"
)

func TestExcerptPutsTheCaretUnderTheColumn(t *testing.T) {
	long := strings.Repeat("a", 200) + "X" + strings.Repeat("b", 200)
	for _, test := range []struct {
		name, line string
		col        int
		shown      string
		under      string // what the caret is under
	}{
		{"first column", "type Item struct {", 1, "type Item struct {", "t"},
		{"indented by a tab", "\tID string `kixx:\"kye\"`", 19, "ID string `kixx:\"kye\"`", "k"},
		{"a tab inside goes to the next stop", "\tID\tstring", 5, "ID  string", "s"},
		{"in the indentation", "\t\tID", 2, "    ID", ""},
		{"behind letters of two bytes", "Größe int", 9, "Größe int", "i"},
		{"behind letters of two columns", "价格 float64", 8, "价格 float64", "f"},
		{"behind a letter with a mark", "e\u0301t\u00e9 X", 8, "e\u0301t\u00e9 X", "X"},
		{"behind the end", "ID", 3, "ID", ""},
		{"carriage return", "ID\r", 1, "ID", "I"},
		{"byte order mark", "\ufeffpackage app", 4, "package app", "p"},
		{"the whole line", "\tID string", 0, "ID string", "none"},
		{"an empty line", "", 1, "", ""},
		{"escape sequence", "a\x1b[31mb", 7, `a\x1b[31mb`, "b"},
		{"no UTF-8", "a\xffb", 3, `a\ufffdb`, "b"},
		{"text that turns its direction", "a\u202eb", 5, `a\u202eb`, "b"},
		{"a long line", long, 201, "…" + strings.Repeat("a", 60) + "X" + strings.Repeat("b", 59) + "…", "X"},
		{"the begin of a long line", long, 2, strings.Repeat("a", 120) + "…", "a"},
		{"the end of a long line", long, 401, "…" + strings.Repeat("b", 120), "b"},
		{"behind the end of a long line", long, 402, "…" + strings.Repeat("b", 120), ""},
		{"a long line as a whole", long, 0, strings.Repeat("a", 120) + "…", "none"},
	} {
		shown, at := excerpt(test.line, test.col)
		if shown != test.shown {
			t.Errorf("%s: excerpt(%q, %d) = %q, want %q", test.name, test.line, test.col, shown, test.shown)
			continue
		}
		under := "none"
		if at >= 0 {
			under = ""
			column := 0
			for _, r := range shown {
				if column == at && runeWidth(r) > 0 {
					under = string(r)
				}
				column += runeWidth(r)
			}
			if under == "" && at != column && test.name != "in the indentation" {
				t.Errorf("%s: the caret is at %d of %q, under no letter", test.name, at, shown)
			}
			under = strings.TrimSpace(under)
		}
		if under != test.under {
			t.Errorf("%s: the caret is at %d of %q, under %q, want %q", test.name, at, shown, under, test.under)
		}
	}
}

func TestColorsAreForTerminalsThatHaveThem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "item.go")
	if err := os.WriteFile(file, []byte("package app\n\n\tname int\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	problems := load.Problems{{File: file, Line: 3, Col: 7, Text: "wrong"}, {Text: "go.mod file not found"}, {File: file + "x", Line: 1, Text: "gone"}}
	for _, test := range []struct {
		display display
		format  string
		note    bool
		want    string
	}{
		{display{}, "auto", false, "item.go:3:7: wrong\ngo.mod file not found\nitem.gox:1: gone\n"},
		{display{stdout: true}, "auto", true, "note: item.go:3:7: wrong\nnote: go.mod file not found\nnote: item.gox:1: gone\n"},
		{display{stderr: true}, "auto", false, "item.go:3:7: wrong\n    name int\n         ^\ngo.mod file not found\nitem.gox:1: gone\n"},
		{display{}, "caret", true, "note: item.go:3:7: wrong\n    name int\n         ^\nnote: go.mod file not found\nnote: item.gox:1: gone\n"},
		{display{stderr: true, colors: true}, "auto", false, "\x1b[1mitem.go:3:7:\x1b[0m wrong\n    name int\n         \x1b[1;31m^\x1b[0m\ngo.mod file not found\n\x1b[1mitem.gox:1:\x1b[0m gone\n"},
		{display{stderr: true, colors: true}, "text", false, "item.go:3:7: wrong\ngo.mod file not found\nitem.gox:1: gone\n"},
		{display{stderr: true, colors: true}, "github", false, "::error file=item.go,line=3,col=7::wrong\n::error::go.mod file not found\n::error file=item.gox,line=1::gone\n"},
	} {
		var out bytes.Buffer
		env := environment{dir: filepath.Dir(file), stderr: &out, getenv: func(string) string { return "" }, display: test.display}
		messages{test.format}.print(env, problems, test.note)
		if out.String() != test.want {
			t.Errorf("%+v, --format %s, note %v prints\n%q\nwant\n%q", test.display, test.format, test.note, out.String(), test.want)
		}
	}
}

// A file and a buffer are no terminals, whatever the environment says. Terminals are in messages_terminal.txtar.
func TestWhatIsNoTerminalHasNoColors(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	getenv := func(string) string { return "" }
	if d := displayOf(null, &bytes.Buffer{}, getenv); d != (display{}) {
		t.Errorf("displayOf(%s, buffer) = %+v, want none", os.DevNull, d)
	}
	if d := displayOf(&bytes.Buffer{}, null, getenv); d != (display{}) {
		t.Errorf("displayOf(buffer, %s) = %+v, want none", os.DevNull, d)
	}
}

func TestAnnotationsEscapeWhatWorkflowsWouldTakeForCommands(t *testing.T) {
	root := t.TempDir()
	sub := filepath.Join(root, "shop")
	getenv := func(name string) string {
		return map[string]string{"GITHUB_WORKSPACE": root}[name]
	}
	for _, test := range []struct {
		problem load.Problem
		want    string
	}{
		{load.Problem{File: filepath.Join(sub, "a,b:c%.go"), Line: 2, Col: 3, Text: "50% off:\r\n, or so"}, "::error file=shop/a%2Cb%3Ac%25.go,line=2,col=3::50%25 off:%0D%0A, or so\n"},
		{load.Problem{File: filepath.Join(sub, "item.go"), Text: "is a directory"}, "::error file=shop/item.go::is a directory\n"},
		{load.Problem{Text: "::no command"}, "::error::::no command\n"},
	} {
		if got := annotation("error", workspace(environment{dir: sub, getenv: getenv}), test.problem); got != test.want {
			t.Errorf("annotation(%+v) = %q, want %q", test.problem, got, test.want)
		}
	}
	if got := workspace(environment{dir: t.TempDir(), getenv: getenv}); got == root {
		t.Error("the workspace of a workflow holds for a directory outside of it")
	}
}
