package kixx_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/btree"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

// The benchmarks of this file run beside floors: what nobody can be faster than who does the same for the caller. A floor
// of reads is a map, three btrees and a clone under one lock, with nothing on disk; the floor of durable writes is an
// append and a sync. Compare within one run.

const benchDocs = 100_000

func benchItem(i int) *kinds.Item {
	return &kinds.Item{
		ID: fmt.Sprintf("item:%08d", i*7919%benchDocs), Title: fmt.Sprintf("A title of an ordinary length, number %d", i), SKU: fmt.Sprintf("SKU-%010d", i),
		Category: fmt.Sprintf("category-%02d", i%100), Price: float64(i%5000) / 100, Tags: []string{"new", "sale", "garden"},
	}
}

// filled returns repositories of one database with benchDocs items, opened once for all benchmarks.
var filled = sync.OnceValue(func() *kinds.ItemRepo {
	dir, err := os.MkdirTemp("", "kixx-bench")
	if err != nil {
		panic(err)
	}
	atExit = append(atExit, func() { os.RemoveAll(dir) })
	db, err := kixx.Open(context.Background(), "file:"+filepath.Join(dir, "db")+"?sync=none", kixx.WithCacheBytes(1<<30))
	if err != nil {
		panic(err)
	}
	atExit = append(atExit, func() { db.Close() })
	items, err := kinds.NewItemRepo(context.Background(), db)
	if err != nil {
		panic(err)
	}
	for i := 0; i < benchDocs; i += 50 {
		list := make([]*kinds.Item, 50)
		for j := range list {
			list[j] = benchItem(i + j)
		}
		if _, err := items.SetMany(context.Background(), list...); err != nil {
			panic(err)
		}
	}
	return items
})

var atExit []func()

// A floor is a typed cache with three indexes, as one writes it by hand.
type floor struct {
	mu                  sync.RWMutex
	items               map[string]*kinds.Item
	category, price, by *btree.BTreeG[floorKey]
}

type floorKey struct {
	s  string
	f  float64
	id string
	it *kinds.Item
}

func newFloor() *floor {
	less := func(a, b floorKey) bool {
		if a.s != b.s {
			return a.s < b.s
		}
		if a.f != b.f {
			return a.f < b.f
		}
		return a.id < b.id
	}
	f := &floor{items: make(map[string]*kinds.Item), category: btree.NewG(32, less), price: btree.NewG(32, less), by: btree.NewG(32, less)}
	for i := range benchDocs {
		f.set(benchItem(i))
	}
	return f
}

func cloneItem(it *kinds.Item) *kinds.Item {
	c := *it
	c.Tags = slices.Clone(it.Tags)
	return &c
}

func (f *floor) get(id string) *kinds.Item {
	f.mu.RLock()
	it := f.items[id]
	f.mu.RUnlock()
	return cloneItem(it)
}

func (f *floor) set(it *kinds.Item) {
	it = cloneItem(it)
	f.mu.Lock()
	defer f.mu.Unlock()
	if old := f.items[it.ID]; old != nil {
		f.category.Delete(floorKey{s: old.Category, id: old.ID})
		f.price.Delete(floorKey{f: old.Price, id: old.ID})
		f.by.Delete(floorKey{s: old.Category, f: -old.Price, id: old.ID})
	}
	f.items[it.ID] = it
	f.category.ReplaceOrInsert(floorKey{s: it.Category, id: it.ID, it: it})
	f.price.ReplaceOrInsert(floorKey{f: it.Price, id: it.ID, it: it})
	f.by.ReplaceOrInsert(floorKey{s: it.Category, f: -it.Price, id: it.ID, it: it})
}

func (f *floor) page(category string) []*kinds.Item {
	out := make([]*kinds.Item, 0, 20)
	f.mu.RLock()
	f.category.AscendGreaterOrEqual(floorKey{s: category}, func(k floorKey) bool {
		if k.s == category {
			out = append(out, cloneItem(k.it))
		}
		return k.s == category && len(out) < 20
	})
	f.mu.RUnlock()
	return out
}

var theFloor = sync.OnceValue(newFloor)

func BenchmarkGet(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	ids := make([]string, 1<<16)
	for i := range ids {
		ids[i] = benchItem(r.IntN(benchDocs)).ID
	}
	b.Run("repository", func(b *testing.B) {
		items := filled()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := items.Get(b.Context(), ids[i%len(ids)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("peek", func(b *testing.B) {
		items := filled()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := items.Peek(b.Context(), ids[i%len(ids)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		f := theFloor()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			f.get(ids[i%len(ids)])
		}
	})
}

func BenchmarkPage(b *testing.B) {
	b.Run("repository", func(b *testing.B) {
		items := filled()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			page, err := items.QueryByCategory(fmt.Sprintf("category-%02d", i%100)).Limit(20).Page(b.Context())
			if err != nil || len(page.Items) != 20 {
				b.Fatal(err)
			}
		}
	})
	b.Run("repository deep", func(b *testing.B) {
		items := filled()
		page, err := items.QueryByCategory("category-07").Limit(500).Page(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		q := items.QueryByCategory("category-07").Limit(20).After(page.Next)
		b.ReportAllocs()
		for b.Loop() {
			if page, err := q.Page(b.Context()); err != nil || len(page.Items) != 20 {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		f := theFloor()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if len(f.page(fmt.Sprintf("category-%02d", i%100))) != 20 {
				b.Fatal("short page")
			}
		}
	})
}

func BenchmarkScan(b *testing.B) {
	items := filled()
	n := 0
	for b.Loop() {
		for _, err := range items.All(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/doc")
}

func BenchmarkSet(b *testing.B) {
	b.Run("repository", func(b *testing.B) {
		items := filled()
		it := must[*kinds.Item](b)(items.Get(b.Context(), benchItem(1).ID))
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			it.Price = float64(i%5000) / 100
			var err error
			if it, err = items.Set(b.Context(), it); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		f := theFloor()
		it := benchItem(1)
		for i := 0; b.Loop(); i++ {
			it.Price = float64(i%5000) / 100
			f.set(it)
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	items := filled()
	r := rand.New(rand.NewPCG(1, 1))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := items.Update(b.Context(), benchItem(r.IntN(benchDocs)).ID, func(it *kinds.Item) error { it.Price = float64(i%5000) / 100; return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDurableSet(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("repository %d", writers), func(b *testing.B) {
			db := must[*kixx.DB](b)(kixx.Open(b.Context(), "file:"+b.TempDir()))
			defer db.Close()
			items := newItems(b, db)
			var next atomic.Int64
			b.SetParallelism(max(1, writers/2)) // of GOMAXPROCS, which is 2 where this is measured
			if writers == 1 {
				for b.Loop() {
					if _, err := items.Insert(b.Context(), benchItem2(int(next.Add(1)))); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := items.Insert(b.Context(), benchItem2(int(next.Add(1)))); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
	b.Run("append and sync", func(b *testing.B) {
		f := must[*os.File](b)(os.Create(filepath.Join(b.TempDir(), "log")))
		defer f.Close()
		buf := make([]byte, 512)
		for b.Loop() {
			if _, err := f.Write(buf); err != nil {
				b.Fatal(err)
			}
			if err := syncData(f); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// benchItem2 is benchItem with keys and SKUs that do not come again.
func benchItem2(i int) *kinds.Item {
	it := benchItem(i)
	it.ID = fmt.Sprintf("item:%010d", i)
	return it
}
