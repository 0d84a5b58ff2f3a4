package kixx

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/kixxgen/kixxgen/runtime/ordered"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// A SoftRepo is the repository of an entity with a deleted field: Delete marks a document with the time instead of removing
// it, and from then on only a repository WithDeleted sees it. Its index entries move to the other half of each index, so
// that queries of what is live need not look at it. Its key and its unique values stay taken until it is purged.
type SoftRepo[D any, K comparable] struct{ Repo[D, K] }

// NewSoftRepo is [NewRepo] for an entity with a deleted field.
func NewSoftRepo[D any, K comparable](ctx context.Context, db *DB, s *Schema[D, K]) (SoftRepo[D, K], error) {
	r, err := newRepo(ctx, db, s, true)
	return SoftRepo[D, K]{r}, err
}

// BindSoft is [Bind] for an entity with a deleted field.
func BindSoft[D any, K comparable](r *SoftRepo[D, K], s Scope) SoftRepo[D, K] {
	return SoftRepo[D, K]{Bind(&r.Repo, s)}
}

// WithDeleted returns r as it sees documents that are marked as deleted as well, for generated code.
func WithDeleted[D any, K comparable](r *SoftRepo[D, K]) SoftRepo[D, K] {
	all := *r
	all.deleted = true
	return all
}

// Restore takes the mark off a document, which is what it was before, with a revision of its own; hooks and validation run
// as for any write. A document that is not marked is returned as it is. If there is none, the error is [ErrNotFound].
func (r *SoftRepo[D, K]) Restore(ctx context.Context, key K) (D, error) {
	ctx, op := r.col.core.begin(ctx, "Restore", r.col.name, "")
	d, err := r.restore(ctx, key)
	op.end(one(err == nil), err)
	return d, err
}

func (r *SoftRepo[D, K]) restore(ctx context.Context, key K) (D, error) {
	var none D
	var asItIs D
	stored, err := r.col.write(ctx, r.in, r.key(nil, key), func(old *cached) (any, error) {
		asItIs = none
		if old == nil {
			return nil, r.notFound(key, nil)
		}
		d := r.schema.Clone(old.doc.(D))
		if !old.deleted {
			asItIs = d
			return nil, errAsItIs
		}
		if err := r.beforeSet(ctx, d); err != nil {
			return nil, err
		}
		r.schema.SetKey(d, key)
		live := r.Repo
		live.deleted = false
		return live.finish(d, key, old)
	})
	if err == errAsItIs {
		return asItIs, nil
	}
	if err != nil {
		return none, err
	}
	return r.after(ctx, stored.(D))
}

// errAsItIs ends a write that has nothing to do.
var errAsItIs = fmt.Errorf("kixx: nothing to do")

// Purge removes a document for good, marked or not: its key and its unique values are free afterwards, and a document that
// is made with its key is another one. If there is none, the error is [ErrNotFound].
func (r *SoftRepo[D, K]) Purge(ctx context.Context, key K) error {
	ctx, op := r.col.core.begin(ctx, "Purge", r.col.name, "")
	_, err := r.col.write(ctx, r.in, r.key(nil, key), func(old *cached) (any, error) {
		if old == nil {
			return nil, r.notFound(key, nil)
		}
		return nil, r.beforeDelete(ctx, old)
	})
	op.end(one(err == nil), err)
	return err
}

// marked returns what to store of a document that is deleted. It is not validated: what was valid once can be deleted.
func (r *Repo[D, K]) marked(old *cached) any {
	d := r.schema.Clone(old.doc.(D))
	m, before := r.schema.Meta(d), r.schema.Meta(old.doc.(D))
	*m.Rev = old.rev.next()
	r.touch(m, before)
	now := r.col.core.time()
	*m.Deleted = &now
	if r.schema.Canon != nil {
		r.schema.Canon(d)
	}
	return d
}

// softKeys adds the index of the keys of documents: like every index it has two halves, and documents never move. It is how
// a query by key leaves out what is deleted, without reading documents.
func (c *collection) softKeys() {
	ix := &Index{Name: "key", Of: "key", keys: true}
	c.indexes = append(slices.Clip(c.indexes), ix)
	fields := c.codec.index
	c.codec.index = func(doc any, e *Entries) {
		fields(doc, e)
		e.Add(ix, append(e.Key(), e.id...))
	}
}

// halves reports whether a plan reads both halves of an index.
func (p *plan) halves() bool { return p.deleted && p.ix != documents && p.col.soft }

// otherHalf adds the items of the half of what is deleted to those of the other one, and keeps the first n in order.
func (s *scan) otherHalf(ctx context.Context, r store.Reader, n int, want wanted) error {
	deleted := s.header
	deleted[headerLen-1] |= 1
	for i, bound := range [][]byte{s.lo, s.hi} {
		b := append(s.other[i][:0], deleted[:]...)
		if rest, within := bytes.CutPrefix(bound, s.header[:]); within {
			b = append(b, rest...)
		} else {
			b = ordered.PrefixEnd(b[:0], b) // where the half ends
		}
		s.other[i] = b
	}
	if err := s.half(ctx, r, s.other[0], s.other[1], n, want); err != nil {
		return err
	}
	slices.SortStableFunc(s.items, func(a, b store.Item) int {
		order := bytes.Compare(entryKey(&a)[headerLen:], entryKey(&b)[headerLen:])
		if s.plan.reverse {
			return -order
		}
		return order
	})
	s.items = s.items[:min(n, len(s.items))]
	return nil
}

// checkOtherHalves makes the commit depend on that no unique value is taken in the other half of its index: by a document
// that is marked as deleted, or, of one that is, by one that is not. It is an error if a document of the commit itself takes it
// there.
func (w *writer) checkOtherHalves() error {
	for _, ch := range w.changes[:w.used] {
		if !ch.col.soft {
			continue
		}
		for i := range ch.new.found {
			en := &ch.new.found[i]
			if !ch.col.indexes[en.index].Unique {
				continue
			}
			key := ch.new.key(en)
			if op := w.op(key); op == nil || op.Delete {
				continue // the document had the value before
			}
			other := otherHalf(key)
			switch op := w.op(other); {
			case op == nil:
				w.batch.Checks = append(w.batch.Checks, store.Check{Key: other, Version: store.Absent})
			case !op.Delete && !ch.stored.deleted: // the one that is marked has it
				return w.uniqueError(ch.key, other, op.Value)
			}
		}
	}
	return nil
}

// op returns the operation on a key, nil if there is none.
func (w *writer) op(key []byte) *store.Op {
	i, found := slices.BinarySearchFunc(w.batch.Ops, key, func(op store.Op, key []byte) int { return bytes.Compare(op.Key, key) })
	if !found {
		return nil
	}
	return &w.batch.Ops[i]
}

// takenInOtherHalf returns an error if a unique value of the commit is taken in the other half of its index. key is that of
// the conflict, nil if the store cannot tell.
func (w *writer) takenInOtherHalf(ctx context.Context, key []byte) error {
	for _, ch := range w.changes[:w.used] {
		if !ch.col.soft || ch.stored == nil {
			continue
		}
		for i := range ch.new.found {
			en := &ch.new.found[i]
			other := otherHalf(ch.new.key(en))
			if !ch.col.indexes[en.index].Unique || key != nil && !bytes.Equal(key, other) {
				continue
			}
			items, err := w.db.core.st.Get(ctx, other)
			if err != nil {
				return w.wrap(err)
			}
			if items[0].Version != store.Absent && !bytes.Equal(items[0].Value, ch.key) {
				return w.uniqueError(ch.key, other, items[0].Value)
			}
		}
	}
	return nil
}
