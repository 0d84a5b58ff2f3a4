package load

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/templates"
)

// build makes the models of the entities of p and of its tests, one for each build constraint under which some are declared,
// and the schema file of the directory. Those of tests are in it like the others: whatever has a database with documents, a
// test too, may have one from before. It returns nil if p neither has nor had entities.
func (l *loader) build(p *pkg) *Package {
	var entities []*entity
	for _, e := range l.entities {
		if e.pkg == p || slices.Contains(p.tests(), e.pkg) {
			entities = append(entities, e)
		}
	}
	made := &Package{Dir: p.Dir}
	for name, at := range p.keep {
		made.Keep = append(made.Keep, generated(name, isTest(at.Filename))...)
	}
	slices.Sort(made.Keep)
	if len(entities) == 0 {
		if !p.hasOurs() {
			return nil
		}
		made.Schema = l.schema(p, nil)
		return made
	}
	slices.SortStableFunc(entities, func(a, b *entity) int { return strings.Compare(a.name, b.name) })
	taken := newNames(p)
	builders := l.builders(p, entities, taken)
	if p.tested != nil { // what is generated for tests is compiled together with the rest
		builders = append(builders, l.builders(p.tested, entities, taken)...)
	}
	if p.external != nil {
		builders = append(builders, l.builders(p.external, entities, newNames(p.external))...)
	}
	for _, b := range builders {
		b.claimNames()
	}
	for _, b := range builders { // these give way to all that were claimed
		b.chooseNames()
		b.made.Aliases = b.taken.aliases(b.names)
		made.Models = append(made.Models, b.made)
	}
	l.sameFiles(p, entities)
	made.Schema = l.schema(p, entities)
	made.Samples = map[string][]byte{}
	for _, e := range entities {
		if e.model != nil {
			path, sample := e.sample()
			made.Samples[path] = sample
		}
	}
	return made
}

// builders makes the models of those of the entities that p declares, but for their names, one for each build constraint.
func (l *loader) builders(p *pkg, entities []*entity, taken *names) (builders []*builder) {
	groups := map[string][]*entity{}
	for _, e := range entities {
		if e.pkg == p {
			groups[e.constraint] = append(groups[e.constraint], e)
		}
	}
	if len(groups) > 0 {
		l.check(p)
	}
	for _, c := range slices.Sorted(maps.Keys(groups)) {
		// A builder for each constraint: files under different ones may be compiled together or not, so that each group has
		// functions of its own for the structs that it stores.
		b := &builder{loader: l, pkg: p, group: groups[c], taken: taken, structs: map[string]*structInfo{}, names: map[string]string{}, under: map[*types.Named]bool{}}
		for _, at := range []string{runtimePath, genPath, orderedPath, msgpPath, "context", "time", "maps", "slices", "encoding/json", "testing", kixxtestPath} {
			b.names[at] = standardName(at)
		}
		b.made = &templates.Package{Path: p.ImportPath, Name: p.name, Names: b.names}
		for _, e := range groups[c] {
			if b.entity(e) {
				b.made.Entities = append(b.made.Entities, e.model)
			}
		}
		for _, info := range b.order {
			for _, f := range info.model.Fields {
				f.Lines = typeText(f.Type)
			}
			for _, f := range info.fields {
				f.model.Validate = f.tag.rules
			}
		}
		b.nestedEntities()
		b.hiddenFields()
		b.idleOptions()
		b.idlePolicies(b.made.Entities)
		builders = append(builders, b)
	}
	return builders
}

// standardName returns the package name of a package that generated code imports by itself.
func standardName(at string) string {
	if at == runtimePath {
		return "kixx"
	}
	return at[strings.LastIndexByte(at, '/')+1:]
}

// fileName returns the base name of the file that is generated for an entity.
func fileName(entity string) string { return strings.ToLower(entity) + "_kixx.go" }

// testName returns the base name of the file that is generated for its test, or for all of it if it is declared in a test
// file.
func testName(entity string) string { return strings.ToLower(entity) + "_kixx_test.go" }

// generated returns the base names of the files that are generated for an entity that is declared in a test file or not.
func generated(entity string, inTest bool) []string {
	if inTest {
		return []string{testName(entity)}
	}
	return []string{fileName(entity), testName(entity)}
}

