package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/runtime/store"
)

func testGuards(h *harness) {
	never := h.commit(put("other", "x")) // a version that key k never has
	for _, state := range []string{"absent", "present", "deleted", "made anew"} {
		for _, guard := range []string{"none", "absent", "current", "old", "of another key"} {
			for _, remove := range []bool{false, true} {
				h.commit(del("k"))
				var current, old store.Version
				switch state {
				case "present":
					old = h.commit(put("k", "0"))
					current = h.commit(put("k", "1"))
				case "deleted":
					old = h.commit(put("k", "0"))
					h.commit(del("k"))
				case "made anew":
					old = h.commit(put("k", "1"))
					h.commit(del("k"))
					current = h.commit(put("k", "1"))
				}
				op := store.Op{Key: []byte("k"), Value: []byte("new")}
				if remove {
					op = store.Op{Key: []byte("k"), Delete: true}
				}
				holds := true
				switch guard {
				case "absent":
					op.Guard, holds = store.At(store.Absent), current == store.Absent
				case "current":
					op.Guard = store.At(current)
				case "old":
					op.Guard, holds = store.At(old), old == current
				case "of another key":
					op.Guard, holds = store.At(never), false
				}
				what := fmt.Sprintf("guard %s on a key that is %s", guard, state)
				if !holds {
					h.conflicts(h.batch(op), what+" does not hold", "k")
					h.wantItem(what, h.get("k")[0], "k", "1", current)
					continue
				}
				v := h.commit(op)
				if remove {
					v = store.Absent
				}
				h.wantItem(what, h.get("k")[0], "k", "new", v)
			}
		}
	}
}

func testAllOrNothing(h *harness) {
	va := h.commit(put("a", "1"))
	vc := h.commit(put("c", "1"))
	h.conflicts(h.batch(put("a", "2"), putAt("b", "2", va), put("c", "2")), "the guard of b does not hold", "b")
	h.conflicts(h.batch(delAt("a", va), delAt("c", va)), "the guard of c does not hold", "c")
	b := h.batch(put("a", "2"), put("d", "2"))
	b.Checks = []store.Check{check("c", va)}
	h.conflicts(b, "the check of c does not hold", "c")
	items := h.get("a", "b", "c", "d")
	h.wantItem("a conflict changes nothing", items[0], "a", "1", va)
	h.wantItem("a conflict changes nothing", items[1], "b", "", store.Absent)
	h.wantItem("a conflict changes nothing", items[2], "c", "1", vc)
	h.wantItem("a conflict changes nothing", items[3], "d", "", store.Absent)
	if got := len(h.page(store.Page{Limit: 10})); got != 2 {
		h.Errorf("after batches that conflict there are %d keys, want 2", got)
	}

	v := h.commit(putAt("a", "2", va), putAt("b", "2", store.Absent), delAt("c", vc))
	items = h.get("a", "b", "c")
	h.wantItem("a batch is applied as a whole", items[0], "a", "2", v)
	h.wantItem("a batch is applied as a whole", items[1], "b", "2", v)
	h.wantItem("a batch is applied as a whole", items[2], "c", "", store.Absent)
	h.commit(del("never there")) // deleting an absent key is no error
	h.commit(delAt("never there", store.Absent))
}

