package kixx

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/kixxgen/kixxgen/runtime/ordered"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// A writer makes one commit: the documents that change, their index entries, and what the commit depends on.
//
//  1. Each document is guarded at the version that its old entries were computed from, so that they are the ones stored.
//  2. A unique entry is put only where there is none.
//  3. The catalogue record of each collection is a fence at the version that says which indexes to keep.
type writer struct {
	db      *DB
	batch   store.Batch
	cols    []*collection // with a fence in the batch
	changes []*change     // as many as there were ever; used counts those of this commit
	used    int
	values  []byte
	order   []sortKey  // for sortOps
	spare   []store.Op // for sortOps
	slot    int        // of the receipt, if there is one
	receipt bool
	several bool // it is a transaction: another writer may overwrite a document before an unknown outcome is settled
	handed  bool // an outcome was unknown, if only for a while: the bytes of the batch are the store's for good
}

// A change is one document of a commit.
type change struct {
	col      *collection
	reg      *registration
	key      []byte
	before   store.Version
	old, new Entries
	stored   *cached // nil: it is deleted
}

var writers = sync.Pool{New: func() any { return new(writer) }}

func (w *writer) reset(db *DB) {
	w.giveBackReceipt()
	if w.handed {
		*w = writer{}
	}
	w.db, w.used, w.cols = db, 0, w.cols[:0]
	w.values = w.values[:0]
	w.batch.ID = newBatchID()
	w.batch.Ops, w.batch.Checks, w.batch.Fences = w.batch.Ops[:0], w.batch.Checks[:0], w.batch.Fences[:0]
	w.batch.Ranges, w.several = nil, false
}

// release hands the writer on to the next commit, unless the store may still work on the bytes of its batch. err is what
// came of its own one.
func (w *writer) release(err error) {
	if errors.Is(err, ErrUnknown) {
		return // with its receipt, which may still be written
	}
	w.giveBackReceipt()
	if w.handed {
		return
	}
	clear(w.batch.Ops)
	for _, ch := range w.changes[:w.used] {
		ch.stored = nil
	}
	if cap(w.values) > 1<<20 {
		w.values = nil // one large document must not stay in memory for ever
	}
	writers.Put(w)
}

// fence makes the commit depend on the record that reg was made from.
func (w *writer) fence(c *collection, reg *registration) {
	if !slices.Contains(w.cols, c) {
		w.cols = append(w.cols, c)
		w.batch.Fences = append(w.batch.Fences, store.Check{Key: c.key, Version: reg.version})
	}
}

// change adds a document: old is what is stored, doc what is to be, nil where there is none. doc is not kept.
func (w *writer) change(c *collection, reg *registration, key []byte, old *cached, doc any) error {
	if w.used == len(w.changes) {
		w.changes = append(w.changes, new(change))
	}
	ch := w.changes[w.used]
	w.used++
	w.fence(c, reg)
	if err := ch.set(c, reg, key, old, old, doc); err != nil {
		return err
	}
	return w.add(ch)
}

// set computes what a change of the document with the key means. old is what is stored; base what doc was made from and
// takes its unknown fields from, which is another one within a transaction.
func (ch *change) set(c *collection, reg *registration, key []byte, old, base *cached, doc any) error {
	id := key[headerLen:]
	ch.col, ch.reg, ch.key, ch.before, ch.stored = c, reg, key, store.Absent, nil
	ch.old.reset(reg, c.indexes, id, old != nil && old.deleted)
	if old != nil {
		ch.before = old.version
		if err := c.index(&ch.old, key, old.doc); err != nil {
			return err
		}
	}
	if doc == nil {
		ch.new.reset(reg, c.indexes, id, false)
		return nil
	}
	if len(key) > store.MaxKey {
		return &KeyLengthError{Entity: c.name, Key: c.keyOf(key), Length: len(key)}
	}
	own, err := c.ownCopy(doc)
	if err != nil {
		return err
	}
	ch.stored = &cached{rev: *c.codec.rev(doc), doc: own, deleted: c.codec.marked(own), col: c}
	ch.new.reset(reg, c.indexes, id, ch.stored.deleted)
	if base != nil {
		ch.stored.unknown = base.unknown
	}
	if err := c.index(&ch.new, key, own); err != nil {
		return err
	}
	if at := ch.new.long; at >= 0 {
		return &KeyLengthError{Entity: c.name, Key: c.keyOf(key), Index: c.indexes[at].Name, Length: ch.new.length}
	}
	if ix := ch.new.many; ix != nil {
		return &InvalidError{Entity: c.name, Key: c.keyOf(key), Err: fmt.Errorf("the view %s emits one key more than 256 times", ix.Name)}
	}
	return nil
}

