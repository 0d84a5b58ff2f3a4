package kixx

import (
	"context"
	"fmt"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A Range asks for a range of the last field of an index; the fields before it are given. It turns into a [Query] by
// saying which values: bounds speak of values, also where the index is in descending order. A Range may be kept, shared
// and used often.
type Range[E any, K comparable, V any] struct {
	q       Query[E, K] // lead is set
	appendV func([]byte, V) []byte
	desc    bool
}

// A TextRange is a [Range] of a text.
type TextRange[E any, K comparable, V ~string] struct{ Range[E, K, V] }

// Everything finds all values.
//
//go:noinline
func (r *Range[E, K, V]) Everything() Query[E, K] { return r.Within(nil, nil) }

// Is finds the value v.
//
//go:noinline
func (r *Range[E, K, V]) Is(v V) Query[E, K] { return r.Between(v, v) }

// From finds the values >= v.
//
//go:noinline
func (r *Range[E, K, V]) From(v V) Query[E, K] { return r.Within(&v, nil) }

// Above finds the values > v.
//
//go:noinline
func (r *Range[E, K, V]) Above(v V) Query[E, K] { return r.between(bound[V]{&v, true}, bound[V]{}) }

// To finds the values <= v.
//
//go:noinline
func (r *Range[E, K, V]) To(v V) Query[E, K] { return r.Within(nil, &v) }

// Below finds the values < v.
//
//go:noinline
func (r *Range[E, K, V]) Below(v V) Query[E, K] { return r.between(bound[V]{}, bound[V]{&v, true}) }

// Between finds the values from lo to hi, both included.
//
//go:noinline
func (r *Range[E, K, V]) Between(lo, hi V) Query[E, K] { return r.Within(&lo, &hi) }

// FromBelow finds the values >= lo and < hi.
//
//go:noinline
func (r *Range[E, K, V]) FromBelow(lo, hi V) Query[E, K] {
	return r.between(bound[V]{&lo, false}, bound[V]{&hi, true})
}

// AboveTo finds the values > lo and <= hi.
//
//go:noinline
func (r *Range[E, K, V]) AboveTo(lo, hi V) Query[E, K] {
	return r.between(bound[V]{&lo, true}, bound[V]{&hi, false})
}

// Within finds the values from lo to hi, both included; nil is open.
//
//go:noinline
func (r *Range[E, K, V]) Within(lo, hi *V) Query[E, K] {
	return r.between(bound[V]{lo, false}, bound[V]{hi, false})
}

// A bound is an end of a range of values: open if v is nil, without v itself if it is strict.
type bound[V any] struct {
	v      *V
	strict bool
}

// between turns bounds of values into bounds of tuples.
func (r *Range[E, K, V]) between(lo, hi bound[V]) Query[E, K] {
	q := r.q
	if r.desc {
		lo, hi = hi, lo
	}
	q.p.lo, q.p.loAfter = q.p.lead, false
	if lo.v != nil {
		q.p.lo, q.p.loAfter = r.appendV(clip(q.p.lead), *lo.v), lo.strict
	}
	q.p.hi, q.p.hiAfter = q.p.lead, true
	if hi.v != nil {
		q.p.hi, q.p.hiAfter = r.appendV(clip(q.p.lead), *hi.v), !hi.strict
	}
	return q
}

// Prefix finds the texts that begin with p. The order is that of the bytes, so this is a range like any other.
//
//go:noinline
func (r *TextRange[E, K, V]) Prefix(p V) Query[E, K] {
	q := r.q
	b := r.appendV(clip(q.p.lead), p)
	b = b[:len(b)-2] // the end of a text is two bytes, see package ordered
	q.p.lo, q.p.loAfter = b, false
	q.p.hi, q.p.hiAfter = b, true
	return q
}

// clip returns b without room behind it: what is appended does not touch what others append.
func clip(b []byte) []byte { return b[:len(b):len(b)] }

// The functions below make queries for generated code. tuple holds the encoded values of all fields of an index, lead
// those of all but the last one. They are not inlined: each generated method would carry a copy.

// KeyRange returns the range of a repository's keys.
//
//go:noinline
func KeyRange[D any, K comparable, V any](r *Repo[D, K], lead []byte, appendV func([]byte, V) []byte) *Range[D, K, V] {
	return &Range[D, K, V]{Query[D, K]{r.plan(nil, lead), r.docs}, appendV, false}
}

// KeyTextRange is [KeyRange] for keys that end in a text.
//
//go:noinline
func KeyTextRange[D any, K comparable, V ~string](r *Repo[D, K], lead []byte, appendV func([]byte, V) []byte) *TextRange[D, K, V] {
	return &TextRange[D, K, V]{Range[D, K, V]{Query[D, K]{r.plan(nil, lead), r.docs}, appendV, false}}
}

// IndexQuery returns the query of one value of an index.
//
//go:noinline
func IndexQuery[D any, K comparable](r *Repo[D, K], ix *Index, tuple []byte) Query[D, K] {
	return Query[D, K]{r.plan(ix, tuple), r.docs}
}

// IndexRange returns the range of the last field of an index.
//
//go:noinline
func IndexRange[D any, K comparable, V any](r *Repo[D, K], ix *Index, lead []byte, appendV func([]byte, V) []byte) *Range[D, K, V] {
	return &Range[D, K, V]{Query[D, K]{r.plan(ix, lead), r.docs}, appendV, ix.Desc}
}

// IndexTextRange is [IndexRange] for an index that ends in a text.
//
//go:noinline
func IndexTextRange[D any, K comparable, V ~string](r *Repo[D, K], ix *Index, lead []byte, appendV func([]byte, V) []byte) *TextRange[D, K, V] {
	return &TextRange[D, K, V]{Range[D, K, V]{Query[D, K]{r.plan(ix, lead), r.docs}, appendV, ix.Desc}}
}

// ViewQuery returns the query of one key of a view.
//
//go:noinline
func ViewQuery[E, D any, K comparable, VK any](r *Repo[D, K], v *View[E, D, VK], tuple []byte) Query[E, K] {
	return Query[E, K]{r.plan(&v.Index, tuple), viewSource(r, v)}
}

// ViewRange returns the range of the keys of a view.
//
//go:noinline
func ViewRange[E, D any, K comparable, VK any](r *Repo[D, K], v *View[E, D, VK], appendV func([]byte, VK) []byte) *Range[E, K, VK] {
	return &Range[E, K, VK]{ViewQuery(r, v, nil), appendV, false}
}

// ViewTextRange is [ViewRange] for a view whose keys are texts.
//
//go:noinline
func ViewTextRange[E, D any, K comparable, VK ~string](r *Repo[D, K], v *View[E, D, VK], appendV func([]byte, VK) []byte) *TextRange[E, K, VK] {
	return &TextRange[E, K, VK]{Range[E, K, VK]{ViewQuery(r, v, nil), appendV, false}}
}

// viewSource is the source of queries that find entries of a view.
func viewSource[E, D any, K comparable, VK any](r *Repo[D, K], v *View[E, D, VK]) *source[E, K] {
	s := r.schema
	return &source[E, K]{
		read: func(item *store.Item, doc *cached) (E, error) {
			var d D
			if doc != nil {
				d = s.Clone(doc.doc.(D))
			}
			return v.Read(item.Key[headerLen:], item.Value, d)
		},
		id: func(tuple []byte) ([]byte, error) {
			_, rest, err := v.ReadKey(tuple)
			if err == nil && len(rest) < 2 {
				err = fmt.Errorf("it ends before the document's key")
			}
			if err != nil {
				return nil, err
			}
			return rest[:len(rest)-1], nil // the last byte is the ordinal
		},
		key: s.ReadKey,
	}
}

// plan returns the plan of all that begins with lead in an index; nil is the order of the keys.
func (r *Repo[D, K]) plan(ix *Index, lead []byte) plan {
	place := documents
	switch {
	case ix != nil:
		place = r.col.place(ix)
	case r.col.soft && !r.deleted:
		place = len(r.col.indexes) - 1
	}
	p := newPlan(r.col, r.in, place, lead)
	p.deleted = r.deleted
	return p
}

// newPlan returns the plan of all that begins with lead.
func newPlan(c *collection, in *scope, ix int, lead []byte) plan {
	return plan{col: c, in: in, ix: ix, lead: lead, lo: lead, hi: lead, hiAfter: true, limit: noLimit}
}

// place returns the place of an index in the schema.
func (c *collection) place(ix *Index) int {
	for i, x := range c.indexes {
		if x == ix {
			return i
		}
	}
	panic("kixx: generated code asks for an index that its schema does not list")
}

// GetUnique returns the document with this value of a unique index, or [ErrNotFound].
//
//go:noinline
func GetUnique[D any, K comparable](ctx context.Context, r *Repo[D, K], ix *Index, tuple []byte) (D, error) {
	ctx, op := r.col.core.begin(ctx, "GetUnique", r.col.name, ix.Name)
	d, err := getUnique(ctx, r, ix, tuple)
	op.end(one(err == nil), err)
	return d, err
}

func getUnique[D any, K comparable](ctx context.Context, r *Repo[D, K], ix *Index, tuple []byte) (none D, err error) {
	if r.in != nil {
		return uniqueIn(ctx, r, ix, tuple)
	}
	page, err := onePage(ctx, r.plan(ix, tuple), r.docs, 1)
	if err != nil {
		return none, err
	}
	if len(page.Items) == 0 {
		return noneWith(r, ix)
	}
	return page.Items[0], nil
}

func noneWith[D any, K comparable](r *Repo[D, K], ix *Index) (none D, err error) {
	return none, fmt.Errorf("kixx: %s with this %s: %w", r.schema.Name, ix.Name, ErrNotFound)
}

// uniqueIn is GetUnique in a scope: a transaction depends on two keys then, and not on a range.
func uniqueIn[D any, K comparable](ctx context.Context, r *Repo[D, K], ix *Index, tuple []byte) (none D, err error) {
	e, err := r.in.one(ctx, r.col, r.col.place(ix), tuple, r.deleted)
	if err != nil {
		return none, err
	}
	if e == nil {
		return noneWith(r, ix)
	}
	return r.schema.Clone(e.doc.(D)), nil
}
