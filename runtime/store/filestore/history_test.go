package filestore_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// The text of a token is fixed: it names the store, the commit, and the contents up to there.
func TestTokenText(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	s := mustOpen(t, o)
	from := token(t, s)
	if _, err := s.Commit(bg, batch(set{key: "a", value: "1"}, set{key: "b", value: "2"})); err != nil {
		t.Fatal(err)
	}
	put(t, s, "c", strings.Repeat("3", 100))
	for i, want := range []string{"/1/8fee1557/1", "/1/8fee1557", "/2/b4dbf989"} {
		if got := watch(t, s, from, "", 3)[i].Token; !strings.HasSuffix(string(got), want) || !strings.HasPrefix(string(got), "file/") {
			t.Errorf("the token of event %d is %q, want file/…%s", i, got, want)
		}
	}
	if now, last := token(t, s), watch(t, s, from, "", 3)[2].Token; now != last {
		t.Errorf("the snapshot after the last event has the token %q, the event %q", now, last)
	}
}

// What is not a token of this store's history is answered with a resync, and then the feed.
func TestForeignTokensResync(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	s := mustOpen(t, o)
	put(t, s, "w", "1")
	mine := string(token(t, s))
	put(t, s, "w", "2")
	oo, _ := simOptions(simfs.New(), store.Sync)
	other := mustOpen(t, oo)
	put(t, other, "w", "1")
	parts := strings.Split(mine, "/")
	part := func(i int, text string) string {
		p := slices.Clone(parts)
		p[i] = text
		return strings.Join(p, "/")
	}
	for _, from := range []string{
		string(token(t, other)), "x", "file/", "mem/x/1", mine + "/", mine + "/x", mine + "/0", mine + "/01", mine + "/4294967296",
		" " + mine, mine + "\x00", strings.ToUpper(mine), part(2, "01"), part(2, "-1"), part(2, "99999999999999999999"), part(2, "3"),
		part(2, "0"), part(3, "0"), part(3, "00000000"), part(3, "ffffffff"), part(1, parts[1]+"00"), part(1, ""), strings.Repeat("9", 5000),
	} {
		for _, keep := range []int{16 << 20, 0} { // looked up in memory, and in the segments
			filestore.KeepRecent(s, keep)
			put(t, s, "w", "before")
			var got []string
			ctx, cancel := context.WithTimeout(bg, patience)
			defer cancel()
			for e, err := range s.Watch(ctx, store.Token(from), []byte("w")) {
				if err != nil {
					t.Fatalf("token %q: %v", from, err)
				}
				if got = append(got, told(e)); len(got) == 3 {
					break
				}
				if e.Kind == store.EventResync && e.Token != token(t, s) {
					t.Errorf("token %q: the resync has another token than a snapshot", from)
				}
				put(t, s, "w", "after")
			}
			if text := strings.Join(got, ", "); text != "resync, w=after, w=after" {
				t.Errorf("from %q the watch tells %s, want a resync and then the feed", from, text)
			}
		}
	}
	if got := watchText(t, s, store.Token(mine), "w", 1); got != "w=2" {
		t.Errorf("from the store's own token the watch tells %s", got)
	}
}

