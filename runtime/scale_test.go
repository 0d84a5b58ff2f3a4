package kixx_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

func scalePart(i int) *kinds.Part {
	return &kinds.Part{
		ID: fmt.Sprintf("part:%09d", i*7919%1_000_003), Name: fmt.Sprintf("Part number %d", i), Category: fmt.Sprintf("category-%03d", i%1000),
		Price: int64(i * 31 % 100_000), Made: time.Unix(1_700_000_000+int64(i*17%10_000_000), 0).UTC(), Maker: fmt.Sprintf("Maker %d of many", i%5000),
		Text: fmt.Sprintf("%d is a part that somebody made, with a text that is as long as texts of parts are, so that all of it has about three hundred bytes; %d", i, i*i),
	}
}

// scaleSize returns how many documents there are.
func scaleSize() int {
	switch {
	case os.Getenv("KIXX_LONG") != "":
		return 1_000_000
	case os.Getenv("KIXX_CI") != "":
		return 60_000
	}
	return 20_000
}

// scaleSteady returns for how long the heap is looked at.
func scaleSteady() time.Duration {
	if os.Getenv("KIXX_LONG") != "" {
		return 10 * time.Minute
	}
	return 0
}

// heapAlloc returns the bytes of what is reachable.
func heapAlloc() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// filesIn returns the size of all files of a directory, but the reserve, which has 2 MiB whatever there is.
func filesIn(t testing.TB, dir string) (n int64) {
	for _, e := range must[[]os.DirEntry](t)(os.ReadDir(dir)) {
		if info, err := e.Info(); err == nil && !strings.HasPrefix(e.Name(), "RESERVE") {
			n += info.Size()
		}
	}
	return n
}

// A database that is much larger than its budgets is loaded, read and written at random within them, opens at once, and
// takes little more space than its JSON when it is compacted.
func TestMoreThanFitsIntoMemory(t *testing.T) {
	n := scaleSize()
	const (
		budget = 16 << 20 // of decoded documents, and of blocks
		most   = 2*budget + 60<<20
	)
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "db")
	url := "file:" + filepath.ToSlash(dir) + "?sync=none&cache=16MiB"
	before := heapAlloc()
	var largest int64
	look := func() { largest = max(largest, heapAlloc()-before) }
	open := func() (*kixx.DB, *kinds.PartRepo, time.Duration) {
		start := time.Now()
		db := must[*kixx.DB](t)(kixx.Open(ctx, url, kixx.WithCacheBytes(budget)))
		parts := must[*kinds.PartRepo](t)(kinds.NewPartRepo(ctx, db))
		return db, parts, time.Since(start)
	}
	db, parts, _ := open()
	var asJSON int64
	start := time.Now()
	_, err := parts.Load(ctx, func(yield func(*kinds.Part) bool) {
		for i := range n {
			p := scalePart(i)
			b := must[[]byte](t)(json.Marshal(p))
			asJSON += int64(len(b))
			if i%(n/25) == 0 {
				look()
			}
			if !yield(p) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	loaded := time.Since(start)
	rng := rand.New(rand.NewPCG(1, 1))
	work := func(steps int) {
		for step := range steps {
			i := rng.IntN(n)
			switch rng.IntN(10) {
			case 0:
				if _, err := parts.Update(ctx, scalePart(i).ID, func(p *kinds.Part) error { p.Price++; return nil }); err != nil {
					t.Fatal(err)
				}
			case 1:
				page, err := parts.QueryByCategory(scalePart(i).Category).Limit(20).Page(ctx)
				if err != nil || len(page.Items) == 0 {
					t.Fatalf("page of %s: %d, %v", scalePart(i).Category, len(page.Items), err)
				}
			default:
				if p, err := parts.Get(ctx, scalePart(i).ID); err != nil || p.Text != scalePart(i).Text {
					t.Fatalf("Get %s: %+v, %v", scalePart(i).ID, p, err)
				}
			}
			if step%(steps/10) == 0 {
				look()
			}
		}
	}
	work(n / 5)
	disk := filesIn(t, dir)
	// What a kill would leave now: nothing is written meanwhile.
	killed := dir + "-killed"
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	afterKill := must[*kixx.DB](t)(kixx.Open(ctx, "file:"+filepath.ToSlash(killed)+"?sync=none&cache=16MiB", kixx.WithCacheBytes(budget), kixx.WithLogger(slog.New(slog.DiscardHandler))))
	openedKilled := time.Since(start)
	if got := must[int](t)(must[*kinds.PartRepo](t)(kinds.NewPartRepo(ctx, afterKill)).Count(ctx)); got != n {
		t.Errorf("%d documents after a kill, want %d", got, n)
	}
	if err := afterKill.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(killed); err != nil {
		t.Fatal(err)
	}
	closed := heapAlloc() - before
	db, parts, opened := open()
	start = time.Now()
	must[*kinds.Part](t)(parts.Get(ctx, scalePart(n/2).ID))
	first := time.Since(start)
	work(n / 5)
	start = time.Now()
	if err := db.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	compacted := time.Since(start)
	if err := db.Close(); err != nil { // which gives back what is reserved ahead
		t.Fatal(err)
	}
	after := filesIn(t, dir)
	db, parts, _ = open()
	// It stays like that.
	var heaps []int64
	for end := time.Now().Add(scaleSteady()); len(heaps) < 4 || time.Now().Before(end); {
		work(n / 20)
		heaps = append(heaps, heapAlloc()-before)
	}
	half := len(heaps) / 2
	first20, last20 := slices.Max(heaps[:half]), slices.Max(heaps[half:])
	if last20 > first20+first20/10+4<<20 {
		t.Errorf("the heap grows: up to %d bytes in the first half of the time, %d in the second", first20, last20)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if largest > most {
		t.Errorf("up to %d MB of heap, want at most %d", largest>>20, most>>20)
	}
	if float64(after) > 1.35*float64(asJSON) {
		t.Errorf("%d bytes in files after Compact, %.2f times the JSON", after, float64(after)/float64(asJSON))
	}
	if limit := 2*asJSON + 128<<20; disk > limit {
		t.Errorf("%d bytes in files, more than %d", disk, limit)
	}
	t.Logf("%d documents, %d MB of JSON: loaded in %v, up to %d MB of heap with budgets of %d MB (%d MB closed), opened in %v, after a kill in %v, first Get %v, compacted in %v; files %.2f times the JSON, %.2f after Compact; heap at work for %v up to %d MB, then %d MB",
		n, asJSON>>20, loaded.Round(time.Millisecond), largest>>20, 2*budget>>20, closed>>20, opened, openedKilled, first, compacted.Round(time.Millisecond),
		float64(disk)/float64(asJSON), float64(after)/float64(asJSON), scaleSteady(), first20>>20, last20>>20)
	t.Logf(`{"row":17,"test":"TestMoreThanFitsIntoMemory","documents":%d,"budgetBytes":%d,"heapBytes":%d,"openMicroseconds":%d,"openAfterKillMicroseconds":%d,"filesPerJSON":%.3f,"heapFirstHalf":%d,"heapSecondHalf":%d}`,
		n, 2*budget, largest, opened.Microseconds(), openedKilled.Microseconds(), float64(after)/float64(asJSON), first20, last20)
}
