package templates

import "github.com/dave/jennifer/jen"

// emitIndex emits
//
//	var itemByCategoryPrice = &kixx.Index{Name: "CategoryPrice", Of: "category string, price float64 desc", Desc: true}
func (w *writer) emitIndex(ix *Index) {
	values := []jen.Code{entry("Name", jen.Lit(ix.Name)), entry("Of", jen.Lit(ix.Of))}
	if ix.Unique {
		values = append(values, entry("Unique", jen.True()))
	}
	if ix.Fields[len(ix.Fields)-1].Desc {
		values = append(values, entry("Desc", jen.True()))
	}
	for _, f := range ix.Fields {
		if f.Each {
			values = append(values, entry("Each", jen.True()))
		}
	}
	w.Var().Id(ix.Var).Op("=").Op("&").Qual(kixxPath, "Index").Values(values...)
}

// emitEntries emits
//
//	// indexItem adds the index and view entries of it to e.
//	func indexItem(it *Item, e *kixx.Entries) {
//		e.Add(itemBySKU, ordered.AppendString(e.Key(), it.SKU))
//		for _, tag := range it.Tags {
//			e.Add(itemByTags, ordered.AppendString(e.Key(), tag))
//		}
//		if it.SoldAt != nil {
//			e.Add(itemBySoldAt, ordered.AppendTimeDesc(e.Key(), *it.SoldAt))
//		}
//		emitPriceRange(it, func(key string, v PriceLine) {
//			e.AddValue(&itemByPriceRange.Index, ordered.AppendString(e.Key(), key), appendPriceLine(e.Value(), &v, nil))
//		})
//	}
func (w *writer) emitEntries() {
	e, l := w.e, &w.locals
	var body []jen.Code
	for _, ix := range e.Indexes {
		body = append(body, w.addEntry(ix))
	}
	for _, v := range e.Views {
		body = append(body, w.addViewEntries(v))
	}
	w.doc("%s adds the index and view entries of %s to %s.", w.entriesFunc(), e.Var, l.entries)
	w.Func().Id(w.entriesFunc()).
		Params(jen.Id(e.Var).Add(w.document()), jen.Id(l.entries).Op("*").Qual(kixxPath, "Entries")).
		Block(body...)
}

// addEntry returns the statement that adds the entries of one index, in a loop or a condition where there may be several
// or none.
func (w *writer) addEntry(ix *Index) jen.Code {
	l := &w.locals
	key := jen.Id(l.entries).Dot("Key").Call()
	var loop, present *jen.Statement // the range clause, and the condition that no pointer is nil
	for _, f := range ix.Fields {
		x := sel(w.e.Var, f.Field)
		if f.Each {
			name := f.Param
			if name == w.e.Var {
				name = l.element
			}
			loop = jen.List(jen.Id("_"), jen.Id(name)).Op(":=").Range().Add(x)
			x = jen.Id(name)
		}
		if f.Deref {
			if present == nil {
				present = jen.Add(x.Clone())
			} else {
				present.Op("&&").Add(x.Clone())
			}
			present.Op("!=").Nil()
			x = jen.Op("*").Add(x)
		}
		key = w.appendEntry(key, f.Key, f.Desc, x)
	}
	add := jen.Id(l.entries).Dot("Add").Call(jen.Id(ix.Var), key)
	if present != nil {
		add = jen.If(present).Block(add)
	}
	if loop != nil {
		add = jen.For(loop).Block(add)
	}
	return add
}

// addViewEntries returns the call of the function of a view.
func (w *writer) addViewEntries(v *View) jen.Code {
	l := &w.locals
	value, stmts := w.appendValue(v.Value, jen.Id(l.entries).Dot("Value").Call(), l.value)
	body := append(stmts, jen.Id(l.entries).Dot("AddValue").Call(
		jen.Op("&").Id(v.Var).Dot("Index"),
		w.appendEntry(jen.Id(l.entries).Dot("Key").Call(), v.Key, false, jen.Id(l.key)),
		value,
	))
	return jen.Id(v.Func).Call(jen.Id(w.e.Var),
		jen.Func().Params(jen.Id(l.key).Add(w.typ(v.Key)), jen.Id(l.value).Add(w.typ(v.Value))).Block(body...))
}

// appendValue returns the expression that appends the value in the variable name to b, and the statements before it: none
// where one call does it.
func (w *writer) appendValue(t *Type, b *jen.Statement, name string) (value *jen.Statement, before []jen.Code) {
	l := &w.locals
	if isScalar(t) {
		return w.appendScalar(t, b, jen.Id(name)), nil
	}
	if t.Kind == StructKind {
		return w.appendStruct(t.Struct, b, jen.Op("&").Id(name), jen.Nil(), outside), nil
	}
	before = append(before, jen.Id(l.bytes).Op(":=").Add(b))
	return jen.Id(l.bytes), append(before, w.appendStmts(t, jen.Id(name), jen.Nil(), outside, 0)...)
}
