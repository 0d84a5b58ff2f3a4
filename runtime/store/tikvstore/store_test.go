package tikvstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/storetest"
	"github.com/kixxgen/kixxgen/runtime/store/tikvstore"
)

var bg = context.Background()

// TestMain looks for goroutines that were left behind.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	code := m.Run()
	// The test server's database has one that goes a second after it was closed.
	if err := goleak.Find(goleak.IgnoreAnyFunction("github.com/pingcap/goleveldb/leveldb.(*DB).mpoolDrain")); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func TestContract(t *testing.T) {
	clusters := make(map[store.Store]*cluster)
	at := func(t *testing.T, c *cluster) store.Store {
		s := c.open(t)
		clusters[s] = c
		return s
	}
	if os.Getenv("KIXX_CI") == "" && os.Getenv("KIXX_LONG") == "" {
		tikvstore.ShrinkValues(t)
	}
	if os.Getenv("KIXX_LONG") == "" {
		t.Setenv("KIXX_CI", "") // the full counts take hours on the client's test server
	}
	storetest.Run(t, func(t *testing.T) store.Store { return at(t, newCluster(t)) }, storetest.Options{
		Reopen: func(t *testing.T, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return at(t, clusters[s])
		},
	})
}

func TestRepository(t *testing.T) {
	repotest.Run(t, func(t testing.TB) repotest.Place {
		c := newCluster(t)
		return repotest.Place{Durable: true, Slow: 50, Open: func(t testing.TB) store.Store { return c.open(t) }}
	})
}

// The script that gives the same on the stores in files and in memory.
func TestTheSameScriptAsInMemory(t *testing.T) {
	c := newCluster(t)
	repotest.Script(t, func(t testing.TB) store.Store { return c.open(t) }, repotest.Count(300, 1_000, 20_000))
}
