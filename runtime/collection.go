package kixx

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/kixxgen/kixxgen/runtime/gen"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// A collection is what the runtime knows of one entity in one namespace. It works on bytes and on documents as any, so
// that it is compiled once and not for each entity: codec has the functions that know the type.
type collection struct {
	db      *DB
	core    *core
	name    string
	own     schemaRecord // the schema; its number is that of the registration
	migrate []Migration
	indexes []*Index
	soft    bool // documents can be marked as deleted; the last index is [keyIndex]
	codec   codec
	schema  any // the *Schema, to tell two Go types with one name apart
	builder builder

	key           []byte // of its record in the catalogue
	reg           atomic.Pointer[registration]
	recordVersion atomic.Uint64 // of the record, as last published; only on coherent stores
	refreshing    sync.Mutex
}

// A codec is the part of a [Schema] that the collection calls, with documents as any.
type codec struct {
	append func(b []byte, doc any, u *gen.Unknown) []byte
	read   func(body []byte, rev Rev, u *gen.Unknown) (doc any, rest []byte, err error)
	clone  func(doc any) any
	index  func(doc any, e *Entries)
	rev    func(doc any) *Rev
	marked func(doc any) bool  // as deleted
	key    func(id []byte) any // the key as an application knows it, for errors
}

// register enters the collection into the catalogue and builds what it has to.
func (c *collection) register(ctx context.Context) error {
	c.core.catalogueMu.Lock()
	c.core.catalogued[string(c.key)] = c
	c.core.catalogueMu.Unlock()
	r, version, err := c.db.changeRecord(ctx, c.name, func(r *record, fresh bool) (bool, error) {
		changed, err := r.register(&c.own, c.indexes)
		if fresh {
			for i := range r.Indexes {
				r.Indexes[i].State = indexReady // there are no documents yet
			}
		}
		return changed, err
	})
	if err != nil {
		return err
	}
	c.take(r, version)
	return c.startBuild(ctx)
}

// take makes a record that was read or written the one to go by.
func (c *collection) take(r *record, version store.Version) *registration {
	reg := r.registration(c.db.id, version, &c.own, c.indexes)
	c.reg.Store(reg)
	if c.core.limits.Coherent {
		// If the record was published anew meanwhile, the hook has stored that version, or will: then this one is not it.
		c.recordVersion.CompareAndSwap(0, uint64(version))
	}
	return reg
}

// refresh reads the record again.
func (c *collection) refresh(ctx context.Context) (*registration, error) {
	c.refreshing.Lock()
	defer c.refreshing.Unlock()
	r, version, err := readRecord(ctx, c.core.st, c.key)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, fmt.Errorf("kixx: %w: the catalogue has lost the collection %s", ErrCorrupt, c.name)
	}
	return c.take(r, version), nil
}

// changed reports whether the record is another one than the one that reg was made from.
func (c *collection) changed(ctx context.Context, reg *registration) (bool, error) {
	if c.core.limits.Coherent {
		return c.recordVersion.Load() != uint64(reg.version), nil
	}
	items, err := c.core.st.Get(ctx, c.key)
	if err != nil {
		return false, err
	}
	return items[0].Version != reg.version, nil
}

