package filestore_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// A power cut at any operation under a watcher. Afterwards the numbers of commits that were lost are given again, to other
// commits. A watcher that goes on from its last token, or from an older one as if it had not come to note the later ones,
// ends with the store's picture; over clean closes it is never told to resync.
func TestWatcherSurvivesPowerCuts(t *testing.T) {
	every := size(7, 3, 1)
	for _, mode := range []store.DurabilityMode{store.Sync, store.Periodic, store.NoSync} {
		rng := rand.New(rand.NewPCG(uint64(mode), 30))
		sim := simfs.New()
		p := &picture{keys: map[string]string{}}
		var tokens []store.Token // that the watcher had, the newest last
		cuts, again, resyncs, went := 0, 0, 0, 0
		sim.Before(func(op simfs.Op) {
			for _, loss := range []simfs.Loss{simfs.LoseAll, simfs.LoseSome, simfs.LoseEarly, simfs.KeepAll} {
				if (op.N+int(loss)*3)%every != 0 || len(tokens) == 0 {
					continue
				}
				cuts++
				rng := rand.New(rand.NewPCG(uint64(op.N), uint64(loss)))
				after := &picture{keys: maps.Clone(p.keys), token: p.token}
				if old := rng.IntN(12); old < len(tokens) && rng.IntN(2) == 0 {
					after.token = tokens[len(tokens)-1-old]
				}
				at := fmt.Sprintf("mode %d, power cut before operation %d (%v), %v", mode, op.N, op, loss)
				disk := sim.Crash(loss, rng)
				if rng.IntN(4) == 0 {
					again++
					disk = cutAgain(disk, mode, rng)
				}
				if err := watchAfter(disk, mode, rng, after); err != nil {
					t.Fatalf("%s: %v", at, err)
				}
				if after.resyncs > 0 {
					resyncs++
				} else {
					went++
				}
			}
		})
		segments, commits, compacted := 0, 0, 0
		for life := range size(4, 6, 20) {
			o, clock := simOptions(sim, mode)
			o.FlushKeys = []int{0, 6}[life%2] // with runs and compactions, or with a log alone
			s := mustOpen(t, o)
			if life == 0 {
				tokens = append(tokens, token(t, s))
				p.token = tokens[0]
			}
			begun := filestore.Newest(s)
			next := pull(t, s, p.token, "")
			for range 40 {
				commits++
				sets := []set{{key: "zz", value: fmt.Sprint(commits)}} // the last event of each commit
				for _, k := range rng.Perm(10)[:1+rng.IntN(3)] {
					sets = append(sets, set{key: fmt.Sprintf("k%d", k), value: value(rng, fmt.Sprint(commits, " "), rng.IntN(300)), del: rng.IntN(4) == 0})
				}
				if _, err := s.Commit(bg, batch(sets...)); err != nil {
					t.Fatal(err)
				}
				filestore.Settle(s)
				for p.keys["zz"] != fmt.Sprint(commits) {
					e, err, _ := next()
					if err != nil || e.Kind == store.EventResync {
						t.Fatalf("mode %d, life %d: the watcher is told %s, %v", mode, life, told(e), err)
					}
					if _, err := p.apply(s, e); err != nil {
						t.Fatal(err)
					}
					tokens = append(tokens, p.token)
				}
				switch rng.IntN(10) {
				case 0:
					clock.advance(150 * time.Millisecond)
				case 1:
					clock.advance(1100 * time.Millisecond)
				}
			}
			if got, err := dump(s); err != nil || !equal(p.keys, got) {
				t.Fatalf("mode %d, life %d: the watcher has%s\nthe store%s", mode, life, show(p.keys), show(got))
			}
			segments += filestore.Newest(s) - begun
			n, _ := filestore.Compacted(s)
			compacted += n
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("mode %d: %d commits, %d segments begun, %d compacted, %d power cuts, after %d of them another one in the recovery; in %d the watcher was told to resync, in %d it went on",
			mode, commits, segments, compacted, cuts, again, resyncs, went)
		if resyncs == 0 || went == 0 || compacted == 0 {
			t.Error("not every kind of ending, or nothing compacted: the test shows nothing")
		}
	}
}

// cutAgain opens what a power cut left, and returns what another one leaves at any operation of that.
func cutAgain(disk *simfs.FS, mode store.DurabilityMode, rng *rand.Rand) (after *simfs.FS) {
	loss, left := simfs.Losses[rng.IntN(3)], 1+rng.IntN(25)
	disk.Before(func(simfs.Op) {
		if left--; left == 0 {
			after = disk.Crash(loss, rng)
		}
	})
	o, _ := simOptions(disk, mode)
	if s, err := filestore.Open(bg, "sim", o); err == nil {
		s.Close()
	}
	disk.Before(nil)
	if after == nil {
		after = disk.Crash(loss, rng)
	}
	return after
}

// watchAfter opens what a power cut left, gives the numbers of lost commits to others, and lets the watcher go on.
func watchAfter(disk *simfs.FS, mode store.DurabilityMode, rng *rand.Rand, p *picture) error {
	o, _ := simOptions(disk, mode)
	o.FlushKeys = []int{0, 6}[rng.IntN(2)]
	s, err := filestore.Open(bg, "sim", o)
	if err != nil {
		return err
	}
	defer s.Close()
	if rng.IntN(4) == 0 {
		if err := s.Compact(bg); err != nil { // which may remove what the watcher has not seen yet
			return err
		}
	}
	ctx, cancel := context.WithTimeout(bg, patience)
	defer cancel()
	for i := range rng.IntN(15) {
		b := batch(set{key: fmt.Sprintf("k%d", rng.IntN(10)), value: fmt.Sprint("anew ", i)}, set{key: "new", value: fmt.Sprint(i)})
		if _, err := s.Commit(bg, b); err != nil {
			return err
		}
	}
	if _, err := s.Commit(bg, batch(set{key: "nudge", value: "end"})); err != nil {
		return err
	}
	if err := p.follow(ctx, s, "nudge", "end"); err != nil {
		return fmt.Errorf("the watcher: %w", err)
	}
	want, err := dump(s)
	if err != nil {
		return err
	}
	if !equal(p.keys, want) {
		return fmt.Errorf("after %d resyncs the watcher ends with%s\nthe store has%s", p.resyncs, show(p.keys), show(want))
	}
	return nil
}
