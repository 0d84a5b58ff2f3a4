package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

var errDisk = errors.New("the disk says no")

// The commit of a failed sync is unknown, later ones are refused, reads go on; after a restart and a power cut, what
// was acknowledged is there, although the operating system took the lost pages for clean.
func TestFailedSyncThenRestartThenPowerCut(t *testing.T) {
	t.Parallel()
	runs, applied := size(60, 500, 20000), 0
	for run := range runs {
		rng := rand.New(rand.NewPCG(uint64(run), 3))
		sim := simfs.New()
		o, _ := simOptions(sim, store.Sync)
		s := mustOpen(t, o)
		n := 1 + rng.IntN(40)
		h := &history{states: []map[string]string{{}}}
		commit := func() error {
			sets := []set{{key: "n", value: fmt.Sprint(len(h.states))}, {key: fmt.Sprintf("k%d", rng.IntN(9)), value: value(rng, "v", rng.IntN(300))}}
			h.next(sets)
			_, err := s.Commit(bg, batch(sets...))
			return err
		}
		for range n {
			if err := commit(); err != nil {
				t.Fatal(err)
			}
		}
		acked := n
		armed := true
		sim.Inject(func(op simfs.Op) *simfs.Fault {
			if armed && op.Kind == "sync" && strings.HasPrefix(op.Name, "seg-") && !strings.HasSuffix(op.Name, ".tmp") {
				armed = false // the next sync says that all is well
				return &simfs.Fault{Err: errDisk, LosePages: true}
			}
			return nil
		})
		var err error
		for err == nil {
			if err = commit(); err == nil {
				acked++
			}
		}
		// A sync of reserved space fails before the commit is written; then it is certainly not applied.
		if !errors.Is(err, store.ErrUnknown) && !errors.Is(err, store.ErrFailed) || !errors.Is(err, errDisk) {
			t.Fatalf("run %d: commit with a failed sync: %v, want ErrUnknown or ErrFailed with the cause", run, err)
		}
		unknown := errors.Is(err, store.ErrUnknown)
		if _, err := s.Commit(bg, batch(set{key: "later", value: "x"})); !errors.Is(err, store.ErrFailed) || errors.Is(err, store.ErrUnknown) {
			t.Fatalf("run %d: commit after a failed sync: %v, want ErrFailed", run, err)
		}
		got, err := dump(s)
		if err != nil || !equal(got, h.states[acked]) {
			t.Fatalf("run %d: reads after a failed sync: %v%s, want%s", run, err, show(got), show(h.states[acked]))
		}
		if err := s.Close(); !errors.Is(err, store.ErrFailed) {
			t.Fatalf("run %d: Close after a failed sync: %v, want ErrFailed", run, err)
		}
		o, _ = simOptions(sim, store.Sync)
		s = mustOpen(t, o) // another process, the same page cache
		got, err = dump(s)
		state := h.find(got, acked)
		if err != nil || state < 0 || !unknown && state != acked {
			t.Fatalf("run %d: after the restart: %v%s, want a state from %d on", run, err, show(got), acked)
		}
		if state > acked {
			applied++
		}
		if _, err := s.Commit(bg, batch(set{key: "again", value: "y"})); err != nil {
			t.Fatal(err)
		}
		disk := sim.Crash(simfs.Losses[run%3], rng)
		after, err := reopened(disk, store.Sync, 0)
		if err != nil {
			t.Fatalf("run %d: after the power cut: %v", run, err)
		}
		want := h.states[state]
		want["again"] = "y"
		if !equal(after, want) {
			t.Fatalf("run %d: after the power cut:%s\nwant%s", run, show(after), show(want))
		}
	}
	proof(t, 7, "runs", runs, "lost", 0, "unknownButThere", applied)
}

