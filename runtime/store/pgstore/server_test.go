package pgstore_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// searchPath returns the schema that a URL names.
func searchPath(t testing.TB, s string) string {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("search_path")
}

// connect returns a connection of the test's own.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(bg, url)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// lockRow locks the row of a key until release is called, or the test ends.
func lockRow(t testing.TB, url, key string) (release func()) {
	t.Helper()
	conn := connect(t, url)
	if _, err := conn.Exec(bg, "begin"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(bg, "select 1 from kixx_map where key = $1 for update", []byte(key)); err != nil {
		t.Fatal(err)
	}
	release = func() { conn.Close(bg) }
	t.Cleanup(release)
	return release
}

// waitForLock returns when a backend of the server waits for a lock.
func waitForLock(t testing.TB, url string) {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(bg)
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		var n int
		if err := conn.QueryRow(bg, "select count(*) from pg_stat_activity where wait_event_type = 'Lock'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
	t.Fatal("nobody waits for a lock")
}
