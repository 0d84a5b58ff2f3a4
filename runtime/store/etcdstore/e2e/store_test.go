// Package e2e tests etcdstore with servers. It is a module of its own because of what the server needs.
package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/kixxgen/kixxgen/examples/shop/app/apptest"
	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/etcdstore"
	"github.com/kixxgen/kixxgen/runtime/store/etcdstore/e2e/etcdtest"
	"github.com/kixxgen/kixxgen/runtime/store/storetest"
)

var bg = context.Background()

// TestMain looks for goroutines that were left behind.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	code := etcdtest.Run(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// open opens a store and closes it when the test ends.
func open(t testing.TB, url string) *etcdstore.Store {
	t.Helper()
	s, err := etcdstore.Open(bg, url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestContract(t *testing.T) {
	urls := make(map[store.Store]string)
	at := func(t *testing.T, url string) store.Store {
		s := open(t, url)
		urls[s] = url
		return s
	}
	if os.Getenv("KIXX_LONG") == "" {
		t.Setenv("KIXX_CI", "") // the full counts take minutes where each call is a round trip
	}
	storetest.Run(t, func(t *testing.T) store.Store { return at(t, etcdtest.New(t)) }, storetest.Options{
		Reopen: func(t *testing.T, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return at(t, urls[s])
		},
	})
}

func TestRepository(t *testing.T) {
	if os.Getenv("KIXX_LONG") == "" {
		t.Setenv("KIXX_CI", "")
	}
	repotest.Run(t, func(t testing.TB) repotest.Place {
		url := etcdtest.New(t)
		return repotest.Place{Durable: true, Slow: 50, Open: func(t testing.TB) store.Store { return open(t, url) }}
	})
}

// batchOf returns a batch of the operations, which are sorted, with an ID of its own.
func batchOf(ops ...store.Op) *store.Batch {
	b := &store.Batch{Ops: ops}
	binary.BigEndian.PutUint64(b.ID[:], rand.Uint64())
	return b
}

func put(key, value string, guard store.Guard) store.Op {
	return store.Op{Key: []byte(key), Value: []byte(value), Guard: guard}
}

func remove(key string) store.Op { return store.Op{Key: []byte(key), Delete: true} }

func get(t testing.TB, s store.Reader, key string) store.Item {
	t.Helper()
	items, err := s.Get(bg, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return items[0]
}

func mustCommit(t testing.TB, s store.Store, ops ...store.Op) store.Version {
	t.Helper()
	v, err := s.Commit(bg, batchOf(ops...))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The script that gives the same on the stores in files and in memory.
func TestTheSameScriptAsInMemory(t *testing.T) {
	url := etcdtest.New(t)
	repotest.Script(t, func(t testing.TB) store.Store { return open(t, url) }, repotest.Count(300, 2_000, 20_000))
}

// The shop of the examples is the same here as on files.
func TestShop(t *testing.T) {
	apptest.Run(t, func(t *testing.T) *kixx.DB {
		db := repotest.Must[*kixx.DB](t)(kixx.Open(bg, etcdtest.New(t)))
		t.Cleanup(func() { db.Close() })
		return db
	})
}