func testChecks(h *harness) {
	for _, kind := range []string{"check", "fence"} {
		with := func(b *store.Batch, list ...store.Check) *store.Batch {
			if kind == "check" {
				b.Checks = list
			} else {
				b.Fences = list
			}
			return b
		}
		old := h.commit(put("c", "0"))
		c := h.commit(put("c", "1"))
		d := h.commit(put("d", "1"))
		why := "the " + kind + " of a key that was only read does not hold"
		h.commitBatch(with(h.batch(put("k", "1")), check("c", c), check("d", d), check("nothing", store.Absent)))
		h.wantItem("a "+kind+" does not change its key", h.get("c")[0], "c", "1", c)
		h.conflicts(with(h.batch(put("k", "2")), check("c", old), check("d", d)), why, "c")
		h.conflicts(with(h.batch(put("k", "2")), check("c", c), check("d", c)), why, "d")
		h.conflicts(with(h.batch(put("k", "2")), check("c", store.Absent)), why, "c")
		h.conflicts(with(h.batch(put("k", "2")), check("nothing", c)), why, "nothing")
		h.conflicts(with(h.batch(del("k")), check("c", old)), why, "c")
		h.commitBatch(with(h.batch(), check("c", c))) // nothing but conditions
		h.conflicts(with(h.batch(), check("c", old)), why, "c")
		h.commit(del("d"))
		h.conflicts(with(h.batch(put("k", "2")), check("d", d)), why, "d")
		h.commitBatch(with(h.batch(put("k", "3")), check("d", store.Absent)))
		if got := h.get("k")[0]; string(got.Value) != "3" {
			h.Errorf("after batches with a %s, k is %q, want 3", kind, got.Value)
		}
	}
}

// rangeBatch returns a batch with a range check of [lo, hi) against the snapshot that is read now.
func (h *harness) rangeBatch(lo, hi string, ops ...store.Op) (*store.Batch, error) {
	b := h.batch(ops...)
	r := store.RangeCheck{Lo: []byte(lo), Hi: []byte(hi)}
	err := h.snapshot(func(s store.SnapshotReader) error {
		r.Token, r.Seen = s.Token(), nil
		items, err := s.Page(ctx, store.Page{Lo: r.Lo, Hi: r.Hi, Limit: 1000})
		for _, it := range items {
			r.Seen = append(r.Seen, store.Check{Key: it.Key, Version: it.Version})
		}
		return err
	})
	b.Ranges = []store.RangeCheck{r}
	return b, err
}

func testRangeChecks(h *harness) {
	if !h.limits.RangeChecks {
		b := h.batch(put("k", "1"))
		b.Ranges = []store.RangeCheck{{Lo: []byte("a"), Hi: []byte("b")}}
		if _, err := h.s.Commit(ctx, b); !errors.Is(err, store.ErrNotSupported) {
			h.Errorf("Commit with a range check = %v; the store does not declare range checks, want ErrNotSupported", err)
		}
		if h.version("k") != store.Absent {
			h.Errorf("a batch that is not supported was applied")
		}
		return
	}
	for _, c := range []struct {
		name  string
		ops   []store.Op // committed between the reading and the commit
		holds bool
		key   string
	}{
		{"nothing", nil, true, ""},
		{"a put below", []store.Op{put("a", "1")}, true, ""},
		{"a put at Hi, which is outside", []store.Op{put("n", "1")}, true, ""},
		{"a new key inside", []store.Op{put("g", "1")}, false, "g"},
		{"a new key at Lo", []store.Op{put("f", "1")}, false, "f"},
		{"a change inside", []store.Op{put("h", "2")}, false, "h"},
		{"a deletion inside", []store.Op{del("h")}, false, "h"},
		{"a change inside among others", []store.Op{put("a", "3"), put("m", "3"), put("z", "3")}, false, "m"},
	} {
		h.commit(put("h", "1"), put("m", "1"), del("g"), del("f"), del("n"))
		b, err := h.rangeBatch("f", "n", put("k", c.name)) // k is inside itself, which does not matter
		if err != nil {
			h.Fatalf("reading a range in a snapshot: %v", err)
		}
		if c.ops != nil {
			h.commit(c.ops...)
		}
		if c.holds {
			h.commitBatch(b)
		} else {
			h.conflicts(b, "between the reading of the range and the commit there was "+c.name, c.key)
		}
	}
	stale, err := h.rangeBatch("f", "n", put("a", "stale"))
	if err != nil {
		h.Fatal(err)
	}
	stale.Ranges[0].Token, stale.Ranges[0].Seen = "not a token", nil
	if _, err := h.try(stale); err == nil {
		h.Errorf("a range check with a token that no snapshot had held; what cannot be checked does not hold")
	}
}

