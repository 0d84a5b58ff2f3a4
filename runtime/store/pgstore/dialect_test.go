package pgstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore/pgtest"
	"github.com/kixxgen/kixxgen/runtime/store/storetest"
)

func TestServersAreKnownByTheirParameters(t *testing.T) {
	for _, c := range []struct {
		server, crdb, want string
	}{
		{"15.18 (Debian 15.18-0+deb12u1)", "", "PostgreSQL"},
		{"13.0.0", "CockroachDB CCL v25.2.1 (x86_64-pc-linux-gnu)", "CockroachDB"},
		{"11.2-YB-2.18.0.0-b0", "", "YugabyteDB"},
		{"15.12-YB-2025.1.0.0-b168", "", "YugabyteDB"},
		{"", "", "PostgreSQL"},
	} {
		if got := pgstore.DialectOf(map[string]string{"server_version": c.server, "crdb_version": c.crdb}); got.String() != c.want {
			t.Errorf("a server of version %q, %q is %v, want %s", c.server, c.crdb, got, c.want)
		}
	}
}

// What a server does not have is refused before anything is made.
func TestWhatADialectDoesNotHaveIsRefused(t *testing.T) {
	direct := pgtest.New(t)
	for _, c := range []struct {
		dialect          pgstore.Dialect
		parameters, want string
	}{
		{pgstore.Cockroach, "&watch=on", "CockroachDB has no numbers of transactions"},
		{pgstore.Yugabyte, "&watch=on", "YugabyteDB has no numbers of transactions"},
		{pgstore.Cockroach, "&isolation=read%20committed", "all commits are serializable"},
	} {
		if _, err := pgstore.OpenAs(bg, direct+c.parameters, c.dialect, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v with %s: error %v, want one with %q", c.dialect, c.parameters, err, c.want)
		}
	}
	conn := connect(t, direct)
	defer conn.Close(bg)
	var there bool
	if err := conn.QueryRow(bg, "select to_regclass('kixx_map') is not null").Scan(&there); err != nil || there {
		t.Errorf("the table is there = %v, %v", there, err)
	}
	// A store that was made in READ COMMITTED is not what CockroachDB would have.
	open(t, direct).Close()
	if _, err := pgstore.OpenAs(bg, direct, pgstore.Cockroach, nil); err == nil || !strings.Contains(err.Error(), "where it would be another") {
		t.Errorf("a store in READ COMMITTED on CockroachDB: %v, want that it is refused", err)
	}
}

// A recorder remembers what is sent.
type recorder struct {
	mu   sync.Mutex
	sent map[string]bool
}

func (r *recorder) add(sql string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent[sql] = true
}

func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	r.add(d.SQL)
	return ctx
}
func (r *recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (r *recorder) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	for _, q := range d.Batch.QueuedQueries {
		r.add(q.SQL)
	}
	return ctx
}
func (r *recorder) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (r *recorder) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// The way in which CockroachDB is spoken to keeps the contract, on PostgreSQL. Nothing is sent that is not on the list
// which its parser is given.
func TestContractAsCockroachDB(t *testing.T) {
	quick := os.Getenv("KIXX_LONG") == ""
	if os.Getenv("KIXX_LONG") == "" {
		t.Setenv("KIXX_CI", "")
	}
	r := &recorder{sent: make(map[string]bool)}
	urls := make(map[store.Store]string)
	at := func(t testing.TB, url string) store.Store {
		s, err := pgstore.OpenAs(bg, url, pgstore.Cockroach, r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		urls[s] = url
		return s
	}
	if !quick {
		storetest.Run(t, func(t *testing.T) store.Store { return at(t, pgtest.New(t)) }, storetest.Options{
			Reopen: func(t *testing.T, s store.Store) store.Store {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				return at(t, urls[s])
			},
		})
	}
	s := at(t, pgtest.New(t)).(*pgstore.Store)
	if l := s.Limits(); !l.RangeChecks || l.Watch {
		t.Errorf("the limits are %+v, want range checks and no watch", l)
	}
	// Put and delete in one commit, and one that finds another first: its connection is used again.
	v := mustCommit(t, s, put("k", "1", store.Guard{}))
	mustCommit(t, s, store.Op{Key: []byte("k"), Delete: true, Guard: store.At(v)}, put("l", "2", store.Guard{}))
	for range 4 {
		if _, err := s.Commit(bg, batchOf(put("k", "3", store.At(v)))); !errors.Is(err, store.ErrConflict) {
			t.Errorf("Commit = %v, want a conflict", err)
		}
	}
	if n := s.ConnectionsMade(); n > 2 {
		t.Errorf("%d connections for commits were made, want 2 that outlive conflicts", n)
	}
	for sql := range r.sent {
		if sql != pgstore.Identify && !slices.Contains(pgstore.SentToCockroach, sql) {
			t.Errorf("this is sent, and not on the list:\n%s", sql)
		}
	}
	t.Logf("%d of %d statements were sent", len(r.sent)-1, len(pgstore.SentToCockroach))
}

// testdata/cockroach.sql has what is sent, for the module grammar, which has CockroachDB's parser read it.
func TestStatementsForCockroachDBAreWritten(t *testing.T) {
	var b strings.Builder
	b.WriteString("-- The statements that are sent to CockroachDB. Written by KIXX_UPDATE=1 go test -run TestStatementsForCockroachDB\n")
	for _, sql := range pgstore.SentToCockroach {
		b.WriteString("\n" + strings.TrimSpace(sql) + ";\n")
	}
	name := filepath.Join("testdata", "cockroach.sql")
	if os.Getenv("KIXX_UPDATE") != "" {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have := repotest.Must[[]byte](t)(os.ReadFile(name))
	if string(have) != b.String() {
		t.Errorf("%s is not what is sent; run KIXX_UPDATE=1 go test -run %s", name, t.Name())
	}
}