// add adds the operations of ch to the batch.
func (w *writer) add(ch *change) (err error) {
	defer refuse(ch.col.name, nil, &err)
	op := store.Op{Key: ch.key, Delete: ch.stored == nil, Guard: store.At(ch.before)}
	if ch.stored != nil {
		c := ch.col
		env := envelope{rev: ch.stored.rev, schema: ch.reg.schema, deleted: ch.stored.deleted}
		if c.core.limits.Settles {
			env.batch = w.batch.ID
		}
		at := len(w.values)
		w.values = c.codec.append(env.append(w.values), ch.stored.doc, ch.stored.unknown)
		op.Value = w.values[at:]
		op.Decoded = ch.stored
		ch.stored.weight = weigh(ch.key, op.Value)
	}
	w.batch.Ops = append(w.batch.Ops, op)
	w.batch.Ops = ch.addEntries(w.batch.Ops)
	return nil
}

// ownCopy returns the copy of a document that is stored, and shared by the cache.
func (c *collection) ownCopy(doc any) (own any, err error) {
	defer refuse(c.name, nil, &err)
	return c.codec.clone(doc), nil
}

// index adds the entries of the document with the key to e, sorted. A document whose entries cannot be stored is invalid.
func (c *collection) index(e *Entries, key []byte, doc any) (err error) {
	defer func() {
		if refused, ok := err.(*InvalidError); ok {
			refused.Key = c.keyOf(key)
		}
	}()
	defer refuse(c.name, nil, &err)
	c.codec.index(doc, e)
	e.sort()
	return nil
}

// addEntries adds what differs between the old and the new entries of a document, in the order of their keys.
func (ch *change) addEntries(ops []store.Op) []store.Op {
	old, new := ch.old.found, ch.new.found
	for len(old) > 0 || len(new) > 0 {
		order := 0
		switch {
		case len(old) == 0:
			order = 1
		case len(new) == 0:
			order = -1
		default:
			order = bytes.Compare(ch.old.key(&old[0]), ch.new.key(&new[0]))
		}
		if order < 0 {
			ops = append(ops, store.Op{Key: ch.old.key(&old[0]), Delete: true})
			old = old[1:]
			continue
		}
		en := &new[0]
		ix := ch.col.indexes[en.index]
		op := store.Op{Key: ch.new.key(en), Value: ch.key}
		if ix.View {
			op.Value = ch.new.value(en)
		}
		if ix.Unique {
			op.Guard = store.At(store.Absent)
		}
		if order > 0 || ix.View && !bytes.Equal(op.Value, ch.old.value(&old[0])) {
			ops = append(ops, op)
		}
		if order == 0 {
			old = old[1:]
		}
		new = new[1:]
	}
	return ops
}

// merge brings the operations of several documents into one order. Where one document gives up a unique value and
// another one takes it, the two become one put, guarded by the documents.
func (w *writer) merge() error {
	w.sortOps()
	ops := w.batch.Ops[:0]
	for _, op := range w.batch.Ops {
		if n := len(ops); n > 0 && bytes.Equal(ops[n-1].Key, op.Key) {
			last := &ops[n-1]
			switch {
			case last.Delete:
				op.Guard = store.Guard{}
				*last = op
			case op.Delete:
				last.Guard = store.Guard{}
			default:
				return w.uniqueError(op.Value, op.Key, last.Value)
			}
			continue
		}
		ops = append(ops, op)
	}
	w.batch.Ops = ops
	return nil
}

// A sortKey is an operation to be sorted: the first 24 bytes of its key, which decide nearly always, and its place.
type sortKey struct {
	a, b, c uint64
	i       int
}