// After an error of any one operation, or of all from one on, the store never lies: what it acknowledges is there after
// a crash, what it refuses is not, and reads go on.
func TestErrorAtEveryOperation(t *testing.T) {
	t.Parallel()
	kinds := []struct {
		name  string
		fault simfs.Fault
		once  bool
	}{
		{"EIO once", simfs.Fault{Err: syscall.EIO, LosePages: true}, true},
		{"EIO for ever", simfs.Fault{Err: syscall.EIO, LosePages: true}, false},
		{"short write once", simfs.Fault{Err: syscall.EIO, Short: 100}, true},
		{"short write for ever", simfs.Fault{Err: syscall.EIO, Short: 13}, false},
		{"EINTR once", simfs.Fault{Err: syscall.EINTR, Short: 30}, true},
		{"EINTR for ever", simfs.Fault{Err: syscall.EINTR}, false},
		{"ENOSPC once", simfs.Fault{Err: syscall.ENOSPC, Short: 60}, true},
		{"ENOSPC for ever", simfs.Fault{Err: syscall.ENOSPC, Short: 60}, false},
	}
	runs, failedOpens := 0, 0
	outcomes := make(map[string]int)
	for _, mode := range []store.DurabilityMode{store.Sync, store.Periodic, store.NoSync}[:size(1, 3, 3)] {
		for i, k := range slices.Concat(kinds, kinds) {
			step, flushKeys := size(7, 1, 1), 0
			if mode == store.NoSync {
				step = size(7, 2, 1)
			}
			if i >= len(kinds) {
				flushKeys = 12 // again, with runs
			}
			for n := 1 + step/2; ; n += step {
				sim := simfs.New()
				hit := false
				sim.Inject(func(op simfs.Op) *simfs.Fault {
					if op.N == n || op.N > n && !k.once {
						hit = true
						return &k.fault
					}
					return nil
				})
				what := fmt.Sprintf("%s at operation %d, mode %d, flush at %d", k.name, n, mode, flushKeys)
				opened := faultRun(t, what, sim, mode, flushKeys, uint64(n), outcomes)
				runs++
				if !opened {
					failedOpens++
				}
				if !hit {
					break // the whole run is shorter
				}
			}
		}
	}
	proof(t, 6, "runs", runs, "failedOpens", failedOpens, "acknowledged", outcomes["acknowledged"], "lost", 0, "unknown", outcomes["unknown"],
		"failed", outcomes["failed"], "full", outcomes["full"], "compacted", outcomes["compacted"], "moved", outcomes["moved"])
	for _, o := range []string{"acknowledged", "unknown", "failed", "full", "compacted", "moved"} {
		if outcomes[o] == 0 {
			t.Errorf("nothing was %s", o)
		}
	}
}

