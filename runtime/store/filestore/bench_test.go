package filestore_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// document returns a batch as a repository makes it: a document of 300 bytes and three index entries.
func document(n int) *store.Batch {
	id := fmt.Sprintf("\x01nspace01\x00\x01\x00\x00item:%08d", n)
	b := &store.Batch{Ops: []store.Op{{Key: []byte(id), Value: []byte(strings.Repeat("document..", 30))}}}
	for ix, tuple := range []string{fmt.Sprintf("category%02d", n%50), fmt.Sprintf("%08d", n*7919%100000), fmt.Sprintf("2026-%08d", n)} {
		b.Ops = append(b.Ops, store.Op{Key: []byte(fmt.Sprintf("\x01nspace01\x00\x01%c\x00%s\x00%s", ix+1, tuple, id[13:])), Value: []byte(id)})
	}
	return b
}

func benchStore(b *testing.B, mode store.DurabilityMode) *filestore.Store {
	b.Helper()
	o := filestore.Options{}
	o.Logger = (&quiet{}).logger()
	o.Durability.Mode = mode
	s, err := filestore.Open(bg, b.TempDir(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

// median returns the median of the durations in microseconds.
func median(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/2].Nanoseconds()) / 1000
}

// One durable writer beside a raw append and sync of as many bytes, in turns. x-raw is the ratio of the medians.
func BenchmarkDurableOne(b *testing.B) {
	s := benchStore(b, store.Sync)
	raw := newRaw(b)
	var ours, theirs []time.Duration
	frame := make([]byte, 560)
	for n := 0; b.Loop(); n++ {
		batch := document(n)
		start := time.Now()
		if _, err := s.Commit(bg, batch); err != nil {
			b.Fatal(err)
		}
		ours = append(ours, time.Since(start))
		start = time.Now()
		raw.append(b, frame)
		theirs = append(theirs, time.Since(start))
	}
	b.ReportMetric(median(ours), "us/commit")
	b.ReportMetric(median(theirs), "us/raw")
	b.ReportMetric(median(ours)/median(theirs), "x-raw")
}

// 64 durable writers; x-raw is how many raw appends with a sync each, by one writer in the same run, one commit costs.
func BenchmarkDurable64(b *testing.B) {
	s := benchStore(b, store.Sync)
	raw := newRaw(b)
	start := time.Now()
	const raws = 500
	for range raws {
		raw.append(b, make([]byte, 560))
	}
	perRaw := time.Since(start) / raws
	var next atomic.Int64
	start = time.Now()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				if _, err := s.Commit(bg, document(int(n))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	per := time.Since(start) / time.Duration(b.N)
	b.ReportMetric(float64(perRaw)/1000, "us/raw")
	b.ReportMetric(float64(perRaw)/float64(per), "commits/raw")
}

type rawFile struct{ f *os.File }

func newRaw(b *testing.B) *rawFile {
	f, err := os.OpenFile(filepath.Join(b.TempDir(), "raw"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return &rawFile{f}
}

func (r *rawFile) append(b *testing.B, p []byte) {
	if _, err := r.f.Write(p); err != nil {
		b.Fatal(err)
	}
	if err := filestore.SyncFile(r.f); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkNoSync(b *testing.B) {
	s := benchStore(b, store.NoSync)
	batches := make([]*store.Batch, 1<<14)
	for n := range batches {
		batches[n] = document(n * 7919 % 100003)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := s.Commit(bg, batches[n%len(batches)]); err != nil {
			b.Fatal(err)
		}
	}
}

// The same while what is published is kept for range checks and watchers.
func BenchmarkNoSyncKept(b *testing.B) {
	s := benchStore(b, store.NoSync)
	batches := make([]*store.Batch, 1<<14)
	for n := range batches {
		batches[n] = document(n * 7919 % 100003)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%1000 == 0 {
			filestore.Ask(s)
		}
		if _, err := s.Commit(bg, batches[n%len(batches)]); err != nil {
			b.Fatal(err)
		}
	}
}

// A range check with the token of a snapshot that is so many commits old: one that holds.
func BenchmarkRangeCheck(b *testing.B) {
	for _, age := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(age), func(b *testing.B) {
			s := benchStore(b, store.NoSync)
			r := store.RangeCheck{Lo: []byte("\x02"), Hi: []byte("\x03")}
			err := s.Snapshot(bg, func(sr store.SnapshotReader) error { r.Token = sr.Token(); return nil })
			if err != nil {
				b.Fatal(err)
			}
			for n := range age {
				if _, err := s.Commit(bg, document(n)); err != nil {
					b.Fatal(err)
				}
			}
			check := &store.Batch{Ranges: []store.RangeCheck{r}}
			for b.Loop() {
				if _, err := s.Commit(bg, check); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// filled returns a store with n documents.
func filled(b *testing.B, n int) *filestore.Store {
	b.Helper()
	s := benchStore(b, store.NoSync)
	for i := range n {
		if _, err := s.Commit(bg, document(i)); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func BenchmarkGet(b *testing.B) {
	s := filled(b, 100_000)
	for _, c := range []struct {
		name string
		key  func(op []store.Op) []byte
	}{
		{"inline", func(op []store.Op) []byte { return op[1].Key }},
		{"disk", func(op []store.Op) []byte { return op[0].Key }},
	} {
		b.Run(c.name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			keys := make([][]byte, 1<<14)
			for i := range keys {
				keys[i] = c.key(document(rng.IntN(100_000)).Ops)
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if items, err := s.Get(bg, keys[n%len(keys)]); err != nil || items[0].Version == 0 {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPage20(b *testing.B) {
	s := filled(b, 100_000)
	decoded := any(new(int))
	for _, c := range []struct {
		name string
		page store.Page
	}{
		{"entries", store.Page{}},
		{"cached", store.Page{Deref: true, Cached: func([]byte) (any, store.Version, bool) { return decoded, 1, true }}},
		{"disk", store.Page{Deref: true}},
		{"reverse", store.Page{Reverse: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			los := make([][]byte, 1<<12)
			for i := range los {
				los[i] = document(rng.IntN(99_000)).Ops[3].Key
			}
			into := make([]store.Item, 0, 20)
			p := c.page
			p.Limit, p.Into = 20, into
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				p.Lo, p.Hi = los[n%len(los)], nil
				if p.Reverse {
					p.Lo, p.Hi = nil, p.Lo
				}
				if items, err := s.Page(bg, p); err != nil || len(items) != 20 {
					b.Fatal(len(items), err)
				}
			}
		})
	}
}

// Opening after a clean close and after a crash: keys in the log a second.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	o := filestore.Options{}
	o.Logger = (&quiet{}).logger()
	o.Durability.Mode = store.NoSync
	s, err := filestore.Open(bg, dir, o)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 50_000 {
		if _, err := s.Commit(bg, document(i)); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := filestore.Open(bg, dir, o)
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/200_000, "ns/key")
}
