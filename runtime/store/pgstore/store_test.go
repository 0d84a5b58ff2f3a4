package pgstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/kixxgen/kixxgen/examples/shop/app/apptest"
	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore/pgtest"
	"github.com/kixxgen/kixxgen/runtime/store/storetest"
)

var bg = context.Background()

// pgtestURL returns the URL of a store as the server knows it.
func pgtestURL(url string) string { return strings.ReplaceAll(url, "&json=on", "") }

// TestMain is also the process that tests start beside them. It looks for goroutines that were left behind.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if code, ok := childMain(); ok {
		os.Exit(code)
	}
	code := pgtest.Run(m)
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// open opens a store and closes it when the test ends.
func open(t testing.TB, url string) *pgstore.Store {
	t.Helper()
	s, err := pgstore.Open(bg, url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// The kinds of databases that there are. But with KIXX_LONG the last one stands for the ones in the middle: each call is a round
// trip, and the contract has many.
var kindsOfDatabases = []struct{ name, parameters string }{
	{"plain", ""},
	{"watched", "&watch=on"},
	{"json", "&json=on"},
	{"serializable", "&isolation=serializable&watch=on&json=on"},
}

// small reports whether the tests are to be quick.
func small() bool { return os.Getenv("KIXX_CI") == "" && os.Getenv("KIXX_LONG") == "" }

func TestContract(t *testing.T) {
	kinds := kindsOfDatabases
	if os.Getenv("KIXX_LONG") == "" {
		kinds = []struct{ name, parameters string }{kinds[0], kinds[len(kinds)-1]}
		t.Setenv("KIXX_CI", "") // the full counts take minutes where each call is a round trip
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			urls := make(map[store.Store]string)
			at := func(t *testing.T, url string) store.Store {
				s := open(t, url)
				if strings.Contains(kind.parameters, "json=on") {
					s.Derive(func(_, value []byte) (string, string, []byte, bool) {
						return "", "raw", strconv.AppendQuote(nil, string(value)), len(value)%3 > 0 // of some there is none, or no JSON
					})
				}
				urls[s] = url
				return s
			}
			storetest.Run(t, func(t *testing.T) store.Store { return at(t, pgtest.New(t)+kind.parameters) }, storetest.Options{
				Reopen: func(t *testing.T, s store.Store) store.Store {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					return at(t, urls[s])
				},
			})
		})
	}
}

func TestRepository(t *testing.T) {
	repotest.Run(t, func(t testing.TB) repotest.Place {
		url := pgtest.New(t)
		return repotest.Place{Durable: true, Slow: 50, Open: func(t testing.TB) store.Store { return open(t, url) }}
	})
}

// The script that gives the same on the stores in files and in memory, here with documents as JSON beside it.
func TestTheSameScriptAsInMemory(t *testing.T) {
	url := pgtest.New(t) + "&json=on"
	repotest.Script(t, func(t testing.TB) store.Store { return open(t, url) }, repotest.Count(1_000, 5_000, 200_000))
	if got := rows(t, pgtestURL(url), "select count(*) > 0 as some, count(*) = count(doc) as every from kixx_documents"); got[0] != `{"some":true,"every":true}` {
		t.Errorf("documents as JSON: %v", got)
	}
}

// The shop of the examples is the same here as on files.
func TestShop(t *testing.T) {
	apptest.Run(t, func(t *testing.T) *kixx.DB {
		db := repotest.Must[*kixx.DB](t)(kixx.Open(bg, pgtest.New(t)+"&watch=on"))
		t.Cleanup(func() { db.Close() })
		return db
	})
}