// faultRun runs a script on sim, whose operations fail, and then compares with what is there without faults.
func faultRun(t *testing.T, what string, sim *simfs.FS, mode store.DurabilityMode, flushKeys int, seed uint64, outcomes map[string]int) (opened bool) {
	o, clock := simOptions(sim, mode)
	o.FlushKeys = flushKeys
	o.SegmentSize = 2 << 10
	rng := rand.New(rand.NewPCG(seed, 4))
	var disks []*simfs.FS
	states := map[string]bool{} // "there" for each of the commits that may be
	s, err := filestore.Open(bg, "sim", o)
	if err == nil {
		opened = true
		var acked []int
		for i := range 30 {
			key := fmt.Sprintf("c%02d", i)
			// "n" is overwritten, so that segments get something that is not needed.
			_, err := s.Commit(bg, batch(set{key: key, value: value(rng, key, 20+rng.IntN(300))}, set{key: key + "/x", value: key}, set{key: "n", value: value(rng, key, 250)}))
			switch {
			case err == nil:
				acked = append(acked, i)
				states[key] = true
				outcomes["acknowledged"]++
			case errors.Is(err, store.ErrUnknown):
				states[key+"?"] = true
				outcomes["unknown"]++
			case errors.Is(err, store.ErrFull):
				outcomes["full"]++
			case errors.Is(err, store.ErrFailed):
				outcomes["failed"]++
			default:
				t.Fatalf("%s: commit %d: %v", what, i, err)
			}
			filestore.Settle(s)
			if i == 25 && flushKeys > 0 {
				_ = s.Compact(bg) // the fault may hit it
				filestore.Settle(s)
			}
			if i%7 == 3 {
				clock.advance(1200 * time.Millisecond)
				filestore.Settle(s)
			}
		}
		// Reads go on. The fault may hit the read itself: then it says so.
		for _, i := range acked {
			key := fmt.Sprintf("c%02d", i)
			items, err := s.Get(bg, []byte(key), []byte(key+"/x"))
			if err != nil {
				wantCorrupt(t, err)
			} else if string(items[1].Value) != key || !strings.HasPrefix(string(items[0].Value), key) {
				t.Fatalf("%s: read back of %s: %q and %q", what, key, items[0].Value, items[1].Value)
			}
		}
		n, moved := filestore.Compacted(s)
		outcomes["compacted"] += n
		outcomes["moved"] += int(moved)
		disks = append(disks, sim.Crash(simfs.KeepAll, rng)) // before Close can put anything right
		s.Close()                                            // may fail
	} else if errors.Is(err, store.ErrCorrupt) && !strings.Contains(err.Error(), "cannot read") {
		t.Fatalf("%s: an I/O error while opening is no damage: %v", what, err)
	}
	sim.Inject(nil)
	for _, loss := range []simfs.Loss{simfs.KeepAll, simfs.LoseAll, simfs.LoseSome} {
		if mode != store.Sync && loss != simfs.KeepAll {
			continue // these modes may lose
		}
		disks = append(disks, sim.Crash(loss, rng))
	}
	for loss, disk := range disks {
		got, err := reopened(disk, mode, flushKeys)
		if err != nil {
			t.Fatalf("%s, disk %d: %v", what, loss, err)
		}
		for i := range 30 {
			key := fmt.Sprintf("c%02d", i)
			_, there := got[key]
			if _, x := got[key+"/x"]; x != there {
				t.Fatalf("%s, disk %d: half of commit %d is there", what, loss, i)
			}
			switch {
			case states[key] && !there:
				t.Fatalf("%s, disk %d: acknowledged commit %d is lost", what, loss, i)
			case !states[key] && !states[key+"?"] && there:
				t.Fatalf("%s, disk %d: commit %d was refused and is there", what, loss, i)
			}
		}
	}
	return opened
}

// On a full disk commits are ErrFull and nothing else changes; they succeed again when there is space.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	fills := size(40, 200, 2000)
	fulls := 0
	for fill := range fills {
		rng := rand.New(rand.NewPCG(uint64(fill), 5))
		sim := simfs.New()
		o, _ := simOptions(sim, store.Sync)
		s := mustOpen(t, o)
		want := map[string]string{}
		write := func() error {
			k, v := fmt.Sprintf("k%02d", rng.IntN(50)), value(rng, "v", rng.IntN(900))
			_, err := s.Commit(bg, batch(set{key: k, value: v}))
			if err == nil {
				want[k] = v
			}
			return err
		}
		for range rng.IntN(30) {
			if err := write(); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			sim.SetSpace(sim.Used() + int64(rng.IntN(6000)))
			var err error
			var used int64
			var files int
			for err == nil {
				used, files = sim.Used(), len(sim.Names())
				err = write()
			}
			// A new segment may have been begun before the space for the commit was missing.
			if now := sim.Used(); now > used && len(sim.Names()) == files {
				t.Fatalf("fill %d: a refused commit keeps %d bytes", fill, now-used)
			}
			if !errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrUnknown) || errors.Is(err, store.ErrFailed) {
				t.Fatalf("fill %d: %v, want ErrFull", fill, err)
			}
			fulls++
			if got, err := dump(s); err != nil || !equal(got, want) {
				t.Fatalf("fill %d: reads on a full disk: %v%s, want%s", fill, err, show(got), show(want))
			}
			if after, err := dumpAfter(sim.Crash(simfs.LoseSome, rng)); err != nil || !equal(after, want) {
				t.Fatalf("fill %d: after a crash with a full disk: %v%s, want%s", fill, err, show(after), show(want))
			}
			sim.SetSpace(-1)
			if err := write(); err != nil {
				t.Fatalf("fill %d: with space again, without reopening: %v", fill, err)
			}
		}
		sim.SetSpace(sim.Used())
		if err := s.Close(); err != nil {
			t.Fatalf("fill %d: Close on a full disk: %v", fill, err)
		}
		sim.SetSpace(-1)
		if after, err := dumpAfter(sim); err != nil || !equal(after, want) {
			t.Fatalf("fill %d: opened again: %v%s, want%s", fill, err, show(after), show(want))
		}
	}
	proof(t, 8, "fills", fills, "timesFull", fulls, "wentOn", fulls)
}

