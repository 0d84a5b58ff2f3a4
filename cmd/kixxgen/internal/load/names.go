package load

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/kixxgen/kixxgen/templates"
)

// keys returns the keys of a set.
var keys = maps.Keys[map[string]bool]

// A names holds the package-level names of a package, the user's and those that are generated.
type names struct {
	user  map[string]bool
	taken map[string]string // generated names, and the entity that claims them, "" for those that gave way to others
	tests map[string]bool   // methods that test files declare, "ItemRepo.Mine"
}

// newNames returns the names of p's own files. Those of its tests count too: they are compiled together.
func newNames(p *pkg) *names {
	n := &names{user: map[string]bool{}, taken: map[string]string{}, tests: map[string]bool{}}
	for name := range p.decls {
		n.user[name] = true
	}
	for _, name := range p.TestGoFiles {
		if len(p.files) > 0 && p.files[0].test { // of p_test, whose files were read
			return n
		}
		at := filepath.Join(p.Dir, name)
		src, err := readUser(at)
		if err != nil {
			continue
		}
		syntax, _ := parser.ParseFile(token.NewFileSet(), at, src, parser.SkipObjectResolution)
		if syntax == nil {
			continue
		}
		for _, d := range syntax.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					n.user[d.Name.Name] = true
				} else {
					n.tests[receiverBase(d)+"."+d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						n.user[spec.Name.Name] = true
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							n.user[name.Name] = true
						}
					}
				}
			}
		}
	}
	return n
}

// free reports whether a name can be generated.
func (n *names) free(name string) bool {
	_, taken := n.taken[name]
	return !taken && !n.user[name]
}

// aliases returns the import paths that must be imported under another name than their own: the user declares that name,
// or another import has it.
func (n *names) aliases(paths map[string]string) map[string]string {
	aliases := map[string]string{}
	used := map[string]bool{}
	order := slices.SortedFunc(maps.Keys(paths), func(a, b string) int {
		if own := ownImport(b) - ownImport(a); own != 0 {
			return own
		}
		return strings.Compare(a, b)
	})
	for _, at := range order {
		name := paths[at]
		for i := 2; used[name] || !n.free(name) || token.IsKeyword(name); i++ {
			name = fmt.Sprintf("%s%d", paths[at], i)
		}
		used[name] = true
		if name != paths[at] {
			aliases[at] = name
		}
	}
	return aliases
}

// ownImport returns 1 for the packages that every generated file imports, which keep their names if they can.
func ownImport(at string) int {
	switch at {
	case runtimePath, genPath, orderedPath, msgpPath, "context", "time", "maps", "slices":
		return 1
	}
	return 0
}

// claimNames takes the names that follow from those of the entities, and reports which of them are taken.
func (b *builder) claimNames() {
	for _, e := range b.group {
		if e.model == nil {
			continue
		}
		b.keyNames(e, b.taken)
		b.exportedNames(e, b.taken)
		b.methodNames(e)
		b.accessorNames(e)
		for _, name := range []string{lowerCapitals(e.name) + "Schema", "index" + e.name} {
			b.claim(e, name, b.taken)
		}
	}
}

// chooseNames chooses the other names of generated code, so that they clash with none.
func (b *builder) chooseNames() {
	n := b.taken
	own := map[*structInfo]bool{}
	for _, e := range b.group {
		if e.model != nil {
			own[e.fields] = true
			b.structNames(e.fields, e.name, n)
		}
	}
	for _, s := range b.order {
		if !own[s] {
			base := b.structBase(s) + constraintWords(b.group[0].constraint)
			if b.pkg == b.pkg.beside { // beside those of the package that is built
				base += "Test"
			}
			b.structNames(s, base, n)
		}
	}
	imports := map[string]bool{}
	aliases := n.aliases(b.names)
	for at, name := range b.names {
		imports[firstOf(aliases[at], name)] = true
	}
	for _, e := range b.group {
		if e.model == nil {
			continue
		}
		prefix := lowerCapitals(e.name)
		params := map[string]bool{}
		nameParams := func(fields []*templates.IndexField) {
			inUse := map[string]bool{}
			for _, f := range fields {
				f.Param = param(f, func(name string) bool { return inUse[name] || imports[name] || n.user[name] })
				inUse[f.Param], params[f.Param] = true, true
			}
		}
		nameParams(e.model.Keys[:max(len(e.model.Keys)-1, 0)]) // the last one is what RangeByKey is over
		for _, ix := range e.model.Indexes {
			ix.Var = n.fresh(prefix + "By" + ix.Name)
			nameParams(ix.Fields)
		}
		for _, v := range e.model.Views {
			v.Var = n.fresh(prefix + "By" + v.Query)
		}
		e.model.Var = documentVar(e.name, func(name string) bool { return params[name] || imports[name] || n.user[name] })
	}
}