// entity makes the model of e, and reports what is wrong with it. It reports false if there is no struct to make one of.
func (b *builder) entity(e *entity) bool {
	obj, ok := b.pkg.types.Scope().Lookup(e.name).(*types.TypeName)
	if !ok || b.pkg.decls[e.name].node != e.spec {
		if first := b.pkg.decls[e.name]; e.file.test && !first.file.test {
			b.at(e.pos(), "%s is declared twice, also in %s", e.name, b.where(first.pos))
		}
		return false // declared twice, and this is the second one
	}
	named, ok := obj.Type().(*types.Named)
	if !ok {
		return false
	}
	for _, pos := range b.pkg.repeats[e.name] {
		b.at(pos, "%s is declared twice, also in %s", e.name, b.where(b.pkg.decls[e.name].pos))
	}
	if _, ok := named.Underlying().(*types.Struct); !ok {
		msg := b.pkg.complaint(e.file, e.spec)
		b.at(e.pos(), "%s: %s", e.name, firstOf(msg, unresolvedType))
		return false
	}
	info, bad := b.structOf(named, &templates.Name{Name: e.name})
	e.fields = info
	if bad != nil && bad.text != "" {
		b.at(e.pos(), "%s: %s", e.name, bad.text)
	}
	e.model = &templates.Entity{
		Name:       e.name,
		Plural:     plural(e.name),
		Collection: e.collection,
		Struct:     info.model,
		Tagged:     info.hasValidate(map[*structInfo]bool{}),
		File:       fileName(e.name),
		TestFile:   testName(e.name),
		Constraint: e.constraint,
	}
	if e.file.test {
		e.model.File, e.model.TestFile, e.model.InTest = testName(e.name), "", true
	}
	b.describe(e)
	b.roles(e)
	b.evolution(e)
	b.indexes(e)
	b.viewsOf(e)
	b.hooks(e, named)
	return true
}

// roles finds the fields with a meaning: key, rev, created, updated, deleted.
func (b *builder) roles(e *entity) {
	type role struct {
		name string
		to   **templates.Field // nil: of the key, which may be of several fields
	}
	m := e.model
	roles := []role{{"key", nil}, {"rev", &m.Rev}, {"created", &m.Created}, {"updated", &m.Updated}, {"deleted", &m.Deleted}}
	firstOfRole := map[string]*fieldInfo{}
	var keyed, reved bool
	for _, f := range b.annotated(e) {
		taken := ""
		for _, r := range roles {
			if !f.tag.has(r.name) {
				continue
			}
			at := f.tag.file.pos(f.tag.find(r.name).at)
			keyed = keyed || r.name == "key"
			reved = reved || r.name == "rev"
			switch first := firstOfRole[r.name]; {
			case taken != "":
				b.at(at, "field %s: a field cannot be both %q and %q", f.v.Name(), taken, r.name)
				continue
			case first != nil && r.to != nil:
				b.at(at, "field %s: %s already has %s %s", f.v.Name(), e.name, article(r.name), first.v.Name())
				continue
			}
			taken = r.name
			firstOfRole[r.name] = f
			switch {
			case !b.fits(e, f, r.name, at):
			case r.to == nil:
				b.addKey(e, f, at)
			default:
				*r.to = f.model
				f.model.Options = r.name
			}
		}
	}
	b.finishKey(e)
	b.unmerged(e)
	if !keyed {
		b.at(e.pos(), `%s has no key: mark a field with kixx:"key"; it can be %s`, e.name, keyKinds)
	}
	if !reved {
		b.at(e.pos(), "%s has no revision: add the field Rev kixx.Rev `json:\"_rev\" kixx:\"rev\"`", e.name)
	}
}

// article returns "the rev", "a created field" as it stands before a field's name.
func article(role string) string {
	if role == "rev" {
		return "the " + role
	}
	return "a " + role + " field,"
}

// fits reports whether the type of f is right for a role, and says what would be.
func (b *builder) fits(e *entity, f *fieldInfo, role string, at token.Pos) bool {
	shown := b.show(f.v.Type())
	switch role {
	case "rev":
		if !isRuntime(f.v.Type(), "Rev") {
			if msg := b.unresolved(f); msg != "" {
				b.at(f.at.node.Type.Pos(), "field %s: %s", f.v.Name(), msg)
			} else {
				b.at(at, "field %s: the rev is of type kixx.Rev (import kixx %q), this one is %s", f.v.Name(), runtimePath, shown)
			}
			return false
		}
		if len(f.tag.options) > 1 {
			b.at(at, `field %s: the rev takes no other options`, f.v.Name())
			return false
		}
	case "key":
		if f.model.Type == nil {
			return false
		}
		if !canBeKey(f.model.Type) {
			b.at(at, "field %s: a key is %s; this one is %s", f.v.Name(), keyKinds, shown)
			return false
		}
	case "deleted":
		if f.model.Type == nil {
			return false
		}
		if t := f.model.Type; t.Kind != templates.Pointer || t.Name != nil || t.Elem.Kind != templates.Time {
			b.at(at, "field %s: deleted needs the type *time.Time, nil for what is not deleted; this one is %s", f.v.Name(), shown)
			return false
		}
	default:
		if f.model.Type == nil {
			return false
		}
		if f.model.Type.Kind != templates.Time {
			b.at(at, "field %s: %s needs the type time.Time, this one is %s", f.v.Name(), role, shown)
			return false
		}
	}
	return true
}

