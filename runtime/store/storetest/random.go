package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A model is the map that a store is held against.
type model struct {
	*harness
	r     *rand.Rand
	keys  map[string]store.Item
	old   map[string][]store.Version // earlier versions of a key, for guards that must not hold
	given map[store.Version]bool
	steps []string // what was done, for the report of a failure
}

func (h *harness) model(stream uint64) *model {
	return &model{harness: h, r: h.random(stream), keys: make(map[string]store.Item), old: make(map[string][]store.Version), given: make(map[store.Version]bool)}
}

// fail ends the test with the last steps and the seed.
func (m *model) fail(format string, args ...any) {
	m.Helper()
	last := m.steps[max(0, len(m.steps)-25):]
	m.Fatalf("seed %d, step %d: %s\nthe last steps:\n\t%s", m.options.Seed, len(m.steps), fmt.Sprintf(format, args...), strings.Join(last, "\n\t"))
}

func (m *model) step(format string, args ...any) {
	m.steps = append(m.steps, fmt.Sprintf(format, args...))
}

// key returns one of about 60 keys that share prefixes.
func (m *model) key() string {
	k := []string{"a", "a\x00", "a/", "b/", "\xff"}[m.r.IntN(5)]
	return k + []string{"", "\x00", "1", "2", "10", "\xff", "x", "longer than most", "\xff\xff", "é"}[m.r.IntN(10)]
}

func (m *model) version(key string) store.Version { return m.keys[key].Version }

// condition returns a version that key is at, or with half the chance one that it is not at.
func (m *model) condition(key string) (v store.Version, holds bool) {
	v = m.version(key)
	if m.r.IntN(4) == 0 {
		others := append([]store.Version{store.Absent}, m.old[key]...)
		v = others[m.r.IntN(len(others))]
	}
	return v, v == m.version(key)
}

// commit commits a random batch, and expects what the model says.
func (m *model) commit() {
	m.Helper()
	used := make(map[string]bool)
	fresh := func() (string, bool) {
		k := m.key()
		defer func() { used[k] = true }()
		return k, !used[k]
	}
	holds := true
	var ops []store.Op
	for range 1 + m.r.IntN(6) {
		key, ok := fresh()
		if !ok {
			continue
		}
		op := store.Op{Key: []byte(key), Delete: m.r.IntN(3) == 0}
		if !op.Delete {
			op.Value = []byte(m.value())
		}
		if m.r.IntN(2) == 0 {
			v, ok := m.condition(key)
			op.Guard = store.At(v)
			holds = holds && ok
		}
		ops = append(ops, op)
	}
	b := m.batch(ops...)
	for _, list := range []*[]store.Check{&b.Checks, &b.Fences} {
		for range m.r.IntN(3) {
			if key, ok := fresh(); ok {
				v, ok := m.condition(key)
				*list = append(*list, check(key, v))
				holds = holds && ok
			}
		}
		slices.SortFunc(*list, func(a, b store.Check) int { return bytes.Compare(a.Key, b.Key) })
	}
	m.step("commit %s", describe(b))
	v, err := m.try(b)
	if !holds {
		if !errors.Is(err, store.ErrConflict) {
			m.fail("Commit = %v, %v; want a conflict", v, err)
		}
		return
	}
	if err != nil {
		m.fail("Commit = %v, want nil: all conditions hold", err)
	}
	if m.given[v] {
		m.fail("Commit returned version %d for the second time", v)
	}
	for _, op := range b.Ops {
		key := string(op.Key)
		if at := m.version(key); at != store.Absent {
			m.old[key] = append(m.old[key], at)
		}
		if op.Delete {
			delete(m.keys, key)
		} else {
			m.given[v] = true
			m.keys[key] = store.Item{Key: op.Key, Value: append([]byte{}, op.Value...), Version: v}
		}
	}
}

// value returns a value of any kind: short, long, empty, or a key, so that pages can follow it.
func (m *model) value() string {
	switch m.r.IntN(8) {
	case 0:
		return ""
	case 1:
		return strings.Repeat("v", m.r.IntN(5000))
	case 2, 3, 4:
		return m.key()
	}
	return fmt.Sprint("value ", m.r.IntN(1000))
}

