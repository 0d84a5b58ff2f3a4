package templates

import "github.com/dave/jennifer/jen"

// emitClone emits, for the struct of an entity,
//
//	// cloneItem returns a copy that shares nothing with it.
//	func cloneItem(it *Item) *Item {
//		c := *it
//		c.Tags = slices.Clone(it.Tags)
//		return &c
//	}
//
// or, where fields are not stored, which are zero in the copy,
//
//	func cloneItem(it *Item) *Item {
//		c := new(Item)
//		c.ID = it.ID
//		…
//		return c
//	}
//
// and for another struct that an assignment does not copy
//
//	// cloneDims returns a copy that shares nothing with v.
//	func cloneDims(v Dims) Dims {
//		v.Labels = slices.Clone(v.Labels)
//		return v
//	}
func (w *writer) emitClone(st *Struct) {
	facts := w.facts[st]
	if !facts.clone || !facts.document {
		return
	}
	l := &w.locals
	v := w.receiver(st)
	c := l.copied
	d := w.depthOf(st)

	var body []jen.Code
	if d == inside {
		body = append(body, w.goDown())
	}
	param, result, returned := w.typ(st.Type), w.typ(st.Type), jen.Id(c)
	pointer := facts.entity != nil
	if pointer {
		param, result = jen.Op("*").Add(param), jen.Op("*").Add(result)
	}
	switch {
	case pointer && st.Partial:
		body = append(body, jen.Id(c).Op(":=").New(w.typ(st.Type)))
	case pointer:
		body = append(body, jen.Id(c).Op(":=").Op("*").Id(v))
		returned = jen.Op("&").Id(c)
	case st.Partial:
		body = append(body, jen.Var().Id(c).Add(w.typ(st.Type)))
	default:
		c = v
		returned = jen.Id(v)
	}
	if pointer && st.Partial {
		body = append(body, sel(c, facts.entity.Rev).Op("=").Add(sel(v, facts.entity.Rev)))
	}
	for _, f := range st.Fields {
		if st.Partial || w.needsClone(f.Type) {
			body = append(body, w.cloneField(f, c, v, st.Partial, d)...)
		}
	}
	if st.Partial && st.Carries {
		body = append(body, jen.Id(c).Dot("Unknown").Op("=").Id(v).Dot("Unknown"))
	}
	body = append(body, jen.Return(returned))
	more := ""
	if st.Partial {
		more = " Fields that are not stored are zero in it."
	}
	w.doc("clone%s returns a copy that shares nothing with %s.%s", st.Func, v, more)
	w.Func().Id("clone" + st.Func).Params(w.withDepth(st, []jen.Code{jen.Id(v).Add(param)})...).Add(result).Block(body...)
}

// cloneField returns the statements that set a field of the struct c to a copy of that of v. partial says that c began as
// zero, else it began as an assigned copy.
func (w *writer) cloneField(f *Field, c, v string, partial bool, d depth) []jen.Code {
	to, from := sel(c, f), sel(v, f)
	if f.Type.Kind == Array && w.needsClone(f.Type) {
		var stmts []jen.Code
		if partial {
			stmts = append(stmts, to.Clone().Op("=").Add(from))
		}
		return append(stmts, jen.Qual(genPath, "CloneArray").Call(to.Clone().Index(jen.Op(":")), w.cloner(f.Type.Elem, d)))
	}
	return []jen.Code{to.Op("=").Add(w.clone(f.Type, from, d))}
}

// clone returns an expression for a copy of x.
func (w *writer) clone(t *Type, x *jen.Statement, d depth) *jen.Statement {
	if !w.needsClone(t) {
		return x
	}
	switch t.Kind {
	case Bytes, Raw:
		return jen.Qual("slices", "Clone").Call(x)
	case Slice:
		if w.needsClone(t.Elem) {
			return jen.Qual(genPath, "CloneSlice").Call(x, w.cloner(t.Elem, d))
		}
		return jen.Qual("slices", "Clone").Call(x)
	case Map:
		if w.needsClone(t.Elem) {
			return jen.Qual(genPath, "CloneMap").Call(x, w.cloner(t.Elem, d))
		}
		return jen.Qual("maps", "Clone").Call(x)
	case Pointer:
		if w.needsClone(t.Elem) {
			return jen.Qual(genPath, "ClonePtrFunc").Call(x, w.cloner(t.Elem, d))
		}
		return jen.Qual(genPath, "ClonePtr").Call(x)
	case StructKind:
		return jen.Id("clone" + t.Struct.Func).Call(w.callDepth(t.Struct, d, x)...)
	case Any:
		return jen.Qual(genPath, "CloneAny").Call(x)
	case Text, Binary, JSON:
		return jen.Qual(genPath, "Clone"+marshalName(t)).Call(x)
	}
	return w.cloner(t, d).Call(x)
}

// cloner returns a function that copies a value of t: cloneDims, slices.Clone[[]string], or a function literal.
func (w *writer) cloner(t *Type, d depth) *jen.Statement {
	x := jen.Id(w.locals.element)
	switch {
	case t.Kind == StructKind && !w.facts[t.Struct].recursive:
		return jen.Id("clone" + t.Struct.Func)
	case t.Kind == Bytes, t.Kind == Raw, t.Kind == Slice && !w.needsClone(t.Elem):
		return jen.Qual("slices", "Clone").Types(w.typ(t))
	case t.Kind == Map && !w.needsClone(t.Elem):
		return jen.Qual("maps", "Clone").Types(w.typ(t))
	case t.Kind == Pointer && t.Name == nil && !w.needsClone(t.Elem):
		return jen.Qual(genPath, "ClonePtr").Types(w.typ(t.Elem))
	case t.Kind == Any && t.Name == nil:
		return jen.Qual(genPath, "CloneAny")
	case marshals(t):
		return jen.Qual(genPath, "Clone"+marshalName(t)).Types(w.typ(t))
	case t.Kind == Array:
		return jen.Func().Params(x.Clone().Add(w.typ(t))).Add(w.typ(t)).Block(
			jen.Qual(genPath, "CloneArray").Call(x.Clone().Index(jen.Op(":")), w.cloner(t.Elem, d)),
			jen.Return(x.Clone()))
	}
	return jen.Func().Params(x.Clone().Add(w.typ(t))).Add(w.typ(t)).Block(jen.Return(w.clone(t, x.Clone(), d)))
}
