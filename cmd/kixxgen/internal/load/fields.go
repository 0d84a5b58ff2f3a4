package load

import (
	"go/token"
	"go/types"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/templates"
)

// A fieldInfo is a field of a struct, or one that an embedded struct promotes, with where it is declared.
type fieldInfo struct {
	model  *templates.Field
	v      *types.Var
	tag    *fieldTag
	at     fieldAt
	depth  int        // of embedding
	tagged bool       // its stored name comes from a json tag
	owner  types.Type // the struct that declares it
	outer  *types.Var // the field of the outermost struct that it comes from
}

// pos returns the position of the field's name.
func (f *fieldInfo) pos() token.Pos { return f.v.Pos() }

// structOf returns the model of the struct type t, which has the name given; nil if it has none. A struct that holds itself
// is returned while its fields are still being read.
func (b *builder) structOf(t types.Type, name *templates.Name) (*structInfo, *refusal) {
	full := types.TypeString(t, nil)
	if info := b.structs[full]; info != nil {
		return info, info.bad
	}
	info := &structInfo{typ: t, base: b.within}
	info.model = &templates.Struct{Type: &templates.Type{Kind: templates.StructKind, Name: name}}
	info.model.Type.Struct = info.model
	b.structs[full] = info
	b.order = append(b.order, info)

	var all []*fieldInfo
	info.bad = b.collect(info, t, nil, nil, 0, &all)
	kept, bad := b.dominant(info, all)
	if info.bad == nil {
		info.bad = bad
	}
	for _, f := range kept {
		if f.tag.has("rev") && isRuntime(f.v.Type(), "Rev") {
			info.fields = append(info.fields, f)
			continue
		}
		if p, ok := f.v.Type().(*types.Pointer); ok && f.tag.has("rev") && isRuntime(p.Elem(), "Rev") {
			continue // reported as a rev of the wrong type
		}
		before := b.within
		b.within = b.wordsOf(t, before) + upperFirst(f.v.Name())
		typ, bad := b.typeOf(f.v.Type())
		b.within = before
		if bad != nil {
			bad = b.fieldRefused(f, bad)
			if info.bad == nil {
				info.bad = bad
			}
			continue
		}
		f.model.Type = typ
		b.mergePolicy(f)
		if s := typ; s != nil {
			b.nested(info, s)
		}
		info.fields = append(info.fields, f)
		info.model.Fields = append(info.model.Fields, f.model)
	}
	b.dropsOnce(info)
	if len(info.model.Fields) == 0 && info.bad == nil && info.model.Partial && !b.isOwn(t) {
		info.bad = refuse("%s: it has no exported fields, so that nothing of it would be stored", b.show(t))
	}
	if named, ok := t.(*types.Named); ok {
		info.model.Literal = b.literal(named)
	}
	return info, info.bad
}

// isOwn reports whether a struct type belongs to the package that is generated for: then its fields need not be exported.
func (b *builder) isOwn(t types.Type) bool {
	named, ok := t.(*types.Named)
	return !ok || named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == b.pkg.ImportPath
}

// nested remembers which structs are inside of info, for the question whether there is a validate tag.
func (b *builder) nested(info *structInfo, t *templates.Type) {
	for ; t != nil; t = t.Elem {
		if t.Kind == templates.StructKind {
			for _, s := range b.order {
				if s.model == t.Struct {
					info.inside = append(info.inside, s)
				}
			}
			return
		}
	}
}

// fieldRefused reports that a field cannot be stored, at the field if the user can change it there; else the refusal goes
// up to a field that he can change.
func (b *builder) fieldRefused(f *fieldInfo, bad *refusal) *refusal {
	if bad.text == "" {
		return bad
	}
	text := bad.text
	if text == unresolvedType && f.at.node != nil {
		text = firstOf(f.at.pkg.complaint(f.at.file, f.at.node.Type), text)
	}
	if b.mine(f.at.pkg) {
		b.report.at(f.at.node.Type.Pos(), "field %s: %s", f.v.Name(), text)
		return &refusal{}
	}
	return refuse("%s.%s: %s", b.show(f.owner), f.v.Name(), text)
}

// collect appends the fields of t to all, those of embedded structs in their place.
func (b *builder) collect(info *structInfo, t types.Type, path []string, outer *types.Var, depth int, all *[]*fieldInfo) *refusal {
	var first *refusal
	st, ok := t.Underlying().(*types.Struct)
	if !ok {
		return refuse("type %s cannot be resolved", b.show(t))
	}
	own := b.isOwn(t)
	for i := range st.NumFields() {
		v := st.Field(i)
		f := &fieldInfo{v: v, at: b.place(v), owner: t, depth: depth, outer: outer, tag: &fieldTag{}}
		if outer == nil {
			f.outer = v
		}
		if f.at.node != nil {
			f.tag = b.tag(f.at.file, f.at.node)
		}
		info.tagged = info.tagged || f.tag.validate
		fieldPath := append(slices.Clone(path), v.Name())
		if f.tag.skip {
			info.model.Partial = true
			continue
		}
		if f.tag.drop {
			info.model.Partial = true
			b.drop(info, f)
			continue
		}
		if v.Embedded() {
			next, flat, bad := b.embedded(info, f, own)
			if bad != nil {
				if bad = b.fieldRefused(f, bad); first == nil {
					first = bad
				}
				continue
			}
			if next != nil {
				b.embeds(info, next)
				if bad := b.collect(info, next, fieldPath, f.outer, depth+1, all); bad != nil && first == nil {
					first = bad
				}
			}
			if flat {
				continue
			}
		} else if !v.Exported() {
			info.model.Partial = true
			if (len(f.tag.options) > 0 || f.tag.merge.text != "") && b.mine(f.at.pkg) {
				b.report.at(v.Pos(), "field %s has kixx options but is not exported, so it is not stored", v.Name())
			} else if v.Name() != "_" {
				b.hide(info, f)
			}
			continue
		}
		f.tagged = f.tag.json != ""
		stored := v.Name()
		if f.tagged {
			stored = f.tag.json
		}
		f.model = &templates.Field{Path: fieldPath, Stored: stored}
		*all = append(*all, f)
	}
	return first
}

