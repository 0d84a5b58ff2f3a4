package templates

import "github.com/dave/jennifer/jen"

// emitQueries emits the methods that an index serves.
func (w *writer) emitQueries(ix *Index) {
	if ix.Unique {
		w.emitGetBy(ix)
	} else {
		w.emitQueryBy(ix)
	}
	w.emitRangeBy(ix)
}

// emitGetBy emits
//
//	// GetBySKU returns the item with this SKU, or ErrNotFound.
//	func (r *ItemRepo) GetBySKU(ctx context.Context, sku string) (*Item, error) {
//		return kixx.GetUnique(ctx, &r.Repo, itemBySKU, ordered.AppendString(nil, sku))
//	}
func (w *writer) emitGetBy(ix *Index) {
	w.doc("GetBy%s returns the %s %s, or [kixx.ErrNotFound].%s", ix.Name, w.e.Singular(), with(ix.Fields), notFound(ix.Fields))
	params := append([]jen.Code{jen.Id(w.locals.ctx).Qual("context", "Context")}, w.params(ix.Fields)...)
	w.method("GetBy"+ix.Name, params, w.document(), jen.Error()).Block(
		jen.Return(jen.Qual(kixxPath, "GetUnique").Call(jen.Id(w.locals.ctx), w.theRepo(), jen.Id(ix.Var), w.appendParams(ix.Fields))))
}

// emitQueryBy emits
//
//	// QueryByCategoryPrice queries the items with this Category and Price, in the order of their IDs.
//	func (r *ItemRepo) QueryByCategoryPrice(category string, price float64) kixx.Query[*Item, string] {
//		return kixx.IndexQuery(&r.Repo, itemByCategoryPrice, ordered.AppendFloat64Desc(ordered.AppendString(make([]byte, 0, 64), category), price))
//	}
func (w *writer) emitQueryBy(ix *Index) {
	e := w.e
	w.doc("QueryBy%s queries the %s %s, in the order of their %s.%s", ix.Name, e.Plural, with(ix.Fields), w.keysWord(), notFound(ix.Fields))
	w.method("QueryBy"+ix.Name, w.params(ix.Fields), jen.Qual(kixxPath, "Query").Types(w.document(), w.keyType())).Block(
		jen.Return(jen.Qual(kixxPath, "IndexQuery").Call(w.theRepo(), jen.Id(ix.Var), w.appendParams(ix.Fields))))
}

// emitRangeBy emits
//
//	// RangeByCategoryPrice queries the items with this Category in the order of Price, highest first.
//	func (r *ItemRepo) RangeByCategoryPrice(category string) *kixx.Range[*Item, string, float64] {
//		return kixx.IndexRange(&r.Repo, itemByCategoryPrice, ordered.AppendString(nil, category), ordered.AppendFloat64Desc[float64])
//	}
func (w *writer) emitRangeBy(ix *Index) {
	e := w.e
	n := len(ix.Fields) - 1
	lead, last := ix.Fields[:n], ix.Fields[n]
	which := e.Plural
	if n > 0 {
		which = "the " + which + " " + with(lead)
	}
	more := notFound(ix.Fields)
	if last.Each {
		more += " " + capital(article(e.Singular())) + " " + e.Singular() + " is found once for each " + last.Param + " in the range."
	}
	for _, f := range ix.Fields {
		if f.Each {
			more += " Each " + f.Param + " is an operation of the commit that writes the " + e.Singular() + "."
		}
	}
	w.doc("RangeBy%s queries %s %s.%s", ix.Name, which, order(last), more)
	w.method("RangeBy"+ix.Name, w.params(lead), w.rangeType(w.document(), last.Key)).Block(
		jen.Return(jen.Qual(kixxPath, "Index"+rangePrefix(last.Key)+"Range").
			Call(w.theRepo(), jen.Id(ix.Var), w.appendParams(lead), w.appendKeyFunc(last.Key, last.Desc))))
}
