package templates

import "github.com/dave/jennifer/jen"

// emitCanon emits, for a struct that holds what may be read back other than it was, as a time in another zone,
//
//	// canonItem makes it what it will be when it is read back.
//	func canonItem(it *Item) {
//		it.CreatedAt = gen.CanonTime(it.CreatedAt)
//		if it.SoldAt != nil {
//			*it.SoldAt = gen.CanonTime(*it.SoldAt)
//		}
//		it.Meta = gen.CanonAny(it.Meta, "Item.Meta")
//		gen.CanonText(&it.Addr, "Item.Addr")
//		…
//	}
func (w *writer) emitCanon(st *Struct) {
	if !w.facts[st].canon || !w.facts[st].document {
		return
	}
	v := w.receiver(st)
	d := w.depthOf(st)
	name := st.Func
	if st.Type.Name != nil {
		name = st.Type.Name.Name
	}
	var body []jen.Code
	if d == inside {
		body = append(body, w.goDown())
	}
	for _, f := range st.Fields {
		if w.needsCanon(f.Type) {
			body = append(body, w.canon(f.Type, sel(v, f), name+"."+f.GoName(), d, 0)...)
		}
	}
	w.doc("canon%s makes %s what it will be when it is read back.", st.Func, v)
	w.Func().Id("canon" + st.Func).Params(w.withDepth(st, []jen.Code{jen.Id(v).Op("*").Add(w.typ(st.Type))})...).Block(body...)
}

// canon returns the statements that make the variable x canonical. field is what an error calls it, level counts the loops
// around.
func (w *writer) canon(t *Type, x *jen.Statement, field string, d depth, level int) []jen.Code {
	l := &w.locals
	set := func(value *jen.Statement) jen.Code { return x.Clone().Op("=").Add(value) }
	switch t.Kind {
	case Time:
		return []jen.Code{set(jen.Qual(genPath, "CanonTime").Call(x.Clone()))}
	case Any:
		return []jen.Code{set(jen.Qual(genPath, "CanonAny").Call(x.Clone(), jen.Lit(field)))}
	case Text, Binary, JSON:
		return []jen.Code{canonMarshaled(t, jen.Op("&").Add(x.Clone()), field)}
	case StructKind:
		return []jen.Code{jen.Id("canon" + t.Struct.Func).Call(w.callDepth(t.Struct, d, jen.Op("&").Add(x.Clone()))...)}
	case Pointer:
		var element []jen.Code
		switch {
		case t.Elem.Kind == StructKind:
			element = []jen.Code{jen.Id("canon" + t.Elem.Struct.Func).Call(w.callDepth(t.Elem.Struct, d, x.Clone())...)}
		case marshals(t.Elem):
			element = []jen.Code{canonMarshaled(t.Elem, x.Clone(), field)}
		default:
			element = w.canon(t.Elem, pointee(t, x), field, d, level)
		}
		return []jen.Code{jen.If(x.Clone().Op("!=").Nil()).Block(element...)}
	case Map:
		return w.canonMap(t, x, field, d, level)
	}
	i := nested(l.position, level)
	return []jen.Code{jen.For(jen.Id(i).Op(":=").Range().Add(x.Clone())).
		Block(w.canon(t.Elem, x.Clone().Index(jen.Id(i)), field, d, level+1)...)}
}

// canonMap returns the statements that make the keys and the values of a map canonical.
func (w *writer) canonMap(t *Type, x *jen.Statement, field string, d depth, level int) []jen.Code {
	l := &w.locals
	var stmts []jen.Code
	if isCanon(t.Key) {
		key := jen.Qual(genPath, "CanonTimeKey")
		if t.Key.Kind == Text {
			key = jen.Qual(genPath, "CanonText").Types(w.typ(t.Key))
		}
		stmts = append(stmts, x.Clone().Op("=").Qual(genPath, "CanonKeys").Call(x.Clone(), key, jen.Lit(field)))
	}
	if !w.needsCanon(t.Elem) {
		return stmts
	}
	k, v := nested(l.mapKey, level), nested(l.element, level)
	at := x.Clone().Index(jen.Id(k))
	element := append(w.canon(t.Elem, jen.Id(v), field, d, level+1), at.Clone().Op("=").Id(v))
	switch t.Elem.Kind {
	case Time:
		element = []jen.Code{at.Clone().Op("=").Qual(genPath, "CanonTime").Call(jen.Id(v))}
	case Any:
		element = []jen.Code{at.Clone().Op("=").Qual(genPath, "CanonAny").Call(jen.Id(v), jen.Lit(field))}
	}
	return append(stmts, jen.For(jen.List(jen.Id(k), jen.Id(v)).Op(":=").Range().Add(x.Clone())).Block(element...))
}

// canonMarshaled returns the call that makes what x points to, which marshals itself, canonical.
func canonMarshaled(t *Type, x *jen.Statement, field string) *jen.Statement {
	return jen.Qual(genPath, "Canon"+marshalName(t)).Call(x, jen.Lit(field))
}