// dumpAfter opens a store, reads all of it, and closes it.
func dumpAfter(sim *simfs.FS) (map[string]string, error) {
	o, _ := simOptions(sim, store.Sync)
	s, err := filestore.Open(bg, "sim", o)
	if err != nil {
		return nil, err
	}
	got, err := dump(s)
	return got, errors.Join(err, s.Close())
}

// A file system that cannot reserve lets a full disk be met in the middle of a write: it is taken back.
func TestFullDiskWithoutReservation(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	s := mustOpen(t, o)
	put(t, s, "a", strings.Repeat("a", 200))
	sim.Inject(func(op simfs.Op) *simfs.Fault {
		if op.Kind == "write" && strings.HasPrefix(op.Name, "seg-") {
			return &simfs.Fault{Err: syscall.ENOSPC, Short: 300}
		}
		return nil
	})
	if _, err := s.Commit(bg, batch(set{key: "b", value: strings.Repeat("b", 600)})); !errors.Is(err, store.ErrFull) {
		t.Fatalf("error %v, want ErrFull", err)
	}
	sim.Inject(nil)
	if got, err := dumpAfter(sim.Crash(simfs.KeepAll, nil)); err != nil || len(got) != 1 {
		t.Fatalf("a refused commit is there after a crash: %v%s", err, show(got))
	}
	put(t, s, "c", "c")
	if got, err := dumpAfter(sim.Crash(simfs.LoseAll, nil)); err != nil || len(got) != 2 {
		t.Fatalf("after a crash: %v%s, want a and c", err, show(got))
	}
}

// Of a group that is refused on a full disk nothing comes back after a crash, not the part that was written either.
func TestRefusedGroupDoesNotComeBack(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	o.Reserve = 4 << 10
	s := mustOpen(t, o)
	hold, waiting := make(chan struct{}), make(chan struct{})
	syncs := 0
	sim.Before(func(op simfs.Op) {
		if op.Kind == "sync" {
			if syncs++; syncs == 2 { // the first one is of the reserved space
				close(waiting)
				<-hold
			}
		}
	})
	errs := make(chan error, 3)
	commit := func(key string) {
		_, err := s.Commit(bg, batch(set{key: key, value: strings.Repeat(key, 100)}))
		errs <- err
	}
	go commit("a")
	<-waiting
	go commit("b")
	s.AwaitQueued(1)
	go commit("c")
	s.AwaitQueued(2)
	sim.Inject(func(op simfs.Op) *simfs.Fault {
		if op.Kind == "write" {
			return &simfs.Fault{Err: syscall.ENOSPC, Short: int(op.Len) - 8} // b as a whole, c but for its end
		}
		return nil
	})
	close(hold)
	full := 0
	for range 3 {
		if err := <-errs; errors.Is(err, store.ErrFull) {
			full++
		} else if err != nil {
			t.Error(err)
		}
	}
	if full != 2 {
		t.Fatalf("%d commits were refused, want 2", full)
	}
	for seed := range uint64(40) {
		loss := []simfs.Loss{simfs.KeepAll, simfs.LoseSome}[seed%2]
		got, err := dumpAfter(sim.Crash(loss, rand.New(rand.NewPCG(seed, 14))))
		if err != nil || len(got) != 1 {
			t.Fatalf("after a crash (%v): %v%s, want a alone", loss, err, show(got))
		}
	}
}

