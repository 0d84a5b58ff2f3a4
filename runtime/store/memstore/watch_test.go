package memstore

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// tell returns the next n events of a watch as text.
func tell(t *testing.T, s store.Store, from store.Token, n int) (told []string) {
	t.Helper()
	for e, err := range s.Watch(ctx, from, []byte("w/")) {
		if err != nil {
			t.Fatalf("Watch = %v", err)
		}
		told = append(told, fmt.Sprintf("%d %s=%s", e.Kind, e.Key, e.Value))
		if len(told) == n {
			break
		}
	}
	return told
}

func TestWatchTellsOnce(t *testing.T) {
	s := New(store.Options{})
	defer s.Close()
	from := token(t, s)
	var want []string
	for i := range 2 * chunk {
		_, err := s.Commit(ctx, &store.Batch{Ops: []store.Op{
			{Key: []byte("absent"), Delete: true}, // no change: a gap between the positions
			{Key: []byte("other"), Value: nil},
			{Key: []byte("w/1"), Value: fmt.Append(nil, i)},
		}})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("%d w/1=%d", store.EventPut, i))
	}
	if got := tell(t, s, from, len(want)); !slices.Equal(got, want) {
		t.Errorf("the watch told\n%q\nwant each change once\n%q", got, want)
	}
}

func TestWatchCanBeUsedTwice(t *testing.T) {
	s := New(store.Options{})
	defer s.Close()
	watch := s.Watch(ctx, "", nil)
	put(t, s, "a", nil)
	for range 2 {
		for e, err := range watch {
			if err != nil || string(e.Key) != "a" {
				t.Errorf("the watch told of %q, %v; each use begins where the watch does", e.Key, err)
			}
			break
		}
		put(t, s, "b", nil)
	}
}

func TestWatcherThatFallsBehindIsToldToResync(t *testing.T) {
	now := time.Unix(1000, 0)
	s := New(store.Options{Now: func() time.Time { return now }})
	defer s.Close()
	from := token(t, s)
	put(t, s, "w/1", []byte("first"))
	var told []string
	for e, err := range s.Watch(ctx, from, []byte("w/")) {
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, fmt.Sprintf("%d %s=%s", e.Kind, e.Key, e.Value))
		if len(told) == 1 { // the watcher takes its time
			for range 4 {
				now = now.Add(10 * time.Second)
				put(t, s, "w/1", []byte("lost"))
				put(t, s, "large", make([]byte, limits.Value))
			}
			continue
		}
		if len(told) == 2 {
			put(t, s, "w/1", []byte("after"))
			continue
		}
		break
	}
	want := []string{"1 w/1=first", "3 =", "1 w/1=after"}
	if !slices.Equal(told, want) {
		t.Errorf("the watch told %q, want %q", told, want)
	}
}

func TestTokenOfNoPositionYieldsResync(t *testing.T) {
	s, other := New(store.Options{}), New(store.Options{})
	defer s.Close()
	defer other.Close()
	put(t, s, "w/1", nil)
	put(t, other, "w/1", nil)
	for name, from := range map[string]store.Token{"another store": token(t, other), "the future": s.token(s.pos + 1), "no number": token(t, s) + "x"} {
		if got := tell(t, s, from, 1); got[0] != fmt.Sprintf("%d =", store.EventResync) {
			t.Errorf("a watch from a token of %s told %q, want a resync", name, got)
		}
	}
}

func TestCloseWakesWatchersThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(store.Options{})
		var last error
		ended := false
		go func() {
			for _, err := range s.Watch(ctx, "", nil) {
				last = err
			}
			ended = true
		}()
		synctest.Wait() // until it waits
		if ended {
			t.Fatalf("a watch of a store in which nothing happens ended: %v", last)
		}
		s.Close()
		synctest.Wait()
		if !ended || !errors.Is(last, store.ErrClosed) {
			t.Errorf("after Close: the watch has ended: %v, with %v; want ErrClosed", ended, last)
		}
	})
}