// constraintWords returns a build constraint as part of an identifier: LinuxAmd64 of linux && amd64. Functions of structs that
// are stored under a constraint have it in their names, or they would clash with those of other files; which files those are
// is not known in a run for one system.
func constraintWords(expr string) string {
	words := strings.FieldsFunc(strings.NewReplacer("!", " not ", "||", " or ").Replace(expr), func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	for i, w := range words {
		words[i] = upperFirst(w)
	}
	return strings.Join(words, "")
}

// codecVerbs begin the names of the functions of a struct.
var codecVerbs = []string{"append", "read", "clone", "canon", "merge", "equal"}

// structNames chooses what the functions of a struct are named after.
func (b *builder) structNames(s *structInfo, base string, n *names) {
	name := base
	for i := 2; ; i++ {
		good := true
		for _, verb := range codecVerbs {
			good = good && n.free(verb+name)
		}
		if good {
			break
		}
		name = fmt.Sprintf("%s%d", base, i)
	}
	for _, verb := range codecVerbs {
		n.taken[verb+name] = ""
	}
	s.model.Func = name
}

// structBase returns what the functions of a struct would best be named after: Dims, GeoPoint of another package,
// PairStringInt of an instance, ItemLines of a type without a name in the field Lines of Item.
func (b *builder) structBase(s *structInfo) string {
	if st, ok := s.typ.(*types.Struct); ok && st.NumFields() == 0 {
		return "Empty"
	}
	return b.wordsOf(s.typ, firstOf(s.base, "Struct"))
}

// wordsOf returns t as part of an identifier; nameless stands for a struct type without a name.
func (b *builder) wordsOf(t types.Type, nameless string) string {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		words := upperFirst(t.Obj().Name())
		if p := t.Obj().Pkg(); p != nil && p.Path() != b.pkg.ImportPath {
			words = upperFirst(b.nameOf(p.Path())) + words
		}
		if args := t.TypeArgs(); args != nil {
			for i := range args.Len() {
				words += b.wordsOf(args.At(i), "Struct")
			}
		}
		return words
	case *types.Slice:
		return "Slice" + b.wordsOf(t.Elem(), nameless)
	case *types.Array:
		return fmt.Sprintf("Array%d%s", t.Len(), b.wordsOf(t.Elem(), nameless))
	case *types.Map:
		return "Map" + b.wordsOf(t.Key(), nameless) + b.wordsOf(t.Elem(), nameless)
	case *types.Pointer:
		return "Ptr" + b.wordsOf(t.Elem(), nameless)
	case *types.Basic:
		return upperFirst(t.Name())
	case *types.Struct:
		return nameless
	case *types.Interface:
		return "Any"
	}
	return "Value"
}

// exportedNames reports the exported names that are generated for e and that the user declares.
func (b *builder) exportedNames(e *entity, n *names) {
	for _, name := range []string{e.name + "Repo", "New" + e.name + "Repo", "Test" + e.name + "ReadsSamples"} {
		b.claim(e, name, n)
	}
	for _, v := range e.model.Views {
		v.Type = e.name + "By" + v.Query
		b.claim(e, v.Type, n)
	}
	if e.peek {
		e.model.Peek = e.name + "Peek"
		b.claim(e, e.model.Peek, n)
		b.claim(e, "new"+e.model.Peek, n)
	}
}

// claim takes a name that is generated for e, or reports who has it.
func (b *builder) claim(e *entity, name string, n *names) {
	switch d := b.pkg.decls[name]; {
	case d != nil:
		b.at(d.pos, "%s is the name of what is generated for %s (%s); rename it", name, e.name, b.where(e.pos()))
	case n.user[name]:
		b.at(e.pos(), "%s: a test file declares %s, which is generated for it; rename it there", e.name, name)
	case n.taken[name] != "":
		if !strings.EqualFold(n.taken[name], e.name) { // else the files have one name, too: reported there
			b.at(e.pos(), "%s: %s would be generated twice, also for %s; rename one of them", e.name, name, n.taken[name])
		}
	default:
		n.taken[name] = e.name
	}
}

// fresh takes name, or one like it that is free.
func (n *names) fresh(name string) string {
	base := name
	for i := 2; !n.free(name); i++ {
		name = fmt.Sprintf("%s%d", base, i)
	}
	n.taken[name] = ""
	return name
}

// methodNames reports methods that the user declares on the repository of e and that are generated, or stand in the way of
// the generic repository in it. Those of the generic one he may have.
func (b *builder) methodNames(e *entity) {
	made := []string{"Merge", "RangeByKey", "With", "Repo"}
	if e.model.Deleted != nil {
		made = append(made, "WithDeleted", "SoftRepo")
	}
	if e.peek {
		made = append(made, "Peek", "Peeks")
	}
	for _, ix := range e.model.Indexes {
		made = append(made, "RangeBy"+ix.Name)
		if ix.Unique {
			made = append(made, "GetBy"+ix.Name)
		} else {
			made = append(made, "QueryBy"+ix.Name)
		}
	}
	for _, v := range e.model.Views {
		made = append(made, "QueryBy"+v.Query, "RangeBy"+v.Query)
	}
	for _, name := range made {
		b.ownMethod(e, e.name+"Repo", name)
	}
}

