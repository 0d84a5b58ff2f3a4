package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	goimporter "go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/tools/txtar"

	"github.com/kixxgen/kixxgen/templates"
)

// FuzzGenerate puts text into every place of an annotated struct that is a user's to write: its doc comment, directives,
// names, types and tags, and what stands around it. The generator either says what is wrong, at a place in the source, or
// writes what it declares for the entities and nothing else: no directive of the compiler, no import of C or unsafe, no init,
// no file of another name. What it writes compiles, if the source alone does.
func FuzzGenerate(f *testing.F) {
	b := newBench(f)
	for _, s := range seeds {
		f.Add(s.how, s.doc, s.directives, s.name, s.field, s.typ, s.tag, s.more)
	}
	f.Fuzz(func(t *testing.T, how uint16, doc, directives, name, field, typ, tag, more string) {
		b.generate(t, seed{how, doc, directives, name, field, typ, tag, more}.source())
	})
}

// A seed is what goes into the source of an entity.
type seed struct {
	how                                          uint16 // made fit to their places: see source
	doc, directives, name, field, typ, tag, more string
}

// Bits of a seed's how: which of its texts are made fit to their places, for otherwise nearly all sources would be wrong.
const (
	fitDoc = 1 << iota
	fitDirectives
	fitName
	fitField
	fitType
	fitTag
	tagJSON // the tag is a json name
	tagKixx // the tag is an option
	inComment
)

const everyFit = fitDoc | fitDirectives | fitName | fitField | fitType | fitTag

var seeds = []seed{
	{everyFit, "Item is a thing.", "index FieldID Field,ID:desc\nview ByField func=emit", "Item", "Field", "string", `json:"field" kixx:"index"`, ""},
	{everyFit | tagJSON, "*/\n//go:linkname a b", "", "Map", "Len", "\x05", "a\"`*/\n//go:noinline\n\x00", "type Dims struct{ W int }"},
	{everyFit | tagKixx, "//line x.go:1", "entity peek", "Error", "String", "\x02", "index:name=X,default=\"`\\n", "func init() {}"},
	{fitName | fitField | fitTag | inComment, "//export Item\n", "//kixx:migrate 1 func=up\n", "Context", "Type", "struct {\n\t//go:embed x\n\tA int /* a\n*/; B string }", "`json:\"x\"`", "//go:linkname f runtime.f"},
	{everyFit &^ fitTag, "#cgo LDFLAGS: x", "view Init func=emit version=1", "Init", "Ünit", "\x09", "\"kixx:\\\"unique\\\" json:\\\"\\\\u2028\\\"\"", "import \"unsafe\""},
	{everyFit &^ fitDirectives, "", "//kixx:index `A\"` \"ID\"\n//kixx:entity name=con", "Con", "Rev2", "\x0b", "", "\ufeff"},
	{everyFit | tagKixx, "", "entity name=../../x", "COM1", "A", "\x00", "was=../x,merge=max", strings.Repeat("// long\n", 2000)},
	{everyFit | tagKixx, "", "entity name=nul", "Len", "R", "\x0e", "unique:name=Ctx", "const Len2 = 3\nvar i, it, l, r int"},
	{everyFit, "", "view Ähre func=emit", "Übel", "Ö", "\x00", `json:"größe" kixx:"unique"`, ""},
	{everyFit &^ fitType, "", "", "X", "Y", "[len(kixx.Rev{})]struct{ unsafe /*//go:x*/ int `json:\"//go:x\"` }", `kixx:"-"`, "type kixx2 = kixx.Rev"},
}

// fieldTypes are what a fit type is chosen from.
var fieldTypes = []string{"string", "int", "[]string", "*int8", "float64", "map[string][]Part", "Part", "*Part", "[]*Part", "any", "[3]uint16", "time.Time",
	"*time.Time", "struct{ A, B int }", "[]byte", "[16]byte", "map[Kind]bool", "Kind", "[]Kind", "complex64", "Pair[string, Kind]", "time.Duration", "bool"}

