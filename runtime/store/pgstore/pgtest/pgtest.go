// Package pgtest gives tests a PostgreSQL server of their own.
//
// The server is the one that KIXX_POSTGRES_URL names, or else one that is started from the binaries on this machine, with
// its data in a temporary directory, for as long as the tests of the package run. Where there are no binaries, tests that
// ask for a server are skipped; with KIXX_CI set that is a failure.
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }
//
//	func TestSomething(t *testing.T) { url := pgtest.New(t); … }
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNoBinaries says that there is no PostgreSQL on this machine.
var ErrNoBinaries = errors.New("there is no PostgreSQL server on this machine; install it (apt-get install postgresql) or set KIXX_POSTGRES_URL")

// urlEnv names the server to be used.
const urlEnv = "KIXX_POSTGRES_URL"

var (
	once    sync.Once
	server  *Server
	failure error
	made    atomic.Int64
)

// Run runs the tests of a package, and then stops the server that they have used.
func Run(m interface{ Run() int }) int {
	code := m.Run()
	if server != nil {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
			return 1
		}
	}
	return code
}

// Skip skips or fails t because of err, which says why there is no server.
func Skip(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, ErrNoBinaries) && (os.Getenv("KIXX_CI") == "" || Given() != "") {
		t.Skipf("pgtest: %v", err)
	}
	t.Fatalf("pgtest: %v", err)
}

// Given returns the URL of the server that KIXX_POSTGRES_URL names, or "".
func Given() string { return os.Getenv(urlEnv) }

// URL returns the URL of the server that all tests of the package share.
func URL(t testing.TB) string {
	t.Helper()
	if given := Given(); given != "" {
		return given
	}
	once.Do(func() { server, failure = Start() })
	if failure != nil {
		Skip(t, failure)
	}
	return server.URL()
}

// New returns the URL of a new, empty schema on the shared server, which is dropped when the test ends.
func New(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(URL(t))
	if err != nil {
		t.Fatal("pgtest: the URL of the server cannot be parsed")
	}
	base := u.String()
	schema := fmt.Sprintf("kixx_test_%d_%d", os.Getpid(), made.Add(1))
	Exec(t, base, "create schema "+pgx.Identifier{schema}.Sanitize())
	t.Cleanup(func() { Exec(t, base, "drop schema "+pgx.Identifier{schema}.Sanitize()+" cascade") })
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

// Exec runs statements on a connection of its own.
func Exec(t testing.TB, url, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("pgtest: %.200s: %v", sql, err)
	}
}