// read reads at random and compares.
func (m *model) read(r store.Reader) error {
	m.Helper()
	if m.r.IntN(3) == 0 {
		keys := make([]string, m.r.IntN(5))
		for i := range keys {
			keys[i] = m.key()
		}
		m.step("get %q", keys)
		items, err := r.Get(ctx, asKeys(keys)...)
		if err != nil {
			return err
		}
		var want []store.Item
		for _, k := range keys {
			want = append(want, m.item(k))
		}
		m.compare("Get", items, want)
		return nil
	}
	p := store.Page{Limit: 1 + m.r.IntN(12), Reverse: m.r.IntN(2) == 0, Deref: m.r.IntN(2) == 0}
	if m.r.IntN(8) == 0 {
		p.Limit = 2000
	}
	if m.r.IntN(5) != 0 {
		p.Lo = []byte(m.key())
	}
	if m.r.IntN(5) != 0 {
		p.Hi = []byte(m.key())
	}
	m.step("page %s", describePage(p))
	items, err := r.Page(ctx, p)
	if err != nil {
		return err
	}
	keys := slices.Sorted(maps.Keys(m.keys))
	if p.Reverse {
		slices.Reverse(keys)
	}
	var want []store.Item
	for _, k := range keys {
		if k < string(p.Lo) || p.Hi != nil && k >= string(p.Hi) || len(want) == p.Limit {
			continue
		}
		it := m.item(k)
		if p.Deref {
			it = m.item(string(it.Value))
			it.Entry = []byte(k)
		}
		want = append(want, it)
	}
	m.compare("Page", items, want)
	return nil
}

func (m *model) item(key string) store.Item {
	if it, ok := m.keys[key]; ok {
		return it
	}
	return store.Item{Key: []byte(key)}
}

func (m *model) compare(what string, got, want []store.Item) {
	m.Helper()
	if len(got) != len(want) {
		m.fail("%s = %d items %q, want %d items %q", what, len(got), keysOf(got), len(want), keysOf(want))
	}
	for i, g := range got {
		w := want[i]
		if !bytes.Equal(g.Entry, w.Entry) || !bytes.Equal(g.Key, w.Key) || !bytes.Equal(g.Value, w.Value) || g.Version != w.Version || (g.Value == nil) != (w.Value == nil) || g.Decoded != nil {
			m.fail("%s: item %d is entry %q, key %q, value %.60q, version %d; want entry %q, key %q, value %.60q, version %d",
				what, i, g.Entry, g.Key, g.Value, g.Version, w.Entry, w.Key, w.Value, w.Version)
		}
	}
}

// everything compares the whole store with the model.
func (m *model) everything() {
	m.Helper()
	m.step("page of everything")
	var want []store.Item
	for _, k := range slices.Sorted(maps.Keys(m.keys)) {
		want = append(want, m.keys[k])
	}
	m.compare("a page of everything", m.page(store.Page{Limit: 1 << 20}), want)
}

func (m *model) random() {
	m.Helper()
	switch m.r.IntN(10) {
	case 0, 1, 2, 3, 4:
		m.commit()
	case 5:
		m.step("snapshot")
		err := m.snapshot(func(r store.SnapshotReader) error {
			for range 4 {
				if err := m.read(r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			m.fail("reading a snapshot: %v", err)
		}
	default:
		if err := m.read(m.s); err != nil {
			m.fail("reading: %v", err)
		}
	}
}

func testRandom(h *harness) {
	m := h.model(70)
	for range times(2000, 25000) {
		m.random()
	}
	m.everything()
	h.Logf("%d steps, %d unknown outcomes", len(m.steps), h.unknown.Load())
}

// testReopen does the same, and opens the store anew from time to time. Versions live on, and are not given again.
func testReopen(h *harness) {
	if h.options.Reopen == nil {
		h.Skip("the store keeps nothing after Close")
	}
	m := h.model(80)
	rounds := times(15, 100)
	for range rounds {
		var from store.Token
		if h.limits.Watch {
			from = h.token()
		}
		for range m.r.IntN(60) {
			m.random()
		}
		m.step("reopen")
		m.s = h.options.Reopen(h.T, m.s)
		if l := m.s.Limits(); l != h.limits {
			m.fail("Limits = %+v after reopening, they were %+v", l, h.limits)
		}
		m.everything()
		if !h.limits.Watch {
			continue
		}
		// A token from before leads on without a gap, or to a resync: what is put now comes in either case.
		v := m.harness.commit(put("w/new", fmt.Sprint(len(m.steps))))
		events, err := h.gather(from, func(events []store.Event) bool {
			e := events[len(events)-1]
			return e.Kind == store.EventResync || e.Version == v
		})
		if err != nil {
			m.fail("Watch from a token of before the reopening: %v after %d events", err, len(events))
		}
		m.harness.commit(del("w/new"))
	}
	h.Logf("%d steps, reopened %d times", len(m.steps), rounds)
}