// source returns the source of a file with an entity.
func (s seed) source() string {
	fit := func(bit uint16) bool { return s.how&bit != 0 }
	lines := func(text, prefix string) string {
		return prefix + strings.NewReplacer("\r\n", "\n"+prefix, "\n", "\n"+prefix).Replace(text)
	}
	word := func(text string) string {
		text = strings.Map(func(r rune) rune {
			if r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) {
				return r
			}
			return -1
		}, text)
		return upperFirst(strings.TrimLeft(text, "_0123456789"))
	}
	if fit(fitDoc) {
		s.doc = lines(s.doc, "// ")
	}
	if fit(fitDirectives) && s.directives != "" {
		s.directives = lines(s.directives, directivePrefix)
	}
	if !strings.Contains(s.directives, directivePrefix+"entity") {
		s.directives += "\n//kixx:entity"
	}
	if fit(fitName) {
		s.name = firstOf(word(s.name), "Item")
	}
	if fit(fitField) {
		s.field = firstOf(word(s.field), "Field")
	}
	if fit(fitType) {
		s.typ = fieldTypes[len(s.typ+" ")%len(fieldTypes)]
		if len(s.typ) == 1 {
			s.typ = fieldTypes[int(s.typ[0])%len(fieldTypes)]
		}
	}
	switch {
	case fit(tagJSON):
		s.tag = `json:` + strconv.Quote(s.tag) + ` kixx:"index"`
	case fit(tagKixx):
		s.tag = `json:"stored" kixx:` + strconv.Quote(s.tag)
	}
	if fit(fitTag | tagJSON | tagKixx) {
		s.tag = strconv.Quote(s.tag)
	}
	if fit(inComment) {
		s.more = lines(s.more, "// ")
	}
	return `package app

import (
	"context"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

` + s.doc + "\n" + s.directives + `
type ` + s.name + ` struct {
	ID  string   ` + "`kixx:\"key\"`" + `
	Rev kixx.Rev ` + "`kixx:\"rev\"`" + `
	` + s.field + " " + s.typ + " " + s.tag + `
}

type Part struct {
	Name string
	At   time.Time
}

type Pair[A, B any] struct {
	First  A
	Second B
}

type Kind uint8

func emit(it *` + s.name + `, emit kixx.Emit[string, Part]) {}

func up(f *kixx.Fields) error { return nil }

var _ context.Context

` + s.more + "\n"
}

// fuzzStub has the packages that the source of FuzzGenerate imports, as far as the generator sees them.
const fuzzStub = stub + `-- time/time.go --
package time
type Time struct{ wall uint64 }
type Duration int64
-- context/context.go --
package context
type Context interface{ Err() error }
-- json/json.go --
package json
type RawMessage []byte
`

// A bench is the directory in which sources are generated from, and what they are compiled against.
type bench struct {
	dir     string // of the package
	list    []*listed
	imports types.Importer
}

// newBench makes a directory for the package, and finds the compiled packages that generated code imports.
func newBench(f *testing.F) *bench {
	dir := extract(f, txtar.Parse([]byte(fuzzStub)))
	b := &bench{dir: filepath.Join(dir, "app")}
	if err := os.Mkdir(b.dir, 0o777); err != nil {
		f.Fatal(err)
	}
	b.list = []*listed{
		{Dir: filepath.Join(dir, "time"), ImportPath: "time", Name: "time", GoFiles: []string{"time.go"}, Standard: true, DepOnly: true},
		{Dir: filepath.Join(dir, "context"), ImportPath: "context", Name: "context", GoFiles: []string{"context.go"}, Standard: true, DepOnly: true},
		{Dir: filepath.Join(dir, "json"), ImportPath: "encoding/json", Name: "json", GoFiles: []string{"json.go"}, Standard: true, DepOnly: true},
		{Dir: filepath.Join(dir, "kixx/runtime/gen"), ImportPath: genPath, Name: "gen", GoFiles: []string{"gen.go"}, DepOnly: true},
		{Dir: filepath.Join(dir, "kixx/runtime"), ImportPath: runtimePath, Name: "kixx", GoFiles: []string{"kixx.go"}, DepOnly: true},
		{Dir: b.dir, ImportPath: "example.com/app", Name: "app", GoFiles: []string{"item.go"}},
	}
	out, err := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", runtimePath, orderedPath, genPath, msgpPath).Output()
	if err != nil {
		f.Fatalf("go list -export: %v", err)
	}
	compiled := map[string]string{}
	for line := range strings.Lines(string(out)) {
		at, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		compiled[at] = file
	}
	b.imports = goimporter.ForCompiler(token.NewFileSet(), "gc", func(at string) (io.ReadCloser, error) {
		if compiled[at] == "" {
			return nil, fmt.Errorf("%s is not listed", at)
		}
		return os.Open(compiled[at])
	})
	return b
}