// No text makes the parser of tokens panic, and what it takes is what the store writes. A watch or a range check from any
// text ends as it should.
func FuzzToken(f *testing.F) {
	o, _ := simOptions(simfs.New(), store.NoSync)
	s := mustOpen(f, o)
	first := token(f, s)
	put(f, s, "w", "1")
	from := token(f, s)
	if _, err := s.Commit(bg, batch(set{key: "w", value: "2"}, set{key: "x", value: "3"})); err != nil {
		f.Fatal(err)
	}
	events := watch(f, s, from, "", 2)
	last := token(f, s)
	id := strings.Split(string(from), "/")[1]
	for _, seed := range []store.Token{first, from, events[0].Token, events[1].Token, "", "file/", "file/0/0/0", from + "/1", "mem/x/1"} {
		f.Add(strings.Replace(string(seed), id, "ID", 1)) // another one in each process
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.Replace(text, "ID", id, 1)
		tok := store.Token(text)
		err := checkRange(t, s, tok, "", "")
		if (err == nil) != (tok == last) || err != nil && !errors.Is(err, store.ErrConflict) {
			t.Errorf("range check since %q: %v", text, err)
		}
		if tok == "" || tok == last {
			return // it would wait
		}
		want := "resync"
		switch {
		case tok == first:
			want = "w=1"
		case tok == from, strings.HasPrefix(text, string(from)+"/") && filestore.TakesToken(s, tok):
			want = "w=2"
		case tok == events[0].Token:
			want = "x=3"
		case strings.HasPrefix(text, string(last)+"/") && filestore.TakesToken(s, tok):
			return // all of the last commit: it would wait
		}
		if got := watchText(t, s, tok, "", 1); got != want {
			t.Errorf("from %q the watch tells %s, want %s", text, got, want)
		}
	})
}