func testBadBatches(h *harness) {
	long := strings.Repeat("k", store.MaxKey+1)
	for _, c := range []struct {
		name  string
		batch *store.Batch
		want  error
	}{
		{"operations out of order", &store.Batch{Ops: []store.Op{put("b", ""), put("a", "")}}, store.ErrBadBatch},
		{"two operations on a key", &store.Batch{Ops: []store.Op{put("a", ""), del("a")}}, store.ErrBadBatch},
		{"an empty key", &store.Batch{Ops: []store.Op{put("", "")}}, store.ErrBadBatch},
		{"a delete with a value", &store.Batch{Ops: []store.Op{{Key: []byte("a"), Value: []byte("x"), Delete: true}}}, store.ErrBadBatch},
		{"a check of a key that is changed", &store.Batch{Ops: []store.Op{put("a", "")}, Checks: []store.Check{check("a", 0)}}, store.ErrBadBatch},
		{"a fence of a key that is changed", &store.Batch{Ops: []store.Op{put("a", "")}, Fences: []store.Check{check("a", 0)}}, store.ErrBadBatch},
		{"checks out of order", &store.Batch{Ops: []store.Op{put("a", "")}, Checks: []store.Check{check("c", 0), check("b", 0)}}, store.ErrBadBatch},
		{"a check of an empty key", &store.Batch{Ops: []store.Op{put("a", "")}, Checks: []store.Check{check("", 0)}}, store.ErrBadBatch},
		{"a key that is too long", &store.Batch{Ops: []store.Op{put("a", ""), put(long, "")}}, store.ErrTooLarge},
		{"a check of a key that is too long", &store.Batch{Ops: []store.Op{put("a", "")}, Checks: []store.Check{check(long, 0)}}, store.ErrTooLarge},
	} {
		if _, err := h.s.Commit(ctx, c.batch); !errors.Is(err, c.want) {
			h.Errorf("Commit of a batch with %s = %v, want %v", c.name, err, c.want)
		}
	}
	if items := h.page(store.Page{Limit: 10}); len(items) != 0 {
		h.Errorf("batches that break the contract left the keys %q", keysOf(items))
	}
}

// large is the number of bytes beyond which a test is only done in a full run.
const large = 8 << 20

func testLimits(h *harness) {
	l := h.limits
	if p := store.Portable; l.Ops != 0 && l.Ops < p.Ops || l.Bytes < p.Bytes || l.Value < p.Value || l.Snapshot != 0 && l.Snapshot < p.Snapshot {
		h.Errorf("Limits = %+v; no store takes less than %+v", l, p)
	}
	refused := func(b *store.Batch, what string, have, limit int) {
		h.Helper()
		_, err := h.s.Commit(ctx, b)
		var le *store.LimitError
		if !errors.Is(err, store.ErrTooLarge) || !errors.As(err, &le) {
			h.Errorf("Commit with %d %s = %v; the limit is %d, want a *store.LimitError", have, what, err, limit)
		} else if le.What != what || le.Have != have || le.Max != limit {
			h.Errorf("Commit with %d %s = %v; the error says how many and which limit", have, what, err)
		}
		if items := h.page(store.Page{Limit: 10}); len(items) != 0 {
			h.Fatalf("a batch beyond a limit left the keys %q", keysOf(items))
		}
	}
	ops := func(n int) (ops []store.Op) {
		for i := range n {
			ops = append(ops, put(fmt.Sprintf("k%06d", i), ""))
		}
		return ops
	}
	if l.Ops > 0 {
		refused(h.batch(ops(l.Ops+1)...), "operations", l.Ops+1, l.Ops)
		b := h.batch(ops(l.Ops - 1)...)
		b.Checks, b.Fences = []store.Check{check("x", 0)}, []store.Check{check("y", 0)}
		refused(b, "operations", l.Ops+1, l.Ops)
	}
	refused(h.batch(put("k", strings.Repeat("v", l.Value+1))), "bytes in one value", l.Value+1, l.Value)
	full := func(size int) (b *store.Batch) { // a batch of size bytes of keys and values
		b = h.batch()
		const key = 8
		for i := 0; size > 0; i++ {
			n := min(size, l.Value)
			if rest := size - n; rest > 0 && rest < key {
				n -= key // so that there is room for the key of the last one
			}
			b.Ops = append(b.Ops, store.Op{Key: fmt.Appendf(nil, "k%07d", i), Value: make([]byte, n-key)})
			size -= n
		}
		return b
	}
	if l.Bytes <= large || times(0, 1) > 0 {
		refused(full(l.Bytes+8), "bytes in one commit", l.Bytes+8, l.Bytes)
	}

	// What is just within the limits is taken.
	long := strings.Repeat("k", store.MaxKey)
	h.wantItem("a key of the greatest length", h.get(long)[0], long, "", store.Absent)
	v := h.commit(put(long, "value"))
	h.wantItem("a key of the greatest length", h.get(long)[0], long, "value", v)
	if l.Value <= large || times(0, 1) > 0 {
		value := strings.Repeat("v", l.Value)
		v := h.commit(put("k", value))
		h.wantItem("a value of the greatest length", h.get("k")[0], "k", value, v)
	}
	if l.Ops > 0 {
		v := h.commit(ops(l.Ops)...)
		for _, it := range h.all("k0") {
			h.wantItem("a commit of the greatest number of operations", it, string(it.Key), "", v)
		}
	}
	if l.Bytes <= large || times(0, 1) > 0 {
		b := full(l.Bytes)
		v := h.commitBatch(b)
		for _, op := range b.Ops {
			h.wantItem("a commit of the greatest number of bytes", h.get(string(op.Key))[0], string(op.Key), string(op.Value), v)
		}
	}
}

