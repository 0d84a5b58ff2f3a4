package tikvstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/txnkv/txnsnapshot"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// latest is the timestamp of a read of one key that wants what was committed last. It saves the round trip to PD.
const latest = math.MaxUint64

// scanMost is the most keys that one request of a page asks for. More would be one answer of any size.
const scanMost = 256

var errEnded = errors.New("tikvstore: a snapshot was used after its function had returned")

// Get implements [store.Reader].
func (s *Store) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	end, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	ts := uint64(latest)
	if len(keys) > 1 {
		if ts, err = s.timestamp(ctx); err != nil {
			return nil, explain(ctx, "get", err)
		}
	}
	items, err := s.get(ctx, ts, keys)
	if err != nil {
		return nil, explain(ctx, "get", err)
	}
	return items, nil
}

// Page implements [store.Reader].
func (s *Store) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	return s.page(ctx, p, s.timestamp)
}

// PageAndVersion implements [store.PageVersioner]: the version is of the timestamp of the page, and read beside it.
func (s *Store) PageAndVersion(ctx context.Context, p store.Page, key []byte) (items []store.Item, version store.Version, err error) {
	end, err := s.begin()
	if err != nil {
		return nil, 0, err
	}
	defer end()
	ts, err := s.timestamp(ctx)
	if err != nil {
		return nil, 0, explain(ctx, "page", err)
	}
	key = slices.Clone(key)
	versionErr := make(chan error, 1)
	go func() {
		of, err := s.get(ctx, ts, [][]byte{key})
		if err == nil {
			version = of[0].Version
		}
		versionErr <- err
	}()
	items, err = s.page(ctx, p, func(context.Context) (uint64, error) { return ts, nil })
	if e := <-versionErr; err == nil && e != nil {
		err = explain(ctx, "page", e)
	}
	if err != nil {
		return nil, 0, err
	}
	return items, version, nil
}

// Snapshot implements [store.Store]. It is a timestamp, and costs nothing while f does not read.
func (s *Store) Snapshot(ctx context.Context, f func(store.SnapshotReader) error) error {
	end, err := s.begin()
	if err != nil {
		return err
	}
	began := time.Now() // before the timestamp, so that the snapshot is never thought younger than it is
	ts, err := s.timestamp(ctx)
	end()
	if err != nil {
		return explain(ctx, "snapshot", err)
	}
	r := &reader{s: s, ts: ts, began: began}
	defer func() { r.ended = true }()
	return f(r)
}

// A reader is what Snapshot hands out.
type reader struct {
	s     *Store
	ts    uint64
	began time.Time
	ended bool
}

// Token returns the zero Token: the store has neither watches nor range checks.
func (r *reader) Token() store.Token { return "" }

// check returns an error if the snapshot cannot be read any more. The client knows the safe point of the cluster too, but
// learns of it late: what is younger than the limit is surely there.
func (r *reader) check() error {
	if r.ended {
		return errEnded
	}
	if age := time.Since(r.began); age > limits.Snapshot {
		return fmt.Errorf("tikvstore: a snapshot was read for %v: %w", age.Round(time.Second), store.ErrSnapshotTooOld)
	}
	return nil
}

func (r *reader) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	end, err := r.s.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	items, err := r.s.get(ctx, r.ts, keys)
	if err != nil {
		return nil, explain(ctx, "get", err)
	}
	return items, nil
}

func (r *reader) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return r.s.page(ctx, p, func(context.Context) (uint64, error) { return r.ts, nil })
}