// Opening after a crash needs space for the new segment; without it the error is ErrFull and nothing is lost.
func TestOpenOnFullDisk(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.NoSync)
	s := mustOpen(t, o)
	put(t, s, "a", strings.Repeat("a", 700))
	disk := sim.Crash(simfs.KeepAll, nil)
	disk.SetSpace(disk.Used())
	o, _ = simOptions(disk, store.Sync)
	if _, err := filestore.Open(bg, "sim", o); !errors.Is(err, store.ErrFull) {
		t.Fatalf("Open on a full disk: %v, want ErrFull", err)
	}
	disk.SetSpace(-1)
	if got, err := dumpAfter(disk); err != nil || len(got) != 1 {
		t.Fatalf("opened with space again: %v%s", err, show(got))
	}
}

// When a group fails, what queued behind it fails too, and nobody waits for ever.
func TestFailureReachesEveryWaiter(t *testing.T) {
	for _, k := range []struct {
		name string
		err  error
		want []error
	}{
		{"EIO", syscall.EIO, []error{store.ErrUnknown, store.ErrFailed}},
		{"ENOSPC", syscall.ENOSPC, []error{store.ErrFull}},
	} {
		t.Run(k.name, func(t *testing.T) {
			sim := simfs.New()
			o, _ := simOptions(sim, store.Sync)
			s := mustOpen(t, o)
			put(t, s, "n", "0")
			hold, waiting := make(chan struct{}), make(chan struct{})
			first := true
			sim.Before(func(op simfs.Op) {
				if op.Kind == "write" && first {
					first = false
					close(waiting)
					<-hold
				}
			})
			sim.Inject(func(op simfs.Op) *simfs.Fault {
				if op.Kind == "write" {
					return &simfs.Fault{Err: k.err}
				}
				return nil
			})
			const n = 20
			errs := make(chan error, n)
			commit := func(i int) {
				b := batch(set{key: "n", value: fmt.Sprint(i)})
				b.Ops[0].Guard = store.At(store.Version(1)) // all but the first conflict with the pending one
				_, err := s.Commit(bg, b)
				errs <- err
			}
			go commit(0)
			<-waiting
			for i := 1; i < n; i++ {
				go commit(i)
			}
			s.AwaitQueued(n - 1)
			close(hold)
			for range n {
				err := <-errs
				ok := false
				for _, w := range k.want {
					ok = ok || errors.Is(err, w)
				}
				if !ok || errors.Is(err, store.ErrConflict) {
					t.Errorf("error %v, want one of %v", err, k.want)
				}
			}
		})
	}
}

// The end of the caller's context ends its wait: unknown if the commit was queued, the plain error if it was not.
func TestContextEndsTheWait(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	s := mustOpen(t, o)
	hold, waiting := make(chan struct{}), make(chan struct{})
	first := true
	sim.Before(func(op simfs.Op) {
		if op.Kind == "sync" && first {
			first = false
			close(waiting)
			<-hold
		}
	})
	done := make(chan error)
	go func() {
		_, err := s.Commit(bg, batch(set{key: "a", value: "1"}))
		done <- err
	}()
	<-waiting
	ctx, cancel := context.WithCancel(bg)
	go func() {
		_, err := s.Commit(ctx, batch(set{key: "b", value: "2"}))
		done <- err
	}()
	s.AwaitQueued(1)
	cancel()
	if err := <-done; !errors.Is(err, store.ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("queued commit whose context ended: %v, want ErrUnknown and context.Canceled", err)
	}
	if _, err := s.Commit(ctx, batch(set{key: "c", value: "3"})); err != context.Canceled {
		t.Errorf("commit with an ended context: %v, want context.Canceled alone", err)
	}
	close(hold)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil { // waits for b
		t.Fatal(err)
	}
	if got, err := dumpAfter(sim); err != nil || len(got) != 2 {
		t.Errorf("after all:%s %v, want a and b", show(got), err)
	}
}