// sortOps sorts the operations by their keys, and those of one key by their places. Operations are large, and their keys stand
// all over the memory: what is sorted is smaller, and has the beginnings of the keys in it.
func (w *writer) sortOps() {
	ops := w.batch.Ops
	keys := w.order[:0]
	for i := range ops {
		var b [24]byte
		copy(b[:], ops[i].Key)
		keys = append(keys, sortKey{binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:]), i})
	}
	slices.SortFunc(keys, func(x, y sortKey) int {
		switch {
		case x.a != y.a:
			return cmp.Compare(x.a, y.a)
		case x.b != y.b:
			return cmp.Compare(x.b, y.b)
		case x.c != y.c:
			return cmp.Compare(x.c, y.c)
		}
		return cmp.Or(bytes.Compare(ops[x.i].Key, ops[y.i].Key), cmp.Compare(x.i, y.i))
	})
	sorted := slices.Grow(w.spare[:0], len(ops))
	for _, k := range keys {
		sorted = append(sorted, ops[k.i])
	}
	clear(ops)
	w.order, w.batch.Ops, w.spare = keys, sorted, ops[:0]
}

// commit commits. An outcome that is unknown is settled, if the store lets one.
func (w *writer) commit(ctx context.Context) error {
	if w.used > 1 {
		if err := w.merge(); err != nil {
			return err
		}
	}
	if err := w.guardUnfinished(ctx); err != nil {
		return err
	}
	if err := w.checkOtherHalves(); err != nil {
		return err
	}
	if err := w.sortChecks(); err != nil {
		return err
	}
	w.addReceipt()
	core := w.db.core
	if core.options.portable {
		if err := w.batch.Check(core.limits); err != nil {
			return w.wrap(err)
		}
	}
	var unknown error
	for try := 0; ; try++ {
		version, err := core.st.Commit(ctx, &w.batch)
		w.handed = w.handed || errors.Is(err, ErrUnknown)
		switch {
		case err == nil:
			w.committed(version)
			core.countBatch(ctx, &w.batch)
			return nil
		case !core.limits.Settles:
			return err
		case errors.Is(err, ErrUnknown):
			unknown = err
		case unknown == nil:
			return err
		case !errors.Is(err, store.ErrConflict) && !errors.Is(err, ErrUnavailable):
			return unknown
		}
		applied, pending, rerr := w.readBack(ctx)
		switch {
		case rerr != nil:
			return unknown
		case applied != store.Absent:
			w.committed(applied)
			core.countBatch(ctx, &w.batch)
			return nil
		case !pending:
			return unknown
		case errors.Is(err, store.ErrConflict):
			return err // something else than the documents was changed; the batch was not applied
		}
		if core.backoff(ctx, try) != nil {
			return unknown
		}
	}
}

// sortChecks brings the checks into order. Two that want one key at two versions cannot both hold.
func (w *writer) sortChecks() error {
	slices.SortFunc(w.batch.Checks, func(a, b store.Check) int { return bytes.Compare(a.Key, b.Key) })
	checks := w.batch.Checks[:0]
	for _, c := range w.batch.Checks {
		if n := len(checks); n > 0 && bytes.Equal(checks[n-1].Key, c.Key) {
			if checks[n-1].Version != c.Version {
				return &store.ConflictError{Key: c.Key}
			}
			continue
		}
		checks = append(checks, c)
	}
	w.batch.Checks = checks
	return nil
}

// readBack settles an unknown outcome: applied is the version that the batch's puts have, if it was applied. If it was
// not, and the document is still as it was before, the same batch may be committed again: pending. A receipt, which nobody
// else overwrites, tells it in any case.
func (w *writer) readBack(ctx context.Context) (applied store.Version, pending bool, err error) {
	put := slices.IndexFunc(w.batch.Ops, func(op store.Op) bool { return !op.Delete && (isDocument(op.Key) || isCatalogue(op.Key)) })
	items, err := w.db.core.st.Get(ctx, w.batch.Ops[put].Key, w.changes[0].key)
	if err != nil {
		return 0, false, err
	}
	if it := &items[0]; it.Version != store.Absent {
		if isCatalogue(it.Key) {
			if bytes.Equal(it.Value, w.batch.ID[:]) {
				return it.Version, false, nil
			}
		} else if env, _, err := parseEnvelope(it.Value); err == nil && env.batch == w.batch.ID {
			return it.Version, false, nil
		}
	}
	return 0, w.receipt || items[1].Version == w.changes[0].before, nil
}

// committed counts the commit, and brings the cache up to it where the store does not do that.
func (w *writer) committed(version store.Version) {
	w.db.core.counts.commits.Add(1)
	if w.db.core.limits.Coherent {
		return
	}
	for _, ch := range w.changes[:w.used] {
		if ch.stored == nil {
			w.db.core.cache.remove(ch.key)
			continue
		}
		ch.stored.version = version
		w.db.core.cache.put(ch.key, ch.stored)
	}
}