// generate runs the generator on a source and checks what comes out.
func (b *bench) generate(t *testing.T, src string) {
	name := filepath.Join(b.dir, "item.go")
	if err := os.WriteFile(name, []byte(src), 0o666); err != nil {
		t.Fatal(err)
	}
	result, err := Load(t.Context(), Config{Dir: b.dir, Patterns: []string{"."}, list: b.list})
	var problems Problems
	if errors.As(err, &problems) {
		b.positions(t, src, problems)
		return
	}
	if err != nil {
		t.Fatalf("Load: %v\n%s", err, src)
	}
	b.positions(t, src, result.Notes)
	for _, p := range result.Packages {
		if p.Dir != b.dir {
			t.Fatalf("a package in %s", p.Dir)
		}
		for path, sample := range p.Samples {
			if !samplePath.MatchString(path) || reserved(path) {
				t.Fatalf("sample document at %q", path)
			}
			if !json.Valid(sample) {
				t.Fatalf("sample is no JSON:\n%s\n%s", sample, src)
			}
		}
		for _, m := range p.Models {
			files, err := templates.Render(m)
			if err != nil {
				t.Fatalf("Render: %v\n%s", err, src)
			}
			b.output(t, src, m, files)
		}
		b.schemaStays(t, src, p)
	}
}

// positions checks that problems are at places in the source.
func (b *bench) positions(t *testing.T, src string, problems Problems) {
	lines := strings.Split(src, "\n")
	for _, p := range problems {
		good := p.File == filepath.Join(b.dir, "item.go") && p.Line >= 1 && p.Line <= len(lines) && p.Col >= 1 && p.Text != ""
		if good && p.Col > len(lines[p.Line-1])+1 {
			good = len(strings.Join(lines[:p.Line-1], "\n"))+p.Col == len(src) // the parser counts the end to the last line
		}
		if !good {
			t.Fatalf("problem at %q, line %d, column %d: %s\n%s", p.File, p.Line, p.Col, p.Text, src)
		}
	}
}

// samplePath is where a sample document is: as the manual has it.
var samplePath = regexp.MustCompile(`^testdata/kixx/[\pL\p{Nd}_]+\.[0-9a-f]{12}\.json$`)

// reserved reports whether Windows has no file of this name.
func reserved(path string) bool {
	base, _, _ := strings.Cut(path[strings.LastIndexByte(path, '/')+1:], ".")
	return regexp.MustCompile(`^(?i:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])$`).MatchString(base)
}

// compilerDirective matches comments that mean something to the compiler, or to go build.
var compilerDirective = regexp.MustCompile(`^(//(go:|line |export |extern |[a-z0-9]+:[a-z0-9])|/\*line |// ?#|//\s*\+build)`)

// output checks the files of a model.
func (b *bench) output(t *testing.T, src string, m *templates.Package, files map[string][]byte) {
	fset := token.NewFileSet()
	declared := map[string]bool{}
	var parsed []*ast.File
	for name, content := range files {
		fail := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("%s: %s\n%s\n\nof this source:\n%s", name, fmt.Sprintf(format, args...), content, src)
		}
		if filepath.Base(name) != name || !strings.HasSuffix(name, "_kixx.go") && !strings.HasSuffix(name, "_kixx_test.go") || reserved(name) ||
			strings.ToLower(name) != name || name[0] == '_' || name[0] == '.' {
			fail("bad name")
		}
		if !bytes.HasPrefix(content, []byte(Header+"\n\n")) || !Ours(name, content) {
			fail("the header is not its first line")
		}
		file, err := parser.ParseFile(fset, name, content, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			fail("%v", err)
		}
		if file.Name.Name != m.Name || file.Doc != nil {
			fail("package clause with the name %s and the comment %s", file.Name, file.Doc.Text())
		}
		for _, group := range file.Comments {
			for _, c := range group.List {
				build := c.Pos() < file.Package && strings.HasPrefix(c.Text, "//go:build ")
				if compilerDirective.MatchString(c.Text) && !build || strings.Contains(c.Text, "\r") || strings.HasPrefix(c.Text, "/*") {
					fail("comment %q", c.Text)
				}
			}
		}
		for _, spec := range file.Imports {
			if at := unquoted(spec.Path.Value); m.Names[at] == "" || at == "unsafe" || at == "C" || spec.Name != nil && (spec.Name.Name == "." || spec.Name.Name == "_") {
				fail("import of %s", at)
			}
		}
		for _, name := range declarations(file) {
			if declared[name] && name != "_" {
				fail("declares %s twice", name)
			}
			declared[name] = true
		}
		if strings.HasSuffix(name, "_kixx.go") {
			parsed = append(parsed, file)
		}
	}
	must, may := expected(m)
	for _, e := range m.Entities {
		if schema := lowerCapitals(e.Name) + "Schema"; ast.IsExported(schema) {
			t.Fatalf("%s of entity %s is exported", schema, e.Name)
		}
	}
	for name := range declared {
		if !must[name] && !may[name] {
			t.Fatalf("%s is declared, which the model has not:\n%s\n%s", name, src, files)
		}
	}
	for name := range must {
		if !declared[name] {
			t.Fatalf("%s is not declared:\n%s\n%s", name, src, files)
		}
	}
	user, err := parser.ParseFile(fset, "item.go", src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatalf("accepted, but: %v\n%s", err, src)
	}
	if m.Name != "app" {
		return
	}
	cfg := types.Config{Importer: b.imports, GoVersion: "go1.26"}
	if _, err := cfg.Check(m.Path, fset, append([]*ast.File{user}, parsed...), nil); err != nil {
		if _, wrong := cfg.Check(m.Path, fset, []*ast.File{user}, nil); wrong == nil {
			t.Fatalf("the source compiles, but not together with what is generated: %v\n%s\n%s", err, src, files)
		}
	}
}

