package templates

import "github.com/dave/jennifer/jen"

// emitCanon emits, for a struct that holds times,
//
//	// canonItem makes it what it will be when it is read back: times in UTC.
//	func canonItem(it *Item) {
//		it.CreatedAt = gen.CanonTime(it.CreatedAt)
//		if it.SoldAt != nil {
//			*it.SoldAt = gen.CanonTime(*it.SoldAt)
//		}
//		…
//	}
func (w *writer) emitCanon(st *Struct) {
	if !w.facts[st].canon || !w.facts[st].document {
		return
	}
	v := w.receiver(st)
	d := w.depthOf(st)
	var body []jen.Code
	if d == inside {
		body = append(body, w.goDown())
	}
	for _, f := range st.Fields {
		if w.needsCanon(f.Type) {
			body = append(body, w.canon(f.Type, sel(v, f), d, 0))
		}
	}
	w.doc("canon%s makes %s what it will be when it is read back: its times are in UTC.", st.Func, v)
	w.Func().Id("canon" + st.Func).Params(w.withDepth(st, []jen.Code{jen.Id(v).Op("*").Add(w.typ(st.Type))})...).Block(body...)
}

// canon returns the statement that makes the variable x canonical. level counts the loops around.
func (w *writer) canon(t *Type, x *jen.Statement, d depth, level int) jen.Code {
	l := &w.locals
	switch t.Kind {
	case Time:
		return x.Clone().Op("=").Qual(genPath, "CanonTime").Call(x.Clone())
	case StructKind:
		return jen.Id("canon" + t.Struct.Func).Call(w.callDepth(t.Struct, d, jen.Op("&").Add(x.Clone()))...)
	case Pointer:
		element := w.canon(t.Elem, pointee(t, x), d, level)
		if t.Elem.Kind == StructKind {
			element = jen.Id("canon" + t.Elem.Struct.Func).Call(w.callDepth(t.Elem.Struct, d, x.Clone())...)
		}
		return jen.If(x.Clone().Op("!=").Nil()).Block(element)
	case Map:
		k, v := nested(l.mapKey, level), nested(l.element, level)
		element := []jen.Code{w.canon(t.Elem, jen.Id(v), d, level+1), x.Clone().Index(jen.Id(k)).Op("=").Id(v)}
		if t.Elem.Kind == Time {
			element = []jen.Code{x.Clone().Index(jen.Id(k)).Op("=").Qual(genPath, "CanonTime").Call(jen.Id(v))}
		}
		return jen.For(jen.List(jen.Id(k), jen.Id(v)).Op(":=").Range().Add(x.Clone())).Block(element...)
	}
	i := nested(l.position, level)
	return jen.For(jen.Id(i).Op(":=").Range().Add(x.Clone())).
		Block(w.canon(t.Elem, x.Clone().Index(jen.Id(i)), d, level+1))
}
