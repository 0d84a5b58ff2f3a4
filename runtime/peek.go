package kixx

import (
	"context"
	"iter"
	"maps"
	"slices"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// PeekWith returns what wrap makes of the shared document with this key, for generated code. wrap must let nobody change it.
//
//go:noinline
func PeekWith[P any, D any, K comparable](ctx context.Context, r *Repo[D, K], key K, wrap func(D) P) (P, error) {
	var none P
	core := r.col.core
	var op *operation
	if core.observer != nil { // without a call where nobody wants to know
		ctx, op = core.begin(ctx, "Peek", r.col.name, "")
	}
	k := core.keys.Get().(*keyBuffer)
	k.b = r.key(k.b[:0], key)
	if r.in == nil { // a scope counts for itself
		core.cache.lookedUp(k)
	}
	e, _, err := r.col.load(ctx, r.in, k.b, true)
	core.keys.Put(k) // a panic loses it, which does no harm
	if err == nil && (e == nil || r.hidden(e)) {
		err = r.notFound(key, e)
	}
	if op != nil {
		op.end(one(err == nil), err)
	}
	if err != nil {
		return none, err
	}
	return wrap(e.doc.(D)), nil
}

// PeekQuery returns q as it finds what wrap makes of the shared documents, for generated code.
//
//go:noinline
func PeekQuery[P any, D any, K comparable](q Query[D, K], wrap func(D) P) Query[P, K] {
	src := &source[P, K]{key: q.src.key}
	if f := q.src.fixed; f != nil {
		src.fixed = &fixed[P, K]{keys: f.keys, err: f.err}
		for _, d := range f.items {
			src.fixed.items = append(src.fixed.items, wrap(d))
		}
	} else {
		src.read = func(_ *store.Item, doc *cached) (P, error) { return wrap(doc.doc.(D)), nil }
	}
	return Query[P, K]{q.p, src}
}

// A ListView reads a slice that belongs to a shared document. It is a value, and safe for concurrent use.
type ListView[T any] struct{ list []T }

// ViewList returns a view of list, for generated code.
func ViewList[S ~[]T, T any](list S) ListView[T] { return ListView[T]{list} }

// Len returns the number of elements.
func (v ListView[T]) Len() int { return len(v.list) }

// At returns element i. It panics if there is none, as an index of a slice does.
func (v ListView[T]) At(i int) T { return v.list[i] }

// All returns all elements with their indexes.
func (v ListView[T]) All() iter.Seq2[int, T] { return slices.All(v.list) }

// Copy returns the elements in a slice of the caller's own; nil if the slice is nil.
func (v ListView[T]) Copy() []T { return slices.Clone(v.list) }

// A MapView reads a map that belongs to a shared document. It is a value, and safe for concurrent use.
type MapView[K comparable, V any] struct{ m map[K]V }

// ViewMap returns a view of m, for generated code.
func ViewMap[M ~map[K]V, K comparable, V any](m M) MapView[K, V] { return MapView[K, V]{m} }

// Len returns the number of entries.
func (v MapView[K, V]) Len() int { return len(v.m) }

// Get returns the value of a key, and whether there is one.
func (v MapView[K, V]) Get(key K) (V, bool) {
	value, ok := v.m[key]
	return value, ok
}

// All returns all entries, in no order.
func (v MapView[K, V]) All() iter.Seq2[K, V] { return maps.All(v.m) }

// Copy returns the entries in a map of the caller's own; nil if the map is nil.
func (v MapView[K, V]) Copy() map[K]V { return maps.Clone(v.m) }
