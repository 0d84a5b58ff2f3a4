package filestore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// filesOf returns what is in the files of a directory, without the lock file, which says who has it.
func filesOf(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if e.Name() != "LOCK" {
			files[e.Name()] = string(b)
		}
	}
	return files
}

// A store that is opened for trial sees all that is there, also behind a crash, takes commits and flushes, and leaves every
// file as it was, without a trace elsewhere.
func TestScratchLeavesTheFilesAsTheyAre(t *testing.T) {
	for _, unclean := range []bool{false, true} {
		t.Run(fmt.Sprintf("unclean=%v", unclean), func(t *testing.T) {
			var log quiet
			tmp := t.TempDir()
			t.Setenv("TMPDIR", tmp)
			dir := t.TempDir()
			// Durability off: with no durable marks behind a crash, the opening has the most to write.
			o := filestore.Options{Options: store.Options{Logger: log.logger(), Durability: store.Durability{Mode: store.NoSync}}, SegmentSize: 4096, FlushKeys: 64}
			if unclean {
				o.FlushKeys = 1 << 20 // so that nothing happens in the background while the directory is copied
			}
			s, err := filestore.Open(bg, dir, o)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 200 {
				put(t, s, fmt.Sprintf("key %d", i), fmt.Sprintf("%0100d", i))
			}
			want, err := dump(s)
			if err != nil {
				t.Fatal(err)
			}
			if unclean {
				crashed := filepath.Join(t.TempDir(), "crashed")
				if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				dir = crashed
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			before := filesOf(t, dir)
			o.Scratch = true
			for try := range 2 {
				s, err := filestore.Open(bg, dir, o)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := dump(s); err != nil || !equal(got, want) {
					t.Errorf("opening %d: %v, has\n%swant\n%s", try, err, show(got), show(want))
				}
				if _, err := filestore.Open(bg, dir, o); !errors.Is(err, store.ErrLocked) {
					t.Errorf("a second opening: %v, want ErrLocked", err)
				}
				for i := range 200 {
					put(t, s, fmt.Sprintf("key %d", i+100), "tried")
				}
				if err := s.Compact(bg); err != nil {
					t.Error(err)
				}
				if got, err := dump(s); err != nil || len(got) != 300 || got["key 150"] != "tried" {
					t.Errorf("after commits: %v, %d keys, key 150 = %q", err, len(got), got["key 150"])
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if after := filesOf(t, dir); !equal(after, before) {
					t.Errorf("opening %d has changed the directory", try)
				}
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("left in the directory for temporary files: %v, %v", left, err)
			}
		})
	}
}

// To read a store that was closed, nothing is written anywhere.
func TestScratchOfAClosedStoreNeedsNoRoom(t *testing.T) {
	dir := t.TempDir()
	s, err := filestore.Open(bg, dir, filestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", "1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", filepath.Join(dir, "missing"))
	if s, err = filestore.Open(bg, dir, filestore.Options{Scratch: true}); err != nil {
		t.Fatal(err)
	}
	if got, err := dump(s); err != nil || got["a"] != "1" {
		t.Errorf("dump = %v, %v", got, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestExistingMakesNothing(t *testing.T) {
	for _, o := range []filestore.Options{{Existing: true}, {Scratch: true}} {
		empty := t.TempDir()
		for _, dir := range []string{empty, filepath.Join(empty, "missing")} {
			if s, err := filestore.Open(bg, dir, o); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("Open(%s, %+v) = %v, %v, want os.ErrNotExist", dir, o, s, err)
			}
		}
		if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
			t.Errorf("Open has made %v, %v", left, err)
		}
	}
}
