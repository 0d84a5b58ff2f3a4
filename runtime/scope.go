package kixx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/btree"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// A Scope is what the With method of a repository takes: a [*Tx] or a [*Snapshot]. A repository that is bound to one sees
// the state that it stands for, and in a transaction writes to it.
type Scope interface{ scoped() *scope }

// ScopeOf returns the scope whose function was called with ctx, or with a context made from it; nil if there is none. A
// hook that has repositories of its own binds them to it: With(nil) is the repository as it is.
func ScopeOf(ctx context.Context) Scope {
	if sc := scopeIn(ctx); sc != nil {
		return sc.public
	}
	return nil
}

type scopeKey struct{}

// scopeIn returns the scope that ctx is marked with, or nil.
func scopeIn(ctx context.Context) *scope {
	sc, _ := ctx.Value(scopeKey{}).(*scope)
	return sc
}

// mark returns a context that is marked with sc.
func (sc *scope) mark(ctx context.Context) context.Context {
	if scopeIn(ctx) == sc {
		return ctx
	}
	return context.WithValue(ctx, scopeKey{}, sc)
}

// unbound returns an error if ctx is that of a scope's function: a repository that was not bound to it would see another
// state than the ones that were. It costs nothing while no scope is open.
func (c *core) unbound(ctx context.Context, entity string) error {
	if c.scopes.Load() == 0 {
		return nil
	}
	if sc := scopeIn(ctx); sc != nil && sc.db.core == c {
		return fmt.Errorf("kixx: %s: %w: the context is that of a %s, and the repository is not bound to it; use its With, or the context from outside", entity, ErrTxScope, sc.kind())
	}
	return nil
}

// A scope is one state of the store, and what a transaction has written on top of it. Its methods may be called by several
// goroutines.
//
// What a transaction writes is kept as it will be in the store: documents and index entries in one sorted tree, own. So
// queries need not know of it: a [scopeReader] merges it into what the snapshot has.
type scope struct {
	db     *DB
	public Scope
	tx     bool
	token  store.Token // of the snapshot

	mu    sync.Mutex
	snap  store.SnapshotReader // nil: the scope has ended
	again error                // why a transaction must run again, whatever its function returns
	uses  []use
	items []store.Item

	// of a transaction
	own    *btree.BTreeG[ownItem]
	docs   map[string]*scopeDoc
	order  []*scopeDoc              // as they were last written
	reads  map[string]store.Version // of documents and unique entries that the snapshot was asked for
	ranges []store.RangeCheck

	turns turns // of the goroutines of the transaction, which lost a document to each other
}

// A use is a collection with its record as the snapshot has it.
type use struct {
	col *collection
	reg *registration
}

// A scopeDoc is a document that the transaction has written.
type scopeDoc struct {
	old    *cached // in the snapshot; nil: not there
	change *change
	made   any                         // the document as it was prepared; nil: it is deleted
	after  func(context.Context) error // AfterSet; nil: none
}

// An ownItem is a key that the transaction has put or deleted: a document, or an entry of an index. A unique entry can be
// given up by one document and taken by another one, in any order. Items are never changed: readers keep clones of the tree.
type ownItem struct {
	key  string
	doc  *cached  // of a document that is there
	dels int      // documents that give up the entry
	puts [][]byte // values of those that make it; the last one is what is read
}

func (it *ownItem) there() bool { return it.doc != nil || len(it.puts) > 0 }

// ownVersion is the version of what is not stored yet. No store gives it.
const ownVersion = ^store.Version(0)

func newScope(db *DB, tx bool) *scope {
	sc := &scope{db: db, tx: tx}
	if tx {
		sc.own = btree.NewG(16, func(a, b ownItem) bool { return a.key < b.key })
		sc.docs = make(map[string]*scopeDoc)
		sc.reads = make(map[string]store.Version)
	}
	return sc
}

func (sc *scope) kind() string {
	if sc.tx {
		return "transaction"
	}
	return "snapshot"
}

// end ends the scope: the repositories that are bound to it are of no use any more.
func (sc *scope) end() {
	sc.mu.Lock()
	sc.snap = nil
	sc.mu.Unlock()
}

