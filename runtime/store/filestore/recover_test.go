package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

const firstSegment = "seg-00000001.log"

// A torn end is cut, logged with file and offset, and kept aside; what is before it is there.
func TestTornEndIsCutLoggedAndKept(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	s := mustOpen(t, o)
	put(t, s, "a", strings.Repeat("a", 100))
	end := filestore.LogEnd(s)
	disk := sim.Crash(simfs.KeepAll, nil)
	data := disk.ReadFile(firstSegment)
	torn := []byte("KXFR" + strings.Repeat("torn", 20))
	copy(data[end:], torn)
	disk.WriteFile(firstSegment, data)

	out := &quiet{}
	o, _ = simOptions(disk, store.Sync)
	o.Logger = out.logger()
	s = mustOpen(t, o)
	if got, err := dump(s); err != nil || len(got) != 1 {
		t.Errorf("after the cut:%s, %v", show(got), err)
	}
	cut := fmt.Sprintf("cut-00000001-%08x.bin", end)
	if got := disk.ReadFile(cut); string(got) != string(torn) {
		t.Errorf("%s holds %q, want %q", cut, got, torn)
	}
	for _, want := range []string{"cut the torn end", "file=" + firstSegment, fmt.Sprintf("offset=%d", end), fmt.Sprintf("bytes=%d", len(torn)), "kept=" + cut} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %q: %s", want, out)
		}
	}
	// Reserved space is no torn end.
	out = &quiet{}
	o, _ = simOptions(disk.Crash(simfs.KeepAll, nil), store.Sync)
	o.Logger = out.logger()
	if s := mustOpen(t, o); out.String() != "" {
		t.Errorf("opening %v after a crash with zeros at the end logs %s", s, out)
	}
}

// What a recovery has cut never joins the log again: a frame behind the tear would follow on a new one of the length of
// the torn one.
func TestCutFramesDoNotComeBack(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.NoSync)
	s := mustOpen(t, o)
	put(t, s, "base", "1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	torn := filestore.LogEnd(s)
	put(t, s, "a", strings.Repeat("torn", 50))
	next := filestore.LogEnd(s)
	put(t, s, "b", strings.Repeat("later", 50))
	for _, size := range []int64{-1, filestore.LogEnd(s)} { // with the reserved space, and without
		disk := sim.Crash(simfs.KeepAll, nil)
		data := disk.ReadFile(firstSegment)
		clear(data[torn:next])
		if size > 0 {
			data = data[:size]
		}
		disk.WriteFile(firstSegment, data)
		o.FS = disk
		s2 := mustOpen(t, o)
		put(t, s2, "a", strings.Repeat("anew", 50))
		got, err := dumpAfter(disk.Crash(simfs.KeepAll, nil))
		want := map[string]string{"base": "1", "a": strings.Repeat("anew", 50)}
		if err != nil || !equal(got, want) {
			t.Errorf("after the cut, a commit and another crash:%s, %v, want%s", show(got), err, show(want))
		}
	}
}