// conflict says what a failed commit means: the write lost against another one of its documents, or of what it read, or it
// may be tried again at once, or its error is final.
func (w *writer) conflict(ctx context.Context, err error) (lost bool, final error) {
	var ce *store.ConflictError
	if !errors.As(err, &ce) {
		return false, w.wrap(err)
	}
	w.db.core.counts.conflicts.Add(1)
	for _, c := range w.cols {
		if ce.Key == nil || bytes.Equal(ce.Key, c.key) {
			if _, err := c.refresh(ctx); err != nil {
				return false, err
			}
			if ce.Key != nil {
				return false, nil
			}
		}
	}
	for _, ch := range w.changes[:w.used] {
		if bytes.Equal(ch.key, ce.Key) {
			return true, nil
		}
	}
	// What may be left is a unique value. Who has it may have given it up by now: then the write is tried again.
	for i := range w.batch.Ops {
		op := &w.batch.Ops[i]
		if op.Delete || isDocument(op.Key) || isCatalogue(op.Key) || ce.Key != nil && !bytes.Equal(ce.Key, op.Key) {
			continue
		}
		if v, guarded := op.Guard.Version(); !guarded || v != store.Absent {
			continue
		}
		items, err := w.db.core.st.Get(ctx, op.Key)
		if err != nil {
			return false, w.wrap(err)
		}
		if items[0].Version != store.Absent && !bytes.Equal(items[0].Value, op.Value) {
			return false, w.uniqueError(op.Value, op.Key, items[0].Value)
		}
	}
	return true, w.takenInOtherHalf(ctx, ce.Key)
}

// uniqueError says that the document with the key refused wants the unique entry that holder has.
func (w *writer) uniqueError(refused, entry, holder []byte) error {
	for _, ch := range w.changes[:w.used] {
		if !bytes.Equal(ch.key, refused) {
			continue
		}
		e := &UniqueError{Entity: ch.col.name, Key: ch.col.keyOf(refused), Holder: ch.col.keyOf(holder)}
		if i := ch.reg.place(entry); i >= 0 {
			e.Index = ch.col.indexes[i].Name
		}
		e.Deleted = entry[headerLen-1]&1 != 0
		return e
	}
	return fmt.Errorf("kixx: %w: the entry %x is taken", ErrUnique, entry) // not reached: who is refused is among the changes
}

// wrap adds which documents a store's error was about.
func (w *writer) wrap(err error) error {
	switch {
	case len(w.cols) > 1:
		return fmt.Errorf("kixx: %d documents of %d collections: %w", w.used, len(w.cols), err)
	case w.used > 1:
		return fmt.Errorf("kixx: %d documents of %s: %w", w.used, w.cols[0].name, err)
	}
	return w.changes[0].col.wrap(w.changes[0].key, err)
}

// A receipt is a key that a batch without a document puts, and a transaction, so that it can be read back. A writer takes a slot of its
// database's receipts for the time of the commit, so there are only as many keys as there are deletions at one time.
type receipts struct {
	owner [8]byte
	mu    sync.Mutex
	free  []int
	made  int
}

func (w *writer) addReceipt() {
	if !w.db.core.limits.Settles || !w.several && slices.ContainsFunc(w.changes[:w.used], func(ch *change) bool { return ch.stored != nil }) {
		return
	}
	r := &w.db.core.receipts
	r.mu.Lock()
	if n := len(r.free); n > 0 {
		w.slot, r.free = r.free[n-1], r.free[:n-1]
	} else {
		w.slot = r.made
		r.made++
	}
	r.mu.Unlock()
	w.receipt = true
	key := ordered.AppendInt(catalogueKey(w.db.id, "receipt", string(r.owner[:])), w.slot)
	op := store.Op{Key: key, Value: w.batch.ID[:]}
	w.batch.Ops = slices.Insert(w.batch.Ops, 0, op) // the catalogue sorts before every collection
}

func (w *writer) giveBackReceipt() {
	if !w.receipt {
		return
	}
	r := &w.db.core.receipts
	r.mu.Lock()
	r.free = append(r.free, w.slot)
	r.mu.Unlock()
	w.receipt = false
}

// newBatchID returns the name of a batch that no other one has.
func newBatchID() (id [8]byte) {
	binary.LittleEndian.PutUint64(id[:], rand.Uint64()|1) // not zero: an envelope takes that for "none"
	return id
}