// use returns the registration of c that holds in the snapshot. mu is held.
func (sc *scope) use(ctx context.Context, c *collection) (*registration, error) {
	switch {
	case c.db != sc.db:
		return nil, fmt.Errorf("kixx: %s: %w: the repository is of another database or namespace than the %s", c.name, ErrTxScope, sc.kind())
	case sc.snap == nil:
		return nil, fmt.Errorf("kixx: %s: %w: the %s that the repository is bound to has ended", c.name, ErrTxScope, sc.kind())
	}
	for _, u := range sc.uses {
		if u.col == c {
			return u.reg, nil
		}
	}
	// Another program may have changed the record since the snapshot: what the snapshot says is what its indexes are like.
	reg := c.reg.Load()
	items, err := sc.snap.Get(ctx, c.key)
	if err != nil {
		return nil, sc.failed(fmt.Errorf("kixx: %s: %w", c.name, err))
	}
	if items[0].Version != reg.version {
		r, version, err := readRecord(ctx, sc.snap, c.key)
		if err != nil {
			return nil, sc.failed(fmt.Errorf("kixx: %s: %w", c.name, err))
		}
		if r == nil {
			return nil, fmt.Errorf("kixx: %s: %w: the snapshot is older than the collection", c.name, ErrTxScope)
		}
		reg = r.registration(c.db.id, version, &c.own, c.indexes)
	}
	sc.uses = append(sc.uses, use{c, reg})
	return reg, nil
}

// failed notes that a transaction must begin anew where the store cannot read its snapshot any longer. It returns err.
func (sc *scope) failed(err error) error {
	if sc.again == nil && errors.Is(err, store.ErrSnapshotTooOld) {
		sc.again = err
	}
	return err
}

// load returns a document as the scope has it; nil if there is none.
func (sc *scope) load(ctx context.Context, c *collection, key []byte) (*cached, error) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if _, err := sc.use(ctx, c); err != nil {
		return nil, err
	}
	return sc.loadLocked(ctx, c, key)
}

func (sc *scope) loadLocked(ctx context.Context, c *collection, key []byte) (*cached, error) {
	if d := sc.docs[string(key)]; d != nil {
		return d.change.stored, nil
	}
	item, err := sc.get(ctx, key)
	if err != nil {
		return nil, c.wrap(key, err)
	}
	return c.decoded(key, &item, noFill)
}

// get reads one key of the snapshot. mu is held.
func (sc *scope) get(ctx context.Context, key []byte) (store.Item, error) {
	item := store.Item{Key: key}
	if core := sc.db.core; core.limits.Coherent {
		// A page can take the document from the cache.
		core.cache.lookups.Add(1)
		p := store.Page{Lo: key, Hi: append(slices.Clip(key), 0), Limit: 1, Cached: core.cachedFunc, Into: sc.items[:0]}
		items, err := sc.snap.Page(ctx, p)
		if err != nil {
			return item, sc.failed(err)
		}
		if len(items) == 1 {
			item = items[0]
		}
		clear(items)
		sc.items = items
	} else {
		items, err := sc.snap.Get(ctx, key)
		if err != nil {
			return item, sc.failed(err)
		}
		item = items[0]
	}
	sc.read(key, item.Version)
	sc.db.core.count(ctx, 1, int64(len(item.Value)))
	return item, nil
}

// getMany returns the items of several documents as the scope has them.
func (sc *scope) getMany(ctx context.Context, c *collection, keys [][]byte) ([]store.Item, error) {
	sc.mu.Lock()
	_, err := sc.use(ctx, c)
	sc.mu.Unlock()
	if err != nil {
		return nil, err
	}
	items, err := sc.reader().Get(ctx, keys...)
	if err != nil {
		err = fmt.Errorf("kixx: %s: %w", c.name, err)
	}
	return items, err
}

// read notes that the transaction depends on a key. mu is held.
func (sc *scope) read(key []byte, v store.Version) {
	if sc.tx {
		sc.reads[string(key)] = v
	}
}