// unresolved returns go/types' message if the type of f is not known, else "".
func (b *builder) unresolved(f *fieldInfo) string {
	if basic, ok := f.v.Type().(*types.Basic); !ok || basic.Kind() != types.Invalid || f.at.node == nil {
		return ""
	}
	return firstOf(f.at.pkg.complaint(f.at.file, f.at.node.Type), unresolvedType)
}

// annotated returns the fields of e that have kixx options, also those that cannot be stored: their other mistakes are
// reported in the same run.
func (b *builder) annotated(e *entity) []*fieldInfo {
	var with []*fieldInfo
	for _, f := range b.allFields(e) {
		if len(f.tag.options) > 0 {
			with = append(with, f)
		}
	}
	return with
}

// allFields returns the fields of e, those that it promotes included. The types of those that cannot be stored are nil in
// the model.
func (b *builder) allFields(e *entity) []*fieldInfo {
	var all []*fieldInfo
	b.quietly(func() {
		b.collect(&structInfo{model: &templates.Struct{}}, e.fields.typ, nil, nil, 0, &all)
	})
	for i, f := range all {
		for _, known := range e.fields.fields {
			if known.v == f.v {
				all[i] = known
			}
		}
	}
	return all
}

// quietly runs f, and forgets the problems that it reports: they were reported before.
func (l *loader) quietly(f func()) {
	n := len(l.problems)
	f()
	l.problems = l.problems[:n]
}

// nestedEntities refuses documents inside documents: a revision inside another document would not be stored.
func (b *builder) nestedEntities() {
	hasRev := map[*templates.Struct]*structInfo{}
	for _, s := range b.order {
		for _, f := range s.fields {
			if f.tag.has("rev") {
				hasRev[s.model] = s
			}
		}
	}
	for _, s := range b.order {
		for _, f := range s.fields {
			for t := f.model.Type; t != nil; t = t.Elem {
				if inner := hasRev[t.Struct]; t.Struct != nil && inner != nil && f.at.node != nil {
					b.at(f.at.node.Type.Pos(), "field %s: %s has a rev of its own: a document inside a document is not supported yet; store its key",
						f.v.Name(), b.show(inner.typ))
				}
			}
		}
	}
}

// idleOptions notes kixx options of structs that are only nested: they count in entities and in what entities embed.
func (b *builder) idleOptions() {
	isEntity := map[string]bool{}
	for _, e := range b.entities {
		isEntity[e.pkg.ImportPath+"."+e.name] = true
	}
	for _, s := range b.order {
		name := "a struct without a name"
		if named, ok := s.typ.(*types.Named); ok {
			obj := named.Obj()
			if b.promotes[obj] || isEntity[obj.Pkg().Path()+"."+obj.Name()] {
				continue
			}
			name = obj.Name()
		}
		for _, f := range s.fields {
			if len(f.tag.options) > 0 && f.at.pkg == b.pkg {
				o := f.tag.options[0].name
				if o.text == "was" || o.text == "default" {
					b.at(f.tag.file.pos(o.at), "field %s: option %q counts in an entity and in the structs that it embeds, and %s is nested; change stored values of it with //kixx:migrate",
						f.v.Name(), o.text, name)
					continue
				}
				b.note(f.tag.file.pos(o.at), "field %s: option %q has no effect in %s, which is nested; it counts in an entity and in the structs that it embeds",
					f.v.Name(), o.text, name)
			}
		}
	}
}

// forgotten notes structs that have a key but no directive.
func (l *loader) forgotten() {
	known := map[*ast.TypeSpec]bool{}
	for _, e := range l.entities {
		known[e.spec] = true
	}
	for _, p := range slices.Concat(l.roots, l.tests) {
		for _, f := range p.files {
			if p.beside != nil && !f.test {
				continue
			}
			for _, node := range f.syntax.Decls {
				gen, ok := node.(*ast.GenDecl)
				if !ok || gen.Tok != token.TYPE {
					continue
				}
				for _, spec := range gen.Specs {
					spec := spec.(*ast.TypeSpec)
					st, ok := spec.Type.(*ast.StructType)
					if !ok || known[spec] || spec.TypeParams != nil || p.types != nil && l.promotes[p.types.Scope().Lookup(spec.Name.Name)] {
						continue
					}
					for _, field := range st.Fields.List {
						if t := l.tags[field]; t != nil && t.has("key") {
							l.note(spec.Name.Pos(), "%s has a key but no //kixx:entity: nothing is generated for it", spec.Name.Name)
							break
						}
					}
				}
			}
		}
	}
}

// describe remembers which fields of e were refused.
func (b *builder) describe(e *entity) {
	stored := map[string]bool{}
	for _, f := range e.fields.model.Fields {
		stored[strings.Join(f.Path, ".")] = true
	}
	for _, f := range b.allFields(e) {
		if path := strings.Join(f.model.Path, "."); !stored[path] {
			e.refusedFields = append(e.refusedFields, path)
		}
	}
}
