package load

import (
	"bytes"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/internal/hint"
	"github.com/kixxgen/kixxgen/templates"
)

// An entity is an annotated type on its way to the model.
type entity struct {
	pkg        *pkg
	file       *file
	spec       *ast.TypeSpec
	name       string
	at         directive // //kixx:entity
	indexes    []directive
	views      []directive
	migrates   []directive
	collection string
	peek       bool
	constraint string

	fields *structInfo

	refusedFields []string // selectors of fields that cannot be stored
	model         *templates.Entity
	marks         map[string]token.Pos // where each index and view is declared
}

// pos returns the position of the entity's name.
func (e *entity) pos() token.Pos { return e.spec.Name.Pos() }

// directivePrefix starts every directive.
const directivePrefix = "//kixx:"

// nearDirective matches a comment that was meant as a directive, but is none.
var nearDirective = regexp.MustCompile(`^(?://[ \t]+kixx:|/\*\s*kixx:|//[ \t]*kixx[ \t]+|//[ \t]*(?i:kixx):[ \t]*)(entity[ \t]*(?:\*/|\n|$)|entity[ \t]+(?:name=|peek)|index[ \t]+\w+[ \t]+[\w,:]+|view[ \t]+\w+[ \t]+func=|migrate[ \t]+\d+[ \t]+func=)`)

// annotations finds the entities of p. Directives that are attached to nothing are mistakes: they would have no effect.
func (l *loader) annotations(p *pkg) {
	for _, f := range p.files {
		if slices.Contains(l.tests, p) && !f.test {
			continue // these are the package's that is built
		}
		attached := map[*ast.Comment]bool{}
		for _, node := range f.syntax.Decls {
			gen, ok := node.(*ast.GenDecl)
			if !ok || gen.Tok != token.TYPE {
				continue
			}
			for _, spec := range gen.Specs {
				spec := spec.(*ast.TypeSpec)
				doc := spec.Doc
				if !gen.Lparen.IsValid() {
					doc = gen.Doc
				}
				l.directivesOf(p, f, spec, doc, attached)
			}
		}
		l.loose(f, attached)
		l.tagsOf(f)
	}
}

// directivesOf reads the directives in the doc comment of spec.
func (l *loader) directivesOf(p *pkg, f *file, spec *ast.TypeSpec, doc *ast.CommentGroup, attached map[*ast.Comment]bool) {
	if doc == nil {
		return
	}
	e := &entity{pkg: p, file: f, spec: spec, name: spec.Name.Name}
	found := false
	var others []directive
	for _, c := range doc.List {
		if !strings.HasPrefix(c.Text, directivePrefix) {
			continue
		}
		attached[c] = true
		offset := f.offset(c.Slash)
		line, _, _ := bytes.Cut(f.src[offset:], []byte("\n"))
		d, badAt := parseDirective(string(line), offset)
		if badAt >= 0 {
			l.at(f.pos(badAt), "quoted argument is not closed or not a Go string")
			continue
		}
		switch d.name.text {
		case "entity":
			if found {
				l.at(f.pos(d.at), "type %s has //kixx:entity twice", e.name)
				continue
			}
			found, e.at = true, d
		case "index":
			e.indexes = append(e.indexes, d)
			others = append(others, d)
		case "view":
			e.views = append(e.views, d)
			others = append(others, d)
		case "migrate":
			e.migrates = append(e.migrates, d)
			others = append(others, d)
		default:
			l.at(f.pos(d.name.at), "unknown directive %q%s", "//kixx:"+d.name.text, hint.Nearest(d.name.text, "entity", "index", "view", "migrate"))
		}
	}
	if !found {
		for _, d := range others {
			l.at(f.pos(d.at), "type %s has //kixx:%s but is no entity; add the line //kixx:entity", e.name, d.name.text)
		}
		return
	}
	if l.declaresEntity(e) {
		l.entities = append(l.entities, e)
	}
}

// declaresEntity checks the kind of type that e is declared on, and the options of its directive.
func (l *loader) declaresEntity(e *entity) bool {
	f, spec := e.file, e.spec
	problems := len(l.problems)
	_, isStruct := spec.Type.(*ast.StructType)
	switch {
	case spec.Assign.IsValid():
		l.at(e.pos(), "%s is an alias: put //kixx:entity on the type it stands for", e.name)
	case spec.TypeParams != nil:
		l.at(e.pos(), "%s is a generic type: an entity is one struct; generic structs may be embedded or nested in it", e.name)
	case !isStruct:
		l.at(e.pos(), "%s is no struct type: an entity is declared as type %s struct { … }", e.name, e.name)
	case !exported(e.name):
		l.at(e.pos(), "%s: the name of an entity must start with a capital letter, since %sRepo and New%sRepo are made of it", e.name, e.name, e.name)
	}
	e.collection = strings.ToLower(e.name)
	for _, w := range e.at.args {
		a := w.split()
		switch {
		case a.name == "name":
			if !collectionName.MatchString(a.value) {
				l.at(f.pos(a.valueAt), "collection name %q: want small letters, digits and underscores, a letter first", a.value)
			}
			e.collection = a.value
		case w.text == "peek":
			e.peek = true
		default:
			l.at(f.pos(w.at), "unknown option %q of //kixx:entity%s", w.text, hint.Nearest(firstOf(a.name, w.text), "name=", "peek"))
		}
	}
	if e.collection == strings.ToLower(e.name) && !collectionName.MatchString(e.collection) {
		l.at(e.pos(), "%s: its collection would be called %q: want small letters, digits and underscores, a letter first; give it a name: //kixx:entity name=…", e.name, e.collection)
	}
	l.collectionFile(e)
	e.constraint = constraintOf(f)
	return len(l.problems) == problems
}

