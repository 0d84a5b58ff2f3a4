package templates

import (
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"
)

// emitMergeMethod emits
//
//	// Merge stores what mine has changed since base, the copy that was read, together with what others have …
//	func (r *ItemRepo) Merge(ctx context.Context, base, mine *Item) (*Item, error) {
//		return kixx.MergeWith(ctx, &r.Repo, base, mine, mergeItem)
//	}
//
// It is a method of the generated repository, and not of kixx.Repo with a function in the schema, so that the linker drops
// it, and all that it calls, from a program that does not merge.
func (w *writer) emitMergeMethod() {
	l := &w.locals
	w.doc("Merge stores what %s has changed since %s, the copy that was read, together with what others have changed since then. "+
		"Fields that both have changed to different values are settled by their tags, or reported in a [*kixx.MergeError]. "+
		"See [kixx.MergeWith].", l.mine, l.base)
	w.method("Merge", []jen.Code{jen.Id(l.ctx).Qual("context", "Context"), jen.List(jen.Id(l.base), jen.Id(l.mine)).Add(w.document())},
		w.document(), jen.Error()).Block(
		jen.Return(jen.Qual(kixxPath, "MergeWith").Call(jen.Id(l.ctx), w.theRepo(), jen.Id(l.base), jen.Id(l.mine), jen.Id("merge"+w.e.Struct.Func))))
}

// emitMerge emits, for a struct that is merged field by field,
//
//	// mergeItem changes it, which is stored, by what mine has changed since base.
//	func mergeItem(m *gen.Merger, it, base, mine *Item) {
//		gen.MergeValue(m, "Title", &it.Title, &base.Title, &mine.Title, nil)
//		gen.MergeFloat(m, "Price", &it.Price, &base.Price, &mine.Price, gen.Max[float64])
//		gen.MergeSlice(m, "Tags", &it.Tags, &base.Tags, &mine.Tags, nil)
//		gen.MergeStruct(m, "Dims", &it.Dims, &base.Dims, &mine.Dims, mergeDims)
//		…
//	}
func (w *writer) emitMerge(st *Struct) {
	if !w.facts[st].merge {
		return
	}
	l := &w.locals
	v := w.receiver(st)
	var body []jen.Code
	for _, f := range w.mergedFields(st) {
		body = append(body, w.mergeField(f, v))
	}
	w.doc("merge%s changes %s, which is stored, by what %s has changed since %s.", st.Func, v, l.mine, l.base)
	w.Func().Id("merge"+st.Func).Params(
		jen.Id(l.merger).Op("*").Qual(genPath, "Merger"),
		jen.List(jen.Id(v), jen.Id(l.base), jen.Id(l.mine)).Op("*").Add(w.typ(st.Type)),
	).Block(body...)
}

// mergedFields returns the fields of st that are merged: those of an entity that the runtime sets are not.
func (s *shared) mergedFields(st *Struct) []*Field {
	e := s.facts[st].entity
	if e == nil {
		return st.Fields
	}
	return slices.DeleteFunc(slices.Clone(st.Fields), func(f *Field) bool {
		return f == e.Created || f == e.Updated || f == e.Deleted || slices.ContainsFunc(e.Keys, func(k *IndexField) bool { return k.Field == f })
	})
}

// mergeField returns the call that merges a field of the struct v.
func (w *writer) mergeField(f *Field, v string) jen.Code {
	l := &w.locals
	t := f.Type
	of := func(name string) *jen.Statement { return jen.Op("&").Add(sel(name, f)) }
	call := func(fn string, more ...jen.Code) jen.Code {
		args := []jen.Code{jen.Id(l.merger), jen.Lit(strings.Join(f.Path, ".")), of(v), of(l.base), of(l.mine)}
		return jen.Qual(genPath, fn).Call(append(args, more...)...)
	}
	switch {
	case mergesByField(f) && t.Kind == StructKind:
		return call("MergeStruct", jen.Id("merge"+t.Struct.Func))
	case mergesByField(f):
		return call("MergePtr", jen.Id("merge"+t.Elem.Struct.Func), w.equaler(t.Elem))
	case t.Kind == Map && f.Merge == "union":
		return call("MergeMap", w.equaler(t.Elem))
	case t.Kind == Float:
		return call("MergeFloat", w.policy(f))
	case t.Kind == Time:
		return call("MergeTime", w.policy(f))
	case isComparable(t):
		return call("MergeValue", w.policy(f))
	case t.Kind == Slice && isComparable(t.Elem):
		return call("MergeSlice", w.policy(f))
	}
	return call("MergeFunc", w.equaler(t), w.policy(f))
}

// mergesByField reports whether a struct, or what a pointer points to, is merged field by field. With a policy, or if the
// pointer type has a name, it is one value.
func mergesByField(f *Field) bool {
	t := f.Type
	return f.Merge == "" && (t.Kind == StructKind || t.Kind == Pointer && t.Name == nil && t.Elem.Kind == StructKind)
}

// isComparable reports whether == says of values of t, which have no parts, whether they are stored as the same bytes.
func isComparable(t *Type) bool {
	switch t.Kind {
	case Bool, Int, Uint, String, UUID:
		return true
	}
	return false
}