// write changes documents: all of them, or none if there is an error. See [collection.writeMany].
func (sc *scope) write(ctx context.Context, c *collection, docs []manyDoc) error {
	if !sc.tx {
		return fmt.Errorf("kixx: %s: %w: a snapshot is for reading", c.name, ErrReadOnly)
	}
	sc.mu.Lock()
	reg, err := sc.use(ctx, c)
	sc.mu.Unlock()
	if err != nil {
		return err
	}
	if reg.foreign {
		if _, err := c.writable(ctx); err != nil {
			return err
		}
		return sc.restart(c, "the indexes of another schema had to be set to stale")
	}
	var endTurn func()
	defer func() {
		if endTurn != nil {
			endTurn()
		}
	}()
	if endTurn, err = sc.turns.join(ctx, docs[0].key); err != nil {
		return c.wrap(docs[0].key, err)
	}
	olds := make([]*cached, len(docs))
	for tries := 1; ; tries++ {
		for i := range docs {
			d := &docs[i]
			if olds[i], err = sc.load(ctx, c, d.key); err != nil {
				return err
			}
			if d.doc, err = d.prepare(olds[i]); err != nil { // calls the application
				return err
			}
		}
		if done, err := sc.put(ctx, c, reg, docs, olds); done || err != nil {
			return err
		}
		// As in collection.write. A change that writes its own document through the scope never comes to an end.
		if tries >= c.core.options.tries {
			return &BusyError{Entity: c.name, Key: c.keyOf(docs[0].key), Tries: tries}
		}
		if endTurn == nil {
			endTurn, err = sc.turns.take(ctx, docs[0].key)
		} else {
			err = c.core.backoff(ctx, tries-1)
		}
		if err != nil {
			return fmt.Errorf("kixx: %s %s: %w while it was changed by others", c.name, showKey(c.keyOf(docs[0].key)), err)
		}
	}
}

// put writes the documents that were made of olds. It is not done if another goroutine of the transaction has written one of
// them meanwhile.
func (sc *scope) put(ctx context.Context, c *collection, reg *registration, docs []manyDoc, olds []*cached) (done bool, err error) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if _, err := sc.use(ctx, c); err != nil {
		return false, err // the transaction has ended meanwhile
	}
	next := make([]*scopeDoc, len(docs))
	for i := range docs {
		if d := sc.docs[string(docs[i].key)]; d != nil && d.change.stored != olds[i] {
			return false, nil
		}
		if next[i], err = sc.next(ctx, c, reg, &docs[i]); err != nil {
			return false, err
		}
	}
	for _, d := range next {
		sc.apply(d)
	}
	return true, nil
}

// restart makes the transaction run again.
func (sc *scope) restart(c *collection, why string) error {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if sc.again == nil {
		sc.again = fmt.Errorf("kixx: %s: %w: %s", c.name, ErrConflict, why)
	}
	return sc.again
}

// next returns what a document becomes.
func (sc *scope) next(ctx context.Context, c *collection, reg *registration, m *manyDoc) (*scopeDoc, error) {
	d := &scopeDoc{change: new(change), made: m.doc}
	base := (*cached)(nil)
	if before := sc.docs[string(m.key)]; before != nil {
		d.old, base = before.old, before.change.stored
	} else {
		e, err := sc.loadLocked(ctx, c, m.key)
		if err != nil {
			return nil, err
		}
		d.old, base = e, e
	}
	return d, d.change.set(c, reg, m.key, d.old, base, m.doc)
}

// apply makes d the state of its document.
func (sc *scope) apply(d *scopeDoc) {
	key := string(d.change.key)
	if before := sc.docs[key]; before != nil {
		for _, op := range before.change.addEntries(nil) {
			sc.retract(&op)
		}
		sc.order = slices.DeleteFunc(sc.order, func(o *scopeDoc) bool { return o == before })
	}
	sc.docs[key] = d
	sc.order = append(sc.order, d)
	sc.own.ReplaceOrInsert(ownItem{key: key, doc: d.change.stored})
	for _, op := range d.change.addEntries(nil) {
		it, _ := sc.own.Get(ownItem{key: string(op.Key)})
		it.key = string(op.Key)
		if op.Delete {
			it.dels++
		} else {
			it.puts = append(slices.Clip(it.puts), op.Value)
		}
		sc.own.ReplaceOrInsert(it)
	}
}

// retract takes back one operation on an entry.
func (sc *scope) retract(op *store.Op) {
	it, _ := sc.own.Get(ownItem{key: string(op.Key)})
	if op.Delete {
		it.dels--
	} else {
		i := slices.IndexFunc(it.puts, func(v []byte) bool { return bytes.Equal(v, op.Value) })
		it.puts = slices.Delete(slices.Clone(it.puts), i, i+1)
	}
	if it.dels == 0 && len(it.puts) == 0 {
		sc.own.Delete(it)
	} else {
		sc.own.ReplaceOrInsert(it)
	}
}

// reader returns a reader of the scope as it is now: what is written later is not seen by it, so that a loop over a query
// may write what it walks over.
func (sc *scope) reader() *scopeReader {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	r := &scopeReader{sc: sc}
	if sc.tx && sc.own.Len() > 0 {
		r.own = sc.own.Clone()
	}
	return r
}

