package templates

import "github.com/dave/jennifer/jen"

// emitRead emits
//
//	// readItem reads what appendItem wrote, and what earlier and later programs wrote, into it.
//	func readItem(it *Item, b []byte, u *gen.Unknown) ([]byte, error) {
//		return gen.ReadFields(b, func(name, b []byte) (_ []byte, err error) {
//			switch string(name) {
//			case "id":
//				it.ID, b, err = gen.ReadString[string](b)
//			…
//			case "note":
//				b, err = gen.Skip(b)
//			default:
//				b, err = u.Keep(name, b)
//			}
//			return b, err
//		})
//	}
//
// A struct that carries its unknown fields reads them into itself:
//
//	u := &v.Unknown
//	b, err := gen.ReadFields(…)
//	u.Own("example.com/shop.Line")
//	return b, err
//
// and one that contains itself, which has a last parameter depth, begins with
//
//	if depth == 0 {
//		return nil, gen.ErrDepth
//	}
//	depth--
func (w *writer) emitRead(st *Struct) {
	l := &w.locals
	v := w.receiver(st)
	d := w.depthOf(st)
	b, err := jen.Id(l.bytes), jen.Id(l.err)

	var cases []jen.Code
	for _, f := range st.Fields {
		cases = append(cases, jen.Case(jen.Lit(f.Stored)).Block(w.readField(f, v, d)))
	}
	if len(st.Dropped) > 0 {
		var names []jen.Code
		for _, name := range st.Dropped {
			names = append(names, jen.Lit(name))
		}
		cases = append(cases, jen.Case(names...).Block(jen.List(b.Clone(), err.Clone()).Op("=").Qual(genPath, "Skip").Call(b.Clone())))
	}
	cases = append(cases, jen.Default().Block(
		jen.List(b.Clone(), err.Clone()).Op("=").Id(l.unknown).Dot("Keep").Call(jen.Id(l.name), b.Clone())))
	fields := jen.Qual(genPath, "ReadFields").Call(b.Clone(), jen.Func().
		Params(jen.List(jen.Id(l.name), b.Clone()).Index().Byte()).
		Params(jen.Id("_").Index().Byte(), err.Clone().Error()).
		Block(jen.Switch(jen.String().Parens(jen.Id(l.name))).Block(cases...), jen.Return(b.Clone(), err.Clone())))

	var body []jen.Code
	unknown := l.unknown
	if d == inside {
		body = append(body,
			jen.If(jen.Id(l.depth).Op("==").Lit(0)).Block(jen.Return(jen.Nil(), jen.Qual(genPath, "ErrDepth"))),
			jen.Id(l.depth).Op("--"))
	}
	if st.Carries {
		unknown = "_"
		body = append(body,
			jen.Id(l.unknown).Op(":=").Op("&").Id(v).Dot("Unknown"),
			jen.List(b.Clone(), err.Clone()).Op(":=").Add(fields),
			jen.Id(l.unknown).Dot("Own").Call(jen.Lit(w.identity(st))),
			jen.Return(b.Clone(), err.Clone()))
	} else {
		body = append(body, jen.Return(fields))
	}
	params := []jen.Code{jen.Id(v).Op("*").Add(w.typ(st.Type)), b.Clone().Index().Byte(), jen.Id(unknown).Op("*").Qual(genPath, "Unknown")}
	w.doc("read%s reads %s, which is new, from the beginning of %s and returns what comes after it.", st.Func, v, l.bytes)
	w.Func().Id("read"+st.Func).Params(w.withDepth(st, params)...).Params(jen.Index().Byte(), jen.Error()).Block(body...)
}

// readField returns the statement that reads a field: one assignment.
func (w *writer) readField(f *Field, v string, d depth) jen.Code {
	l := &w.locals
	t := f.Type
	b, err := jen.Id(l.bytes), jen.Id(l.err)
	at := jen.Id(l.unknown).Dot("At").Call(jen.Lit(f.Stored))
	rest := jen.List(b.Clone(), err.Clone()).Op("=")
	value := jen.List(sel(v, f), b.Clone(), err.Clone()).Op("=")
	switch {
	case t.Kind == StructKind:
		return rest.Id("read" + t.Struct.Func).Call(w.callDepth(t.Struct, d, jen.Op("&").Add(sel(v, f)), b.Clone(), at)...)
	case t.Kind == Array:
		return rest.Add(w.readArray(t, sel(v, f), d))
	case t.Kind == Pointer && t.Elem.Kind == StructKind:
		return value.Qual(genPath, "ReadStruct").Call(b.Clone(), w.structReader(t.Elem, d), at)
	case t.Kind == Any: // also of an interface type with a name
		return value.Qual(genPath, "ReadAny").Call(b.Clone())
	case isScalar(t):
		return value.Add(w.reader(t, d)).Call(b.Clone())
	}
	return value.Add(w.readCall(t, d))
}

