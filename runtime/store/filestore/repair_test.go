package filestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// A repairCase is a database with all that ever stood in it.
type repairCase struct {
	sim     *simfs.FS
	c       *chronicle
	want    map[string]string        // what is in it
	newest  map[string]store.Version // the last commit that put or deleted the key
	commits map[string]map[int64]uint64

	compacts bool
}

// newRepairCase makes a database with runs, several segments, and a log behind the runs. The whole log is there.
func newRepairCase(t testing.TB, seed uint64, commits int) *repairCase {
	t.Helper()
	return newRepairCaseWith(t, seed, commits, false)
}

// newRepairCaseWith makes one that may have compacted its log.
func newRepairCaseWith(t testing.TB, seed uint64, commits int, compacts bool) *repairCase {
	t.Helper()
	r := &repairCase{compacts: compacts, sim: simfs.New(), c: &chronicle{}, newest: map[string]store.Version{}, commits: map[string]map[int64]uint64{}}
	o, _ := simOptions(r.sim, store.Sync)
	o.FlushKeys = 60
	s := mustOpen(t, o)
	if !compacts {
		filestore.NeverCompact(s)
	}
	s.OnPublish(r.c.hook)
	rng := rand.New(rand.NewPCG(seed, 15))
	for i := 0; i < commits || filestore.Delta(s) < 5; i++ {
		doc := fmt.Sprintf("d/%02d", rng.IntN(60))
		sets := []set{{key: "n", value: fmt.Sprint(i)}}
		if rng.IntN(5) == 0 {
			sets = append(sets, set{key: doc, del: true}, set{key: "i/" + doc, del: true})
		} else {
			sets = append(sets, set{key: doc, value: value(rng, fmt.Sprintf("%s in %d ", doc, i), 20+rng.IntN(250))}, set{key: "i/" + doc, value: doc})
		}
		if _, err := s.Commit(bg, batch(sets...)); err != nil {
			t.Fatal(err)
		}
		filestore.Settle(s)
	}
	if _, moved := filestore.Compacted(s); filestore.Runs(s) < 1 || compacts != (moved > 0) {
		t.Fatalf("%d runs, %d bytes moved", filestore.Runs(s), moved)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r.want = r.c.at(r.c.last())
	for _, p := range r.c.list {
		for _, s := range p.sets {
			r.newest[s.key] = p.version
		}
	}
	for _, name := range r.sim.Names() {
		if strings.HasPrefix(name, "seg-") {
			r.commits[name] = filestore.Commits(r.sim.ReadFile(name))
		}
	}
	return r
}

// had reports whether the key ever had the value, or was absent if there is none.
func (r *repairCase) had(key, value string, there bool) bool {
	if !there {
		return true
	}
	for _, p := range r.c.list {
		for _, s := range p.sets {
			if s.key == key && !s.del && s.value == value {
				return true
			}
		}
	}
	return false
}

// check repairs a damaged copy. What is in it must be right, or listed as lost; and what is listed is lost. hit is where each
// file was damaged: from there on, if it is negative.
func (r *repairCase) check(t *testing.T, what string, damaged *simfs.FS, hit map[string][]int64) filestore.RepairReport {
	t.Helper()
	before := damaged.Clone()
	to := simfs.New()
	report, err := filestore.RepairFS(bg, damaged, to)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for _, name := range before.Names() {
		if !bytes.Equal(before.ReadFile(name), damaged.ReadFile(name)) {
			t.Fatalf("%s: the repair has changed %s", what, name)
		}
	}
	verified(t, what, to)
	got, err := openDamaged(to)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if uint64(len(got)) != report.Keys {
		t.Errorf("%s: there are %d keys, the report says %d", what, len(got), report.Keys)
	}
	lostKeys := map[string]bool{}
	inHole := func(key string) bool {
		return slices.ContainsFunc(report.Lost, func(d filestore.Damage) bool {
			return d.Keys != nil && key >= string(d.Keys.From) && (d.Keys.To == nil || key < string(d.Keys.To))
		})
	}
	lost := func(v store.Version) bool {
		return slices.ContainsFunc(report.Lost, func(d filestore.Damage) bool {
			return d.Key == nil && d.Keys == nil && d.FirstCommit <= uint64(v) && (d.LastCommit == 0 || uint64(v) <= d.LastCommit)
		})
	}
	for _, d := range report.Lost {
		if d.Keys != nil {
			continue
		}
		switch value, there := got[string(d.Key)]; {
		case d.Key != nil && there:
			t.Fatalf("%s: %v is listed, and %q is %q", what, d, d.Key, value)
		case d.Key != nil && !lost(r.newest[string(d.Key)]) && !inHole(string(d.Key)) && (d.FirstCommit != uint64(r.newest[string(d.Key)]) || r.want[string(d.Key)] == ""):
			t.Fatalf("%s: %v is listed of commit %d; the key was written by %d", what, d, d.FirstCommit, r.newest[string(d.Key)])
		case d.Key != nil:
			lostKeys[string(d.Key)] = true
		case d.LastCommit == 0: // up to the end
		case d.LastCommit < d.FirstCommit:
			t.Fatalf("%s: %v", what, d)
		}
		for v := d.FirstCommit; d.Key == nil && v <= d.LastCommit; v++ {
			if hit != nil && !r.wasHit(hit, v) {
				t.Fatalf("%s: %v: commit %d was not damaged (%v)", what, d, v, hit)
			}
		}
	}
	for key, v := range r.newest {
		want, wantThere := r.want[key]
		value, there := got[key]
		switch {
		case there == wantThere && value == want:
		case lostKeys[key]:
		case inHole(key) && r.had(key, value, there):
		case lost(v) && r.had(key, value, there):
		default:
			t.Fatalf("%s: %q is %q (%v), want %q (%v); lost are %v", what, key, value, there, want, wantThere, report.Lost)
		}
	}
	for key := range got {
		if _, ok := r.newest[key]; !ok {
			t.Fatalf("%s: there is a key %q, which never was", what, key)
		}
	}
	return report
}

// wasHit reports whether a byte of the frame of a commit was changed.
func (r *repairCase) wasHit(hit map[string][]int64, v uint64) bool {
	for name, commits := range r.commits {
		ends := filestore.Frames(r.sim.ReadFile(name))
		for off, seq := range commits {
			if seq != v {
				continue
			}
			end := int64(len(r.sim.ReadFile(name)))
			if i, _ := slices.BinarySearch(ends, off); i+1 < len(ends) {
				end = ends[i+1]
			}
			for _, at := range hit[name] {
				if at >= off && at < end || at < 0 && -at < end {
					return true
				}
			}
		}
	}
	return false
}

// Of what is not damaged nothing is lost; the log is not needed for what the runs know, nor the runs and the manifest for what is
// in the log.
func TestRepairLosesNothingThatCanBeRead(t *testing.T) {
	t.Parallel()
	for seed := range uint64(size(4, 10, 50)) {
		r := newRepairCase(t, seed, 150)
		none := func(what string, change func(f *simfs.FS), damages int) {
			t.Helper()
			f := r.sim.Clone()
			change(f)
			report := r.check(t, what, f, nil)
			if !slices.Contains(f.Names(), "MANIFEST") || len(f.ReadFile("MANIFEST")) == 50 {
				// Nobody knows that nothing was behind the last commit, unless a frame says that the store was closed there.
				if n := len(report.Lost) - 1; n < 0 || n == 0 && report.Lost[n].FirstCommit == uint64(r.c.last())+1 && report.Lost[n].LastCommit == 0 {
					report.Lost = nil
				} else {
					t.Errorf("%s: lost %v, want what may have been behind the last commit", what, report.Lost)
				}
			}
			if len(report.Lost) > 0 || len(report.Damages) != damages {
				t.Errorf("%s: damages %v, lost %v", what, report.Damages, report.Lost)
			}
		}
		runs := runFiles(r.sim)
		none("nothing damaged", func(*simfs.FS) {}, 0)
		none("no manifest", func(f *simfs.FS) { f.WriteFile("MANIFEST", nil) }, 1)
		none("half a manifest", func(f *simfs.FS) { f.WriteFile("MANIFEST", f.ReadFile("MANIFEST")[:50]) }, 1)
		none("no runs", func(f *simfs.FS) {
			for _, name := range runs {
				f.WriteFile(name, nil)
			}
		}, len(runs))
		none("neither manifest nor runs", func(f *simfs.FS) {
			for _, name := range append(runs, "MANIFEST") {
				f.WriteFile(name, nil)
			}
		}, 1)
		for _, name := range runs {
			none("without "+name, func(f *simfs.FS) { f.WriteFile(name, nil) }, 1)
			for _, off := range filestore.Blocks(t, r.sim, name) {
				none(fmt.Sprintf("%s at %d", name, off), func(f *simfs.FS) {
					b := f.ReadFile(name)
					b[off+10] ^= 1
					f.WriteFile(name, b)
				}, 1)
			}
		}
		for name := range r.commits {
			none("the header of "+name, func(f *simfs.FS) {
				b := f.ReadFile(name)
				clear(b[:64])
				f.WriteFile(name, b)
			}, 1)
		}
	}
}

// Random damage: bits, zeros, files that are cut or missing, several at once. Nothing is wrong, and what is lost is listed.
func TestRepairAfterRandomDamage(t *testing.T) {
	t.Parallel()
	lost, keys, nothing, runs := 0, 0, 0, size(400, 1000, 100000)
	var r *repairCase
	for run := range runs {
		if run%100 == 0 {
			r = newRepairCaseWith(t, uint64(run), 150, run%200 == 100)
		}
		rng := rand.New(rand.NewPCG(uint64(run), 16))
		f := r.sim.Clone()
		hit := map[string][]int64{}
		var what []string
		names := slices.DeleteFunc(f.Names(), func(name string) bool { return !holdsData(name) })
		for range 1 + rng.IntN(4) {
			name := names[rng.IntN(len(names))]
			b := f.ReadFile(name)
			if len(b) == 0 {
				continue
			}
			at := rng.IntN(len(b))
			switch kind := rng.IntN(20); {
			case kind < 14:
				b[at] ^= 1 << rng.IntN(8)
				hit[name] = append(hit[name], int64(at))
				what = append(what, fmt.Sprintf("%s byte %d", name, at))
			case kind < 18:
				n := min(1+rng.IntN(600), len(b)-at)
				for i := at; i < at+n; i++ {
					b[i] = 0
					hit[name] = append(hit[name], int64(i))
				}
				what = append(what, fmt.Sprintf("%s zeroed from %d to %d", name, at, at+n))
			case kind == 18:
				b = b[:at]
				hit[name] = append(hit[name], -int64(max(at, 1)))
				what = append(what, fmt.Sprintf("%s cut to %d", name, at))
			default:
				b = nil
				hit[name] = append(hit[name], -1)
				what = append(what, name+" removed")
			}
			f.WriteFile(name, b)
		}
		if r.compacts {
			hit = nil // commits that are not in the log any more may be listed without a damage
		}
		report := r.check(t, fmt.Sprintf("run %d: %s", run, strings.Join(what, ", ")), f, hit)
		for _, d := range report.Lost {
			lost++
			if d.Key != nil {
				keys++
			}
		}
		if len(report.Lost) == 0 {
			nothing++
		}
	}
	t.Logf("%d runs, nothing lost in %d; else %d losses listed, %d of them with their key", runs, nothing, lost, keys)
	if lost < runs/20 || keys == 0 || nothing == 0 {
		t.Error("the damages are too many or too few")
	}
}

// Of a block that cannot be read the log knows the keys; of the other keys the runs do: what they do not have any more does not
// come back because the log does not say either that it was deleted.
func TestRepairOfABlock(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	o.FlushKeys, o.SegmentSize = 600, 1<<20
	s := mustOpen(t, o)
	put(t, s, "gone", strings.Repeat("g", 100))
	if _, err := s.Commit(bg, batch(set{key: "gone", del: true})); err != nil {
		t.Fatal(err)
	}
	for i := range 600 {
		put(t, s, fmt.Sprintf("k%04d", i), strings.Repeat(fmt.Sprint(i), 1+i%50))
	}
	filestore.Settle(s)
	put(t, s, "tail", "x")
	want, err := dump(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	const segment = "seg-00000001.log"
	run := runFiles(sim)[0]
	blocks := filestore.Blocks(t, sim, run)
	if len(blocks) < 3 {
		t.Fatalf("%d blocks", len(blocks))
	}
	for _, off := range blocks {
		f := sim.Clone()
		b := f.ReadFile(run)
		b[off+30] ^= 1
		f.WriteFile(run, b)
		for _, also := range []bool{false, true} { // also the frame of the deletion
			if also {
				b := f.ReadFile(segment)
				b[filestore.Frames(b)[1]+42] ^= 1
				f.WriteFile(segment, b)
			}
			to := simfs.New()
			report, err := filestore.RepairFS(bg, f, to)
			if err != nil {
				t.Fatal(err)
			}
			got, err := openDamaged(to)
			if off == blocks[0] && also {
				delete(got, "gone") // it could be of this block, and its commit is listed
			}
			if err != nil || !equal(got, want) || also != (len(report.Lost) == 1) {
				t.Errorf("the block at %d: %d keys, want %d; lost %v; %v", off, len(got), len(want), report.Lost, err)
			}
		}
	}
}

// A key whose newest value cannot be read is lost: the older value, which can, does not take its place.
func TestRepairResurrectsNothing(t *testing.T) {
	for _, flushKeys := range []int{0, 3} {
		sim := simfs.New()
		o, _ := simOptions(sim, store.Sync)
		o.FlushKeys = flushKeys
		s := mustOpen(t, o)
		put(t, s, "k", "old"+strings.Repeat("o", 100))
		put(t, s, "other", "x")
		if _, err := s.Commit(bg, batch(set{key: "k", value: "new" + strings.Repeat("n", 100)}, set{key: "l", value: "short"})); err != nil {
			t.Fatal(err)
		}
		put(t, s, "more", "x")
		filestore.Settle(s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		const name = "seg-00000001.log"
		b := sim.ReadFile(name)
		at := bytes.Index(b, []byte("newnnn"))
		if flushKeys == 0 {
			b[bytes.Index(b, []byte("short"))] ^= 1 // the value holds, its frame does not
		} else {
			b[at+5] ^= 1 // a run knows the key
		}
		sim.WriteFile(name, b)
		to := simfs.New()
		report, err := filestore.RepairFS(bg, sim, to)
		if err != nil {
			t.Fatal(err)
		}
		got, err := openDamaged(to)
		if _, there := got["k"]; err != nil || there || got["other"] != "x" || got["more"] != "x" {
			t.Errorf("flush at %d: repaired: %v%s", flushKeys, err, show(got))
		}
		i := slices.IndexFunc(report.Lost, func(d filestore.Damage) bool { return string(d.Key) == "k" })
		if i < 0 || report.Lost[i].File != name || report.Lost[i].Offset != int64(at) || report.Lost[i].FirstCommit != 3 {
			t.Errorf("flush at %d: lost %+v, want k at %d of %s", flushKeys, report.Lost, at, name)
		}
	}
}

// A repaired store has a history of its own.
func TestRepairIsAnotherHistory(t *testing.T) {
	s, sim, want := populated(t, store.Sync, 60)
	tokens := []store.Token{tokenOf(t, s)}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	to := simfs.New()
	if _, err := filestore.RepairFS(bg, sim, to); err != nil {
		t.Fatal(err)
	}
	o, _ := simOptions(to, store.Sync)
	repaired := mustOpen(t, o)
	if got, err := dump(repaired); err != nil || !equal(got, want) {
		t.Errorf("repaired: %v%s", err, show(got))
	}
	checkResync(t, repaired, tokens)
}

// Directories: one that is in use, that has no store, or to which it cannot be written. The repaired one is durable.
func TestRepairOfADirectory(t *testing.T) {
	dir := memoryDir(t)
	path := func(name string) string { return filepath.Join(dir, name) }
	s := openDir(t, path("db"))
	put(t, s, "a", strings.Repeat("b", 100))
	_, err := filestore.Repair(bg, path("db"), path("new"))
	var locked *store.LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("of an open store: %v, want a LockedError", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path("empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := filestore.Repair(bg, path("empty"), path("new")); err == nil || !strings.Contains(err.Error(), "no segment") {
		t.Errorf("of an empty directory: %v", err)
	}
	if _, err := filestore.Repair(bg, path("nothing"), path("new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of no directory: %v", err)
	}
	if _, err := filestore.Repair(bg, path("db"), path("db")); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("to its own directory: %v", err)
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if _, err := filestore.Repair(ctx, path("db"), path("new")); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	if _, err := os.Stat(path("new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is left: %v", err)
	}
	if report, err := filestore.Repair(bg, path("db"), path("new")); err != nil || report.Keys != 1 || len(report.Damages)+len(report.Lost) > 0 {
		t.Errorf("of a good store: %+v, %v", report, err)
	}
	if got, err := dump(openDir(t, path("new"))); err != nil || len(got) != 1 {
		t.Errorf("repaired: %v%s", err, show(got))
	}
	left, err := filepath.Glob(path("*.tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("%q are left, %v", left, err)
	}
}

// An error at any operation on the new directory is returned; and when there is none, a power cut takes nothing.
func TestErrorAtEveryOperationOfARepair(t *testing.T) {
	t.Parallel()
	r := newRepairCase(t, 1, 100)
	for n := 1; ; n++ {
		to := simfs.New()
		to.Inject(func(op simfs.Op) *simfs.Fault {
			if op.N >= n {
				return &simfs.Fault{Err: syscall.EIO}
			}
			return nil
		})
		_, err := filestore.RepairFS(bg, r.sim, to)
		if to.Ops() < n {
			if err != nil || n < 20 {
				t.Errorf("without an error: %v after %d operations", err, n)
			}
			to.Inject(nil)
			if got, err := openDamaged(to.Crash(simfs.LoseAll, nil)); err != nil || !maps.Equal(got, r.want) {
				t.Errorf("after a power cut: %v%s", err, show(got))
			}
			return
		}
		if err == nil {
			t.Fatalf("no error, and EIO from operation %d on", n)
		}
	}
}
