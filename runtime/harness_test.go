package kixx_test

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
	"github.com/kixxgen/kixxgen/runtime/store/storetest"
)

// TestMain closes what the benchmarks share and looks for goroutines that were left behind.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(upgradeUntilKilled(dir))
	}
	code := m.Run()
	for i := len(atExit) - 1; i >= 0; i-- {
		atExit[i]()
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// A place is a store that repositories are tested on.
type place struct {
	name string
	make func(t testing.TB) repotest.Place
}

// places are all stores: those at hand, and the weakest one that is permitted over each.
var places = []place{
	{"mem", memory},
	{"file", files},
	{"weak mem", weak(memory)},
	{"weak file", weak(files)},
}

func memory(testing.TB) repotest.Place {
	return repotest.Place{Coherent: true, Open: func(testing.TB) store.Store { return memstore.New(store.Options{}) }}
}

func files(t testing.TB) repotest.Place {
	dir := t.TempDir()
	return repotest.Place{Durable: true, Coherent: true, Open: func(t testing.TB) store.Store {
		s, err := filestore.Open(t.Context(), dir, filestore.Options{Options: store.Options{Durability: store.Durability{Mode: store.NoSync}}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}}
}

func weak(inside func(t testing.TB) repotest.Place) func(t testing.TB) repotest.Place {
	seed := uint64(1)
	return func(t testing.TB) repotest.Place {
		p := inside(t)
		open := p.Open
		p.Coherent = false
		p.Open = func(t testing.TB) store.Store {
			seed++
			return storetest.Weak(open(t), seed)
		}
		p.Patient = func(t testing.TB) store.Store {
			seed++
			rates := storetest.DefaultRates()
			rates.TooOld = 0
			return storetest.WeakWith(open(t), seed, rates)
		}
		return p
	}
}

func TestRepository(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) { repotest.Run(t, p.make) })
	}
}

// The same script gives the same documents, pages, cursors and errors on every store, byte for byte.
func TestTheSameScriptOnEveryStore(t *testing.T) {
	for _, p := range places {
		n := count(2_000, 200_000, 5_000_000)
		if strings.HasPrefix(p.name, "weak") {
			n /= 10
		}
		t.Run(p.name, func(t *testing.T) { repotest.Script(t, p.make(t).Open, n) })
	}
}

// everywhere runs a test on each store.
func everywhere(t *testing.T, test func(t *testing.T, p repotest.Place)) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) { test(t, p.make(t)) })
	}
}

// versions are the versions of an application, tomorrow's too.
type versions struct{ *repotest.Versions }

func newVersions(t *testing.T, p repotest.Place) *versions {
	return &versions{repotest.NewVersions(t, p)}
}

// Shorter names for what the tests of this package use of repotest.
var (
	count    = repotest.Count
	item     = repotest.Item
	newItems = repotest.NewItems
	put      = repotest.Put
	shelf    = repotest.Shelf
	ids      = repotest.IDs
	together = repotest.Together
)

func must[T any](t testing.TB) func(T, error) T { return repotest.Must[T](t) }
