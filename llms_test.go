package kixxgen_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/doc"
	"go/doc/comment"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"
)

// TestLLMSTextIsFresh holds docs/llms.txt against what it is made from: README.md, the manual of the command, the other files of
// docs, and the documentation of the packages that applications call. With KIXX_UPDATE it is made anew:
//
//	KIXX_UPDATE=1 go test -run LLMS .
func TestLLMSTextIsFresh(t *testing.T) {
	want := llms(t)
	const name = "docs/llms.txt"
	if os.Getenv("KIXX_UPDATE") != "" {
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	got = bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n"))
	if d := diff.Diff(name, got, "what it is made from", want); d != nil {
		if len(d) > 3000 {
			d = append(d[:3000], "…\n"...)
		}
		t.Errorf("%s is stale; run KIXX_UPDATE=1 go test -run LLMS .\n%s", name, d)
	}
}

// llms returns all documentation as one text.
func llms(t *testing.T) []byte {
	var b bytes.Buffer
	readme := section(t, "README.md")
	about, _, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(readme, "# kixxgen\n")), "\n\n")
	fmt.Fprintf(&b, "# kixxgen\n\n> %s\n\n", strings.ReplaceAll(about, "\n", "\n> "))
	b.WriteString("This is all of its documentation in one text: the README, the manual of the command with all annotations, the pages\n" +
		"of docs, and the packages that applications call.\n")
	fmt.Fprintf(&b, "\n## README.md\n\n%s\n", demoted(readme))
	manual, err := parser.ParseFile(token.NewFileSet(), "cmd/kixxgen/main.go", nil, parser.PackageClauseOnly|parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "\n## The manual: go doc github.com/kixxgen/kixxgen/cmd/kixxgen\n\n%s", markdown(manual.Doc.Text(), 3))
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) < 4 {
		t.Fatalf("docs has the pages %q: %v", pages, err)
	}
	slices.Sort(pages)
	for _, page := range pages {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", filepath.ToSlash(page), demoted(section(t, page)))
	}
	for _, dir := range []string{"runtime", "runtime/kixxtest", "runtime/kixxhttp"} {
		reference(t, &b, dir)
	}
	return b.Bytes()
}

// section returns a file.
func section(t *testing.T, name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(strings.ReplaceAll(string(b), "\r\n", "\n"))
}

// demoted returns Markdown with its headings two levels lower.
func demoted(text string) string {
	var b strings.Builder
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if !fenced && strings.HasPrefix(line, "#") {
			b.WriteString("##")
		}
		b.WriteString(line)
	}
	return b.String()
}

// markdown returns a doc comment as Markdown.
func markdown(text string, level int) string {
	p := comment.Printer{HeadingLevel: level, HeadingID: func(*comment.Heading) string { return "" }, DocLinkURL: func(*comment.DocLink) string { return "" }}
	out := string(p.Markdown(new(comment.Parser).Parse(text)))
	return strings.ReplaceAll(out, "]()", "]")
}

// reference writes what a package exports, each declaration with its comment, as go doc -all has it.
func reference(t *testing.T, b *bytes.Buffer, dir string) {
	fset := token.NewFileSet()
	names, err := filepath.Glob(dir + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	p, err := doc.NewFromFiles(fset, files, path.Join("github.com/kixxgen/kixxgen", dir))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(b, "\n## package %s: import %q\n\n%s", p.Name, p.ImportPath, markdown(p.Doc, 3))
	declaration := func(decl ast.Decl, text string) {
		if f, ok := decl.(*ast.FuncDecl); ok {
			f.Body, f.Doc = nil, nil
		} else if g, ok := decl.(*ast.GenDecl); ok {
			g.Doc = nil
		}
		b.WriteString("\n```go\n")
		if err := (&printer.Config{Mode: printer.UseSpaces | printer.TabIndent, Tabwidth: 8}).Fprint(b, fset, decl); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(b, "\n```\n\n%s", markdown(text, 4))
	}
	functions := func(funcs []*doc.Func) {
		for _, f := range funcs {
			declaration(f.Decl, f.Doc)
		}
	}
	values := func(list []*doc.Value) {
		for _, v := range list {
			declaration(v.Decl, v.Doc)
		}
	}
	values(p.Consts)
	values(p.Vars)
	functions(p.Funcs)
	for _, typ := range p.Types {
		declaration(typ.Decl, typ.Doc)
		values(typ.Consts)
		values(typ.Vars)
		functions(typ.Funcs)
		functions(typ.Methods)
	}
}
