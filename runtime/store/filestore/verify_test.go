package filestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// closedWithRuns returns a closed database of several segments and runs, and what is in it.
func closedWithRuns(t *testing.T, commits int) (*simfs.FS, map[string]string) {
	t.Helper()
	s, sim, want := populated(t, store.Sync, commits)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return sim, want
}

// verified returns the report of a directory without damage.
func verified(t *testing.T, what string, sim filestore.FS) filestore.Report {
	t.Helper()
	r, err := filestore.VerifyFS(bg, sim)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := r.Err(); err != nil {
		t.Fatalf("%s: %v\n%v", what, err, r.Damages)
	}
	return r
}

// What is as it should be is not damaged: closed, closed again, a backup. All of it was read, and nothing was written.
func TestVerifyFindsNothingWrong(t *testing.T) {
	s, sim, want := populated(t, store.Sync, 120)
	to := simfs.New()
	if err := filestore.BackupInto(bg, s, to); err != nil {
		t.Fatal(err)
	}
	verified(t, "a backup", to)
	verified(t, "open", sim)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	sim.KeepLog()
	r := verified(t, "closed", sim)
	if r.Commits == 0 || r.Runs < 1 || r.Segments < 3 || r.Keys == 0 || r.Values == 0 {
		t.Errorf("report %+v", r)
	}
	for _, op := range sim.Log() {
		if kind, _, _ := strings.Cut(op, " "); kind != "open" && kind != "read" && kind != "list" {
			t.Errorf("Verify has done %s", op)
		}
	}
	if got, err := openDamaged(sim); err != nil || !equal(got, want) {
		t.Errorf("opened: %v%s", err, show(got))
	}
	verified(t, "closed again", sim)
	empty := simfs.New()
	o, _ := simOptions(empty, store.Sync)
	if err := mustOpen(t, o).Close(); err != nil {
		t.Fatal(err)
	}
	verified(t, "an empty store", empty)
	if _, err := filestore.VerifyFS(bg, simfs.New()); err == nil || !strings.Contains(err.Error(), "no store") {
		t.Errorf("an empty directory: %v", err)
	}
	if _, err := filestore.Verify(bg, filepath.Join(t.TempDir(), "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if _, err := filestore.VerifyFS(ctx, sim); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

// Each byte of each file is changed: the report names the file, and a place that is not behind the byte.
func TestVerifyNamesTheDamagedFile(t *testing.T) {
	sim, _ := closedWithRuns(t, size(40, 70, 150))
	flips := 0
	for _, name := range sim.Names() {
		if !holdsData(name) {
			continue
		}
		data := sim.ReadFile(name)
		for i := 0; i < len(data); i += size(7, 1, 1) {
			changed := slices.Clone(data)
			changed[i] ^= 1 << (i % 8)
			damaged := sim.Clone()
			damaged.WriteFile(name, changed)
			r, err := filestore.VerifyFS(bg, damaged)
			if err != nil {
				t.Fatalf("%s, byte %d: %v", name, i, err)
			}
			if !slices.ContainsFunc(r.Damages, func(d filestore.Damage) bool { return d.File == name && d.Offset <= int64(i) }) {
				t.Fatalf("%s, byte %d: damages %v", name, i, r.Damages)
			}
			for _, d := range r.Damages {
				if d.File != name && d.Key == nil {
					t.Fatalf("%s, byte %d: also %v", name, i, d)
				}
			}
			flips++
		}
	}
	t.Logf("%d flips, all named", flips)
}

// Of many damages all are listed, each once, and nothing else is.
func TestVerifyListsAllDamages(t *testing.T) {
	sim, _ := closedWithRuns(t, 300)
	var places []string
	for _, name := range sim.Names() {
		data := sim.ReadFile(name)
		switch {
		case strings.HasPrefix(name, "seg-"):
			for i, off := range filestore.Frames(data) {
				if i%3 == 2 {
					data[off+41] ^= 4
					places = append(places, fmt.Sprintf("%s %d", name, off))
				}
			}
		case strings.HasPrefix(name, "run-"):
			for i, off := range filestore.Blocks(t, sim, name) {
				if i%3 == 1 {
					data[off+20] ^= 4
					places = append(places, fmt.Sprintf("%s %d", name, off))
				}
			}
		default:
			continue
		}
		sim.WriteFile(name, data)
	}
	r, err := filestore.VerifyFS(bg, sim)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range r.Damages {
		if d.Key == nil {
			got = append(got, fmt.Sprintf("%s %d", d.File, d.Offset))
		}
	}
	slices.Sort(got)
	slices.Sort(places)
	if !slices.Equal(got, places) || len(places) < 5 {
		t.Errorf("damages at\n%q\nwant\n%q", got, places)
	}
}

// What opening refuses, Verify finds: files that are cut, missing, zeroed, doubled, swapped, or those of another store.
func TestVerifyFindsWhatOpeningRefuses(t *testing.T) {
	sim, want := closedWithRuns(t, 60)
	other, _ := closedWithRuns(t, 60)
	cases, found := 0, 0
	try := func(what string, change func(*simfs.FS)) {
		t.Helper()
		damaged := sim.Clone()
		change(damaged)
		r, err := filestore.VerifyFS(bg, damaged)
		if err != nil && len(damaged.Names()) > 1 {
			t.Fatalf("%s: %v", what, err)
		}
		got, err := openDamaged(damaged)
		if err != nil && len(r.Damages) == 0 {
			t.Errorf("%s: opening says %v, Verify nothing", what, err)
		}
		if err == nil && !equal(got, want) {
			t.Errorf("%s: it opens as%s", what, show(got))
		}
		cases++
		found += min(1, len(r.Damages))
	}
	var names []string
	for _, name := range sim.Names() {
		if name != "LOCK" {
			names = append(names, name)
		}
	}
	for _, a := range names {
		data := sim.ReadFile(a)
		for n := 0; n < len(data); n += size(61, 8, 1) {
			try(fmt.Sprintf("%s cut to %d", a, n), func(f *simfs.FS) { f.WriteFile(a, data[:n:n]) })
		}
		for n := 0; n+512 < len(data); n += 512 {
			try(fmt.Sprintf("%s zeroed at %d", a, n), func(f *simfs.FS) {
				b := slices.Clone(data)
				clear(b[n : n+512])
				f.WriteFile(a, b)
			})
		}
		try(a+" removed", func(f *simfs.FS) { f.WriteFile(a, nil) })
		try(a+" longer", func(f *simfs.FS) { f.WriteFile(a, append(slices.Clone(data), 'x')) })
		try(a+" of another store", func(f *simfs.FS) { f.WriteFile(a, other.ReadFile(a)) })
		for _, b := range names {
			try(a+" in place of "+b, func(f *simfs.FS) { f.WriteFile(b, data) })
		}
	}
	t.Logf("%d cases, %d found damaged", cases, found)
}

// Whatever a crash leaves is no damage.
func TestVerifyAfterACrash(t *testing.T) {
	for _, mode := range []store.DurabilityMode{store.Sync, store.Periodic, store.NoSync} {
		sim := simfs.New()
		h := &history{states: []map[string]string{{}}}
		crashes := 0
		sim.Before(func(op simfs.Op) {
			if op.N < 5 {
				return // there is no manifest yet
			}
			for _, loss := range append(simfs.Losses, simfs.KeepAll)[:size(3, 4, 4)] {
				disk := sim.Crash(loss, rand.New(rand.NewPCG(uint64(op.N), uint64(loss))))
				r, err := filestore.VerifyFS(bg, disk)
				if err == nil {
					err = r.Err()
				}
				if err != nil && !slices.Contains(disk.Names(), "MANIFEST") && len(disk.Names()) < 3 {
					continue
				}
				if err != nil {
					panic(fmt.Sprintf("mode %d, crash before operation %d (%v), %v: %v", mode, op.N, op, loss, err))
				}
				crashes++
			}
		})
		script(t, sim, mode, 3, 300, h)
		t.Logf("mode %d: %d crashes", mode, crashes)
	}
}

// Beside a process that writes, flushes and merges all the time, Verify finds nothing.
func TestVerifyBesideWriters(t *testing.T) {
	for _, mode := range []store.DurabilityMode{store.Sync, store.NoSync} {
		dir := memoryDir(t)
		o := filestore.Options{SegmentSize: 16 << 10, Reserve: 4 << 10, FlushKeys: 60}
		o.Durability.Mode = mode
		o.Logger = (&quiet{}).logger()
		s, err := filestore.Open(bg, dir, o)
		if err != nil {
			t.Fatal(err)
		}
		// Each time some commits are made meanwhile: the log grows, and all of it is read.
		turns, done := make(chan struct{}, 20), make(chan error, 1)
		go func() {
			rng := rand.New(rand.NewPCG(1, 13))
			i := 0
			for range turns {
				i++
				sets := []set{{key: "n", value: fmt.Sprint(i)}, {key: fmt.Sprintf("d/%03d", rng.IntN(300)), value: value(rng, "v", rng.IntN(500))}}
				if _, err := s.Commit(bg, batch(sets...)); err != nil {
					done <- err
					return
				}
				if i%500 == 499 { // a close cuts off what was reserved, and an opening goes on
					if err := s.Close(); err != nil {
						done <- err
						return
					}
					if s, err = filestore.Open(bg, dir, o); err != nil {
						done <- err
						return
					}
				}
			}
			done <- s.Close()
		}()
		var commits, runs uint64
		n := 0
		for ; n < size(200, 500, 2000); n++ {
			for range 2 * cap(turns) {
				select {
				case turns <- struct{}{}:
				case err := <-done:
					t.Fatal(err)
				}
			}
			r, err := filestore.Verify(bg, dir)
			if err == nil {
				err = r.Err()
			}
			if err != nil {
				t.Errorf("mode %d, the %d. time: %v\n%v", mode, n+1, err, r.Damages)
				break
			}
			commits, runs = r.Commits, runs+uint64(r.Runs)
		}
		close(turns)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n < 200 || commits == 0 || runs < 100 {
			t.Errorf("mode %d: %d times, %d commits, %d runs", mode, n, commits, runs)
		}
		t.Logf("mode %d: %d times, %d commits in the log the last time, %d runs", mode, n, commits, runs)
	}
}

// In a log that was not closed, what a later frame says was on the disk is damaged, and the last one is torn.
func TestVerifyTellsDamageFromATear(t *testing.T) {
	_, sim, _ := populated(t, store.Sync, 66) // so many that the newest segment has some
	names := slices.DeleteFunc(sim.Names(), func(name string) bool { return !strings.HasPrefix(name, "seg-") })
	last := names[len(names)-1]
	offs := filestore.Frames(sim.ReadFile(last))
	if len(offs) < 3 {
		t.Fatalf("%d frames in %s", len(offs), last)
	}
	for i, off := range offs {
		for _, at := range []int64{0, 39, 45} {
			disk := sim.Clone()
			b := disk.ReadFile(last)
			b[off+at] ^= 1
			disk.WriteFile(last, b)
			r, err := filestore.VerifyFS(bg, disk)
			if torn := i == len(offs)-1; err != nil || torn && len(r.Damages) > 0 || !torn && (len(r.Damages) != 1 || r.Damages[0].Offset != off) {
				t.Errorf("frame %d of %d, at %d, byte %d: %v, damages %v", i, len(offs), off, at, err, r.Damages)
			}
		}
	}
}

// The newest segment grows while it is read: what stands behind a place that was read too early does not make it damaged.
func TestVerifyOfASegmentThatGrows(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	o.SegmentSize, o.Reserve = 2<<20, 1<<20
	s := mustOpen(t, o)
	grow := func(n int) {
		for i := range n {
			put(t, s, fmt.Sprintf("k%04d", i), strings.Repeat("v", 1000))
		}
	}
	grow(200)
	reads, writing := 0, false
	sim.Before(func(op simfs.Op) {
		if op.Kind != "read" || op.Name != "seg-00000001.log" || writing {
			return
		}
		if reads++; reads == 3 { // the header, then what is there, with zeros behind it, then more of it
			writing = true
			grow(400)
			writing = false
		}
	})
	if r := verified(t, "growing", sim); r.Commits < 200 || reads < 3 {
		t.Errorf("%d commits in %d reads", r.Commits, reads)
	}
}

// Space that is given back while the segment is read is no damage either.
func TestVerifyBesideAClose(t *testing.T) {
	s, sim, _ := populated(t, store.Sync, 60)
	names := slices.DeleteFunc(sim.Names(), func(name string) bool { return !strings.HasPrefix(name, "seg-") })
	reads, closing := 0, false
	sim.Before(func(op simfs.Op) {
		if op.Kind != "read" || op.Name != names[len(names)-1] || closing {
			return
		}
		if reads++; reads == 2 {
			closing = true
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			closing = false
		}
	})
	if verified(t, "closing", sim); reads < 2 {
		t.Errorf("%d reads", reads)
	}
}

// Runs that are merged away before they are opened are no damage.
func TestVerifyBesideAMerge(t *testing.T) {
	s, sim, _ := populated(t, store.Sync, 60)
	merged := false
	sim.Before(func(op simfs.Op) {
		if op.Kind == "open" && strings.HasPrefix(op.Name, "run-") && !merged {
			merged = true
			had := runFiles(sim)
			for i := 0; slices.Contains(runFiles(sim), had[0]); i++ {
				put(t, s, fmt.Sprintf("x%04d", i), "v")
				filestore.Settle(s)
			}
		}
	})
	verified(t, "merging", sim)
	if !merged {
		t.Error("no run was opened")
	}
}

// What is no file is not opened: a link to a file outside is damage, and so is one to a good file.
func TestVerifyFollowsNoLinks(t *testing.T) {
	dir := memoryDir(t)
	o := filestore.Options{}
	o.Logger = (&quiet{}).logger()
	s, err := filestore.Open(bg, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", "b")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	seg := filepath.Join(dir, "seg-00000001.log")
	b, err := os.ReadFile(seg)
	if err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, bytes.Clone(b), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(seg); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, seg); err != nil {
		t.Fatal(err)
	}
	r, err := filestore.Verify(bg, dir)
	if err != nil || len(r.Damages) != 1 || r.Damages[0].File != "seg-00000001.log" || !strings.Contains(r.Damages[0].What, "no file") {
		t.Errorf("with a link: %v %v", r.Damages, err)
	}
}

// A call tells how far it is: never less than before, and at the end all that there is to be read.
func TestProgress(t *testing.T) {
	sim, _ := closedWithRuns(t, 60)
	var all, last int64
	for _, name := range sim.Names() {
		if strings.HasPrefix(name, "seg-") || strings.HasPrefix(name, "run-") {
			all += int64(len(sim.ReadFile(name)))
		}
	}
	calls := 0
	ctx := filestore.WithProgress(bg, func(done int64) {
		if done <= last {
			t.Fatalf("%d bytes done, before that %d", done, last)
		}
		last = done
		calls++
	})
	if _, err := filestore.VerifyFS(ctx, sim); err != nil {
		t.Fatal(err)
	}
	// Headers and indexes are not counted.
	if last > all || last < all*3/4 || calls < 10 {
		t.Errorf("%d bytes done in the end, in %d calls; the files have %d", last, calls, all)
	}
	s, _, _ := populated(t, store.Sync, 60)
	last, calls = 0, 0
	if err := filestore.BackupInto(filestore.WithProgress(bg, func(done int64) { last = done; calls++ }), s, simfs.New()); err != nil || last == 0 {
		t.Errorf("a backup: %d bytes done, %v", last, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