// A scopeReader reads the snapshot with what the transaction had written when the reader was made.
type scopeReader struct {
	sc  *scope
	own *btree.BTreeG[ownItem] // nil: nothing
}

// get returns what the transaction wrote under a key.
func (r *scopeReader) get(key []byte) (ownItem, bool) {
	if r.own == nil {
		return ownItem{}, false
	}
	return r.own.Get(ownItem{key: string(key)})
}

// item returns it as an item of the store.
func (it *ownItem) item(key []byte) store.Item {
	out := store.Item{Key: key}
	switch {
	case it.doc != nil:
		out.Decoded, out.Version = it.doc, ownVersion
	case len(it.puts) > 0:
		out.Value, out.Version = it.puts[len(it.puts)-1], ownVersion
	}
	return out
}

var errScopeEnded = fmt.Errorf("%w: it was used after its function had returned", ErrTxScope)

func (r *scopeReader) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	items := make([]store.Item, len(keys))
	var rest [][]byte
	var at []int
	for i, key := range keys {
		if it, ok := r.get(key); ok {
			items[i] = it.item(key)
		} else {
			rest, at = append(rest, key), append(at, i)
		}
	}
	if len(rest) == 0 {
		return items, nil
	}
	sc := r.sc
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if sc.snap == nil {
		return nil, errScopeEnded
	}
	found, err := sc.snap.Get(ctx, rest...)
	if err != nil {
		return nil, sc.failed(err)
	}
	for i := range found {
		items[at[i]] = found[i]
		sc.read(rest[i], found[i].Version)
	}
	return items, nil
}

func (r *scopeReader) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	if own := r.within(&p); len(own) > 0 {
		return r.merged(ctx, p, own)
	}
	sc := r.sc
	first := len(p.Into)
	if p.Deref && sc.tx && !sc.db.core.limits.Coherent && sc.db.core.limits.RangeChecks {
		return r.merged(ctx, p, nil) // the store wants to know the versions of the entries
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	items, err := sc.page(ctx, p)
	if err != nil || !p.Deref {
		return items, err
	}
	for i := first; i < len(items); i++ {
		if it, ok := r.get(items[i].Key); ok { // a document whose entry here did not change
			entry := items[i].Entry
			items[i] = it.item(items[i].Key)
			items[i].Entry = entry
		}
	}
	return items, nil
}

// page reads a page of the snapshot, and notes what the transaction depends on. mu is held.
func (sc *scope) page(ctx context.Context, p store.Page) ([]store.Item, error) {
	if sc.snap == nil {
		return p.Into, errScopeEnded
	}
	first := len(p.Into)
	p.Room = nil // a page of the transaction may be made of several of the snapshot
	items, err := sc.snap.Page(ctx, p)
	if err != nil {
		return items, sc.failed(err)
	}
	if sc.tx {
		sc.readRange(p, items[first:])
	}
	return items, nil
}

// readRange notes a range that was read: all of it, or up to the last item of a full page. mu is held.
func (sc *scope) readRange(p store.Page, items []store.Item) {
	c := store.RangeCheck{Lo: bytes.Clone(p.Lo), Hi: bytes.Clone(p.Hi), Token: sc.token}
	if len(items) == p.Limit {
		last := bytes.Clone(entryKey(&items[len(items)-1]))
		if p.Reverse {
			c.Lo = last
		} else {
			c.Hi = append(last, 0)
		}
	}
	limits := sc.db.core.limits
	for i := range items {
		it := &items[i]
		if p.Deref || !limits.RangeChecks && isDocument(it.Key) {
			sc.read(it.Key, it.Version)
		}
		if !p.Deref && !limits.Coherent && limits.RangeChecks {
			c.Seen = append(c.Seen, store.Check{Key: it.Key, Version: it.Version})
		}
	}
	if p.Reverse {
		slices.Reverse(c.Seen)
	}
	if n := len(sc.ranges); n > 0 {
		// Pages of one query follow each other.
		switch last := &sc.ranges[n-1]; {
		case bytes.Equal(last.Hi, c.Lo) && last.Hi != nil:
			last.Hi, last.Seen = c.Hi, append(last.Seen, c.Seen...)
			return
		case bytes.Equal(last.Lo, c.Hi) && c.Hi != nil:
			last.Lo, last.Seen = c.Lo, append(c.Seen, last.Seen...)
			return
		}
	}
	sc.ranges = append(sc.ranges, c)
}