// Random torn ends are never taken for damage, and damage below a durable mark never for a torn end.
func TestTornEndAndDamageAreToldApart(t *testing.T) {
	runs := size(400, 6000, 60000)
	torn, damaged, hidden := 0, 0, 0
	for run := range runs {
		rng := rand.New(rand.NewPCG(uint64(run), 12))
		sim := simfs.New()
		mode := []store.DurabilityMode{store.Sync, store.Periodic, store.NoSync}[run%3]
		o, clock := simOptions(sim, mode)
		o.SegmentSize = 1 << 20
		s, err := filestore.Open(bg, "sim", o) // not with a cleanup, which would keep all of them to the end
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 + rng.IntN(20) {
			put(t, s, fmt.Sprintf("k%d", i%7), value(rng, "v", rng.IntN(400)))
			if rng.IntN(4) == 0 {
				clock.advance(150 * time.Millisecond)
			}
		}
		end, mark := filestore.LogEnd(s), filestore.LastMark(t, s)
		disk := sim.Crash(simfs.Losses[run%3], rng)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := reopened(disk.Clone(), mode, 0); err != nil {
			t.Fatalf("run %d: a crash is taken for damage: %v", run, err)
		}
		torn++
		// A byte below the last durable mark, header of the segment included.
		at := rng.Int64N(mark)
		data := disk.ReadFile(firstSegment)
		if int64(len(data)) <= at {
			t.Fatalf("run %d: durable up to %d, and the file has %d bytes", run, mark, len(data))
		}
		data[at] ^= 1 << rng.IntN(8)
		disk.WriteFile(firstSegment, data)
		_, err = reopened(disk, mode, 0)
		var c *store.CorruptError
		switch {
		case errors.As(err, &c) && c.File == firstSegment && c.Offset <= at:
			damaged++
		case err == nil && int64(len(data)) < end && mode != store.Sync:
			hidden++ // the crash took the frame whose mark covers the byte
		default:
			// The frame with the mark may have been lost or torn too.
			if _, marked := filestore.MarkIn(data); err == nil && marked <= at {
				hidden++
				continue
			}
			t.Fatalf("run %d: byte %d changed, durable up to %d: %v", run, at, mark, err)
		}
	}
	proof(t, 9, "tornEnds", torn, "damagesFound", damaged, "behindTheLastMark", hidden)
	if damaged < runs/2 {
		t.Errorf("only %d damages below a mark", damaged)
	}
}

// After a second without writes a mark covers the last commit: damage in it is damage.
func TestIdleMarkCoversTheLastCommit(t *testing.T) {
	for _, mode := range []store.DurabilityMode{store.Sync, store.Periodic} {
		for _, idle := range []bool{false, true} {
			sim := simfs.New()
			o, clock := simOptions(sim, mode)
			s := mustOpen(t, o)
			put(t, s, "a", "first")
			put(t, s, "b", strings.Repeat("last", 30))
			if idle {
				clock.advance(100 * time.Millisecond) // Periodic syncs first
				clock.advance(time.Second)
				clock.advance(time.Second)
				if n := clock.running(); n != 0 {
					t.Errorf("mode %d: %d timers run in an idle store", mode, n)
				}
			}
			disk := sim.Crash(simfs.KeepAll, nil)
			data := disk.ReadFile(firstSegment)
			data[strings.Index(string(data), "lastlast")] ^= 1
			disk.WriteFile(firstSegment, data)
			got, err := dumpAfter(disk)
			if idle {
				wantCorrupt(t, err)
			} else if err != nil || len(got) != 1 {
				t.Errorf("mode %d, not idle:%s, %v, want the first commit alone", mode, show(got), err)
			}
		}
	}
}

// Periodic makes commits durable within its interval, NoSync when a segment is full, and both when they are closed.
func TestPeriodicSyncs(t *testing.T) {
	sim := simfs.New()
	o, clock := simOptions(sim, store.Periodic)
	s := mustOpen(t, o)
	put(t, s, "a", "1")
	if got, err := dumpAfter(sim.Crash(simfs.LoseAll, nil)); err != nil || len(got) != 0 {
		t.Errorf("before the interval:%s, %v", show(got), err)
	}
	clock.advance(100 * time.Millisecond)
	put(t, s, "b", "2")
	if got, err := dumpAfter(sim.Crash(simfs.LoseAll, nil)); err != nil || len(got) != 1 {
		t.Errorf("after the interval:%s, %v, want a", show(got), err)
	}
	clock.advance(100 * time.Millisecond)
	if got, err := dumpAfter(sim.Crash(simfs.LoseAll, nil)); err != nil || len(got) != 2 {
		t.Errorf("after the next interval:%s, %v, want a and b", show(got), err)
	}
	put(t, s, "c", "3")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := dumpAfter(sim.Crash(simfs.LoseAll, nil)); err != nil || len(got) != 3 {
		t.Errorf("after Close:%s, %v, want a, b and c", show(got), err)
	}
}

