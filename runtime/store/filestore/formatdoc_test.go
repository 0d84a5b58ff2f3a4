package filestore

import (
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// docs/file-format.md is the comment of format.go. Run the test with KIXX_UPDATE=1 when that has changed.
func TestFileFormatIsWrittenDown(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "format.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && strings.HasPrefix(g.Doc.Text(), "This file says") {
			text = g.Doc.Text()
		}
	}
	text, ok := strings.CutPrefix(text, "This file says what every byte on disk means. ")
	if !ok {
		t.Fatal("format.go has no comment about the formats")
	}
	var p comment.Parser
	md := (&comment.Printer{HeadingLevel: 2, HeadingID: func(*comment.Heading) string { return "" }}).Markdown(p.Parse(text))
	want := "# The files of a file store\n\n" + string(md)
	name := filepath.Join("..", "..", "..", "docs", "file-format.md")
	if os.Getenv("KIXX_UPDATE") != "" {
		if err := os.WriteFile(name, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != want {
		t.Errorf("%s is not what format.go says, %v; run this test with KIXX_UPDATE=1", name, err)
	}
}