// embedded decides what an embedded field is: a struct whose fields are promoted (next), something that is not a field
// itself (flat), or an ordinary field that has the name of its type.
func (b *builder) embedded(info *structInfo, f *fieldInfo, own bool) (next *types.Named, flat bool, bad *refusal) {
	t := types.Unalias(f.v.Type())
	if isUnknown(t) {
		if f.depth > 0 {
			return nil, true, refuse("kixx.Unknown is embedded directly in the struct that carries unknown fields, not in one that is embedded there")
		}
		info.model.Carries = true
		return nil, true, nil
	}
	if _, ok := t.(*types.Pointer); ok {
		switch {
		case !f.v.Exported() && (!own || f.tag.json == ""):
			info.model.Partial = true
			return nil, true, nil
		case f.tag.json == "" && b.mine(f.at.pkg):
			return nil, false, refuse("embedded pointer: stored with its fields in place, a nil one and an empty one would be the same; embed the "+
				"struct itself, or give the pointer a json name, under which it is stored as a field: `json:%q`", strings.ToLower(f.v.Name()))
		}
		return nil, false, nil
	}
	named, ok := t.(*types.Named)
	if !ok {
		return nil, false, refuse(unresolvedType)
	}
	_, isStruct := named.Underlying().(*types.Struct)
	if basic, ok := named.Underlying().(*types.Basic); ok && basic.Kind() == types.Invalid {
		if msg := b.broken(named); msg != "" {
			return nil, false, refuse("%s", msg)
		}
	}
	if !isStruct || isRuntime(t, "Rev") {
		if !f.v.Exported() {
			info.model.Partial = true
			return nil, true, nil
		}
		return nil, false, nil
	}
	isTime := named.Obj().Pkg() != nil && named.Obj().Pkg().Path()+"."+named.Obj().Name() == "time.Time"
	if f.tag.json != "" || isTime || b.marshalKind(named) != 0 {
		if !f.v.Exported() && !own {
			info.model.Partial = true
			return nil, true, nil
		}
		return nil, false, nil
	}
	if !f.v.Exported() && !own {
		// Its exported fields are promoted, but a composite literal or a selector path through it cannot be written.
		info.model.Partial = true
		return nil, true, nil
	}
	b.promotes[named.Obj()] = true
	return named, true, nil
}

// dominant applies encoding/json's rules to fields of the same stored name: the least embedded one is stored, among equals
// the one with a json tag. What encoding/json would drop in silence because no rule decides is an error.
func (b *builder) dominant(info *structInfo, all []*fieldInfo) (kept []*fieldInfo, bad *refusal) {
	best := map[string][]*fieldInfo{}
	for _, f := range all {
		rivals := best[f.model.Stored]
		if len(rivals) > 0 {
			r := rivals[0]
			switch {
			case f.depth > r.depth, f.depth == r.depth && r.tagged && !f.tagged:
				continue
			case f.depth < r.depth, f.depth == r.depth && f.tagged && !r.tagged:
				rivals = nil
			}
		}
		best[f.model.Stored] = append(rivals, f)
	}
	for _, f := range all {
		rivals := best[f.model.Stored]
		if !slices.Contains(rivals, f) {
			info.model.Partial = true
			continue
		}
		if len(rivals) > 1 {
			if f == rivals[0] {
				continue
			}
			at, first := f, rivals[0]
			text := refuse("stored name %q is ambiguous: %s and %s both have it; give one of them another json name, or leave it out with kixx:\"-\"",
				f.model.Stored, strings.Join(first.model.Path, "."), strings.Join(at.model.Path, "."))
			place := b.place(f.outer)
			if b.mine(place.pkg) {
				b.report.at(f.outer.Pos(), "field %s: %s", f.outer.Name(), text.text)
				text = &refusal{}
			}
			if bad == nil {
				bad = text
			}
			continue
		}
		kept = append(kept, f)
	}
	return kept, bad
}

// hasValidate reports whether there is a validate tag on info or on a struct inside it.
func (info *structInfo) hasValidate(seen map[*structInfo]bool) bool {
	if seen[info] {
		return false
	}
	seen[info] = true
	if info.tagged {
		return true
	}
	for _, s := range info.inside {
		if s.hasValidate(seen) {
			return true
		}
	}
	return false
}

// isRuntime reports whether t is the runtime's type of this name.
func isRuntime(t types.Type, name string) bool {
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Name() == name && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == runtimePath
}

// isUnknown reports whether t is kixx.Unknown, which is an alias of a type of package gen.
func isUnknown(t types.Type) bool {
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Name() == "Unknown" && named.Obj().Pkg() != nil &&
		(named.Obj().Pkg().Path() == runtimePath || named.Obj().Pkg().Path() == genPath)
}