// ownMethod reports a method that the user declares on a generated type, and that is generated.
func (b *builder) ownMethod(e *entity, receiver, name string) {
	if d := b.pkg.methods[receiver][name]; d != nil {
		b.at(d.pos, "method %s of %s is generated; rename it", name, receiver)
	} else if b.taken.tests[receiver+"."+name] {
		b.at(e.pos(), "%s: a test file declares method %s of %s, which is generated for it; rename it there", e.name, name, receiver)
	}
}

// accessorNames reports methods of the type that reads shared documents that would be there twice: of fields that have one
// name in Go, or as one that the user declares.
func (b *builder) accessorNames(e *entity) {
	if !e.peek {
		return
	}
	seen := map[string]string{}
	for _, f := range e.fields.fields {
		name, path := f.v.Name(), strings.Join(f.model.Path, ".")
		if first := seen[name]; first != "" {
			at := f.outer.Pos()
			b.at(at, "field %s: %s already has a method %s, for %s; rename one of the fields, or leave it out with kixx:\"-\"", path, e.model.Peek, name, first)
		}
		seen[name] = path
		b.ownMethod(e, e.model.Peek, name)
	}
	b.ownMethod(e, e.model.Peek, "doc")
}

// sameFiles reports entities whose files or collections have one name. File systems that fold case make one file of two.
func (l *loader) sameFiles(p *pkg, entities []*entity) {
	files, collections := map[string]*entity{}, map[string]*entity{}
	users := map[string]string{} // files of the user's with names as ours, by those in small letters
	entries, _ := os.ReadDir(p.Dir)
	for _, entry := range entries {
		if name := strings.ToLower(entry.Name()); strings.HasSuffix(name, "_kixx.go") || strings.HasSuffix(name, "_kixx_test.go") {
			src, err := os.ReadFile(filepath.Join(p.Dir, entry.Name()))
			if err == nil && !Ours(name, src) {
				users[name] = entry.Name()
			}
		}
	}
	for _, e := range entities {
		if at, ok := p.keep[e.name]; ok {
			l.at(e.pos(), "%s is an entity in %s too, which build constraints exclude: both would be generated to %s; "+
				"move the entity to a file without constraints", e.name, filepath.Base(at.Filename), generated(e.name, e.file.test)[0])
		}
		first, clash := (*entity)(nil), ""
		for _, name := range generated(e.name, e.file.test) {
			if other := files[name]; other != nil && clash == "" {
				first, clash = other, name
			}
			files[name] = e
			if users[name] != "" {
				l.problems = append(l.problems, Problem{File: filepath.Join(p.Dir, users[name]), Line: 1, Col: 1, Text: fmt.Sprintf(
					"file was not written by kixxgen, which would write %s here; rename it, or start it with %q", e.name, Header)})
			}
		}
		if first != nil {
			if first.name != e.name || first.pkg.ImportPath != e.pkg.ImportPath { // else it is declared twice
				l.at(e.pos(), "%s and %s would both be generated to %s; rename one of them", first.name, e.name, clash)
			}
		} else if first := collections[e.collection]; first != nil {
			l.at(e.pos(), "%s and %s are both stored as %q; give one another name: //kixx:entity name=…", first.name, e.name, e.collection)
		}
		collections[e.collection] = e
	}
}

// locals are names that generated functions use inside, besides parameters and the document.
var locals = set("r ctx db s b u c e err name key id v n i m x k q t depth doc dst src tuple value emit ok entry entries base mine rest y")

// param returns the name of the parameter for a field of an index: category, tag for an element of Tags. It is no keyword,
// no predeclared name, none that generated functions use, and not taken.
func param(f *templates.IndexField, taken func(string) bool) string {
	name := f.Field.GoName()
	if f.Each {
		name = singular(name)
	}
	name = lowerFirst(name)
	base := name
	for i := 1; token.IsKeyword(name) || types.Universe.Lookup(name) != nil || name == "r" || name == "ctx" || taken(name); i++ {
		if i == 1 {
			base += "Value"
			name = base
		} else {
			name = fmt.Sprintf("%s%d", base, i)
		}
	}
	return name
}

// documentVar returns the name of a document in generated code: p for Post, it for Item, ol for OrderLine.
func documentVar(entity string, taken func(string) bool) string {
	list := words(entity)
	var candidates []string
	if len(list) > 1 {
		initials := ""
		for _, w := range list {
			initials += string([]rune(w)[0])
		}
		candidates = append(candidates, strings.ToLower(initials))
	}
	lower := []rune(strings.ToLower(list[0]))
	for _, n := range []int{1, 2, 3} {
		if n <= len(lower) {
			candidates = append(candidates, string(lower[:n]))
		}
	}
	candidates = append(candidates, lowerFirst(entity), "document")
	good := func(name string) bool {
		return !token.IsKeyword(name) && types.Universe.Lookup(name) == nil && !locals[name] && !taken(name)
	}
	for _, c := range candidates {
		if good(c) {
			return c
		}
	}
	for i := 2; ; i++ {
		if c := fmt.Sprintf("document%d", i); good(c) {
			return c
		}
	}
}
