package filestore_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// kept is one key in the model.
type kept struct {
	value   string
	version store.Version
}

// model is a map that is compared with a store.
type model struct {
	t    *testing.T
	rng  *rand.Rand
	sim  *simfs.FS
	mode store.DurabilityMode
	time *timers
	s    *filestore.Store
	keys map[string]kept
	step int

	opens, crashes, compacts, commits, conflicts, pages, gets int
}

func (m *model) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("step %d: %s", m.step, fmt.Sprintf(format, args...))
}

func (m *model) open() {
	o, clock := simOptions(m.sim, m.mode)
	o.SegmentSize = 512 << m.rng.IntN(8)
	o.Reserve = 1 << m.rng.IntN(14)
	o.FlushKeys = []int{0, 3, 10, 30}[m.rng.IntN(4)]
	o.BlockCache = []int64{0, 1, 8 << 10}[m.rng.IntN(3)]
	s, err := filestore.Open(bg, "sim", o)
	if err != nil {
		m.fail("Open: %v", err)
	}
	m.s, m.time = s, clock
	m.opens++
}

func (m *model) key() string {
	n := m.rng.IntN(60)
	switch n % 6 {
	case 0: // long keys, that share much
		return strings.Repeat("long", 30) + fmt.Sprint(n)
	case 1:
		return strings.Repeat("\x00", 1+n%5)
	}
	return fmt.Sprintf("%c/%02d", 'a'+n%3, n)
}

func (m *model) val() string {
	switch m.rng.IntN(5) {
	case 0:
		return ""
	case 1:
		return m.key() // often that of a document
	case 2:
		return value(m.rng, "v", 63+m.rng.IntN(4)) // around the limit of what is kept in memory
	}
	return value(m.rng, "v", m.rng.IntN(400))
}

func (m *model) commit() {
	sets := map[string]store.Op{}
	for range 1 + m.rng.IntN(5) {
		k := m.key()
		op := store.Op{Key: []byte(k)}
		if m.rng.IntN(4) == 0 {
			op.Delete = true
		} else {
			op.Value = []byte(m.val())
		}
		switch m.rng.IntN(4) {
		case 0:
			op.Guard = store.At(m.keys[k].version)
		case 1:
			if m.rng.IntN(4) == 0 {
				op.Guard = store.At(store.Version(m.rng.IntN(1 + m.commits)))
			}
		}
		sets[k] = op
	}
	b := &store.Batch{}
	for _, op := range sets {
		b.Ops = append(b.Ops, op)
	}
	slices.SortFunc(b.Ops, func(a, b store.Op) int { return bytes.Compare(a.Key, b.Key) })
	if k := m.key(); sets[k].Key == nil && m.rng.IntN(3) == 0 {
		c := []store.Check{{Key: []byte(k), Version: m.keys[k].version}}
		if m.rng.IntN(8) == 0 {
			c[0].Version++
		}
		if m.rng.IntN(2) == 0 {
			b.Checks = c
		} else {
			b.Fences = c
		}
	}
	holds := true
	for _, op := range b.Ops {
		if v, ok := op.Guard.Version(); ok && v != m.keys[string(op.Key)].version {
			holds = false
		}
	}
	for _, c := range append(slices.Clone(b.Checks), b.Fences...) {
		holds = holds && c.Version == m.keys[string(c.Key)].version
	}
	v, err := m.send(b)
	if !holds {
		if _, ok := err.(*store.ConflictError); !ok {
			m.fail("Commit returned %v, want a ConflictError", err)
		}
		m.conflicts++
		return
	}
	if err != nil {
		m.fail("Commit: %v", err)
	}
	m.commits++
	for _, op := range b.Ops {
		if op.Delete {
			delete(m.keys, string(op.Key))
		} else {
			if v <= m.keys[string(op.Key)].version {
				m.fail("version %d follows %d", v, m.keys[string(op.Key)].version)
			}
			m.keys[string(op.Key)] = kept{string(op.Value), v}
		}
	}
}

// send commits b. When the clock has gone on during a write, the store takes its disk for a slow one, and waits for other
// commits for a while: the clock, which is the test's, has to go on for that.
func (m *model) send(b *store.Batch) (v store.Version, err error) {
	done := make(chan struct{})
	s := m.s
	go func() {
		defer close(done)
		v, err = s.Commit(bg, b)
	}()
	for {
		select {
		case <-done:
			return v, err
		case <-time.After(10 * time.Millisecond):
			m.time.advance(10 * time.Millisecond)
		}
	}
}

func (m *model) check(what string, it store.Item, key string) {
	m.t.Helper()
	want, there := m.keys[key]
	switch {
	case string(it.Key) != key:
		m.fail("%s: key %q, want %q", what, it.Key, key)
	case !there && (it.Version != store.Absent || it.Value != nil):
		m.fail("%s: %q is at version %d, want it absent", what, key, it.Version)
	case there && (it.Version != want.version || string(it.Value) != want.value || it.Value == nil):
		m.fail("%s: %q is %q at version %d, want %q at %d", what, key, it.Value, it.Version, want.value, want.version)
	}
}

