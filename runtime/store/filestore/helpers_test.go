package filestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if code, ok := childMain(); ok {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

// size returns the count for the size of the run: by default, with KIXX_CI=1, and with KIXX_LONG=1.
func size(small, ci, long int) int {
	switch {
	case os.Getenv("KIXX_LONG") != "":
		return long
	case os.Getenv("KIXX_CI") != "":
		return ci
	}
	return small
}

// proof prints what a test of a promise has counted, as a line of JSON: the row is that of docs/promises.md, and counts are
// names with numbers.
func proof(t testing.TB, row int, counts ...any) {
	t.Helper()
	b := fmt.Appendf(nil, `{"row":%d,"test":%q`, row, t.Name())
	for i := 0; i < len(counts); i += 2 {
		b = fmt.Appendf(b, `,%q:%v`, counts[i], counts[i+1])
	}
	t.Logf("%s}", b)
}

var bg = context.Background()

// quiet takes what stores log, so that a test can look at it and the output stays readable.
type quiet struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (q *quiet) Write(b []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.buf.Write(b)
}

func (q *quiet) String() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.buf.String()
}

func (q *quiet) logger() *slog.Logger { return slog.New(slog.NewTextHandler(q, nil)) }

// timers is a clock that stands still until a test moves it.
type timers struct {
	mu   sync.Mutex
	now  time.Time
	list []*timer
}

type timer struct {
	t    *timers
	at   time.Time
	f    func()
	live bool
}

func newTimers() *timers { return &timers{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (t *timers) Now() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now
}

func (t *timers) AfterFunc(d time.Duration, f func()) filestore.Timer {
	t.mu.Lock()
	defer t.mu.Unlock()
	tm := &timer{t, t.now.Add(d), f, true}
	t.list = append(t.list, tm)
	return tm
}

func (tm *timer) Stop() bool {
	tm.t.mu.Lock()
	defer tm.t.mu.Unlock()
	was := tm.live
	tm.live = false
	return was
}

func (tm *timer) Reset(d time.Duration) bool {
	tm.t.mu.Lock()
	defer tm.t.mu.Unlock()
	was := tm.live
	tm.live, tm.at = true, tm.t.now.Add(d)
	return was
}

// advance moves the clock and runs what is due, in the caller's goroutine.
func (t *timers) advance(d time.Duration) {
	t.mu.Lock()
	t.now = t.now.Add(d)
	var due []*timer
	for _, tm := range t.list {
		if tm.live && !tm.at.After(t.now) {
			tm.live = false
			due = append(due, tm)
		}
	}
	t.mu.Unlock()
	for _, tm := range due {
		tm.f()
	}
}

// running returns how many timers are running.
func (t *timers) running() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tm := range t.list {
		if tm.live {
			n++
		}
	}
	return n
}

// simOptions are the options of a store on sim, with small segments and a clock that stands still.
func simOptions(sim *simfs.FS, mode store.DurabilityMode) (filestore.Options, *timers) {
	t := newTimers()
	o := filestore.Options{FS: sim, AfterFunc: t.AfterFunc, SegmentSize: 4 << 10, Reserve: 1 << 10}
	o.Now = t.Now
	o.Logger = (&quiet{}).logger()
	o.Durability = store.Durability{Mode: mode, Interval: 100 * time.Millisecond}
	return o, t
}

func mustOpen(t testing.TB, o filestore.Options) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(bg, "sim", o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// set is one put or delete of a test.
type set struct {
	key   string
	value string
	del   bool
}

func batch(sets ...set) *store.Batch {
	slices.SortFunc(sets, func(a, b set) int { return strings.Compare(a.key, b.key) })
	b := &store.Batch{}
	for _, s := range sets {
		op := store.Op{Key: []byte(s.key), Delete: s.del}
		if !s.del {
			op.Value = []byte(s.value)
		}
		b.Ops = append(b.Ops, op)
	}
	return b
}

func put(t testing.TB, s store.Store, key, value string) store.Version {
	t.Helper()
	v, err := s.Commit(bg, batch(set{key: key, value: value}))
	if err != nil {
		t.Fatalf("Commit(%q): %v", key, err)
	}
	return v
}

// dump returns all that is in the store, by pages of 7.
func dump(s store.Reader) (map[string]string, error) {
	all := make(map[string]string)
	var lo []byte
	for {
		items, err := s.Page(bg, store.Page{Lo: lo, Limit: 7})
		if err != nil {
			return nil, err
		}
		for _, it := range items {
			all[string(it.Key)] = string(it.Value)
		}
		if len(items) < 7 {
			return all, nil
		}
		lo = append(bytes.Clone(items[6].Key), 0)
	}
}

// show prints a state in a few words.
func show(m map[string]string) string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var b strings.Builder
	for _, k := range keys {
		v := m[k]
		if len(v) > 20 {
			v = fmt.Sprintf("%s…(%d)", v[:20], len(v))
		}
		fmt.Fprintf(&b, " %s=%q", k, v)
	}
	return b.String()
}

func equal(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// value returns a value of n bytes that says where it came from.
func value(rng *rand.Rand, tag string, n int) string {
	b := []byte(tag)
	for len(b) < n {
		b = append(b, byte(rng.IntN(256)))
	}
	return string(b[:n])
}

// wantCorrupt checks that err names a file and what is wrong with it.
func wantCorrupt(t testing.TB, err error) *store.CorruptError {
	t.Helper()
	var c *store.CorruptError
	if !errors.As(err, &c) || !errors.Is(err, store.ErrCorrupt) || c.File == "" || c.What == "" {
		t.Fatalf("error %v, want a CorruptError with file and offset", err)
	}
	return c
}
