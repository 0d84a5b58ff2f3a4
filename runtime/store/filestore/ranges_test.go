package filestore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// ranged returns a batch with a check that nothing was changed in [lo, hi) since the token; an empty hi is open.
func ranged(since store.Token, lo, hi string, sets ...set) *store.Batch {
	b := batch(sets...)
	r := store.RangeCheck{Lo: []byte(lo), Token: since}
	if hi != "" {
		r.Hi = []byte(hi)
	}
	b.Ranges = []store.RangeCheck{r}
	return b
}

// checkRange commits nothing but a check of the range.
func checkRange(t testing.TB, s store.Store, since store.Token, lo, hi string) error {
	t.Helper()
	_, err := s.Commit(bg, ranged(since, lo, hi))
	return err
}

// Range checks hold exactly if nothing in the range was touched since, for positions of any age; one that is older than
// what is kept never holds.
func TestRangeChecksAgainstAList(t *testing.T) {
	var held, conflicts, old int
	for run := range size(4, 20, 200) {
		rng := rand.New(rand.NewPCG(uint64(run), 20))
		o, _ := simOptions(simfs.New(), store.NoSync)
		o.SegmentSize = 1 << 20
		s := mustOpen(t, o)
		filestore.KeepRecent(s, []int{16 << 20, 200 << 10, 1 << 10}[run%3])
		type touched struct {
			key    string
			commit int
		}
		var log []touched
		tokens := []store.Token{token(t, s)}
		key := func() string { return fmt.Sprintf("k%04d", rng.IntN(3000)) }
		commits := 300
		for n := 1; n <= commits; n++ {
			sets := map[string]set{}
			for range 1 + rng.IntN(40)*rng.IntN(2) {
				k := key()
				sets[k] = set{key: k, value: value(rng, "v", rng.IntN(100)), del: rng.IntN(3) == 0}
			}
			var list []set
			for k, st := range sets {
				list = append(list, st)
				log = append(log, touched{k, n})
			}
			if _, err := s.Commit(bg, batch(list...)); err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, token(t, s))
			if n%10 != 0 {
				continue
			}
			_, floor := filestore.Recent(s)
			for range 20 {
				lo, width := rng.IntN(3000), 1+rng.IntN(40)
				since := n - rng.IntN(1+min(n, 1+rng.IntN(n)))
				loKey, hiKey := fmt.Sprintf("k%04d", lo), fmt.Sprintf("k%04d", lo+width)
				if rng.IntN(20) == 0 {
					hiKey = ""
				}
				want := map[string]bool{}
				for _, l := range log {
					if l.commit > since && l.key >= loKey && (hiKey == "" || l.key < hiKey) {
						want[l.key] = true
					}
				}
				err := checkRange(t, s, tokens[since], loKey, hiKey)
				var c *store.ConflictError
				switch conflict := errors.As(err, &c); {
				case err != nil && !conflict:
					t.Fatal(err)
				case uint64(since) < floor:
					if !conflict || c.Key != nil {
						t.Fatalf("run %d, commit %d: a check since %d, before %d, which is the first one that is kept: %v; want a conflict", run, n, since, floor+1, err)
					}
					old++
				case conflict != (len(want) > 0) || conflict && !want[string(c.Key)]:
					t.Fatalf("run %d, commit %d: [%s, %s) since %d: %v; %d keys were touched", run, n, loKey, hiKey, since, err, len(want))
				case conflict:
					conflicts++
				default:
					held++
				}
			}
		}
		s.Close()
	}
	t.Logf("%d checks held, %d conflicts, %d too old", held, conflicts, old)
	if held < 100 || conflicts < 100 || old < 100 {
		t.Error("too few of one kind")
	}
}

