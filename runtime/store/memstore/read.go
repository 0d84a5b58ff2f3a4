package memstore

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"github.com/google/btree"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// longPage is the number of items up to which a page is read while writers wait. A longer one is read from a snapshot.
const longPage = 1000

var errEnded = errors.New("memstore: a snapshot was used after its function had returned")

// An item is a key with its value.
type item struct {
	key     string
	value   []byte // never nil
	version store.Version
}

// A view is one state of the map.
type view struct {
	tree *btree.BTreeG[item]
	pos  uint64 // position of the last change that it has; also the greatest version in it
}

// Get implements [store.Reader].
func (s *Store) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return s.get(keys), nil
}

// Page implements [store.Reader]. Apart from the growth of p.Into it allocates nothing for an item.
func (s *Store) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	if p.Limit > longPage {
		v, err := s.snapshot(ctx)
		if err != nil {
			return nil, err
		}
		return v.page(p)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return s.page(p)
}

// Snapshot implements [store.Store]. A snapshot costs writers some copies of tree nodes, and memory for what was changed
// since, for as long as it lasts.
func (s *Store) Snapshot(ctx context.Context, f func(store.SnapshotReader) error) error {
	v, err := s.snapshot(ctx)
	if err != nil {
		return err
	}
	r := &reader{view: v, token: s.token(v.pos)}
	defer func() { r.ended = true }()
	return f(r)
}

// snapshot returns a view that is never changed. All snapshots between two commits share one.
func (s *Store) snapshot(ctx context.Context) (*view, error) {
	s.mu.RLock()
	err, v := s.ready(ctx), s.shared
	s.mu.RUnlock()
	if err != nil || v != nil {
		return v, err
	}
	s.mu.Lock() // Clone changes the tree it copies
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if s.shared == nil {
		s.shared = &view{tree: s.tree.Clone(), pos: s.pos}
	}
	return s.shared, nil
}

// A reader is what Snapshot hands out.
type reader struct {
	view  *view
	token store.Token
	ended bool
}

func (r *reader) Token() store.Token { return r.token }

func (r *reader) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	if r.ended {
		return nil, errEnded
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return r.view.get(keys), nil
}

func (r *reader) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	if r.ended {
		return nil, errEnded
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return r.view.page(p)
}

func (v *view) get(keys [][]byte) []store.Item {
	items := make([]store.Item, len(keys))
	for i, key := range keys {
		if it, ok := v.tree.Get(item{key: asString(key)}); ok {
			items[i] = store.Item{Key: asBytes(it.key), Value: it.value, Version: it.version}
		} else {
			items[i].Key = []byte(string(key))
		}
	}
	return items
}

func (v *view) page(p store.Page) ([]store.Item, error) {
	if p.Limit < 1 {
		return nil, fmt.Errorf("memstore: a page of %d items was asked for; the limit is at least 1", p.Limit)
	}
	items, end := p.Into, len(p.Into)+p.Limit
	lo, hi := item{key: asString(p.Lo)}, item{key: asString(p.Hi)}
	add := func(it item) bool {
		items = append(items, v.read(it, &p))
		return len(items) < end
	}
	switch {
	case !p.Reverse && p.Hi == nil:
		v.tree.AscendGreaterOrEqual(lo, add)
	case !p.Reverse:
		v.tree.AscendRange(lo, hi, add)
	case p.Hi == nil:
		v.tree.Descend(func(it item) bool { return it.key >= lo.key && add(it) })
	default:
		v.tree.DescendLessOrEqual(hi, func(it item) bool {
			return it.key == hi.key || it.key >= lo.key && add(it)
		})
	}
	return items, nil
}

// read returns what a page holds for the item it of its range.
func (v *view) read(it item, p *store.Page) (out store.Item) {
	if p.Deref {
		out.Entry, out.Key = asBytes(it.key), it.value
	} else {
		out.Key = asBytes(it.key)
	}
	if p.KeysOnly {
		out.Version = it.version
		return out
	}
	if p.Cached != nil {
		// For the newest state the lock is held, so what is cached is what is stored. In a snapshot it may be newer.
		if decoded, version, ok := p.Cached(out.Key); ok && version <= store.Version(v.pos) {
			out.Decoded, out.Version = decoded, version
			return out
		}
	}
	if p.Deref {
		it, _ = v.tree.Get(item{key: asString(it.value)})
	}
	out.Value, out.Version = it.value, it.version
	return out
}

// asString returns b as a string without copying it, to look it up while b is the caller's.
func asString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// asBytes returns s as bytes without copying it. The bytes of a string may be in memory that cannot be written, which
// the contract allows: bytes that come out of a store must not be changed.
func asBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