// get reads keys at a timestamp. The client's snapshots keep what they have read, so each read has one of its own.
func (s *Store) get(ctx context.Context, ts uint64, keys [][]byte) ([]store.Item, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	full := make([][]byte, len(keys))
	for i, key := range keys {
		full[i] = s.key(key)
	}
	snapshot := s.kv.GetSnapshot(ts)
	found := make(map[string][]byte, 1)
	if len(keys) == 1 {
		stored, err := snapshot.Get(ctx, full[0])
		if err != nil && !tikverr.IsErrNotFound(err) {
			return nil, err
		}
		found[string(full[0])] = stored
	} else {
		var err error
		if found, err = snapshot.BatchGet(ctx, full); err != nil {
			return nil, err
		}
	}
	items := make([]store.Item, len(keys))
	for i := range keys {
		if err := s.item(&items[i], full[i], found[string(full[i])]); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// item fills in an item with what is stored under a key of the cluster, nothing if it is absent.
func (s *Store) item(it *store.Item, full, stored []byte) (err error) {
	it.Key = full[len(s.prefix):]
	if len(stored) > 0 {
		it.Version, it.Value, err = decodeValue(full, stored)
	}
	return err
}

// page reads a page at the timestamp that is asked for. The client's scans do not listen to a context, so the page is read
// beside the caller, who goes when its own ends.
func (s *Store) page(ctx context.Context, p store.Page, timestamp func(context.Context) (uint64, error)) ([]store.Item, error) {
	if p.Limit < 1 {
		return nil, fmt.Errorf("tikvstore: a page of %d items was asked for; the limit is at least 1", p.Limit)
	}
	end, err := s.begin()
	if err != nil {
		return nil, err
	}
	// What the caller may change once it has gone.
	lo, hi := s.key(p.Lo), s.end
	if p.Hi != nil {
		hi = s.key(p.Hi)
	}
	type page struct {
		items []store.Item
		err   error
	}
	read := func() page {
		defer end()
		ts, err := timestamp(ctx)
		if err != nil {
			return page{err: err}
		}
		items, err := s.scan(ctx, ts, lo, hi, p)
		return page{items, err}
	}
	var got page
	if ctx.Done() == nil {
		got = read()
	} else {
		answer := make(chan page, 1)
		go func() { answer <- read() }()
		select {
		case got = <-answer:
		case <-ctx.Done():
			got.err = ctx.Err()
		}
	}
	if got.err != nil {
		return nil, explain(ctx, "page", got.err)
	}
	return append(p.Into, got.items...), nil
}

// scan reads the range of a page, and the documents that it leads to.
func (s *Store) scan(ctx context.Context, ts uint64, lo, hi []byte, p store.Page) ([]store.Item, error) {
	if bytes.Compare(lo, hi) >= 0 {
		return nil, nil
	}
	snapshot := s.kv.GetSnapshot(ts)
	// The scanner takes a batch of one for none, and asks for no more than the batch while the page is not longer.
	snapshot.SetScanBatchSize(min(max(p.Limit, 2), scanMost))
	open := func() (iterator, error) { return snapshot.Iter(lo, hi) }
	if p.Reverse {
		// The client knows no lower bound here: the last request of a range may bring keys of below, at most a batch.
		open = func() (iterator, error) { return snapshot.IterReverse(hi) }
	}
	it, err := open()
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var items []store.Item
	for it.Valid() && bytes.Compare(it.Key(), lo) >= 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var item store.Item
		if err := s.item(&item, it.Key(), it.Value()); err != nil {
			return nil, err
		}
		if p.KeysOnly {
			item.Value = nil
		}
		if items = append(items, item); len(items) == p.Limit {
			break
		}
		if err := it.Next(); err != nil {
			return nil, err
		}
	}
	if p.Deref {
		return items, s.follow(ctx, snapshot, items)
	}
	return items, nil
}

// An iterator is what the client's scans return.
type iterator interface {
	Valid() bool
	Key() []byte
	Value() []byte
	Next() error
	Close()
}

// follow puts the documents in the place of their entries.
func (s *Store) follow(ctx context.Context, snapshot *txnsnapshot.KVSnapshot, entries []store.Item) error {
	var full [][]byte
	for i := range entries {
		e := &entries[i]
		*e = store.Item{Entry: e.Key, Key: e.Value}
		if n := len(e.Key); n > 0 && n <= store.MaxKey { // nothing else can be a key
			full = append(full, s.key(e.Key))
		}
	}
	found, err := snapshot.BatchGet(ctx, full)
	if err != nil {
		return err
	}
	for i := range entries {
		e := &entries[i]
		key := s.key(e.Key)
		if stored := found[string(key)]; len(stored) > 0 {
			if err := s.item(e, key, stored); err != nil {
				return err
			}
		}
	}
	return nil
}