// What is kept is bounded by its bytes, whatever is committed, and nothing is kept while nobody asks.
func TestRecentIsBounded(t *testing.T) {
	o, _ := simOptions(simfs.New(), store.NoSync)
	o.SegmentSize = 64 << 20
	s := mustOpen(t, o)
	const keep = 100 << 10
	filestore.KeepRecent(s, keep)
	for i := range 500 {
		put(t, s, fmt.Sprint(i), "v")
	}
	if bytes, floor := filestore.Recent(s); bytes != 0 || floor != 500 {
		t.Errorf("nobody has asked, and %d bytes are kept, from commit %d on", bytes, floor)
	}
	since := token(t, s)
	for i := range 300 {
		put(t, s, fmt.Sprint("k", i), "v")
	}
	if bytes, floor := filestore.Recent(s); bytes < 300*90 || bytes > keep || floor != 500 {
		t.Errorf("after 300 commits %d bytes are kept, from commit %d on; want all of them", bytes, floor)
	}
	if err := checkRange(t, s, since, "x", ""); err != nil {
		t.Errorf("a check of a range in which nothing was: %v", err)
	}
	for i := range 5000 {
		if i%100 == 0 {
			token(t, s)
		}
		put(t, s, fmt.Sprint("k", i), strings.Repeat("v", 60))
		if bytes, _ := filestore.Recent(s); bytes > keep {
			t.Fatalf("%d bytes are kept, want at most %d", bytes, keep)
		}
	}
	if bytes, floor := filestore.Recent(s); bytes < keep/4 || floor < 4000 {
		t.Errorf("%d bytes are kept, from commit %d on; want near %d", bytes, floor, keep)
	}
	now := token(t, s)
	var large []set
	for i := range 2000 {
		large = append(large, set{key: fmt.Sprintf("large%05d", i), value: "v"})
	}
	if _, err := s.Commit(bg, batch(large...)); err != nil {
		t.Fatal(err)
	}
	if bytes, floor := filestore.Recent(s); bytes != 0 || floor != 5801 {
		t.Errorf("after a commit larger than all that may be kept, %d bytes are, from commit %d on", bytes, floor)
	}
	for _, tok := range []store.Token{since, now} {
		if err := checkRange(t, s, tok, "x", ""); !errors.Is(err, store.ErrConflict) {
			t.Errorf("a check since what is not kept any more: %v, want a conflict", err)
		}
	}
	if err := checkRange(t, s, token(t, s), "", ""); err != nil {
		t.Errorf("a check since now: %v", err)
	}
	for i := range 2000 { // nobody asks any more
		put(t, s, fmt.Sprint("k", i), "v")
	}
	if bytes, floor := filestore.Recent(s); bytes != 0 || floor != 7801 {
		t.Errorf("nobody has asked for long, and %d bytes are kept, from commit %d on", bytes, floor)
	}
}

// stalled lets commits queue: the first operation of the kind waits until release is called.
func stalled(sim *simfs.FS, kind string) (waiting <-chan struct{}, release func()) {
	hold, reached := make(chan struct{}), make(chan struct{})
	first := true
	sim.Before(func(op simfs.Op) {
		if op.Kind == kind && first {
			first = false
			close(reached)
			<-hold
		}
	})
	return reached, func() { close(hold) }
}

// A range check sees what is pending, and its conflict is read when that can be read.
func TestRangeChecksSeeWhatIsPending(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	s := mustOpen(t, o)
	put(t, s, "r/old", "1")
	since := token(t, s)
	waiting, release := stalled(sim, "sync")
	var wg sync.WaitGroup
	queued := 0
	queue := func(what string, b *store.Batch, conflict string, readable ...string) {
		wg.Go(func() {
			_, err := s.Commit(bg, b)
			var c *store.ConflictError
			switch {
			case conflict == "" && err != nil:
				t.Errorf("%s: %v", what, err)
			case conflict != "" && (!errors.As(err, &c) || string(c.Key) != conflict):
				t.Errorf("%s: %v, want a conflict on %s", what, err, conflict)
			}
			for _, k := range readable {
				if items, err := s.Get(bg, []byte(k)); err != nil || items[0].Version == store.Absent {
					t.Errorf("%s: %s cannot be read yet, %v", what, k, err)
				}
			}
		})
		if queued > 0 {
			s.AwaitQueued(queued)
		} else {
			<-waiting
		}
		queued++
	}
	guarded := batch(set{key: "q/refused", value: "x"}, set{key: "r/new", value: "2"})
	guarded.Ops[1].Guard = store.At(store.Absent)
	deleting := batch(set{key: "p/absent", del: true})
	queue("put", batch(set{key: "r/new", value: "1"}), "")
	queue("range over what is written", ranged(since, "r/", "r0", set{key: "x/1", value: ""}), "r/new", "r/new")
	queue("range beside it", ranged(since, "s/", "", set{key: "x/2", value: "1"}), "")
	queue("range over what is queued", ranged(since, "x/", "x0", set{key: "y/1", value: ""}), "x/2", "x/2")
	queue("range over what a queued conflict would have put", ranged(since, "x/1", "x/2"), "")
	queue("guard that does not hold", guarded, "r/new")
	queue("range over what that would have put", ranged(since, "q/", "q0"), "")
	queue("delete of what is absent", deleting, "")
	queue("range over it", ranged(since, "p/", "p0"), "p/absent")
	queue("its own range", ranged(since, "z/", "z0", set{key: "z/1", value: "1"}), "")
	queue("the same again", ranged(since, "z/", "z0", set{key: "z/2", value: "1"}), "z/1", "z/1")
	release()
	wg.Wait()
	for _, k := range []string{"x/1", "y/1", "q/refused", "z/2"} {
		if items, err := s.Get(bg, []byte(k)); err != nil || items[0].Version != store.Absent {
			t.Errorf("%s is there, %v", k, err)
		}
	}
	if err := checkRange(t, s, since, "y/", "y0"); err != nil {
		t.Errorf("a range in which only refused commits would have put something: %v", err)
	}
}