// readCall returns the call that reads a slice, map or pointer from the bytes.
func (w *writer) readCall(t *Type, d depth) *jen.Statement {
	b := jen.Id(w.locals.bytes)
	switch {
	case t.Kind == Map:
		return jen.Qual(genPath, "ReadMap").Call(b, w.reader(t.Key, d), w.reader(t.Elem, d))
	case t.Kind == Pointer && IsBoxed(t):
		return jen.Qual(genPath, "ReadBoxed").Call(b, w.reader(t.Elem, d))
	case t.Kind == Pointer:
		return jen.Qual(genPath, "ReadPtr").Call(b, w.reader(t.Elem, d))
	case isScalar(t.Elem) && t.Elem.Kind != Any && !marshals(t.Elem):
		return jen.Qual(genPath, "ReadScalars").Call(b, w.reader(t.Elem, d))
	}
	return jen.Qual(genPath, "ReadSlice").Call(b, w.reader(t.Elem, d))
}

// readArray returns the call that reads into the array x.
func (w *writer) readArray(t *Type, x *jen.Statement, d depth) *jen.Statement {
	return jen.Qual(genPath, "ReadArray").Call(jen.Id(w.locals.bytes), x.Index(jen.Op(":")), w.reader(t.Elem, d))
}

// reader returns a gen.Reader of t: gen.ReadString[string], gen.Value(readDims), or a function literal for what has parts.
func (w *writer) reader(t *Type, d depth) *jen.Statement {
	l := &w.locals
	b, v, err := jen.Id(l.bytes), jen.Id(l.element), jen.Id(l.err)
	params := b.Clone().Index().Byte()
	switch t.Kind {
	case Time:
		return jen.Qual(genPath, "ReadTime")
	case Float:
		return jen.Qual(genPath, "Read"+orderedName(t)).Types(w.typ(t))
	case Raw:
		return jen.Qual(genPath, "ReadJSON").Types(w.typ(t))
	case Any:
		if t.Name == nil {
			return jen.Qual(genPath, "ReadAny")
		}
		return jen.Func().Params(params).Params(w.typ(t), jen.Index().Byte(), jen.Error()).
			Block(jen.Return(jen.Qual(genPath, "ReadAny").Call(b.Clone())))
	case Complex:
		return jen.Qual(genPath, "ReadComplex").Types(w.typ(t))
	case Text, Binary, JSON:
		return jen.Qual(genPath, "Read"+marshalName(t)).Types(w.typ(t))
	case Bool, Int, Uint, String, Bytes, UUID:
		return jen.Qual(genPath, "Read"+orderedName(t)).Types(w.typ(t))
	case StructKind:
		return jen.Qual(genPath, "Value").Call(w.structReader(t, d))
	case Array:
		return jen.Func().Params(params).Params(v.Clone().Add(w.typ(t)), jen.Id("_").Index().Byte(), err.Clone().Error()).Block(
			jen.List(b.Clone(), err.Clone()).Op("=").Add(w.readArray(t, v.Clone(), d)),
			jen.Return(v.Clone(), b.Clone(), err.Clone()))
	}
	return jen.Func().Params(params).Params(w.typ(t), jen.Index().Byte(), jen.Error()).Block(jen.Return(w.readCall(t, d)))
}

// structReader returns the function that reads a struct: readDims, or a function literal that passes the depth on.
func (w *writer) structReader(t *Type, d depth) *jen.Statement {
	l := &w.locals
	read := jen.Id("read" + t.Struct.Func)
	if !w.facts[t.Struct].recursive {
		return read
	}
	v, b, u := jen.Id(l.element), jen.Id(l.bytes), jen.Id(l.unknown)
	return jen.Func().
		Params(v.Clone().Op("*").Add(w.typ(t)), b.Clone().Index().Byte(), u.Clone().Op("*").Qual(genPath, "Unknown")).
		Params(jen.Index().Byte(), jen.Error()).
		Block(jen.Return(read.Call(w.callDepth(t.Struct, d, v, b, u)...)))
}