// writable returns the registration to write with. Before its first write, a schema sets to stale what it does not keep:
// from then on nobody reads an index that this writer leaves out.
func (c *collection) writable(ctx context.Context) (*registration, error) {
	reg := c.reg.Load()
	if !reg.foreign {
		return reg, nil
	}
	r, version, err := c.db.changeRecord(ctx, c.name, func(r *record, _ bool) (bool, error) {
		r.retire(c.indexes)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	c.core.options.store.Logger.Warn("kixx: indexes of another schema are stale now; they are built anew when it is opened again", "event", "index.stale", "entity", c.name)
	return c.take(r, version), nil
}

// load returns the stored document; nil if there is none. If sure is not asked for, a store that is not coherent is not
// asked either when the cache has the document: the guard of the write decides whether it was the newest. isSure says
// which it was.
func (c *collection) load(ctx context.Context, in *scope, key []byte, sure bool) (e *cached, isSure bool, err error) {
	if in != nil {
		e, err = in.load(ctx, c, key)
		return e, true, err
	}
	if err := c.core.unbound(ctx, c.name); err != nil {
		return nil, false, err
	}
	e = c.core.cache.get(key)
	if c.core.closed.Load() {
		return nil, false, ErrClosed
	}
	coherent := c.core.limits.Coherent
	if e != nil && (coherent || !sure) {
		return e, coherent, nil
	}
	mark := c.core.cache.mark()
	items, err := c.core.st.Get(ctx, key)
	if err != nil {
		return nil, false, c.wrap(key, err)
	}
	c.core.countItems(ctx, items)
	item := &items[0]
	if item.Version == store.Absent {
		if !coherent {
			c.core.cache.remove(key)
		}
		return nil, true, nil
	}
	if e != nil && e.version == item.Version {
		return e, true, nil
	}
	if e, err = c.decode(key, item.Value, item.Version); err != nil {
		return nil, false, err
	}
	if coherent {
		c.core.cache.fill(key, e, mark)
	} else {
		c.core.cache.put(key, e)
	}
	return e, true, nil
}

// get returns the items of several documents, all of one snapshot, and the mark for decoded.
func (c *collection) get(ctx context.Context, in *scope, keys [][]byte) (items []store.Item, mark uint64, err error) {
	if in != nil {
		items, err = in.getMany(ctx, c, keys)
		c.core.countItems(ctx, items)
		return items, noFill, err
	}
	if err := c.core.unbound(ctx, c.name); err != nil {
		return nil, 0, err
	}
	mark = c.core.cache.mark()
	items, err = c.core.st.Get(ctx, keys...)
	c.core.countItems(ctx, items)
	if err != nil {
		err = fmt.Errorf("kixx: %s: %w", c.name, err)
	}
	return items, mark, err
}

// decode reads the value of a document.
func (c *collection) decode(key, value []byte, version store.Version) (*cached, error) {
	env, body, err := parseEnvelope(value)
	if err != nil {
		return nil, c.wrap(key, err)
	}
	if env.schema != c.reg.Load().schema {
		if body, err = c.upcast(env.schema, body); err != nil {
			return nil, c.wrap(key, err)
		}
	}
	u := new(gen.Unknown)
	doc, rest, err := c.codec.read(body, env.rev, u)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes follow the document", len(rest))
	}
	if err != nil {
		return nil, c.wrap(key, fmt.Errorf("%w: it cannot be read: %w", ErrCorrupt, err))
	}
	deleted := c.codec.marked(doc)
	switch {
	case env.deleted && !c.soft:
		return nil, c.wrap(key, fmt.Errorf("%w: it is marked as deleted, which this schema does not know; it was written by another one", ErrSchema))
	case env.deleted != deleted && env.schema == c.reg.Load().schema: // another schema may have had the field without its meaning
		return nil, c.wrap(key, fmt.Errorf("%w: its envelope and its field do not agree on whether it is deleted", ErrCorrupt))
	}
	return &cached{version: version, rev: env.rev, doc: doc, deleted: deleted, unknown: u.OrNil(), col: c, weight: weigh(key, value)}, nil
}

// weigh estimates what a cached document takes: its strings, as much again for the rest of the struct, and a fixed part.
func weigh(key, value []byte) int32 { return int32(min(len(key)+2*len(value)+200, math.MaxInt32)) }

// wrap adds which document it was about.
func (c *collection) wrap(key []byte, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("kixx: %s %s: %w", c.name, showKey(c.keyOf(key)), err)
}

// keyOf returns the application's key in a document's key. What a damaged entry has instead may be no key at all.
func (c *collection) keyOf(key []byte) any {
	if len(key) < headerLen {
		return fmt.Sprintf("%x", key)
	}
	return c.codec.key(key[headerLen:])
}

// write changes one document: prepare gets the stored one (nil: there is none) and returns what to store instead, a copy
// that belongs to write, or nil to delete. It is called again whenever the document, the catalogue or a unique index was
// changed meanwhile. Its error comes back as it is.
func (c *collection) write(ctx context.Context, in *scope, key []byte, prepare func(old *cached) (doc any, err error)) (doc any, err error) {
	if in != nil {
		one := []manyDoc{{key: key, prepare: prepare}}
		if err := in.write(ctx, c, one); err != nil {
			return nil, err
		}
		return one[0].doc, nil
	}
	w := writers.Get().(*writer)
	defer func() { w.release(err) }()
	endTurn, err := c.core.turns.join(ctx, key)
	if err != nil {
		return nil, c.wrap(key, err)
	}
	defer func() {
		if endTurn != nil {
			endTurn()
		}
	}()
	sure := false
	for tries := 1; ; {
		reg, err := c.writable(ctx)
		if err != nil {
			return nil, err
		}
		c.core.cache.lookups.Add(1)
		old, isSure, err := c.load(ctx, nil, key, sure)
		if err != nil {
			return nil, err
		}
		doc, err := prepare(old)
		if err != nil && !isSure {
			sure = true
			continue
		}
		if err != nil {
			return nil, err
		}
		w.reset(c.db)
		if err := w.change(c, reg, key, old, doc); err != nil {
			return nil, err
		}
		err = w.commit(ctx)
		if err == nil {
			return doc, nil
		}
		lost, err := w.conflict(ctx, err)
		if err != nil {
			return nil, err
		}
		sure = true
		if !lost {
			continue
		}
		if tries++; tries > c.core.options.tries {
			return nil, &BusyError{Entity: c.name, Key: c.keyOf(key), Tries: tries - 1}
		}
		c.core.counts.retries.Add(1)
		if endTurn == nil {
			endTurn, err = c.core.turns.take(ctx, key)
		} else {
			err = c.core.backoff(ctx, tries-2)
		}
		if err != nil {
			return nil, fmt.Errorf("kixx: %s %s: %w while it was changed by others", c.name, showKey(c.keyOf(key)), err)
		}
	}
}

// A manyDoc is one document of writeMany; prepare is as in write, and doc what it returned at last.
type manyDoc struct {
	key     []byte
	prepare func(old *cached) (doc any, err error)
	doc     any
}

// writeMany changes several documents in one commit.
func (c *collection) writeMany(ctx context.Context, in *scope, docs []manyDoc) (err error) {
	if in != nil {
		return in.write(ctx, c, docs)
	}
	w := writers.Get().(*writer)
	defer func() { w.release(err) }()
	sure := false
	for tries := 1; ; {
		reg, err := c.writable(ctx)
		if err != nil {
			return err
		}
		w.reset(c.db)
		again := false
		for i := range docs {
			d := &docs[i]
			c.core.cache.lookups.Add(1)
			old, isSure, err := c.load(ctx, nil, d.key, sure)
			if err != nil {
				return err
			}
			if d.doc, err = d.prepare(old); err != nil {
				if isSure {
					return err
				}
				again = true
				break
			}
			if err := w.change(c, reg, d.key, old, d.doc); err != nil {
				return err
			}
		}
		if again {
			sure = true
			continue
		}
		err = w.commit(ctx)
		if err == nil {
			return nil
		}
		lost, err := w.conflict(ctx, err)
		if err != nil {
			return err
		}
		sure = true
		if !lost {
			continue
		}
		if tries++; tries > c.core.options.tries {
			return &BusyError{Entity: c.name, Key: c.keyOf(docs[0].key), Tries: tries - 1}
		}
		c.core.counts.retries.Add(1)
		if err := c.core.backoff(ctx, tries-2); err != nil {
			return c.wrap(docs[0].key, err)
		}
	}
}

// decoded returns the document of an item, nil if it is absent. A document that had to be read goes into the cache,
// unless something was published since mark.
func (c *collection) decoded(key []byte, item *store.Item, mark uint64) (*cached, error) {
	if e, ok := item.Decoded.(*cached); ok {
		return e, nil
	}
	if item.Version == store.Absent {
		return nil, nil
	}
	if e := c.core.cache.find(key); e != nil && e.version == item.Version {
		return e, nil
	}
	e, err := c.decode(key, item.Value, item.Version)
	if err != nil {
		return nil, err
	}
	if c.core.limits.Coherent && mark != noFill {
		c.core.cache.fill(key, e, mark)
	}
	return e, nil
}

// noFill is the mark of a read that must not fill the cache: what a snapshot sees may be old.
const noFill = ^uint64(0)