// A snapshot that has a commit already does not conflict with it, also in the moment in which it is still pending.
func TestRangeChecksKnowWhatTheSnapshotHas(t *testing.T) {
	o, _ := simOptions(simfs.New(), store.Sync)
	s := mustOpen(t, o)
	put(t, s, "r/0", "1")
	before := token(t, s)
	err := filestore.AtPublish(s, batch(set{key: "r/1", value: "1"}), func(holds func(*store.Batch) bool) {
		if !holds(ranged(token(t, s), "r/", "r0")) {
			t.Error("a check since a snapshot that has the commit meets it")
		}
		if holds(ranged(before, "r/", "r0")) {
			t.Error("a check since a snapshot that does not have the commit does not meet it")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A range check that met a commit which then fails is settled with it, and what failed leaves nothing.
func TestRangeChecksAgainstFailedCommits(t *testing.T) {
	for _, k := range []struct {
		name        string
		err         error
		kind        string
		first, want error
	}{
		{"EIO in the sync", syscall.EIO, "sync", store.ErrUnknown, store.ErrFailed},
		{"ENOSPC in the write", syscall.ENOSPC, "write", store.ErrFull, store.ErrFull},
	} {
		sim := simfs.New()
		o, _ := simOptions(sim, store.Sync)
		s := mustOpen(t, o)
		put(t, s, "before", "1")
		since := token(t, s)
		waiting, release := stalled(sim, k.kind)
		first, second, third := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		commit := func(to chan error, b *store.Batch) {
			_, err := s.Commit(bg, b)
			to <- err
		}
		go commit(first, batch(set{key: "r/1", value: "x"}))
		<-waiting
		go commit(second, ranged(since, "r/", "r0", set{key: "k", value: "x"}))
		s.AwaitQueued(1)
		go commit(third, ranged(since, "s/", "s0", set{key: "l", value: "x"}))
		s.AwaitQueued(2)
		sim.Inject(func(op simfs.Op) *simfs.Fault {
			if op.Kind == k.kind {
				return &simfs.Fault{Err: k.err, LosePages: true}
			}
			return nil
		})
		release()
		if err := <-first; !errors.Is(err, k.first) {
			t.Errorf("%s: the commit: %v, want %v", k.name, err, k.first)
		}
		for _, c := range []chan error{second, third} {
			if err := <-c; !errors.Is(err, k.want) || errors.Is(err, store.ErrConflict) {
				t.Errorf("%s: a range check behind it: %v, want %v", k.name, err, k.want)
			}
		}
		sim.Inject(nil)
		sim.Before(nil)
		if k.want == store.ErrFull { // there is space again, and nothing in the range was changed
			if err := checkRange(t, s, since, "", ""); err != nil {
				t.Errorf("%s: a check of everything afterwards: %v", k.name, err)
			}
			put(t, s, "r/2", "x")
			if err := checkRange(t, s, since, "r/", "r0"); !errors.Is(err, store.ErrConflict) {
				t.Errorf("%s: a check over a commit that succeeded: %v", k.name, err)
			}
			if got := watchText(t, s, since, "", 1); got != "r/2=x" {
				t.Errorf("%s: a watch tells %s, of what failed", k.name, got)
			}
		}
		s.Close()
	}
}
