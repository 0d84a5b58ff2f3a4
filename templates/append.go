package templates

import (
	"strings"

	"github.com/dave/jennifer/jen"
)

// depth is what a call of a function of a struct that contains itself passes on: how deep it may still go.
type depth int

const (
	outside depth = iota // the caller has no depth: the call begins with all of it
	inside               // the caller has one
)

// emitAppend emits
//
//	// appendItem appends it as it is stored, with the unknown fields in u.
//	func appendItem(b []byte, it *Item, u *gen.Unknown) []byte {
//		b = gen.AppendHeader(b, 14, u)
//		b = msgp.AppendString(b, "id")
//		b = msgp.AppendString(b, it.ID)
//		…
//		return gen.AppendUnknown(b, u)
//	}
//
// A struct that carries its unknown fields begins with
//
//	u := v.Unknown.Of("example.com/shop.Line")
//
// and one that contains itself, which has a last parameter depth, with
//
//	depth = gen.Down(depth)
func (w *writer) emitAppend(st *Struct) {
	l := &w.locals
	v := w.receiver(st)
	d := w.depthOf(st)
	b, u := jen.Id(l.bytes), jen.Id(l.unknown)

	var body []jen.Code
	unknown := l.unknown
	if d == inside {
		body = append(body, w.goDown())
	}
	if st.Carries {
		unknown = "_"
		body = append(body, jen.Id(l.unknown).Op(":=").Id(v).Dot("Unknown").Dot("Of").Call(jen.Lit(w.identity(st))))
	}
	body = append(body, b.Clone().Op("=").Qual(genPath, "AppendHeader").Call(b.Clone(), jen.Lit(len(st.Fields)), u.Clone()))
	for _, f := range st.Fields {
		body = append(body, b.Clone().Op("=").Qual(msgpPath, "AppendString").Call(b.Clone(), jen.Lit(f.Stored)))
		body = append(body, w.appendStmts(f.Type, sel(v, f), u.Clone().Dot("Sub").Call(jen.Lit(f.Stored)), d, 0)...)
	}
	body = append(body, jen.Return(jen.Qual(genPath, "AppendUnknown").Call(b.Clone(), u.Clone())))

	params := []jen.Code{b.Clone().Index().Byte(), jen.Id(v).Op("*").Add(w.typ(st.Type)), jen.Id(unknown).Op("*").Qual(genPath, "Unknown")}
	w.doc("append%s appends %s as it is stored, with the fields that this program does not know.", st.Func, v)
	w.Func().Id("append" + st.Func).Params(w.withDepth(st, params)...).Index().Byte().Block(body...)
}

// appendStmts returns the statements that append x, of type t, to the bytes. u is where the unknown fields of a struct in
// a field are; level counts the loops around.
func (w *writer) appendStmts(t *Type, x, u *jen.Statement, d depth, level int) []jen.Code {
	l := &w.locals
	b := jen.Id(l.bytes)
	set := func(value *jen.Statement) jen.Code { return b.Clone().Op("=").Add(value) }
	switch t.Kind {
	case StructKind:
		return []jen.Code{set(w.appendStruct(t.Struct, b.Clone(), jen.Op("&").Add(x.Clone()), u, d))}
	case Pointer:
		var element []jen.Code
		switch {
		case t.Elem.Kind == StructKind:
			element = []jen.Code{set(w.appendStruct(t.Elem.Struct, b.Clone(), x.Clone(), u, d))}
		case marshals(t.Elem) && t.Name != nil: // a pointer type with a name has no methods
			element = []jen.Code{set(appendMarshaled(t.Elem, b.Clone(), jen.Parens(jen.Op("*").Add(w.typ(t.Elem))).Parens(x.Clone())))}
		case marshals(t.Elem):
			element = []jen.Code{set(appendMarshaled(t.Elem, b.Clone(), x.Clone()))}
		default:
			if IsBoxed(t) {
				element = append(element, set(jen.Qual(msgpPath, "AppendArrayHeader").Call(b.Clone(), jen.Lit(1))))
			}
			element = append(element, w.appendStmts(t.Elem, pointee(t, x), jen.Nil(), d, level)...)
		}
		return []jen.Code{jen.If(x.Clone().Op("==").Nil()).Block(set(jen.Qual(msgpPath, "AppendNil").Call(b.Clone()))).
			Else().Block(element...)}
	case Slice:
		return []jen.Code{
			set(jen.Qual(genPath, "AppendListHeader").Call(b.Clone(), x.Clone().Op("==").Nil(), jen.Len(x.Clone()))),
			w.appendElements(t.Elem, x, d, level),
		}
	case Array:
		return []jen.Code{
			set(jen.Qual(msgpPath, "AppendArrayHeader").Call(b.Clone(), jen.Lit(int(t.Len)))),
			w.appendElements(t.Elem, x, d, level),
		}
	case Map:
		k, v := nested(l.mapKey, level), nested(l.element, level)
		sorted := "SortedKeys"
		switch t.Key.Kind {
		case Bool:
			sorted = "SortedBools"
		case UUID:
			sorted = "SortedUUIDs"
		case Time:
			sorted = "SortedTimes"
		case Text:
			sorted = "SortedTexts"
		}
		loop := []jen.Code{
			jen.Id(v).Op(":=").Add(x.Clone()).Index(jen.Id(k)),
			set(w.appendScalar(t.Key, b.Clone(), jen.Id(k))),
		}
		loop = append(loop, w.appendStmts(t.Elem, jen.Id(v), jen.Nil(), d, level+1)...)
		return []jen.Code{
			set(jen.Qual(genPath, "AppendMapHeader").Call(b.Clone(), x.Clone().Op("==").Nil(), jen.Len(x.Clone()))),
			jen.For(jen.List(jen.Id("_"), jen.Id(k)).Op(":=").Range().Qual(genPath, sorted).Call(x.Clone())).Block(loop...),
		}
	}
	return []jen.Code{set(w.appendScalar(t, b.Clone(), x.Clone()))}
}

