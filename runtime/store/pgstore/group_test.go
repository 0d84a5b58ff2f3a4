package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore/pgtest"
)

// Commits go together only if neither has to do with what the other one changes.
func TestWhatGoesTogether(t *testing.T) {
	change := func(key string, guard store.Guard) *store.Batch { return batchOf(put(key, "", guard)) }
	check := func(key string, v store.Version) *store.Batch {
		b := batchOf(put("of its own/"+key, "", store.Guard{}))
		b.Checks = []store.Check{{Key: []byte(key), Version: v}}
		return b
	}
	fence := func(of, key string, v store.Version) *store.Batch {
		b := batchOf(put("of "+of, "", store.Guard{}))
		b.Fences = []store.Check{{Key: []byte(key), Version: v}}
		return b
	}
	ranges := batchOf(put("r", "", store.Guard{}))
	ranges.Ranges = []store.RangeCheck{{Lo: []byte("a"), Hi: []byte("b")}}
	large := batchOf()
	for i := range 3000 {
		large.Ops = append(large.Ops, put(fmt.Sprintf("large/%04d", i), "", store.Guard{}))
	}
	second := batchOf()
	for i := range 3000 {
		second.Ops = append(second.Ops, put(fmt.Sprintf("second/%04d", i), "", store.Guard{}))
	}
	for _, c := range []struct {
		what string
		a, b *store.Batch
		want bool
	}{
		{"changes of two keys", change("a", store.Guard{}), change("b", store.Guard{}), true},
		{"changes of one key", change("a", store.Guard{}), change("a", store.At(3)), false},
		{"a check of what is changed", change("a", store.Guard{}), check("a", 3), false},
		{"a change of what is checked", check("a", 3), change("a", store.Guard{}), false},
		{"two checks of one key", check("a", 3), check("a", 3), false}, // each puts a key of its own, the same
		{"one fence", fence("x", "f", 3), fence("y", "f", 3), true},
		{"one fence at different versions", fence("x", "f", 3), fence("y", "f", 4), true}, // one of them is wrong, which comes out
		{"a fence that is changed", change("f", store.At(3)), fence("y", "f", 3), false},
		{"a key that two check to be absent", check("a", store.Absent), fence("y", "a", store.Absent), false},
		{"a check of a range", ranges, change("z", store.Guard{}), false},
		{"another check of a range", change("z", store.Guard{}), ranges, false},
		{"more than fits", large, second, false},
	} {
		if got := pgstore.GoTogether(c.a, c.b); got != c.want {
			t.Errorf("%s: together %v, want %v", c.what, got, c.want)
		}
	}
}

// Of commits that went together, the one whose condition does not hold is refused, and no other.
func TestOneConflictIsOneMembersAlone(t *testing.T) {
	url := pgtest.New(t)
	s := open(t, url)
	fence := mustCommit(t, s, put("fence", "", store.Guard{}))
	mustCommit(t, s, put("busy", "", store.Guard{}), put("stale", "", store.Guard{}))
	n := repotest.Count(3, 20, 200)
	for round := range n {
		// Both lanes wait for a row, so that what comes meanwhile goes together.
		release := lockRow(t, url, "busy")
		var work sync.WaitGroup
		for range 2 {
			work.Go(func() {
				if _, err := s.Commit(bg, batchOf(put("busy", "", store.Guard{}))); err != nil {
					t.Error(err)
				}
			})
		}
		waitForLock(t, url)
		conflicts := make([]error, 20)
		for i := range conflicts {
			work.Go(func() {
				b := batchOf(put(fmt.Sprint("k/", i), "", store.Guard{}))
				b.Fences = []store.Check{{Key: []byte("fence"), Version: fence}}
				switch {
				case i%5 == 1:
					b.Ops = []store.Op{put("k/"+fmt.Sprint(i), "", store.At(12345))}
				case i%5 == 2:
					b.Ops = []store.Op{put("k/new", "", store.At(store.Absent)), put(fmt.Sprint("l/", i), "", store.Guard{})}
				case i%5 == 3:
					b.Fences[0].Version++
				}
				_, conflicts[i] = s.Commit(bg, b)
			})
		}
		release()
		work.Wait()
		added := 0
		for i, err := range conflicts {
			want := i%5 == 1 || i%5 == 3
			if i%5 == 2 {
				if err == nil {
					added++
				}
				want = err != nil
			}
			if want != errors.Is(err, store.ErrConflict) || err != nil && !errors.Is(err, store.ErrConflict) {
				t.Fatalf("round %d, commit %d = %v, want a conflict: %v", round, i, err, want)
			}
		}
		if added != 1 {
			t.Fatalf("round %d: %d commits have put a key that each wants to be absent", round, added)
		}
		mustCommit(t, s, store.Op{Key: []byte("k/new"), Delete: true})
	}
}