// within returns what the transaction wrote in the range of a page, in its direction.
func (r *scopeReader) within(p *store.Page) (own []ownItem) {
	if r.own == nil {
		return nil
	}
	take := func(it ownItem) bool {
		own = append(own, it)
		return true
	}
	if p.Hi == nil {
		r.own.AscendGreaterOrEqual(ownItem{key: string(p.Lo)}, take)
	} else {
		r.own.AscendRange(ownItem{key: string(p.Lo)}, ownItem{key: string(p.Hi)}, take)
	}
	if p.Reverse {
		slices.Reverse(own)
	}
	return own
}

// merged reads a page in whose range the transaction wrote: first the range, then the documents.
func (r *scopeReader) merged(ctx context.Context, p store.Page, own []ownItem) ([]store.Item, error) {
	in := p
	in.Deref, in.Into = false, nil
	if p.Deref {
		in.Cached = nil
	}
	in.Limit = p.Limit + len(own)
	items, err := r.mergeRange(ctx, in, own, p.Limit)
	if err != nil {
		return p.Into, err
	}
	if !p.Deref {
		return append(p.Into, items...), nil
	}
	keys := make([][]byte, len(items))
	for i := range items {
		keys[i] = items[i].Value
	}
	if len(keys) == 0 {
		return p.Into, nil
	}
	docs, err := r.Get(ctx, keys...)
	if err != nil {
		return p.Into, err
	}
	for i := range docs {
		docs[i].Entry = items[i].Key
	}
	return append(p.Into, docs...), nil
}

// mergeRange merges own into what the snapshot has in a range, up to limit items.
func (r *scopeReader) mergeRange(ctx context.Context, p store.Page, own []ownItem, limit int) (out []store.Item, err error) {
	var base []store.Item
	ended := false
	for len(out) < limit {
		if len(base) == 0 && !ended {
			r.sc.mu.Lock()
			base, err = r.sc.page(ctx, p)
			r.sc.mu.Unlock()
			if err != nil {
				return nil, err
			}
			if ended = len(base) < p.Limit; !ended {
				last := base[len(base)-1].Key
				if p.Reverse {
					p.Hi = last
				} else {
					p.Lo = append(bytes.Clone(last), 0)
				}
			}
			continue
		}
		order := 0 // of the next own key against the next one of the snapshot
		switch {
		case len(own) == 0 && len(base) == 0:
			return out, nil
		case len(own) == 0:
			order = 1
		case len(base) == 0:
			order = -1
		default:
			order = bytes.Compare([]byte(own[0].key), base[0].Key)
			if p.Reverse {
				order = -order
			}
		}
		if order > 0 {
			out, base = append(out, base[0]), base[1:]
			continue
		}
		if order == 0 {
			base = base[1:]
		}
		if own[0].there() {
			item := own[0].item([]byte(own[0].key))
			if p.KeysOnly {
				item.Value, item.Decoded = nil, nil
			}
			out = append(out, item)
		}
		own = own[1:]
	}
	return out, nil
}

// one returns the document that has a value of a unique index as the scope has it, nil if there is none: it reads points, and
// not a range. deleted says that it may be marked as deleted.
func (sc *scope) one(ctx context.Context, c *collection, place int, tuple []byte, deleted bool) (*cached, error) {
	sc.mu.Lock()
	reg, err := sc.use(ctx, c)
	sc.mu.Unlock()
	if err != nil {
		return nil, err
	}
	number := reg.indexes[place]
	if !number.ready {
		return nil, c.notReady(place, number)
	}
	h := reg.header.withIndex(number.number)
	r := sc.reader() // one for all: another goroutine of the transaction may write between the reads
	get := func(key []byte) (*store.Item, error) {
		items, err := r.Get(ctx, key)
		c.core.countItems(ctx, items)
		if err != nil {
			return nil, fmt.Errorf("kixx: query of %s: %w", c.name, err)
		}
		return &items[0], nil
	}
	entry, err := get(append(h[:], tuple...))
	if err == nil && entry.Value == nil && deleted {
		entry, err = get(otherHalf(append(h[:], tuple...)))
	}
	if err != nil || entry.Value == nil {
		return nil, err
	}
	item, err := get(entry.Value)
	if err != nil {
		return nil, err
	}
	e, err := c.decoded(entry.Value, item, noFill)
	if err == nil && e == nil {
		err = c.wrap(entry.Value, fmt.Errorf("%w: the index %s has an entry for it, but it is not there", ErrCorrupt, c.indexes[place].Name))
	}
	return e, err
}
