package filestore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// closedDatabase makes a small database of several segments, closed, and says what is in it.
func closedDatabase(t testing.TB, seed uint64, commits int) (*simfs.FS, map[string]string) {
	t.Helper()
	return closedDatabaseWith(t, seed, commits, 0)
}

// closedDatabaseWith makes one that keeps so many keys in memory, has runs for the others, and moves what it needs out of
// old segments.
func closedDatabaseWith(t testing.TB, seed uint64, commits, flushKeys int) (*simfs.FS, map[string]string) {
	t.Helper()
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	o.FlushKeys = flushKeys
	if flushKeys > 0 {
		o.SegmentSize = 2 << 10
	}
	s, err := filestore.Open(bg, "sim", o)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	h := &history{states: []map[string]string{{}}}
	for i := range commits {
		doc := fmt.Sprintf("d/%02d", i%9)
		sets := []set{
			{key: doc, value: value(rng, fmt.Sprintf("%s v%d ", doc, i), 20+rng.IntN(300))},
			{key: fmt.Sprintf("i/%02d/%s", i%5, doc), value: doc},
			{key: fmt.Sprintf("e/%02d", i), value: ""},
		}
		if i%4 == 3 {
			sets = append(sets, set{key: fmt.Sprintf("e/%02d", i-2), del: true})
		}
		h.next(sets)
		if _, err := s.Commit(bg, batch(sets...)); err != nil {
			t.Fatal(err)
		}
		filestore.Settle(s)
	}
	if _, moved := filestore.Compacted(s); flushKeys > 0 && (moved == 0 || filestore.Runs(s) == 0) {
		t.Fatalf("%d bytes moved, %d runs: that is no test", moved, filestore.Runs(s))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return sim, h.now()
}

// holdsData reports whether what is in the file matters.
func holdsData(name string) bool { return name != "LOCK" && !strings.HasPrefix(name, "RESERVE") }

// openDamaged opens a damaged copy and reads all of it, key by key and by pages. It returns what a reader is told: what
// is there, and the errors.
func openDamaged(sim *simfs.FS) (got map[string]string, err error) {
	o, _ := simOptions(sim, store.Sync)
	s, err := filestore.Open(bg, "sim", o)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	got, err = dump(s)
	if err != nil {
		return nil, err
	}
	for k, v := range got {
		items, err := s.Get(bg, []byte(k))
		if err != nil {
			return nil, err
		}
		if string(items[0].Value) != v {
			return nil, fmt.Errorf("Get and Page of %q differ", k)
		}
	}
	return got, nil
}

// checkDamaged opens a damaged database: it is right, or it says which file is damaged. detected counts the latter.
func checkDamaged(t *testing.T, what string, sim *simfs.FS, want map[string]string, detected *int) {
	t.Helper()
	got, err := openDamaged(sim)
	if err != nil {
		var c *store.CorruptError
		if !errors.As(err, &c) || c.File == "" || c.What == "" {
			t.Fatalf("%s: error %v, want a CorruptError with file and offset", what, err)
		}
		*detected++
		return
	}
	if !equal(got, want) {
		t.Fatalf("%s: no error, and there is%s\nwant%s", what, show(got), show(want))
	}
}

// Each byte of a closed database is changed: the answer is right, or an error with file and offset.
func TestFlippedByteIsNeverAWrongAnswer(t *testing.T) {
	t.Parallel()
	t.Run("Log", func(t *testing.T) {
		t.Parallel()
		sim, want := closedDatabase(t, 1, size(12, 60, 260))
		flipBytes(t, sim, want, true)
	})
	t.Run("Runs", func(t *testing.T) {
		t.Parallel()
		// What nobody needs any more in the segments that are not replayed is not read.
		sim, want := closedDatabaseWith(t, 1, size(50, 60, 260), 20)
		flipBytes(t, sim, want, false)
	})
}

func flipBytes(t *testing.T, sim *simfs.FS, want map[string]string, all bool) {
	patterns := []byte{0x01, 0x80, 0xff}[:size(1, 3, 3)]
	flips, detected, total := 0, 0, 0
	for _, name := range sim.Names() {
		data := sim.ReadFile(name)
		total += len(data)
		for i := range data {
			for _, p := range patterns {
				changed := slices.Clone(data)
				changed[i] ^= p
				damaged := sim.Clone()
				damaged.WriteFile(name, changed)
				before := detected
				checkDamaged(t, fmt.Sprintf("%s, byte %d changed by %#x", name, i, p), damaged, want, &detected)
				if all && holdsData(name) && detected == before {
					t.Errorf("%s, byte %d changed by %#x: not noticed", name, i, p)
				}
				flips++
			}
		}
	}
	proof(t, 9, "bytes", total, "files", len(sim.Names()), "flips", flips, "detected", detected, "wrong", 0, "missing", 0)
}

// Each file of a closed database is cut at each byte, removed, emptied, made longer.
func TestCutOrMissingFileIsNeverAWrongAnswer(t *testing.T) {
	t.Parallel()
	sim, want := closedDatabase(t, 2, size(12, 60, 200))
	cases, detected := 0, 0
	for _, name := range sim.Names() {
		if !holdsData(name) {
			continue
		}
		data := sim.ReadFile(name)
		try := func(what string, b []byte, mustFail bool) {
			damaged := sim.Clone()
			damaged.WriteFile(name, b)
			before := detected
			checkDamaged(t, name+" "+what, damaged, want, &detected)
			if mustFail && detected == before {
				t.Errorf("%s %s: not noticed", name, what)
			}
			cases++
		}
		for n := range data {
			try(fmt.Sprintf("cut to %d of %d bytes", n, len(data)), data[:n:n], true)
		}
		try("removed", nil, true)
		for _, n := range []int{1, 39, 40, 64, 4096} {
			try(fmt.Sprintf("with %d zeros behind", n), append(slices.Clone(data), make([]byte, n)...), false)
			try(fmt.Sprintf("with %d other bytes behind", n), append(slices.Clone(data), []byte(strings.Repeat("x", n))...), false)
		}
		for off := 0; off+512 <= len(data); off += 512 {
			zeroed := slices.Clone(data)
			clear(zeroed[off : off+512])
			try(fmt.Sprintf("with zeros from %d to %d", off, off+512), zeroed, true)
		}
	}
	proof(t, 10, "cases", cases, "detected", detected, "wrong", 0, "missing", 0)
}

// Files are swapped, doubled, replaced by older ones, and by those of another database.
func TestForeignFileIsNeverAWrongAnswer(t *testing.T) {
	sim, want := closedDatabase(t, 3, 60)
	other, _ := closedDatabase(t, 3, 60) // the same contents, another store
	var segments []string
	for _, name := range sim.Names() {
		if strings.HasPrefix(name, "seg-") {
			segments = append(segments, name)
		}
	}
	if len(segments) < 3 {
		t.Fatalf("%d segments, want 3 or more", len(segments))
	}
	cases, detected := 0, 0
	try := func(what string, change func(*simfs.FS)) {
		t.Helper()
		damaged := sim.Clone()
		change(damaged)
		before := detected
		checkDamaged(t, what, damaged, want, &detected)
		if detected == before {
			t.Errorf("%s: not noticed", what)
		}
		cases++
	}
	for i, a := range segments {
		for _, b := range segments[i+1:] {
			try(a+" and "+b+" swapped", func(f *simfs.FS) {
				f.WriteFile(a, sim.ReadFile(b))
				f.WriteFile(b, sim.ReadFile(a))
			})
			try(a+" in place of "+b, func(f *simfs.FS) { f.WriteFile(b, sim.ReadFile(a)) })
			try(b+" in place of "+a, func(f *simfs.FS) { f.WriteFile(a, sim.ReadFile(b)) })
		}
		try(a+" of another store", func(f *simfs.FS) { f.WriteFile(a, other.ReadFile(a)) })
		foreign := sim.Clone()
		foreign.WriteFile(a, other.ReadFile(a))
		if _, err := openDamaged(foreign); err == nil || !strings.Contains(err.Error(), a+" at offset 0: the segment belongs to the store ") {
			t.Errorf("%s of another store: the error is %v", a, err)
		}
		try(a+" as the next segment", func(f *simfs.FS) {
			f.WriteFile(fmt.Sprintf("seg-%08x.log", len(segments)+1), sim.ReadFile(a))
		})
	}
	try("a segment before the first", func(f *simfs.FS) { f.WriteFile("seg-00000000.log", sim.ReadFile(segments[0])) })
	try("a gap", func(f *simfs.FS) {
		f.WriteFile(fmt.Sprintf("seg-%08x.log", len(segments)+2), sim.ReadFile(segments[0]))
	})
	try("the manifest of another store", func(f *simfs.FS) { f.WriteFile("MANIFEST", other.ReadFile("MANIFEST")) })
	proof(t, 10, "foreignFiles", cases, "detected", detected, "wrong", 0, "missing", 0)
}

// A store whose copy went on without it does not take a segment of that other future.
func TestSegmentOfAnotherFutureIsRefused(t *testing.T) {
	sim, _ := closedDatabase(t, 4, 10)
	future := func(tag string) *simfs.FS {
		f := sim.Clone()
		o, _ := simOptions(f, store.Sync)
		s := mustOpen(t, o)
		for i := range 60 {
			put(t, s, fmt.Sprintf("k%02d", i), strings.Repeat(tag, 300))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, b := future("a"), future("b")
	n := 0
	for _, name := range a.Names() {
		if !strings.HasPrefix(name, "seg-") || string(a.ReadFile(name)) == string(b.ReadFile(name)) {
			continue
		}
		mixed := a.Clone()
		mixed.WriteFile(name, b.ReadFile(name))
		got, err := openDamaged(mixed)
		if err == nil {
			t.Errorf("%s (%d bytes): no error, and there is%s", name, len(a.ReadFile(name)), show(got))
			continue
		}
		wantCorrupt(t, err)
		n++
	}
	if n < 3 {
		t.Fatalf("%d segments differ, want 3 or more", n)
	}
}

// The same in the segment that the manifest's floor is in: both futures went on in it, by as many bytes and commits. Its sum
// is all that tells them apart.
func TestFloorTellsFuturesApart(t *testing.T) {
	sim, _ := closedDatabase(t, 4, 5)
	future := func(value string) *simfs.FS {
		f := sim.Clone()
		o, _ := simOptions(f, store.Sync)
		s := mustOpen(t, o)
		put(t, s, "k", value)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, b := future("a"), future("b")
	names := a.Names()
	last := names[len(names)-1]
	if len(a.ReadFile(last)) != len(b.ReadFile(last)) || !slices.Equal(names, b.Names()) {
		t.Fatalf("%v and %v: the two futures do not end in the same place", names, b.Names())
	}
	a.WriteFile(last, b.ReadFile(last))
	got, err := openDamaged(a)
	if err == nil {
		t.Fatalf("%s of another future: no error, and there is%s", last, show(got))
	}
	if c := wantCorrupt(t, err); c.File != last {
		t.Errorf("%v, want an error about %s", err, last)
	}
}

// A header whose chain is not that of the commits before it is refused: tokens are compared with it.
func TestWrongChainIsRefused(t *testing.T) {
	sim, _ := closedDatabase(t, 4, 60)
	n := 0
	for _, name := range sim.Names() {
		if !strings.HasPrefix(name, "seg-") {
			continue
		}
		disk := sim.Clone()
		disk.WriteFile(name, filestore.WithChain(t, disk.ReadFile(name), 0x12345678))
		_, err := openDamaged(disk)
		wantCorrupt(t, err)
		n++
	}
	if n < 2 {
		t.Fatalf("%d segments, want 2 or more", n)
	}
}

// A value that is damaged while the store is open is an error of that key alone.
func TestDamagedValueIsAnErrorOfItsKey(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	s := mustOpen(t, o)
	put(t, s, "a", strings.Repeat("a", 100))
	put(t, s, "b", strings.Repeat("b", 100))
	put(t, s, "c", "short")
	const name = "seg-00000001.log"
	data := sim.ReadFile(name)
	at := strings.Index(string(data), strings.Repeat("b", 100))
	f, err := sim.OpenFile(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("x"), int64(at+50)); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(bg, []byte("b"))
	if c := wantCorrupt(t, err); c.File != name || c.Offset != int64(at) {
		t.Errorf("error names %s at %d, want %s at %d", c.File, c.Offset, name, at)
	}
	_, err = s.Page(bg, store.Page{Limit: 10})
	wantCorrupt(t, err)
	for _, k := range []string{"a", "c"} {
		if items, err := s.Get(bg, []byte(k)); err != nil || len(items[0].Value) == 0 {
			t.Errorf("Get(%q) = %v, %v", k, items, err)
		}
	}
	put(t, s, "b", "new")
	if items, err := s.Get(bg, []byte("b")); err != nil || string(items[0].Value) != "new" {
		t.Errorf("after it was put again: %v, %v", items, err)
	}
}