func (m *model) read(r store.Reader) {
	keys := [][]byte{[]byte(m.key()), []byte(m.key()), []byte(m.key())}
	items, err := r.Get(bg, keys...)
	if err != nil || len(items) != 3 {
		m.fail("Get: %v", err)
	}
	for i, it := range items {
		m.check("Get", it, string(keys[i]))
	}
	m.gets++

	p := store.Page{Limit: 1 + m.rng.IntN(30), Reverse: m.rng.IntN(2) == 0, Deref: m.rng.IntN(3) == 0}
	p.KeysOnly = !p.Deref && m.rng.IntN(4) == 0
	if m.rng.IntN(3) > 0 {
		p.Lo = []byte(m.key())
	}
	if m.rng.IntN(3) > 0 {
		p.Hi = []byte(m.key())
	}
	var in []string
	for k := range m.keys {
		if (p.Lo == nil || k >= string(p.Lo)) && (p.Hi == nil || k < string(p.Hi)) {
			in = append(in, k)
		}
	}
	slices.Sort(in)
	if p.Reverse {
		slices.Reverse(in)
	}
	in = in[:min(len(in), p.Limit)]
	p.Into = make([]store.Item, 1, 8)
	got, err := r.Page(bg, p)
	if err != nil || len(got) != len(in)+1 {
		m.fail("Page %+v: %d items, %v, want %d", p, len(got)-1, err, len(in))
	}
	for i, it := range got[1:] {
		if p.KeysOnly {
			if string(it.Key) != in[i] || it.Version != m.keys[in[i]].version || it.Value != nil {
				m.fail("Page of keys: %q at %d with value %q, want %q at %d", it.Key, it.Version, it.Value, in[i], m.keys[in[i]].version)
			}
			continue
		}
		if !p.Deref {
			m.check("Page", it, in[i])
			continue
		}
		if string(it.Entry) != in[i] {
			m.fail("Page: entry %q, want %q", it.Entry, in[i])
		}
		m.check("Page", it, m.keys[in[i]].value)
	}
	m.pages++
}

// Random commits, reads, snapshots, reopenings and power cuts agree with a map.
func TestRandomOperationsAgainstAMap(t *testing.T) {
	t.Parallel()
	for _, mode := range []store.DurabilityMode{store.Sync, store.Periodic, store.NoSync} {
		seed := uint64(mode) + 100
		m := &model{t: t, rng: rand.New(rand.NewPCG(seed, 6)), sim: simfs.New(), mode: mode, keys: map[string]kept{}}
		m.open()
		steps := size(20_000, 30_000, 700_000)
		for m.step = range steps {
			switch n := m.rng.IntN(400); {
			case n < 200:
				m.commit()
			case n < 370:
				m.read(m.s)
			case n < 390:
				err := m.s.Snapshot(bg, func(r store.SnapshotReader) error {
					m.read(r)
					before := m.keys
					m.keys = make(map[string]kept, len(before))
					for k, v := range before {
						m.keys[k] = v
					}
					for range m.rng.IntN(4) {
						m.commit()
					}
					after := m.keys
					m.keys = before
					m.read(r) // does not see them
					m.keys = after
					return nil
				})
				if err != nil {
					m.fail("Snapshot: %v", err)
				}
			case n == 390 && m.rng.IntN(8) == 0:
				if err := m.s.Compact(bg); err != nil {
					m.fail("Compact: %v", err)
				}
				m.compacts++
			case n < 397:
				m.time.advance(time.Duration(m.rng.IntN(2000)) * time.Millisecond)
			case n < 399 && m.rng.IntN(4) == 0:
				if err := m.s.Close(); err != nil {
					m.fail("Close: %v", err)
				}
				m.open()
			case n == 399 && m.rng.IntN(4) == 0:
				loss := simfs.KeepAll // only Sync promises more
				if mode == store.Sync {
					loss = simfs.Losses[m.rng.IntN(3)]
				}
				after := m.sim.Crash(loss, m.rng)
				m.s.Close()
				m.sim = after
				m.open()
				m.crashes++
			}
		}
		got, err := dump(m.s)
		if err != nil || len(got) != len(m.keys) {
			t.Fatalf("at the end %d keys, %v, want %d", len(got), err, len(m.keys))
		}
		if err := m.s.Close(); err != nil {
			t.Fatal(err)
		}
		proof(t, 11, "mode", mode, "seed", seed, "steps", steps, "commits", m.commits, "conflicts", m.conflicts, "pages", m.pages, "gets", m.gets,
			"openings", m.opens, "crashes", m.crashes, "compacts", m.compacts)
	}
}
