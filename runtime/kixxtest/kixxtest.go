// Package kixxtest is for the tests of applications: the real database in place of a mock, thrown away afterwards.
//
//	func TestRename(t *testing.T) {
//		db := kixxtest.Open(t)
//		items, err := inventory.NewItemRepo(t.Context(), db)
//		…
//		kixxtest.Load(t, items, "testdata/items.jsonl")
//
// [Open] gives a database in memory, in less than a millisecond, with a clock that steps; it is closed when the test ends.
// Before that the whole database is verified, with [kixx.DB.Verify]: an index entry that is missing, too many or wrong
// fails the test.
//
// A [Kit] is for what seldom happens. Its database is the file store on a simulated disk, and the test decides when another
// writer is faster and when the power is cut:
//
//	kit := kixxtest.New(t)
//	kit.ConflictNext(3)   // the next three commits meet another writer
//	kit.CrashAfter(n)     // a power cut, between any two steps of the disk
//	db := kit.Reopen()    // the program starts again, and finds what the disk has kept
//
// All of it is deterministic: nothing waits, sleeps or draws lots that another run would draw otherwise.
package kixxtest

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// Open opens a new database in memory. When the test ends, it is verified and closed. A database that the test itself has
// closed is not verified.
//
// Its clock is NewClock(Start, Step), and it logs into the test's own log. opts come after these: to have a hand on the
// clock, pass kixx.WithClock(clock.Now).
func Open(t testing.TB, opts ...kixx.Option) *kixx.DB {
	t.Helper()
	return open(t, "mem:", opts)
}

// OpenFile is [Open] with the files of a directory of the test, for what depends on there being files. Writes are not
// synced: a test's files need not survive a power cut. For what does, see [Kit].
func OpenFile(t testing.TB, opts ...kixx.Option) *kixx.DB {
	t.Helper()
	return open(t, "file:"+filepath.ToSlash(t.TempDir())+"?sync=none", opts)
}

func open(t testing.TB, url string, opts []kixx.Option) *kixx.DB {
	t.Helper()
	db, err := kixx.Open(t.Context(), url, withDefaults(t, NewClock(Start, Step), opts)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		verify(t, db)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// withDefaults returns opts behind the options that every database here is opened with.
func withDefaults(t testing.TB, clock *Clock, opts []kixx.Option) []kixx.Option {
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	return append([]kixx.Option{kixx.WithClock(clock.Now), kixx.WithLogger(log)}, opts...)
}

// verify fails the test with what is wrong in db.
func verify(t testing.TB, db *kixx.DB) {
	t.Helper()
	// The context of a test has ended when its cleanups run.
	if err := db.Verify(context.WithoutCancel(t.Context())); err != nil && !errors.Is(err, kixx.ErrClosed) {
		t.Errorf("kixxtest: the database is damaged:\n%v", err)
	}
}
