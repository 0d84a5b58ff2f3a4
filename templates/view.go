package templates

import "github.com/dave/jennifer/jen"

// entryType returns kixx.Entry[*Item, string, string, PriceLine].
func (w *writer) entryType(v *View) *jen.Statement {
	return jen.Qual(kixxPath, "Entry").Types(w.document(), w.keyType(), w.typ(v.Key), w.typ(v.Value))
}

// emitViewQueries emits
//
//	// ItemByPriceRange is an entry of the view ByPriceRange: Key and Value as emitted, ID of the item, Doc if asked for.
//	type ItemByPriceRange kixx.Entry[*Item, string, string, PriceLine]
//
//	// QueryByPriceRange queries the entries of the view ByPriceRange with this key, in the order of the items' IDs.
//	func (r *ItemRepo) QueryByPriceRange(key string) kixx.Query[*ItemByPriceRange, string] {
//		return kixx.ViewQuery(&r.Repo, itemByPriceRange, ordered.AppendString(nil, key))
//	}
//
//	// RangeByPriceRange queries the entries of the view ByPriceRange in the order of their keys.
//	func (r *ItemRepo) RangeByPriceRange() *kixx.TextRange[*ItemByPriceRange, string, string] {
//		return kixx.ViewTextRange(&r.Repo, itemByPriceRange, ordered.AppendString[string])
//	}
func (w *writer) emitViewQueries(v *View) {
	e, l := w.e, &w.locals
	found := jen.Op("*").Id(v.Type)

	w.doc("%s is an entry of the view %s: its Key and Value as %s emitted them, the ID of the %s, and the %s itself as Doc where a query asks for it WithDocs.",
		v.Type, v.Name, v.Func, e.Singular(), e.Singular())
	w.Type().Id(v.Type).Add(w.entryType(v))

	w.doc("QueryBy%s queries the entries of the view %s with this key, in the order of the %s of their %s.", v.Query, v.Name, w.keysWord(), e.Plural)
	w.method("QueryBy"+v.Query, []jen.Code{jen.Id(l.key).Add(w.typ(v.Key))}, jen.Qual(kixxPath, "Query").Types(found.Clone(), w.keyType())).Block(
		jen.Return(jen.Qual(kixxPath, "ViewQuery").Call(w.theRepo(), jen.Id(v.Var), w.appendKey(jen.Nil(), v.Key, false, jen.Id(l.key)))))

	w.doc("RangeBy%s queries the entries of the view %s in the order of their keys.", v.Query, v.Name)
	w.method("RangeBy"+v.Query, nil, w.rangeType(found.Clone(), v.Key)).Block(
		jen.Return(jen.Qual(kixxPath, "View"+rangePrefix(v.Key)+"Range").Call(w.theRepo(), jen.Id(v.Var), w.appendKeyFunc(v.Key, false))))
}

// emitView emits
//
//	var itemByPriceRange = &kixx.View[*ItemByPriceRange, *Item, string]{
//		Index:   kixx.Index{Name: "ByPriceRange", Of: "string struct{Title string} source 1f0c9a", View: true},
//		ReadKey: ordered.ReadString[string],
//		Read: func(tuple, value []byte, doc *Item) (*ItemByPriceRange, error) {
//			entry := &ItemByPriceRange{Doc: doc}
//			return entry, kixx.ReadEntry((*kixx.Entry[*Item, string, string, PriceLine])(entry), tuple, value,
//				ordered.ReadString[string], ordered.ReadString[string], gen.Value(readPriceLine))
//		},
//	}
func (w *writer) emitView(v *View) {
	l := &w.locals
	read := jen.Func().
		Params(jen.List(jen.Id(l.tuple), jen.Id(l.stored)).Index().Byte(), jen.Id(l.document).Add(w.document())).
		Params(jen.Op("*").Id(v.Type), jen.Error()).
		Block(
			jen.Id(l.emitted).Op(":=").Op("&").Id(v.Type).Values(entry("Doc", jen.Id(l.document))),
			jen.Return(jen.Id(l.emitted), jen.Qual(kixxPath, "ReadEntry").Call(
				jen.Parens(jen.Op("*").Add(w.entryType(v))).Parens(jen.Id(l.emitted)), jen.Id(l.tuple), jen.Id(l.stored),
				w.readKeyFunc(v.Key), w.readWholeKey(), w.reader(v.Value, outside),
			)),
		)
	w.Var().Id(v.Var).Op("=").Op("&").Qual(kixxPath, "View").Types(jen.Op("*").Id(v.Type), w.document(), w.typ(v.Key)).Add(list(
		entry("Index", jen.Qual(kixxPath, "Index").Values(entry("Name", jen.Lit(v.Name)), entry("Of", jen.Lit(v.Of)), entry("View", jen.True()))),
		entry("ReadKey", w.readKeyFunc(v.Key)),
		entry("Read", read),
	))
}