// On a full disk documents can be deleted, and a compaction gives back what they took, without another opening; then the
// reserve is there again.
func TestDeletesOnAFullDisk(t *testing.T) {
	tried, deletes, regained := 0, 0, int64(0)
	for n := range size(20, 100, 1000) {
		rng := rand.New(rand.NewPCG(uint64(n), 15))
		sim := simfs.New()
		o, _ := simOptions(sim, store.Sync)
		o.SegmentSize, o.FlushKeys = 8<<10, 20
		s := mustOpen(t, o)
		want := map[string]string{}
		sim.SetSpace(sim.Used() + int64(40_000+rng.IntN(40_000)))
		var err error
		for i := 0; err == nil; i++ {
			k, v := fmt.Sprintf("k%03d", i), value(rng, "v", 300+rng.IntN(400))
			if _, err = s.Commit(bg, batch(set{key: k, value: v})); err == nil {
				want[k] = v
			}
			filestore.Settle(s)
		}
		if !errors.Is(err, store.ErrFull) {
			t.Fatalf("fill %d: %v, want ErrFull", n, err)
		}
		all := slices.Sorted(maps.Keys(want))
		refused := 0
		for _, k := range all[:len(all)*9/10] {
			_, err := s.Commit(bg, batch(set{key: k, del: true}))
			switch {
			case err == nil:
				delete(want, k)
				deletes++
			case errors.Is(err, store.ErrFull):
				refused++
				used := sim.Used()
				if err := s.Compact(bg); err != nil && !errors.Is(err, store.ErrFull) {
					t.Fatalf("fill %d: Compact: %v", n, err)
				}
				regained += used - sim.Used()
			default:
				t.Fatalf("fill %d: delete: %v", n, err)
			}
			filestore.Settle(s)
		}
		tried += len(all) * 9 / 10
		if refused > len(all)*8/10 { // the reserve is as small as the segments are
			t.Errorf("fill %d: %d of %d deletes were refused", n, refused, len(all))
		}
		if got, err := dump(s); err != nil || !equal(got, want) {
			t.Fatalf("fill %d: %v%s, want%s", n, err, show(got), show(want))
		}
		if after, err := dumpAfter(sim.Crash(simfs.LoseSome, rng)); err != nil || !equal(after, want) {
			t.Fatalf("fill %d: after a crash: %v%s, want%s", n, err, show(after), show(want))
		}
		sim.SetSpace(-1)
		if err := s.Compact(bg); err != nil {
			t.Fatalf("fill %d: Compact with space: %v", n, err)
		}
		if !slices.Contains(sim.Names(), "RESERVE") || !slices.Contains(sim.Names(), "RESERVE2") {
			t.Errorf("fill %d: the reserve is not there again: %v", n, sim.Names())
		}
		if files, _ := files(sim, "run-"); files != filestore.Runs(s) {
			t.Errorf("fill %d: %d files of runs, of which the store has %d: %v", n, files, filestore.Runs(s), sim.Names())
		}
		if _, err := s.Commit(bg, batch(set{key: "more", value: "v"})); err != nil {
			t.Fatalf("fill %d: with space again: %v", n, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	proof(t, 8, "deletesOnAFullDisk", deletes, "tried", tried, "bytesRegained", regained)
	if deletes < tried/2 || regained <= 0 {
		t.Error("deletes and Compact are of no use on a full disk")
	}
}