// Who stops waiting before his commit was sent has not committed.
func TestACommitThatWaitsCanBeWithdrawn(t *testing.T) {
	url := pgtest.New(t)
	s := open(t, url)
	mustCommit(t, s, put("busy", "", store.Guard{}))
	release := lockRow(t, url, "busy")
	busy := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := s.Commit(bg, batchOf(put("busy", "", store.Guard{})))
			busy <- err
		}()
	}
	eventually(t, "both lanes are under way", func() bool { return s.Waiting() == 0 && s.Lanes() == 2 })
	ctx, cancel := context.WithCancel(bg)
	withdrawn := make(chan error)
	go func() {
		_, err := s.Commit(ctx, batchOf(put("withdrawn", "", store.Guard{})))
		withdrawn <- err
	}()
	eventually(t, "the commit waits", func() bool { return s.Waiting() == 1 })
	cancel()
	if err := <-withdrawn; !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnknown) {
		t.Errorf("a commit that was not sent when its context ended = %v, want the context's error, and that it was not applied", err)
	}
	release()
	if err := errors.Join(<-busy, <-busy); err != nil {
		t.Error(err)
	}
	if it := get(t, s, "withdrawn"); it.Version != store.Absent {
		t.Error("a commit that was withdrawn was applied")
	}
}

// eventually returns when f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); !f(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it is never so that %s", what)
		}
	}
}

// However many commits come at once, they are sent in few transactions.
func TestCommitsShareTransactions(t *testing.T) {
	url := pgtest.New(t) + "&watch=on"
	s := open(t, url)
	mustCommit(t, s, put("busy", "", store.Guard{}))
	before := transactions(t, plain(url))
	release := lockRow(t, plain(url), "busy")
	var work sync.WaitGroup
	commit := func(key string) {
		work.Go(func() {
			if _, err := s.Commit(bg, batchOf(put(key, "", store.Guard{}))); err != nil {
				t.Error(err)
			}
		})
	}
	commit("busy")
	commit("busy")
	eventually(t, "both lanes are under way", func() bool { return s.Waiting() == 0 && s.Lanes() == 2 })
	for i := range 98 {
		commit(fmt.Sprint("k", i))
	}
	eventually(t, "the others wait", func() bool { return s.Waiting() == 98 })
	release()
	work.Wait()
	if n := transactions(t, plain(url)) - before; n > 8 {
		t.Errorf("100 commits at once were %d transactions", n)
	}
	items := repotest.Must[[]store.Item](t)(open(t, url).Page(bg, store.Page{Lo: []byte("k"), Hi: []byte("l"), Limit: 200}))
	if len(items) != 98 {
		t.Errorf("%d of 98 keys are there", len(items))
	}
	versions := make([]store.Version, len(items))
	for i, it := range items {
		versions[i] = it.Version
	}
	slices.Sort(versions)
	if len(slices.Compact(versions)) != len(items) {
		t.Error("commits that went together have the same version")
	}
}

// transactions returns how many have changed the map, as its log says.
func transactions(t *testing.T, url string) (n int) {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(bg)
	if err := conn.QueryRow(bg, `select count(distinct xid) from kixx_log`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