func testContext(h *harness) {
	ended, cancel := context.WithCancelCause(ctx)
	cancel(errors.New("the caller has had enough"))
	v := h.commit(put("k", "before"))
	b := h.batch(putAt("k", "after", v))
	_, err := h.s.Commit(ended, b)
	switch {
	case err == nil:
		h.Logf("the store commits although the context has ended")
	case !errors.Is(err, context.Canceled):
		h.Errorf("Commit with an ended context = %v; it matches the context's own error", err)
	case !errors.Is(err, store.ErrUnknown):
		h.wantItem("every error but ErrUnknown means that the batch was not applied and never will be", h.get("k")[0], "k", "before", v)
	}
	if err != nil {
		if _, err := h.settle(b); err != nil {
			h.Errorf("committing the batch again = %v; nobody else has changed its key", err)
		}
	}
	if _, err := h.s.Get(ended, []byte("k")); err != nil && !errors.Is(err, context.Canceled) {
		h.Errorf("Get with an ended context = %v; it matches the context's own error", err)
	}
	if _, err := h.s.Page(ended, store.Page{Limit: 1}); err != nil && !errors.Is(err, context.Canceled) {
		h.Errorf("Page with an ended context = %v; it matches the context's own error", err)
	}
	err = h.s.Snapshot(ended, func(r store.SnapshotReader) error {
		_, err := r.Get(ended, []byte("k"))
		return err
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		h.Errorf("Snapshot with an ended context = %v; it matches the context's own error", err)
	}

	// Contexts that end in the middle of commits, at whatever point.
	var applied []string
	for i := range times(100, 1000) {
		c, cancel := context.WithCancel(ctx)
		key := fmt.Sprintf("c%04d", i)
		b := h.batch(putAt(key, "x", store.Absent))
		done := make(chan struct{})
		go func() { cancel(); close(done) }()
		_, err := h.s.Commit(c, b)
		<-done
		switch {
		case err == nil:
			applied = append(applied, key)
		case errors.Is(err, store.ErrUnknown):
			if _, err := h.settle(b); err != nil {
				h.Fatalf("committing a batch again, whose outcome was unknown = %v; nobody else has changed its key", err)
			}
			applied = append(applied, key)
		case !errors.Is(err, context.Canceled):
			h.Fatalf("Commit while its context ends = %v; it matches the context's own error", err)
		}
	}
	if got := keysOf(h.all("c")); !slices.Equal(got, applied) {
		h.Errorf("commits whose contexts ended left %d keys; %d were applied, by what Commit returned", len(got), len(applied))
	}
	h.Logf("%d commits acknowledged", len(applied))
}
