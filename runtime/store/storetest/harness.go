package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// patience is how long a test waits for what must happen. It is only ever used up by a failure.
var patience = 30 * time.Second

// A harness drives one store in one subtest.
type harness struct {
	*testing.T
	s       store.Store
	open    func(t *testing.T) store.Store
	limits  store.Limits
	options Options
	ids     atomic.Uint64
	unknown atomic.Int64 // commits whose outcome was unknown
}

// ctx is for calls that nothing shall end.
var ctx = context.Background()

// times returns how often to do something: small by default, full with KIXX_CI, ten times that with KIXX_LONG.
func times(small, full int) int {
	switch {
	case os.Getenv("KIXX_LONG") != "":
		return 10 * full
	case os.Getenv("KIXX_CI") != "":
		return full
	}
	return small
}

// random returns a source of its own for each stream.
func (h *harness) random(stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(h.options.Seed, stream))
}

func put(key, value string) store.Op { return store.Op{Key: []byte(key), Value: []byte(value)} }
func del(key string) store.Op        { return store.Op{Key: []byte(key), Delete: true} }

func putAt(key, value string, v store.Version) store.Op {
	return store.Op{Key: []byte(key), Value: []byte(value), Guard: store.At(v)}
}

func delAt(key string, v store.Version) store.Op {
	return store.Op{Key: []byte(key), Delete: true, Guard: store.At(v)}
}

func check(key string, v store.Version) store.Check {
	return store.Check{Key: []byte(key), Version: v}
}

// batch returns a batch of the operations, sorted, with an ID of its own.
func (h *harness) batch(ops ...store.Op) *store.Batch {
	slices.SortFunc(ops, func(a, b store.Op) int { return bytes.Compare(a.Key, b.Key) })
	b := &store.Batch{Ops: ops}
	binary.BigEndian.PutUint64(b.ID[:], h.ids.Add(1))
	return b
}

// receipts is the prefix of keys by which a batch is known to have been applied, whoever has written since.
const receipts = "\xffreceipt/"

// withReceipt adds a receipt to b. Batches that several goroutines commit on the same keys need one, see try.
func withReceipt(b *store.Batch) *store.Batch {
	b.Ops = append(b.Ops, putAt(receipts+string(b.ID[:]), "", store.Absent))
	return b
}

// try commits b until the outcome is known, in the way the contract gives: a batch is committed again with its ID, and
// a conflict after an unknown outcome is read back before it counts.
func (h *harness) try(b *store.Batch) (store.Version, error) {
	v, err := h.s.Commit(ctx, b)
	if errors.Is(err, store.ErrUnknown) {
		h.unknown.Add(1)
		return h.settle(b)
	}
	return v, err
}

// settle does the same for a batch that was committed already, with an unknown outcome.
func (h *harness) settle(b *store.Batch) (store.Version, error) {
	for range 1000 {
		v, err := h.s.Commit(ctx, b)
		switch {
		case errors.Is(err, store.ErrUnknown):
			h.unknown.Add(1)
		case errors.Is(err, store.ErrConflict):
			v, applied, readErr := h.applied(b)
			if readErr != nil {
				return 0, readErr
			}
			if applied {
				return v, nil
			}
			return 0, err
		default:
			return v, err
		}
	}
	return 0, errors.New("the outcome of a commit was unknown 1000 times in a row")
}

// applied reports whether the effects of b are in the store.
func (h *harness) applied(b *store.Batch) (v store.Version, ok bool, err error) {
	ops := b.Ops
	if n := len(ops); n > 0 && bytes.HasPrefix(ops[n-1].Key, []byte(receipts)) {
		ops = ops[n-1:]
	}
	keys := make([][]byte, len(ops))
	for i, op := range ops {
		keys[i] = op.Key
	}
	items, err := h.s.Get(ctx, keys...)
	if err != nil {
		return 0, false, err
	}
	for i, it := range items {
		switch op := ops[i]; {
		case op.Delete != (it.Version == store.Absent):
			return 0, false, nil
		case op.Delete:
		case !bytes.Equal(it.Value, op.Value), v != 0 && it.Version != v:
			return 0, false, nil
		default:
			v = it.Version
		}
	}
	return v, len(items) > 0, nil
}

// commit commits the operations, which must succeed.
func (h *harness) commit(ops ...store.Op) store.Version {
	h.Helper()
	return h.commitBatch(h.batch(ops...))
}

func (h *harness) commitBatch(b *store.Batch) store.Version {
	h.Helper()
	v, err := h.try(b)
	if err != nil {
		h.Fatalf("Commit(%s) = %v; it keeps the contract, and all its conditions hold", describe(b), err)
	}
	return v
}