// A failed sync in the background stops writing.
func TestFailedBackgroundSync(t *testing.T) {
	sim := simfs.New()
	o, clock := simOptions(sim, store.Periodic)
	s := mustOpen(t, o)
	put(t, s, "a", "1")
	sim.Inject(func(op simfs.Op) *simfs.Fault {
		if op.Kind == "sync" {
			return &simfs.Fault{Err: errDisk, LosePages: true}
		}
		return nil
	})
	clock.advance(100 * time.Millisecond)
	sim.Inject(nil)
	if _, err := s.Commit(bg, batch(set{key: "b", value: "2"})); !errors.Is(err, store.ErrFailed) || !errors.Is(err, errDisk) {
		t.Errorf("commit after a failed sync in the background: %v, want ErrFailed", err)
	}
	if got, err := dump(s); err != nil || len(got) != 1 {
		t.Errorf("reads after it:%s, %v", show(got), err)
	}
}

// The writes and syncs of each step, in their order.
func TestOrderOfOperations(t *testing.T) {
	sim := simfs.New()
	sim.KeepLog()
	seen := 0
	expect := func(what, want string) {
		t.Helper()
		log := sim.Log()
		var got []string
		for _, l := range log[seen:] {
			if !strings.HasPrefix(l, "read ") && !strings.Contains(l, " RESERVE") {
				got = append(got, l)
			}
		}
		seen = len(log)
		want = strings.TrimSpace(strings.ReplaceAll(want, "\t", ""))
		if g := strings.Join(got, "\n"); g != want {
			t.Errorf("%s:\n%s\nwant\n%s", what, g, want)
		}
	}
	o, clock := simOptions(sim, store.Sync)
	o.SegmentSize = 512
	s := mustOpen(t, o)
	put(t, s, "a", strings.Repeat("a", 100))
	seen = slices.Index(sim.Log(), "reserve seg-00000001.log 64+448")
	expect("first commit", `
		reserve seg-00000001.log 64+448
		sync seg-00000001.log
		write seg-00000001.log 64+152
		sync seg-00000001.log`)
	clock.advance(time.Second)
	expect("idle", `
		write seg-00000001.log 216+40
		sync seg-00000001.log`)
	put(t, s, "b", strings.Repeat("b", 300))
	expect("commit that passes the segment size", `
		reserve seg-00000001.log 512+96
		sync seg-00000001.log
		write seg-00000001.log 256+352
		sync seg-00000001.log`)
	put(t, s, "c", "c")
	expect("roll", `
		sync seg-00000001.log
		remove seg-00000002.log.tmp
		create seg-00000002.log.tmp
		write seg-00000002.log.tmp 0+64
		sync seg-00000002.log.tmp
		remove MANIFEST.tmp
		create MANIFEST.tmp
		write MANIFEST.tmp 0+108
		sync MANIFEST.tmp
		rename seg-00000002.log.tmp seg-00000002.log
		syncdir
		open seg-00000002.log
		rename MANIFEST.tmp MANIFEST
		syncdir
		reserve seg-00000002.log 64+448
		sync seg-00000002.log
		write seg-00000002.log 64+48
		sync seg-00000002.log`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	expect("close", `
		sync seg-00000002.log
		write seg-00000002.log 112+40
		truncate seg-00000002.log 152
		sync seg-00000002.log
		remove MANIFEST.tmp
		create MANIFEST.tmp
		write MANIFEST.tmp 0+108
		sync MANIFEST.tmp
		rename MANIFEST.tmp MANIFEST
		syncdir`)
	s = mustOpen(t, o)
	expect("open after a clean close", `
		create LOCK
		write LOCK 0+`+fmt.Sprint(len(sim.ReadFile("LOCK")))+`
		truncate LOCK `+fmt.Sprint(len(sim.ReadFile("LOCK")))+`
		list
		open MANIFEST
		open seg-00000001.log
		open seg-00000002.log`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	expect("close of what was not written to", ``)
	s = mustOpen(t, o)
	put(t, s, "d", "d")
	crashed := sim.Crash(simfs.KeepAll, nil)
	crashed.KeepLog()
	o.FS = crashed
	s2 := mustOpen(t, o)
	log := crashed.Log()
	after := slices.Index(log, "create seg-00000003.log.tmp")
	want := strings.Split(`create seg-00000003.log.tmp
write seg-00000003.log.tmp 0+112
sync seg-00000003.log.tmp
rename seg-00000003.log.tmp seg-00000003.log
syncdir
open seg-00000003.log
remove MANIFEST.tmp
create MANIFEST.tmp
write MANIFEST.tmp 0+124
sync MANIFEST.tmp
rename MANIFEST.tmp MANIFEST
syncdir
truncate seg-00000002.log 152`, "\n")
	log = slices.DeleteFunc(log, func(l string) bool { return strings.Contains(l, "RESERVE") })
	if after < 0 || !slices.Equal(log[after:], want) {
		t.Errorf("open after a crash:\n%s\nwant at the end\n%s", strings.Join(log, "\n"), strings.Join(want, "\n"))
	}
	if got, err := dump(s2); err != nil || len(got) != 4 {
		t.Errorf("after the crash:%s, %v", show(got), err)
	}
}

// In the modes that acknowledge commits before they are on the disk, that is noted durably before the first one, once, and
// taken back by a clean close (L7).
func TestLooseIsNotedBeforeTheFirstCommit(t *testing.T) {
	for _, mode := range []store.DurabilityMode{store.Periodic, store.NoSync} {
		sim := simfs.New()
		o, _ := simOptions(sim, mode)
		s := mustOpen(t, o)
		sim.KeepLog()
		put(t, s, "a", "1")
		put(t, s, "b", "2")
		want := []string{
			"remove MANIFEST.tmp", "create MANIFEST.tmp", "write MANIFEST.tmp 0+92", "sync MANIFEST.tmp",
			"rename MANIFEST.tmp MANIFEST", "syncdir",
			"reserve seg-00000001.log 64+1024", "write seg-00000001.log 64+48", "write seg-00000001.log 112+48",
		}
		if got := sim.Log(); !slices.Equal(got, want) {
			t.Errorf("mode %d: two commits:\n%s\nwant\n%s", mode, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		loose := func() bool { return sim.ReadFile("MANIFEST")[6] != 0 }
		if !loose() {
			t.Errorf("mode %d: the manifest is not loose", mode)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if loose() {
			t.Errorf("mode %d: the manifest is loose after a clean close", mode)
		}
		s = mustOpen(t, o)
		if err := s.Close(); err != nil || loose() {
			t.Errorf("mode %d: the manifest is loose after nothing was committed, %v", mode, err)
		}
	}
}

// What an unfinished step left is removed, what does not belong to the store stays.
func TestUnfinishedFilesAreRemoved(t *testing.T) {
	sim, want := closedDatabase(t, 10, 5)
	unfinished := []string{"MANIFEST.tmp", "seg-00000002.log.tmp", "seg-00000009.log.tmp", "cut-00000001-00000040.bin.tmp"}
	foreign := []string{"README", "notes.tmp", "seg-1.log", "cut-00000001-00000040.bin"}
	for _, name := range append(slices.Clone(unfinished), foreign...) {
		sim.WriteFile(name, []byte("x"))
	}
	if got, err := dumpAfter(sim); err != nil || !equal(got, want) {
		t.Errorf("opened:%s, %v", show(got), err)
	}
	for _, name := range unfinished {
		if sim.ReadFile(name) != nil {
			t.Errorf("%s is still there", name)
		}
	}
	for _, name := range foreign {
		if string(sim.ReadFile(name)) != "x" {
			t.Errorf("%s is gone", name)
		}
	}
}

// A replay that takes too long ends with its context, and the directory is free again.
func TestOpenEndsWithItsContext(t *testing.T) {
	sim, want := closedDatabase(t, 9, 30)
	ctx, cancel := context.WithCancel(bg)
	sim.Before(func(op simfs.Op) {
		if op.Kind == "open" && strings.HasPrefix(op.Name, "seg-") {
			cancel()
		}
	})
	o, _ := simOptions(sim, store.Sync)
	if _, err := filestore.Open(ctx, "sim", o); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v, want context.Canceled", err)
	}
	sim.Before(nil)
	if got, err := dumpAfter(sim); err != nil || !equal(got, want) {
		t.Errorf("opened again: %v", err)
	}
}
