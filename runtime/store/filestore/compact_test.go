package filestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// segmentFiles returns the names of the segments in the directory.
func segmentFiles(sim *simfs.FS) (names []string) {
	for _, name := range sim.Names() {
		if strings.HasPrefix(name, "seg-") {
			names = append(names, name)
		}
	}
	return names
}

// dirSize returns the bytes of all files in a directory, but the reserve.
func dirSize(t testing.TB, dir string) (n int64) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if info, err := e.Info(); err == nil && !strings.HasPrefix(e.Name(), "RESERVE") { // else it was removed meanwhile
			n += info.Size()
		}
	}
	return n
}

// Overwriting the same documents again and again takes at no time more than twice the space of what is there and a few
// segments, and Compact gives nearly all of the rest back.
func TestOverwritesStayInBounds(t *testing.T) {
	const (
		docs    = 400
		each    = 1000
		segment = 128 << 10
	)
	live := int64(docs * (each + 100))
	dir := memoryDir(t)
	s, err := filestore.Open(bg, dir, filestore.Options{SegmentSize: segment, Reserve: 16 << 10, FlushKeys: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	want := map[string]string{}
	largest, runs := int64(0), 4
	for i := range size(20_000, 40_000, 400_000) {
		key := fmt.Sprintf("d/%04d", rng.IntN(docs))
		want[key] = value(rng, key, each)
		if _, err := s.Commit(bg, batch(set{key: key, value: want[key]}, set{key: "i/" + key, value: key})); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			largest, runs = max(largest, dirSize(t, dir)), max(runs, filestore.Runs(s))
		}
	}
	// What runs say of a key that newer ones hide counts as live until they are merged. Here most do, since a run has as many
	// keys as an eighth of all. On a busy machine merges may be late, and there are more runs than four for a while.
	if bound := 2*live + 10*segment + int64(runs-4)*100*(each+100)*7/4; largest > bound {
		t.Errorf("up to %d bytes in files for %d of documents and %d runs, want at most %d", largest, live, runs, bound)
	}
	if err := s.Compact(bg); err != nil {
		t.Fatal(err)
	}
	after := dirSize(t, dir)
	if bound := live + 3*segment; after > bound { // flushes are so frequent here that some moves come too late
		t.Errorf("%d bytes in files after Compact, for %d of documents, want at most %d", after, live, bound)
	}
	compacted, moved := filestore.Compacted(s)
	t.Logf("%d bytes of documents: up to %d in files, %d after Compact; %d segments compacted, %d bytes moved", live, largest, after, compacted, moved)
	for key, v := range want {
		items, err := s.Get(bg, []byte(key))
		if err != nil || string(items[0].Value) != v {
			t.Fatalf("%s is another one than was put: %v", key, err)
		}
	}
	if err := s.Compact(bg); err != nil {
		t.Fatal(err)
	}
	if n := dirSize(t, dir); n > after+32<<10 { // space is reserved in the new segment
		t.Errorf("%d bytes in files after another Compact, %d before it", n, after)
	}
}

// Commits of the keys that are being moved, in all ways, win.
func TestCommitsWhileMoving(t *testing.T) {
	dir := memoryDir(t)
	o := filestore.Options{SegmentSize: 16 << 10, Reserve: 4 << 10, FlushKeys: 60}
	o.Durability.Mode = store.NoSync
	s, err := filestore.Open(bg, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	const writers, docs = 3, 50
	var wg sync.WaitGroup
	want := make([]map[string]string, writers)
	stop := make(chan struct{})
	for w := range writers {
		want[w] = map[string]string{}
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 2))
			versions := map[string]store.Version{}
			for range size(4000, 20_000, 200_000) {
				key := fmt.Sprintf("w%d/%03d", w, rng.IntN(docs))
				op := store.Op{Key: []byte(key), Guard: store.At(versions[key])}
				if rng.IntN(4) == 0 {
					op.Delete = true
				} else {
					op.Value = []byte(value(rng, key, 65+rng.IntN(300)))
				}
				v, err := s.Commit(bg, &store.Batch{Ops: []store.Op{op}})
				if err != nil {
					t.Errorf("commit of %s at version %d: %v", key, versions[key], err)
					return
				}
				if op.Delete {
					v = store.Absent
					delete(want[w], key)
				} else {
					want[w][key] = string(op.Value)
				}
				versions[key] = v
				k := fmt.Sprintf("w%d/%03d", w, rng.IntN(docs))
				items, err := s.Get(bg, []byte(k))
				if err != nil || items[0].Version != versions[k] || string(items[0].Value) != want[w][k] {
					t.Errorf("Get %s: version %d, %v, want %d", k, items[0].Version, err, versions[k])
					return
				}
			}
		})
	}
	compacts := 0
	var compacting sync.WaitGroup
	compacting.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := s.Compact(bg); err != nil {
				t.Errorf("Compact: %v", err)
				return
			}
			compacts++
		}
	})
	wg.Wait()
	close(stop)
	compacting.Wait()
	all := map[string]string{}
	for _, m := range want {
		for k, v := range m {
			all[k] = v
		}
	}
	compacted, moved := filestore.Compacted(s)
	if got, err := dump(s); err != nil || !equal(got, all) {
		t.Errorf("at the end%s, %v, want%s", show(got), err, show(all))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = filestore.Open(bg, dir, o); err != nil {
		t.Fatal(err)
	}
	if got, err := dump(s); err != nil || !equal(got, all) {
		t.Errorf("opened again%s, %v, want%s", show(got), err, show(all))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if compacted < 20 || moved == 0 {
		t.Errorf("%d segments compacted, %d bytes moved: that is no test", compacted, moved)
	}
	t.Logf("%d calls of Compact, %d segments compacted, %d bytes moved", compacts, compacted, moved)
}

// A commit that changes a key while its value is being moved wins, whatever it does: when the move is published, and when it
// is replayed.
func TestMovesLoseToNewerCommits(t *testing.T) {
	t.Run("merge", func(t *testing.T) {
		movesLoseToNewerCommits(t, func(s *filestore.Store) error { return s.Compact(bg) })
	})
	t.Run("each", func(t *testing.T) { movesLoseToNewerCommits(t, filestore.CompactEach) })
}

func movesLoseToNewerCommits(t *testing.T, compact func(*filestore.Store) error) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	o.FlushKeys = 1000        // only Compact flushes
	o.SegmentSize = 128 << 10 // so little is not needed that no commit has to wait for it
	s := mustOpen(t, o)
	newer := map[int64]set{ // by the length of the value that is moved
		301: {key: "a/1", del: true},
		302: {key: "a/2", value: "short"},
		303: {key: "a/3", value: strings.Repeat("long", 50)},
	}
	want := map[string]string{"a/1": strings.Repeat("1", 301), "a/2": strings.Repeat("2", 302), "a/3": strings.Repeat("3", 303), "a/4": strings.Repeat("4", 304)}
	for key, v := range want {
		put(t, s, key, v)
	}
	for range 30 {
		put(t, s, "b", strings.Repeat("b", 300))
	}
	want["b"] = strings.Repeat("b", 300)
	var crashed []*simfs.FS
	sim.Before(func(op simfs.Op) {
		set, ok := newer[op.Len]
		switch {
		case op.Kind == "read" && ok: // the value is looked up, and not moved yet
			delete(newer, op.Len)
			delete(want, set.key)
			if !set.del {
				want[set.key] = set.value
			}
			if _, err := s.Commit(bg, batch(set)); err != nil {
				t.Errorf("Commit(%q): %v", set.key, err)
			}
		case op.Kind == "rename" && len(newer) == 0: // the next manifest is without the segment
			crashed = append(crashed, sim.Crash(simfs.LoseAll, nil))
		}
	})
	if err := compact(s); err != nil {
		t.Fatal(err)
	}
	sim.Before(nil)
	if compacted, moved := filestore.Compacted(s); len(newer) != 0 || compacted == 0 || moved < 301+302+303+304 || len(crashed) == 0 {
		t.Fatalf("%d segments compacted, %d bytes moved, %d commits missing, %d crashes: that is no test", compacted, moved, len(newer), len(crashed))
	}
	if got, err := dump(s); err != nil || !equal(got, want) {
		t.Errorf("after Compact%s, %v, want%s", show(got), err, show(want))
	}
	for i, disk := range crashed {
		if got, err := dumpAfter(disk); err != nil || !equal(got, want) {
			t.Errorf("after crash %d%s, %v, want%s", i, show(got), err, show(want))
		}
	}
}

