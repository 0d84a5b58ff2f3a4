package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/etcdstore/e2e/etcdtest"
)

// token returns where a watch goes on to see what is committed from now on.
func token(t testing.TB, s store.Store) (at store.Token) {
	t.Helper()
	if err := s.Snapshot(bg, func(r store.SnapshotReader) error { at = r.Token(); return nil }); err != nil {
		t.Fatal(err)
	}
	return at
}

// tell returns the next n events of a watch as text.
func tell(t testing.TB, s store.Store, from store.Token, n int) (told []string, last store.Token) {
	t.Helper()
	ctx, cancel := context.WithTimeout(bg, 30*time.Second)
	defer cancel()
	for e, err := range s.Watch(ctx, from, nil) {
		if err != nil {
			t.Fatalf("Watch = %v after %q", err, told)
		}
		told, last = append(told, fmt.Sprintf("%d %s=%.20s", e.Kind, e.Key, e.Value)), e.Token
		if len(told) == n {
			break
		}
	}
	return told, last
}

// compact has etcd forget what was before a token.
func compact(t testing.TB, at store.Token) {
	t.Helper()
	var revision int64
	if _, err := fmt.Sscan(string(at)[strings.LastIndex(string(at), "/")+1:], &revision); err != nil {
		t.Fatal(err)
	}
	if _, err := etcdtest.Shared(t).Client(t).Compact(bg, revision); err != nil {
		t.Fatal(err)
	}
}

func TestCompactedTokensYieldResync(t *testing.T) {
	s := open(t, etcdtest.New(t))
	from := token(t, s)
	mustCommit(t, s, put("a", "1", store.Guard{}), put("b", "1", store.Guard{}))
	middle := token(t, s)
	mustCommit(t, s, put("a", "2", store.Guard{}))
	before := token(t, s)
	mustCommit(t, s, remove("b"))
	end := token(t, s)
	compact(t, end)
	// What happened at the very revision is not forgotten, a deletion neither.
	if told, _ := tell(t, s, before, 1); told[0] != fmt.Sprintf("%d b=", store.EventDelete) {
		t.Errorf("a watch of the token before the compacted revision told %q, want the deletion of b, or a resync", told)
	}
	for name, at := range map[string]store.Token{"from before": from, "from the middle": middle} {
		told, last := tell(t, s, at, 1)
		if want := []string{fmt.Sprintf("%d =", store.EventResync)}; !slices.Equal(told, want) {
			t.Errorf("a watch of a compacted token, %s, told %q, want %q", name, told, want)
		}
		mustCommit(t, s, put("a", name, store.Guard{}))
		if told, _ := tell(t, s, last, 1); told[0] != fmt.Sprintf("%d a=%s", store.EventPut, name) {
			t.Errorf("after the resync the watch told %q", told)
		}
	}
	// The newest revision is never compacted.
	if told, _ := tell(t, s, end, 1); told[0] != fmt.Sprintf("%d a=from before", store.EventPut) && told[0] != fmt.Sprintf("%d a=from the middle", store.EventPut) {
		t.Errorf("a watch from where it was compacted told %q, want the commit after it", told)
	}
}