// The token of a snapshot is that of what it sees, whenever it is asked for: what was committed meanwhile is told, and
// conflicts.
func TestTokenIsThatOfTheSnapshot(t *testing.T) {
	o, _ := simOptions(simfs.New(), store.Sync)
	s := mustOpen(t, o)
	put(t, s, "w", "1")
	var from store.Token
	err := s.Snapshot(bg, func(r store.SnapshotReader) error {
		put(t, s, "w", "2")
		from = r.Token()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := watchText(t, s, from, "w", 1); got != "w=2" {
		t.Errorf("a watch from a snapshot that has w=1 tells %s, want w=2", got)
	}
	if err := checkRange(t, s, from, "w", ""); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a range check since the snapshot: %v, want a conflict", err)
	}
}

// Which openings go on with the history, and which begin a new one.
func TestHistories(t *testing.T) {
	modes := []store.DurabilityMode{store.Sync, store.Periodic, store.NoSync}
	for _, mode := range modes {
		open := func(sim *simfs.FS) *filestore.Store {
			o, _ := simOptions(sim, mode)
			return mustOpen(t, o)
		}
		sim := simfs.New()
		s := open(sim)
		put(t, s, "w", "1")
		from := token(t, s)
		put(t, s, "w", "2")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		closed := sim.Clone()

		s = open(sim)
		put(t, s, "w", "3")
		if got := watchText(t, s, from, "w", 2); got != "w=2, w=3" {
			t.Errorf("mode %d, over a clean close: %s", mode, got)
		}
		now := token(t, s)
		killed, lost := sim.Crash(simfs.KeepAll, nil), sim.Crash(simfs.LoseAll, nil)

		s2 := open(killed)
		put(t, s2, "w", "4")
		want := "w=2, w=3, w=4"
		if mode != store.Sync { // it may have been a power cut that took what was told
			want = "resync"
		}
		if got := watchText(t, s2, from, "w", 1+strings.Count(want, ",")); got != want {
			t.Errorf("mode %d, over a kill: %s, want %s", mode, got, want)
		}
		if got := watchText(t, s2, now, "w", 1); got != "resync" && got != "w=4" || (got == "resync") != (want == "resync") {
			t.Errorf("mode %d, over a kill, from the last token: %s", mode, got)
		}
		anew := token(t, s2)
		put(t, s2, "w", "5")
		if err := s2.Close(); err != nil {
			t.Fatal(err)
		}
		s2 = open(killed)
		if got := watchText(t, s2, anew, "w", 1); got != "w=5" {
			t.Errorf("mode %d, the new history over a clean close: %s", mode, got)
		}
		if got := watchText(t, s2, from, "w", 1); (got == "resync") != (want == "resync") {
			t.Errorf("mode %d, the old history after another opening: %s", mode, got)
		}

		if mode != store.Sync {
			// All that was told is gone, and nothing in the log says so. A watcher may be ahead of the token it has.
			s3 := open(lost)
			for _, tok := range []store.Token{from, now} {
				if got := watchText(t, s3, tok, "w", 1); got != "resync" {
					t.Errorf("mode %d, after a power cut that took everything: %s, want a resync", mode, got)
				}
			}
		}

		// A copy of the directory, and both go on: the numbers are the same, the commits are not.
		a, b := open(closed.Clone()), open(closed)
		fork := token(t, a)
		if fork != token(t, b) {
			t.Fatal("two copies of a directory begin with different tokens")
		}
		put(t, a, "w", "of a")
		put(t, b, "w", "of b")
		if got := watchText(t, b, token(t, a), "w", 1); got != "resync" {
			t.Errorf("mode %d, token of a copy that went on by itself: %s, want a resync", mode, got)
		}
		if err := checkRange(t, b, token(t, a), "x", "y"); !errors.Is(err, store.ErrConflict) {
			t.Errorf("mode %d, range check with the token of a copy that went on by itself: %v", mode, err)
		}
		put(t, b, "w", "more")
		if got := watchText(t, b, token(t, a), "w", 1); got != "resync" {
			t.Errorf("mode %d, token of a copy, further back: %s, want a resync", mode, got)
		}
		if got := watchText(t, b, from, "w", 3); got != "w=2, w=of b, w=more" {
			t.Errorf("mode %d, token of before the copy: %s", mode, got)
		}
		if got := watchText(t, b, fork, "w", 2); got != "w=of b, w=more" {
			t.Errorf("mode %d, token of the moment of the copy: %s", mode, got)
		}
	}
}

// An opening that cuts a torn end begins a new history, in the middle of its own second crash too.
func TestTornEndBeginsANewHistory(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	s := mustOpen(t, o)
	put(t, s, "w", "1")
	from := token(t, s)
	end := filestore.LogEnd(s)
	disk := sim.Crash(simfs.KeepAll, nil)
	data := disk.ReadFile(firstSegment)
	copy(data[end:], "KXFR torn")
	disk.WriteFile(firstSegment, data)
	opened := func(disk *simfs.FS) *filestore.Store {
		o, _ := simOptions(disk, store.Sync)
		return mustOpen(t, o)
	}
	var cuts []*simfs.FS
	first := disk.Clone()
	first.Before(func(op simfs.Op) {
		for _, loss := range []simfs.Loss{simfs.KeepAll, simfs.LoseAll, simfs.LoseSome, simfs.LoseEarly} {
			cuts = append(cuts, first.Crash(loss, rand.New(rand.NewPCG(uint64(op.N), 5))))
		}
	})
	again := opened(first)
	first.Before(nil)
	again.Close()
	for i, cut := range append(cuts, first) {
		s := opened(cut)
		if got := watchText(t, s, from, "w", 1); got != "resync" {
			t.Fatalf("second crash %d of %d: %s, want a resync", i, len(cuts), got)
		}
		if got, err := dump(s); err != nil || len(got) != 1 {
			t.Fatalf("second crash %d: %v%s", i, err, show(got))
		}
		s.Close()
	}
	t.Logf("%d second crashes", len(cuts))
}

// Where a history ends is seen in the log itself: a watch that came there in spite of all does not go on.
func TestWatchDoesNotReadOnIntoAnotherHistory(t *testing.T) {
	sim := simfs.New()
	o, clock := simOptions(sim, store.Periodic)
	s := mustOpen(t, o)
	put(t, s, "w", "1")
	from := token(t, s)
	put(t, s, "w", "2")
	clock.advance(150 * time.Millisecond) // on the disk
	put(t, s, "w", "3")                   // with a mark that says so
	o, _ = simOptions(sim.Crash(simfs.KeepAll, nil), store.Periodic)
	s = mustOpen(t, o)
	if got := watchText(t, s, from, "w", 1); got != "resync" {
		t.Fatalf("over a kill: %s, want a resync", got)
	}
	filestore.ForgetHistory(s)
	put(t, s, "w", "4")
	if got := watchText(t, s, from, "w", 2); got != "w=2, resync" {
		t.Errorf("a watch from the history before: %s, want w=2, resync", got)
	}
}