// A snapshot goes on to read its state, and what was put into newer segments before it, when those are compacted.
func TestSnapshotKeepsItsSegments(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	o.FlushKeys = 1000 // only Compact flushes: the keys of the snapshot are in its delta
	s := mustOpen(t, o)
	if _, err := fill(s, "a", 100); err != nil {
		t.Fatal(err)
	}
	before, err := dump(s)
	if err != nil {
		t.Fatal(err)
	}
	had := segmentFiles(sim)
	if len(had) < 3 {
		t.Fatalf("%d segments: too few", len(had))
	}
	err = s.Snapshot(bg, func(r store.SnapshotReader) error {
		for i := range 100 {
			if _, err := s.Commit(bg, batch(set{key: fmt.Sprintf("a/%04d", i), value: strings.Repeat("new", 50)})); err != nil {
				return err
			}
		}
		if err := s.Compact(bg); err != nil {
			return err
		}
		return stillReads(t, r, sim, had, before)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range had {
		if slices.Contains(segmentFiles(sim), name) {
			t.Errorf("%s is there although nobody needs it any more", name)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A segment with a damage in what is needed of it is not compacted: it stays, with all that can be read of it, and Compact says so. The others
// are compacted.
func TestDamagedSegmentStays(t *testing.T) {
	dir := memoryDir(t)
	o := filestore.Options{SegmentSize: 4 << 10, Reserve: 1 << 10, FlushKeys: 1000}
	log := &quiet{}
	o.Logger = log.logger()
	s, err := filestore.Open(bg, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fill(s, "a", 200); err != nil {
		t.Fatal(err)
	}
	for i := range 200 { // most of each segment is not needed any more
		if i%5 == 0 {
			continue
		}
		if _, err := s.Commit(bg, batch(set{key: fmt.Sprintf("a/%04d", i), del: true})); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(dir, "seg-00000002.log")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := -1
	for i := 0; at < 0; i += 5 { // a value that is needed
		at = bytes.Index(b, []byte(strings.Repeat(fmt.Sprintf("a/%04d", i), 12)))
	}
	b[at+30] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	err = s.Compact(bg)
	var damaged *store.CorruptError
	if !errors.As(err, &damaged) || damaged.File != "seg-00000002.log" || damaged.Offset <= 0 {
		t.Errorf("Compact: %v, want the place of the damage", err)
	}
	if !strings.Contains(log.String(), "seg-00000002.log") {
		t.Errorf("the log does not say which segment is damaged: %s", log)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var segments []string
	for _, e := range list {
		if strings.HasPrefix(e.Name(), "seg-") {
			segments = append(segments, e.Name())
		}
	}
	if !slices.Contains(segments, "seg-00000002.log") || len(segments) > 5 {
		t.Errorf("after Compact there are %v, want the damaged one and few others", segments)
	}
	read, lost := 0, 0
	for i := 0; i < 200; i += 5 {
		key := fmt.Sprintf("a/%04d", i)
		switch items, err := s.Get(bg, []byte(key)); {
		case err == nil && string(items[0].Value) == strings.Repeat(key, 12):
			read++
		case errors.As(err, &damaged):
			lost++
		default:
			t.Errorf("Get %s: %q, %v", key, items[0].Value, err)
		}
	}
	if read+lost != 40 || lost > 1 {
		t.Errorf("%d documents can be read, of %d the damage is told; want 40, and 1 at most", read, lost)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// The file of a segment that a compaction was done with, which a crash left, is removed by the next opening. One of another
// store is refused.
func TestOrphanedSegments(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	s := mustOpen(t, o)
	if _, err := fill(s, "a", 100); err != nil {
		t.Fatal(err)
	}
	old := sim.ReadFile("seg-00000002.log")
	for i := range 100 {
		if _, err := s.Commit(bg, batch(set{key: fmt.Sprintf("a/%04d", i), del: true})); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Compact(bg); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(sim.Names(), "seg-00000002.log") {
		t.Fatal("the segment is there although nothing of it is needed")
	}
	sim.WriteFile("seg-00000002.log", old)
	o.FS = sim
	s = mustOpen(t, o)
	if slices.Contains(sim.Names(), "seg-00000002.log") {
		t.Error("the opening did not remove what a crash left")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	other := simfs.New()
	o2, _ := simOptions(other, store.Sync)
	s2 := mustOpen(t, o2)
	if _, err := fill(s2, "a", 100); err != nil {
		t.Fatal(err)
	}
	if err := s2.Close(); err != nil {
		t.Fatal(err)
	}
	foreign := other.ReadFile("seg-00000002.log")
	sim.WriteFile("seg-00000002.log", foreign)
	var damaged *store.CorruptError
	if _, err := filestore.Open(bg, "sim", o); !errors.As(err, &damaged) || damaged.File != "seg-00000002.log" {
		t.Errorf("Open with a segment of another store: %v", err)
	}
	if !slices.Contains(sim.Names(), "seg-00000002.log") {
		t.Error("the file of another store was removed")
	}
}

// All documents deleted and compacted away leave a store that opens.
func TestNothingIsLeft(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	o.FlushKeys = 10
	s := mustOpen(t, o)
	for range 3 {
		if _, err := fill(s, "a", 30); err != nil {
			t.Fatal(err)
		}
		for i := range 30 {
			if _, err := s.Commit(bg, batch(set{key: fmt.Sprintf("a/%04d", i), del: true})); err != nil {
				t.Fatal(err)
			}
			filestore.Settle(s)
		}
		if err := s.Compact(bg); err != nil {
			t.Fatal(err)
		}
		if n := filestore.Runs(s); n != 0 {
			t.Errorf("%d runs of nothing", n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, o)
		if got, err := dump(s); err != nil || len(got) != 0 {
			t.Errorf("there is%s, %v", show(got), err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A key that is put and deleted while there is nothing else does not let the log grow for ever.
func TestLogOfAnEmptyStoreIsBounded(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.NoSync)
	s := mustOpen(t, o)
	for range 50 {
		if _, err := fill(s, "a", 1); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Commit(bg, batch(set{key: "a/0000", del: true})); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Compact(bg); err != nil {
		t.Fatal(err)
	}
	if n := len(segmentFiles(sim)); n > 2 {
		t.Errorf("%d segments of an empty store", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// What was moved is not taken for a torn end when the segment it came from is gone, though nothing was written after it.
func TestMovesAreBelowTheFloor(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	o.FlushKeys = 1000
	s := mustOpen(t, o)
	if _, err := fill(s, "a", 100); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if i%10 == 0 {
			continue
		}
		if i == 99 {
			filestore.Roll(s)
		}
		if _, err := s.Commit(bg, batch(set{key: fmt.Sprintf("a/%04d", i), del: true})); err != nil {
			t.Fatal(err)
		}
	}
	if err := filestore.Rewrite(s); err != nil { // moves what is needed, and leaves the moves in the log
		t.Fatal(err)
	}
	filestore.Settle(s)
	names := segmentFiles(sim)
	newest := names[len(names)-1]
	end := filestore.LogEnd(s)
	if compacted, moved := filestore.Compacted(s); compacted == 0 || moved == 0 {
		t.Fatalf("%d segments compacted, %d bytes moved", compacted, moved)
	}
	after := sim.Crash(simfs.KeepAll, rand.New(rand.NewPCG(1, 1)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b := after.ReadFile(newest)
	after.Overwrite(newest, end-30, []byte{b[end-30] ^ 1})
	o, _ = simOptions(after, store.Sync)
	var damaged *store.CorruptError
	if s, err := filestore.Open(bg, "sim", o); !errors.As(err, &damaged) || damaged.File != newest {
		t.Errorf("Open: %v, want a damage in %s", err, newest)
		if err == nil {
			s.Close()
		}
	}
}

// An opening compacts what is to be compacted, also if nothing is written afterwards. A damaged segment is left out: it is
// not in the way of others.
func TestCompactionInTheBackground(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	o.FlushKeys = 500
	s := mustOpen(t, o)
	for round := range 5 {
		if _, err := fill(s, "a", 100); err != nil {
			t.Fatal(err)
		}
		if round > 0 {
			continue
		}
		if _, err := s.Commit(bg, batch(set{key: "b", value: strings.Repeat("needed", 20)})); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil { // which writes a run
		t.Fatal(err)
	}
	before := segmentFiles(sim)
	damaged := ""
	for _, name := range before {
		if at := bytes.Index(sim.ReadFile(name), []byte("needed")); at >= 0 {
			damaged = name
			sim.Overwrite(name, int64(at), []byte{0xff, 0xff})
		}
	}
	o, clock := simOptions(sim, store.Sync)
	s = mustOpen(t, o)
	for range 3 {
		filestore.Settle(s)
		clock.advance(2 * time.Minute) // for what is tried again
	}
	filestore.Settle(s)
	after := segmentFiles(sim)
	if compacted, _ := filestore.Compacted(s); compacted < 3 || len(after) >= len(before)*2/3 || !slices.Contains(after, damaged) {
		t.Errorf("%d segments compacted; %s is damaged; there were %v, now %v", compacted, damaged, before, after)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Compact gives back the space in the newest segment as well.
func TestCompactRewritesTheNewestSegment(t *testing.T) {
	dir := memoryDir(t)
	s, err := filestore.Open(bg, dir, filestore.Options{Reserve: 1 << 10, SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := fill(s, "a", 300); err != nil {
			t.Fatal(err)
		}
	}
	before := dirSize(t, dir)
	if err := s.Compact(bg); err != nil {
		t.Fatal(err)
	}
	if after := dirSize(t, dir); after > before/3 {
		t.Errorf("%d bytes in files after Compact, before %d, a tenth of which is needed", after, before)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Values that were moved out of a segment before a damage was found in it are on the disk when a run says that they are there,
// although the segment stays.
func TestMovesOutOfADamagedSegmentAreSynced(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.NoSync)
	o.FlushKeys = 16
	s := mustOpen(t, o)
	const docs, inSegment = 40, 8
	key := func(i int) string { return fmt.Sprintf("k%02d", i) }
	value := func(i, n int) string { return strings.Repeat(fmt.Sprintf("%s:%03d ", key(i), n), 50) }
	for i := range docs {
		put(t, s, key(i), value(i, 0))
		filestore.Settle(s)
	}
	if err := filestore.Rewrite(s); err != nil { // so that all are on the disk
		t.Fatal(err)
	}
	damaged := func(i int) bool { return i%inSegment == inSegment-1 }
	for i := range docs {
		for _, name := range segmentFiles(sim) {
			if at := bytes.Index(sim.ReadFile(name), []byte(value(i, 0))); at >= 0 && damaged(i) {
				sim.Overwrite(name, int64(at)+100, []byte{0xff})
			}
		}
	}
	check := func() {
		t.Helper()
		crashed := sim.Crash(simfs.LoseAll, nil)
		o, _ := simOptions(crashed, store.NoSync)
		c, err := filestore.Open(bg, "sim", o)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < docs; i += inSegment / 2 { // some that are written again, and some that are not
			items, err := c.Get(bg, []byte(key(i)))
			if err != nil || !strings.HasPrefix(string(items[0].Value), key(i)) {
				t.Fatalf("after a crash, %s: %+v, %v", key(i), items, err)
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range docs {
		if i%inSegment >= 2 && !damaged(i) {
			put(t, s, key(i), value(i, 1))
			filestore.Settle(s)
		}
	}
	for i := range 100 { // meanwhile the damaged segments are the only ones that can be compacted
		put(t, s, fmt.Sprint("new", i), value(i, 1))
		filestore.Settle(s)
		check()
	}
	if _, moved := filestore.Compacted(s); moved == 0 {
		t.Fatal("nothing was moved: that is no test")
	}
}
