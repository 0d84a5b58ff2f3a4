package templates

import "github.com/dave/jennifer/jen"

// emitPeek emits, for an entity that asks for it,
//
//	// ItemPeek reads an item without a copy of it: …
//	type ItemPeek struct{ doc *Item }
//
//	func newItemPeek(it *Item) ItemPeek { return ItemPeek{it} }
//
//	// Peek is Get for who only reads.
//	func (r *ItemRepo) Peek(ctx context.Context, key string) (ItemPeek, error) {
//		return kixx.PeekWith(ctx, &r.Repo, key, newItemPeek)
//	}
//
//	// Peeks returns q as it finds items for who only reads.
//	func (r *ItemRepo) Peeks(q kixx.Query[*Item, string]) kixx.Query[ItemPeek, string] {
//		return kixx.PeekQuery(q, newItemPeek)
//	}
//
// and an accessor for each field.
func (w *writer) emitPeek() {
	e, l := w.e, &w.locals
	if e.Peek == "" {
		return
	}
	make := "new" + e.Peek
	w.doc("%s reads %s %s without a copy of it. It is a value, safe for concurrent use, and stays as it is when the document is changed.",
		e.Peek, article(e.Name), e.Name)
	w.Type().Id(e.Peek).Struct(jen.Id("doc").Add(w.document()))
	w.Line()
	w.Func().Id(make).Params(jen.Id(e.Var).Add(w.document())).Id(e.Peek).Add(inLine(jen.Return(jen.Id(e.Peek).Values(jen.Id(e.Var)))))

	w.doc("Peek is Get for who only reads: nothing is copied.")
	w.method("Peek", []jen.Code{jen.Id(l.ctx).Qual("context", "Context"), jen.Id(l.key).Add(w.keyType())}, jen.Id(e.Peek), jen.Error()).
		Block(jen.Return(jen.Qual(kixxPath, "PeekWith").Call(jen.Id(l.ctx), w.theRepo(), jen.Id(l.key), jen.Id(make))))
	query := func(found jen.Code) *jen.Statement { return jen.Qual(kixxPath, "Query").Types(found, w.keyType()) }
	w.doc("Peeks returns a query as it finds %s for who only reads.", e.Plural)
	w.method("Peeks", []jen.Code{jen.Id(l.query).Add(query(w.document()))}, query(jen.Id(e.Peek))).
		Block(jen.Return(jen.Qual(kixxPath, "PeekQuery").Call(jen.Id(l.query), jen.Id(make))))

	w.accessor(e.Rev, jen.Qual(kixxPath, "Rev"), "", func(x *jen.Statement) *jen.Statement { return x })
	for _, f := range e.Struct.Fields {
		w.emitAccessor(f)
	}
}

// emitAccessor emits
//
//	// Tags returns the Tags of the document.
//	func (p ItemPeek) Tags() kixx.ListView[string] { return kixx.ViewList(p.doc.Tags) }
func (w *writer) emitAccessor(f *Field) {
	switch t := f.Type; {
	case !w.needsClone(t):
		w.accessor(f, w.typ(t), "", func(x *jen.Statement) *jen.Statement { return x })
	case t.Kind == Bytes || t.Kind == Raw:
		w.accessor(f, jen.Qual(kixxPath, "ListView").Types(jen.Byte()), "", func(x *jen.Statement) *jen.Statement {
			return jen.Qual(kixxPath, "ViewList").Call(x)
		})
	case t.Kind == Slice && !w.needsClone(t.Elem):
		w.accessor(f, jen.Qual(kixxPath, "ListView").Types(w.typ(t.Elem)), "", func(x *jen.Statement) *jen.Statement {
			return jen.Qual(kixxPath, "ViewList").Call(x)
		})
	case t.Kind == Map && !w.needsClone(t.Elem):
		w.accessor(f, jen.Qual(kixxPath, "MapView").Types(w.typ(t.Key), w.typ(t.Elem)), "", func(x *jen.Statement) *jen.Statement {
			return jen.Qual(kixxPath, "ViewMap").Call(x)
		})
	default:
		w.accessor(f, w.typ(t), ", in a copy that is made for the call", func(x *jen.Statement) *jen.Statement { return w.copied(t, x) })
	}
}

// copied returns an expression for a copy of x.
func (w *writer) copied(t *Type, x *jen.Statement) *jen.Statement {
	if t.Kind == Array {
		return w.cloner(t, outside).Call(x)
	}
	return w.clone(t, x, outside)
}

func (w *writer) accessor(f *Field, result *jen.Statement, more string, read func(x *jen.Statement) *jen.Statement) {
	w.doc("%s returns the document's %s%s.", f.GoName(), f.GoName(), more)
	x := jen.Id(w.locals.peek).Dot("doc")
	for _, name := range f.Path {
		x.Dot(name)
	}
	w.Func().Params(jen.Id(w.locals.peek).Id(w.e.Peek)).Id(f.GoName()).Params().Add(result).Block(jen.Return(read(x)))
}
