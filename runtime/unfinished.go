package kixx

import (
	"bytes"
	"context"
	"slices"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// guardUnfinished makes a commit keep unique indexes right that are not built yet. Of such an index the entry of a
// document may not be there, or be that of another document with the same value, which the build has not met so far: to
// take that one away would leave the other document without an entry, in an index that is soon taken for whole. So the
// entries that documents give up are read first, and only their own are removed.
func (w *writer) guardUnfinished(ctx context.Context) error {
	if !slices.ContainsFunc(w.changes[:w.used], (*change).unfinished) {
		return nil
	}
	ops := w.batch.Ops[:0]
	for _, op := range w.batch.Ops {
		if !w.unfinished(op.Key) || !op.Delete && op.Guard != (store.Guard{}) {
			ops = append(ops, op)
			continue
		}
		items, err := w.db.core.st.Get(ctx, op.Key)
		if err != nil {
			return w.wrap(err)
		}
		have := &items[0]
		switch {
		case have.Version != store.Absent && w.givesUp(have.Value, op.Key), !op.Delete && have.Version == store.Absent:
			op.Guard = store.At(have.Version)
			ops = append(ops, op)
		case op.Delete:
			w.batch.Checks = append(w.batch.Checks, store.Check{Key: op.Key, Version: have.Version})
		default: // one document of the commit gives the value up, another one takes it, and a third one has it
			return w.uniqueError(op.Value, op.Key, have.Value)
		}
	}
	w.batch.Ops = ops
	return nil
}

// unfinished reports whether the collection has a unique index, and an index that is kept and not built yet.
func (ch *change) unfinished() bool {
	return slices.ContainsFunc(ch.col.indexes, func(ix *Index) bool { return ix.Unique }) &&
		slices.ContainsFunc(ch.reg.indexes, func(n indexNumber) bool { return n.kept && !n.ready })
}

// unfinished reports whether key is in a unique index that is not built yet.
func (w *writer) unfinished(key []byte) bool {
	if isDocument(key) || isCatalogue(key) {
		return false
	}
	for _, ch := range w.changes[:w.used] {
		if bytes.Equal(key[:indexAt], ch.reg.header[:indexAt]) {
			at := ch.reg.place(key)
			return at >= 0 && ch.col.indexes[at].Unique && !ch.reg.indexes[at].ready
		}
	}
	return false
}

// givesUp reports whether the document with a key is one of the commit that has had an entry and does not keep it.
func (w *writer) givesUp(key, entry []byte) bool {
	for _, ch := range w.changes[:w.used] {
		if bytes.Equal(ch.key, key) {
			return ch.old.has(entry) && !ch.new.has(entry)
		}
	}
	return false
}

// has reports whether an entry is among e.
func (e *Entries) has(key []byte) bool {
	return slices.ContainsFunc(e.found, func(en entry) bool { return bytes.Equal(e.key(&en), key) })
}