// declarations returns the names that a file declares; methods with their receivers.
func declarations(file *ast.File) []string {
	var names []string
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = baseName(d.Recv.List[0].Type) + "." + name
			}
			names = append(names, name)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names = append(names, spec.Name.Name)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

// expected returns the names that the files of m must declare, and those that they may declare besides.
func expected(m *templates.Package) (must, may map[string]bool) {
	must, may = map[string]bool{"_": true}, map[string]bool{}
	seen := map[*templates.Struct]bool{}
	var inside func(t *templates.Type)
	inside = func(t *templates.Type) {
		for ; t != nil; t = t.Elem {
			if t.Struct == nil || seen[t.Struct] {
				continue
			}
			seen[t.Struct] = true
			for _, verb := range codecVerbs {
				may[verb+t.Struct.Func] = true
			}
			must["append"+t.Struct.Func], must["read"+t.Struct.Func] = true, true
			for _, f := range t.Struct.Fields {
				inside(f.Type)
			}
		}
	}
	for _, e := range m.Entities {
		repo := e.Name + "Repo"
		for _, name := range []string{repo, "New" + repo, lowerCapitals(e.Name) + "Schema", "index" + e.Name, "Test" + e.Name + "ReadsSamples",
			"clone" + e.Struct.Func, "merge" + e.Struct.Func, repo + ".With", repo + ".Merge"} {
			must[name] = true
		}
		may[repo+".RangeByKey"] = true
		if e.Deleted != nil {
			must[repo+".WithDeleted"] = true
		}
		if e.KeyType != "" {
			for _, name := range []string{e.KeyType, "append" + e.KeyType, "read" + e.KeyType, e.Name + ".Key"} {
				must[name] = true
			}
		}
		if e.Peek != "" {
			for _, name := range []string{e.Peek, "new" + e.Peek, repo + ".Peek", repo + ".Peeks"} {
				must[name] = true
			}
			may[e.Peek+".Rev"] = true
			for _, f := range e.Struct.Fields {
				may[e.Peek+"."+f.GoName()] = true
			}
		}
		for _, ix := range e.Indexes {
			must[ix.Var] = true
			may[repo+".QueryBy"+ix.Name], may[repo+".RangeBy"+ix.Name], may[repo+".GetBy"+ix.Name] = true, true, true
		}
		for _, v := range e.Views {
			must[v.Var], must[v.Type] = true, true
			may[repo+".QueryBy"+v.Query], may[repo+".RangeBy"+v.Query] = true, true
			inside(v.Value)
		}
		inside(e.Struct.Type)
	}
	return must, may
}

// schemaStays checks that the schema file of p is read back as it was written.
func (b *bench) schemaStays(t *testing.T, src string, p *Package) {
	l := &loader{}
	lines, good := l.parseSchema(SchemaFile, p.Schema)
	if !good {
		t.Fatalf("the schema file is wrong: %v\n%s\n%s", l.problems, p.Schema, src)
	}
	if again := formatSchema(lines); !bytes.Equal(again, p.Schema) {
		t.Fatalf("the schema file is\n%s\nand read and written again\n%s\n%s", p.Schema, again, src)
	}
}