func TestCompactedSnapshotsAreTooOld(t *testing.T) {
	s := open(t, etcdtest.New(t))
	mustCommit(t, s, put("a", "1", store.Guard{}), put("e", "a", store.Guard{}))
	err := s.Snapshot(bg, func(r store.SnapshotReader) error {
		mustCommit(t, s, put("a", "2", store.Guard{}))
		compact(t, token(t, s))
		for name, read := range map[string]func() error{
			"Get":   func() error { _, err := r.Get(bg, []byte("a")); return err },
			"Page":  func() error { _, err := r.Page(bg, store.Page{Limit: 1}); return err },
			"Deref": func() error { _, err := r.Page(bg, store.Page{Lo: []byte("e"), Limit: 1, Deref: true}); return err },
		} {
			if err := read(); !isTooOld(err) {
				t.Errorf("%s of a snapshot that was compacted = %v, want ErrSnapshotTooOld", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if it := get(t, s, "a"); string(it.Value) != "2" {
		t.Errorf("a = %q", it.Value)
	}
}

// A range that was read in a snapshot can be checked also when the snapshot is gone.
func TestRangeChecksOutliveCompaction(t *testing.T) {
	s := open(t, etcdtest.New(t))
	mustCommit(t, s, put("r/1", "", store.Guard{}))
	b := batchOf(put("k", "", store.Guard{}))
	r := store.RangeCheck{Lo: []byte("r/"), Hi: []byte("r0"), Token: token(t, s), Seen: []store.Check{{Key: []byte("r/1"), Version: get(t, s, "r/1").Version}}}
	b.Ranges = []store.RangeCheck{r}
	mustCommit(t, s, put("x", "", store.Guard{}))
	compact(t, token(t, s))
	if _, err := s.Commit(bg, b); err != nil {
		t.Errorf("Commit with a range check of a compacted snapshot = %v; nothing in the range was changed", err)
	}
}

// A token of a store whose path was deleted and made anew is one of another history.
func TestTokensOfADeletedStoreYieldResync(t *testing.T) {
	url := etcdtest.New(t)
	s := open(t, url)
	from := token(t, s)
	mustCommit(t, s, put("a", "1", store.Guard{}))
	path := url[strings.LastIndex(url, "/test/"):]
	if _, err := etcdtest.Shared(t).Client(t).Delete(bg, path+"/", withPrefix); err != nil {
		t.Fatal(err)
	}
	_, err := s.Commit(bg, batchOf(put("a", "2", store.Guard{})))
	if err == nil || !strings.Contains(err.Error(), "was its path deleted?") {
		t.Errorf("Commit to a store whose path was deleted = %v, want an error that says so", err)
	}
	if err := s.Health(bg); err == nil || !strings.Contains(err.Error(), "was its path deleted?") {
		t.Errorf("Health of a store whose path was deleted = %v", err)
	}
	anew := open(t, url)
	if it := get(t, anew, "a"); it.Version != store.Absent {
		t.Errorf("a store that was made anew has a = %q", it.Value)
	}
	if told, _ := tell(t, anew, from, 1); told[0] != fmt.Sprintf("%d =", store.EventResync) {
		t.Errorf("a watch of a token of the deleted store told %q, want a resync", told)
	}
	if _, err := s.Commit(bg, batchOf(put("a", "2", store.Guard{}))); err == nil || !strings.Contains(err.Error(), "was its path deleted?") {
		t.Errorf("Commit of the old store to the new one = %v, want an error", err)
	}
}

// Connections end again and again, and a watch tells of everything, in order.
func TestWatchesOutliveTheirConnections(t *testing.T) {
	p, indirect, direct := place(t)
	s, other := open(t, indirect), open(t, direct)
	n := repotest.Count(60, 300, 3000)
	from := token(t, s)
	next := make(chan int)
	go func() {
		defer close(next)
		ctx, cancel := context.WithTimeout(bg, time.Minute)
		defer cancel()
		told := 0
		for e, err := range s.Watch(ctx, from, []byte("k")) {
			if err != nil || e.Kind != store.EventPut {
				t.Errorf("after %d events: %+v, %v", told, e, err)
				return
			}
			var i int
			fmt.Sscan(string(e.Value), &i)
			if i > told {
				t.Errorf("the watch told of change %d, and change %d was not told", i, told)
				return
			}
			if i == told {
				told++
				next <- told
			}
			if told == n {
				return
			}
		}
	}()
	for i := range n {
		mustCommit(t, other, put("k/a", fmt.Sprint(i), store.Guard{}), put("other", "", store.Guard{}))
		if i%5 == 4 {
			p.drop()
		}
		if i%10 < 5 { // sometimes it keeps up, sometimes not
			continue
		}
		for told := range next {
			if told > i-5 {
				break
			}
		}
	}
	for range next {
	}
}

// What one commit has changed is told again if the watch goes on in the middle of it.
func TestTokensInTheMiddleOfACommit(t *testing.T) {
	t.Parallel()
	s := open(t, etcdtest.New(t))
	from := token(t, s)
	var ops []store.Op
	for i := range 20 { // more than what is in one message
		ops = append(ops, put(fmt.Sprintf("k%02d", i), strings.Repeat("x", 50_000), store.Guard{}))
	}
	mustCommit(t, s, ops...)
	mustCommit(t, s, put("z", "end", store.Guard{}))
	for _, n := range []int{1, 9, 15, 16, len(ops)} {
		_, at := tell(t, s, from, n)
		seen := n
		ctx, cancel := context.WithTimeout(bg, 30*time.Second)
		for e, err := range s.Watch(ctx, at, nil) {
			if err != nil {
				t.Fatal(err)
			}
			if string(e.Key) == "z" {
				break
			}
			var i int
			fmt.Sscanf(string(e.Key), "k%02d", &i)
			if i > seen {
				t.Fatalf("a watch from the token of event %d tells of %s next", n-1, e.Key)
			}
			seen = max(seen, i+1)
		}
		cancel()
		if seen != len(ops) {
			t.Fatalf("a watch from the token of event %d ends after %d of %d events", n-1, seen, len(ops))
		}
	}
}

// A watcher that does nothing holds nothing: what it has not taken stays with the server.
func TestSlowWatchersCostNoMemory(t *testing.T) {
	s := open(t, etcdtest.New(t))
	from := token(t, s)
	n := repotest.Count(60, 300, 1000)
	value := strings.Repeat("v", 100_000)
	mustCommit(t, s, put("k0", "first", store.Guard{}))
	told := 0
	before := inUse()
	for e, err := range s.Watch(bg, from, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if told++; told > 1 {
			if e.Kind != store.EventPut {
				t.Fatalf("event %d is %+v", told, e)
			}
			if told == n+1 {
				break
			}
			continue
		}
		for i := range n {
			mustCommit(t, s, put(fmt.Sprint("k", i%10), value, store.Guard{}))
		}
		if grown := inUse() - before; grown > 4<<20 {
			t.Errorf("a watcher that is %d MB behind holds %d bytes", n*len(value)>>20, grown)
		}
	}
}