// conflicts commits b, which must be refused with a conflict about one of keys.
func (h *harness) conflicts(b *store.Batch, why string, keys ...string) {
	h.Helper()
	v, err := h.try(b)
	if !errors.Is(err, store.ErrConflict) {
		h.Fatalf("Commit(%s) = %v, %v; want a conflict: %s", describe(b), v, err, why)
	}
	var ce *store.ConflictError
	if !errors.As(err, &ce) {
		h.Errorf("Commit(%s) = %T; a conflict is a *store.ConflictError", describe(b), err)
	} else if ce.Key != nil && !slices.Contains(keys, string(ce.Key)) {
		h.Errorf("Commit(%s) = %v; the conflict is about one of %q", describe(b), err, keys)
	}
	if v != 0 {
		h.Errorf("Commit(%s) = version %d with an error; want 0", describe(b), v)
	}
}

func (h *harness) get(keys ...string) []store.Item {
	h.Helper()
	items, err := h.s.Get(ctx, asKeys(keys)...)
	if err != nil {
		h.Fatalf("Get(%q) = %v", keys, err)
	}
	if len(items) != len(keys) {
		h.Fatalf("Get(%q) = %d items, want one for each key", keys, len(items))
	}
	return items
}

func asKeys(keys []string) [][]byte {
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i] = []byte(k)
	}
	return out
}

// version returns the version that key is at.
func (h *harness) version(key string) store.Version {
	h.Helper()
	return h.get(key)[0].Version
}

func (h *harness) page(p store.Page) []store.Item {
	h.Helper()
	items, err := h.s.Page(ctx, p)
	if err != nil {
		h.Fatalf("Page(%s) = %v", describePage(p), err)
	}
	return items
}

// all returns all items with a prefix, of one state.
func (h *harness) all(prefix string) []store.Item {
	h.Helper()
	items, err := readAll(h.s, prefix)
	if err != nil {
		h.Fatalf("reading all keys with prefix %q: %v", prefix, err)
	}
	return items
}

func readAll(r store.Reader, prefix string) ([]store.Item, error) {
	return r.Page(ctx, store.Page{Lo: []byte(prefix), Hi: []byte(prefix + "\xff\xff\xff"), Limit: 1 << 20})
}

// snapshot calls f with a snapshot, and anew with another while they are too old, which a snapshot may become.
func (h *harness) snapshot(f func(r store.SnapshotReader) error) error {
	for range 1000 {
		if err := h.s.Snapshot(ctx, f); !errors.Is(err, store.ErrSnapshotTooOld) {
			return err
		}
	}
	return errors.New("1000 snapshots in a row were too old before their function had returned")
}

// wantItem reports whether got is the item of key with value and version; version 0 means that the key is absent.
func (h *harness) wantItem(what string, got store.Item, key, value string, v store.Version) {
	h.Helper()
	switch {
	case string(got.Key) != key:
		h.Errorf("%s: key %q, want %q", what, got.Key, key)
	case got.Version != v:
		h.Errorf("%s: key %q has version %d, want %d", what, key, got.Version, v)
	case v == store.Absent && got.Value != nil:
		h.Errorf("%s: key %q is absent and has the value %q; want nil", what, key, got.Value)
	case v != store.Absent && string(got.Value) != value:
		h.Errorf("%s: key %q has the value %.60q, want %.60q", what, key, got.Value, value)
	case v != store.Absent && got.Value == nil:
		h.Errorf("%s: key %q is there and its value is nil; an empty value is empty, not nil", what, key)
	case got.Decoded != nil:
		h.Errorf("%s: key %q has something decoded, and nobody gave it", what, key)
	}
}

// together runs f n times at once and waits for all.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// describe returns b for people.
func describe(b *store.Batch) string {
	var out bytes.Buffer
	for i, op := range b.Ops {
		if i == 8 {
			fmt.Fprintf(&out, "and %d more ", len(b.Ops)-i)
			break
		}
		if op.Delete {
			fmt.Fprintf(&out, "delete %.40q", op.Key)
		} else {
			fmt.Fprintf(&out, "put %.40q=%.20q", op.Key, op.Value)
		}
		if at, ok := op.Guard.Version(); ok {
			fmt.Fprintf(&out, " at %d", at)
		}
		out.WriteString("; ")
	}
	for _, c := range b.Checks {
		fmt.Fprintf(&out, "check %.40q at %d; ", c.Key, c.Version)
	}
	for _, c := range b.Fences {
		fmt.Fprintf(&out, "fence %.40q at %d; ", c.Key, c.Version)
	}
	for _, r := range b.Ranges {
		fmt.Fprintf(&out, "range %.40q to %.40q; ", r.Lo, r.Hi)
	}
	return string(bytes.TrimRight(out.Bytes(), "; "))
}

func describePage(p store.Page) string {
	bound := func(b []byte) string {
		if b == nil {
			return "open"
		}
		return fmt.Sprintf("%.40q", b)
	}
	return fmt.Sprintf("from %s to %s, reverse %v, limit %d, deref %v", bound(p.Lo), bound(p.Hi), p.Reverse, p.Limit, p.Deref)
}