// collectionName is what the name of a collection looks like.
var collectionName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// firstOf returns a if it is not empty, else b.
func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// loose reports the directives of f that are attached to no type.
func (l *loader) loose(f *file, attached map[*ast.Comment]bool) {
	for _, group := range f.syntax.Comments {
		for _, c := range group.List {
			switch {
			case attached[c]:
			case strings.HasPrefix(c.Text, directivePrefix):
				l.at(c.Slash, "%s is attached to no type%s", strings.Fields(c.Text)[0], whyLoose(f, group))
			case nearDirective.MatchString(c.Text):
				l.at(c.Slash, "this comment has no effect; a directive starts with %q, without blanks", directivePrefix)
			}
		}
	}
}

// whyLoose says what stands between a directive and a type.
func whyLoose(f *file, group *ast.CommentGroup) string {
	for _, node := range f.syntax.Decls {
		switch node := node.(type) {
		case *ast.FuncDecl:
			if node.Pos() <= group.Pos() && group.End() <= node.End() {
				return ": a type inside a function cannot be an entity"
			}
			if node.Doc == group {
				return ": it stands before a function"
			}
		case *ast.GenDecl:
			switch {
			case node.Doc == group && node.Tok == token.TYPE:
				return ": it stands before a group; move it to the type inside the parentheses"
			case node.Doc == group:
				return ": it stands before a declaration of another kind"
			case node.Pos() <= group.Pos() && group.End() <= node.End():
				if node.Tok == token.TYPE {
					return ": put it directly before the type, without a blank line"
				}
			}
		}
	}
	return "; put it directly before the type, without a blank line"
}

// excluded notes the entities in files that build constraints exclude from this run.
func (l *loader) excluded(p *pkg) {
	p.keep = map[string]token.Position{}
	for _, name := range p.IgnoredGoFiles {
		for _, found := range l.entitiesIn(filepath.Join(p.Dir, name)) {
			p.keep[found.name] = found.position
			p.keepCollections = append(p.keepCollections, found.collection)
			pos := found.position
			l.notes = append(l.notes, Problem{File: pos.Filename, Line: pos.Line, Col: pos.Column,
				Text: "entity " + found.name + " is in a file that build constraints exclude; nothing is generated for it in this run"})
		}
	}
}

// An excludedEntity is an entity in a file that is not part of this run.
type excludedEntity struct {
	name, collection string
	position         token.Position
}

// entitiesIn returns the entities of a file that is not part of this run, as far as it parses.
func (l *loader) entitiesIn(name string) []excludedEntity {
	src, err := readUser(name)
	if err != nil || !bytes.Contains(src, []byte(directivePrefix)) {
		return nil
	}
	fset := token.NewFileSet()
	syntax, _ := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if syntax == nil {
		return nil
	}
	var found []excludedEntity
	for _, node := range syntax.Decls {
		gen, ok := node.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		for _, spec := range gen.Specs {
			spec := spec.(*ast.TypeSpec)
			doc := spec.Doc
			if !gen.Lparen.IsValid() {
				doc = gen.Doc
			}
			if doc == nil {
				continue
			}
			for _, c := range doc.List {
				if d, ok := strings.CutPrefix(c.Text, directivePrefix+"entity"); ok && (d == "" || d[0] == ' ') {
					collection := strings.ToLower(spec.Name.Name)
					for _, arg := range strings.Fields(d) {
						if v, ok := strings.CutPrefix(arg, "name="); ok {
							collection = v
						}
					}
					found = append(found, excludedEntity{spec.Name.Name, collection, fset.PositionFor(c.Slash, false)})
				}
			}
		}
	}
	return found
}

// constraintOf returns the build constraint of a file, from its //go:build line and from its name, without "//go:build".
func constraintOf(f *file) string {
	var exprs []string
	for _, group := range f.syntax.Comments {
		if group.Pos() > f.syntax.Package {
			break
		}
		for _, c := range group.List {
			if constraint.IsGoBuild(c.Text) {
				if x, err := constraint.Parse(c.Text); err == nil {
					exprs = append(exprs, x.String())
				}
			}
		}
	}
	parts := strings.Split(strings.TrimSuffix(strings.TrimSuffix(filepath.Base(f.path), ".go"), "_test"), "_")
	if n := len(parts); n >= 2 {
		var terms []string
		if n >= 3 && knownOS[parts[n-2]] && knownArch[parts[n-1]] {
			terms = []string{parts[n-2], parts[n-1]}
		} else if knownOS[parts[n-1]] || knownArch[parts[n-1]] {
			terms = []string{parts[n-1]}
		}
		exprs = append(exprs, terms...)
	}
	switch len(exprs) {
	case 0:
		return ""
	case 1:
		return exprs[0]
	}
	for i, x := range exprs {
		if strings.Contains(x, "||") {
			exprs[i] = "(" + x + ")"
		}
	}
	return strings.Join(exprs, " && ")
}

// knownOS and knownArch are the parts of file names that go build takes for constraints.
var (
	knownOS = set("aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasip1 windows zos")

	knownArch = set("386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le ppc ppc64 " +
		"ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm")
)

// set returns the words of text as a set.
func set(text string) map[string]bool {
	m := map[string]bool{}
	for _, word := range strings.Fields(text) {
		m[word] = true
	}
	return m
}