// policy returns the gen.Policy of a field: gen.Max[float64], or nil.
func (w *writer) policy(f *Field) *jen.Statement {
	t := f.Type
	name := map[string]string{"ours": "Ours", "theirs": "Theirs", "max": "Max", "min": "Min", "sum": "Sum", "union": "Union"}[f.Merge]
	one := func(name string, args ...jen.Code) *jen.Statement { return jen.Qual(genPath, name).Types(args...) }
	switch f.Merge {
	case "":
		return jen.Nil()
	case "max", "min":
		switch {
		case t.Kind == Time:
			return jen.Qual(genPath, name+"Time")
		case t.Kind == Pointer && t.Elem.Kind == Time:
			return jen.Qual(genPath, name+"TimePtr")
		case t.Kind == Pointer:
			return one(name+"Ptr", w.typ(t.Elem))
		}
	case "sum":
		return one(map[Kind]string{Int: "SumInt", Uint: "SumUint", Float: "SumFloat"}[t.Kind], w.typ(t))
	case "union":
		return one(name, w.typ(t), w.typ(t.Elem))
	}
	return one(name, w.typ(t))
}

// emitEqual emits, for a struct that is compared as a part of one value,
//
//	// equalDims reports whether x and y are stored as the same bytes.
//	func equalDims(x, y *Dims) bool {
//		return gen.EqualFloat(&x.W, &y.W) && gen.EqualFloat(&x.H, &y.H)
//	}
func (w *writer) emitEqual(st *Struct) {
	if !w.facts[st].equal {
		return
	}
	l := &w.locals
	all := jen.Null()
	and := func(x jen.Code, last bool) {
		all.Add(x)
		if !last {
			all.Op("&&")
		}
		if !last && len(st.Fields) > 3 {
			all.Line()
		}
	}
	for i, f := range st.Fields {
		and(w.equal(f.Type, sel(l.element, f), sel(l.other, f)), i == len(st.Fields)-1 && !st.Carries)
	}
	switch {
	case st.Carries:
		and(jen.Qual(genPath, "EqualUnknown").Call(jen.Op("&").Id(l.element).Dot("Unknown"), jen.Op("&").Id(l.other).Dot("Unknown")), true)
	case len(st.Fields) == 0:
		all = jen.True()
	}
	w.doc("equal%s reports whether %s and %s are stored as the same bytes.", st.Func, l.element, l.other)
	w.Func().Id("equal" + st.Func).Params(jen.List(jen.Id(l.element), jen.Id(l.other)).Op("*").Add(w.typ(st.Type))).Bool().Block(jen.Return(all))
}

// equal returns the expression that compares x and y, which are variables of type t.
func (w *writer) equal(t *Type, x, y *jen.Statement) *jen.Statement {
	ref := func(x *jen.Statement) *jen.Statement { return jen.Op("&").Add(x) }
	switch {
	case isComparable(t):
		return x.Op("==").Add(y)
	case t.Kind == Time:
		return x.Dot("Equal").Call(y)
	case t.Kind == Slice:
		return jen.Qual(genPath, "EqualSlice").Call(x, y, w.equaler(t.Elem))
	case t.Kind == Array:
		return jen.Qual(genPath, "EqualSlice").Call(x.Index(jen.Op(":")), y.Index(jen.Op(":")), w.equaler(t.Elem))
	case t.Kind == Map:
		return jen.Qual(genPath, "EqualMap").Call(x, y, w.equaler(t.Elem))
	case t.Kind == Pointer:
		return jen.Qual(genPath, "EqualPtr").Call(x, y, w.equaler(t.Elem))
	}
	switch t.Kind {
	case Any:
		return jen.Qual(genPath, "EqualAny").Call(x, y)
	case Complex:
		return jen.Qual(genPath, "EqualComplex").Call(ref(x), ref(y))
	case Text, Binary, JSON:
		return jen.Qual(genPath, "Equal"+marshalName(t)).Call(ref(x), ref(y))
	case Float:
		return jen.Qual(genPath, "EqualFloat").Call(ref(x), ref(y))
	case Bytes, Raw:
		return jen.Qual(genPath, "EqualBytes").Call(ref(x), ref(y))
	}
	return w.equaler(t).Call(ref(x), ref(y))
}

// equaler returns the function that compares values of t by pointers to them: gen.Equal[string], equalDims, or a function
// literal.
func (w *writer) equaler(t *Type) *jen.Statement {
	l := &w.locals
	switch {
	case t.Kind == StructKind:
		return jen.Id("equal" + t.Struct.Func)
	case t.Kind == Time:
		return jen.Qual(genPath, "EqualTime")
	case t.Kind == Float:
		return jen.Qual(genPath, "EqualFloat").Types(w.typ(t))
	case t.Kind == Bytes, t.Kind == Raw:
		return jen.Qual(genPath, "EqualBytes").Types(w.typ(t))
	case t.Kind == Complex:
		return jen.Qual(genPath, "EqualComplex").Types(w.typ(t))
	case marshals(t):
		return jen.Qual(genPath, "Equal"+marshalName(t)).Types(w.typ(t))
	case isComparable(t):
		return jen.Qual(genPath, "Equal").Types(w.typ(t))
	}
	deref := func(name string) *jen.Statement {
		if t.Kind == Array {
			return jen.Id(name) // a pointer to an array is sliced as the array
		}
		return jen.Op("*").Id(name)
	}
	return jen.Func().Params(jen.List(jen.Id(l.element), jen.Id(l.other)).Op("*").Add(w.typ(t))).Bool().
		Block(jen.Return(w.equal(t, deref(l.element), deref(l.other))))
}