// appendElements returns the loop over the elements of a slice or an array.
func (w *writer) appendElements(elem *Type, x *jen.Statement, d depth, level int) jen.Code {
	l := &w.locals
	if elem.Kind == StructKind {
		i := nested(l.position, level)
		return jen.For(jen.Id(i).Op(":=").Range().Add(x.Clone())).
			Block(w.appendStmts(elem, x.Clone().Index(jen.Id(i)), jen.Nil(), d, level+1)...)
	}
	v := nested(l.element, level)
	return jen.For(jen.List(jen.Id("_"), jen.Id(v)).Op(":=").Range().Add(x.Clone())).
		Block(w.appendStmts(elem, jen.Id(v), jen.Nil(), d, level+1)...)
}

// appendStruct returns the call that appends the struct that x points to.
func (w *writer) appendStruct(st *Struct, b, x, u *jen.Statement, d depth) *jen.Statement {
	return jen.Id("append" + st.Func).Call(w.callDepth(st, d, b, x, u)...)
}

// appendScalar returns the call that appends x, which has no parts.
func (w *writer) appendScalar(t *Type, b, x *jen.Statement) *jen.Statement {
	switch t.Kind {
	case Bytes:
		return jen.Qual(genPath, "AppendBytes").Call(b, x)
	case Raw:
		return jen.Qual(genPath, "AppendJSON").Call(b, x)
	case Time:
		return jen.Qual(genPath, "AppendTime").Call(b, x)
	case UUID:
		return jen.Qual(genPath, "AppendUUID").Call(b, x)
	case Any:
		return jen.Qual(genPath, "AppendAny").Call(b, x)
	case Complex:
		return jen.Qual(genPath, "AppendComplex").Call(b, x)
	case Text, Binary, JSON:
		return appendMarshaled(t, b, jen.Op("&").Add(x))
	}
	name := basic(t)
	if t.Name != nil {
		x = jen.Id(name).Parens(x)
	}
	return jen.Qual(msgpPath, "Append"+strings.ToUpper(name[:1])+name[1:]).Call(b, x)
}

// appendMarshaled returns the call that appends what x points to, which marshals itself.
func appendMarshaled(t *Type, b, x *jen.Statement) *jen.Statement {
	return jen.Qual(genPath, "Append"+marshalName(t)).Call(b, x)
}

// receiver returns the name of the parameter that is the struct: it for an entity, v for others.
func (w *writer) receiver(st *Struct) string {
	if e := w.facts[st].entity; e != nil {
		return e.Var
	}
	return w.locals.value
}

// depthOf says whether the functions of st have a depth to pass on.
func (w *writer) depthOf(st *Struct) depth {
	if w.facts[st].recursive {
		return inside
	}
	return outside
}

// withDepth adds the parameter depth if st contains itself.
func (w *writer) withDepth(st *Struct, params []jen.Code) []jen.Code {
	if w.facts[st].recursive {
		params = append(params, jen.Id(w.locals.depth).Int())
	}
	return params
}

// callDepth adds the argument for it.
func (w *writer) callDepth(st *Struct, d depth, args ...jen.Code) []jen.Code {
	switch {
	case !w.facts[st].recursive:
		return args
	case d == inside:
		return append(args, jen.Id(w.locals.depth))
	}
	return append(args, jen.Qual(genPath, "MaxDepth"))
}

// goDown returns depth = gen.Down(depth).
func (w *writer) goDown() jen.Code {
	depth := jen.Id(w.locals.depth)
	return depth.Clone().Op("=").Qual(genPath, "Down").Call(depth.Clone())
}

// pointee returns *x, in parentheses where it may be indexed.
func pointee(t *Type, x *jen.Statement) *jen.Statement {
	p := jen.Op("*").Add(x.Clone())
	switch t.Elem.Kind {
	case Array, Slice, Map:
		return jen.Parens(p)
	}
	return p
}
