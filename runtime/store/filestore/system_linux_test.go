package filestore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// Nothing stays open after Close, nor after an opening that failed.
func TestNothingStaysOpen(t *testing.T) {
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	dir := filepath.Join(t.TempDir(), "db")
	o := filestore.Options{SegmentSize: 1 << 10}
	o.Logger = (&quiet{}).logger()
	before := count()
	for range 5 {
		s, err := filestore.Open(bg, dir, o)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			put(t, s, fmt.Sprint(i), strings.Repeat("v", 200))
		}
		if _, err := filestore.Open(bg, dir, o); !errors.Is(err, store.ErrLocked) {
			t.Errorf("second Open: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	damaged := filepath.Join(dir, "seg-00000002.log")
	if err := os.Truncate(damaged, 100); err != nil {
		t.Fatal(err)
	}
	_, err := filestore.Open(bg, dir, o)
	wantCorrupt(t, err)
	if after := count(); after != before {
		t.Errorf("%d files are open, %d were before", after, before)
	}
}

// A directory that everybody may write to is worth a warning.
func TestOpenDirectoryIsLogged(t *testing.T) {
	for _, c := range []struct {
		mode os.FileMode
		warn bool
	}{{0o755, false}, {0o777, true}} {
		dir := t.TempDir()
		if err := os.Chmod(dir, c.mode); err != nil {
			t.Fatal(err)
		}
		out := &quiet{}
		o := filestore.Options{}
		o.Logger = out.logger()
		s, err := filestore.Open(bg, dir, o)
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if got := strings.Contains(out.String(), "everybody may write"); got != c.warn {
			t.Errorf("mode %o: log %q", c.mode, out)
		}
	}
}

// A disk that is really full: commits are ErrFull, reads go on, and commits succeed when there is space, without
// reopening.
func TestFullTmpfs(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("needs the right to mount a tmpfs (run as root): %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	rng := rand.New(rand.NewPCG(9, 9))
	rounds := size(5, 40, 400)
	fulls, commits := 0, 0
	for round := range rounds {
		db := filepath.Join(dir, "db")
		o := filestore.Options{}
		o.Logger = (&quiet{}).logger()
		if round%2 == 1 {
			o.SegmentSize = 256 << 10 // the disk gets full at a roll as well
		}
		s, err := filestore.Open(bg, db, o)
		if err != nil {
			t.Fatal(err)
		}
		ballast := filepath.Join(dir, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		write := func() error {
			k := fmt.Sprintf("k%04d", commits)
			v := k + strings.Repeat(".", rng.IntN(20000))
			_, err := s.Commit(bg, batch(set{key: k, value: v}))
			if err == nil {
				want[k] = v
				commits++
			}
			return err
		}
		for err = nil; err == nil; err = write() {
		}
		if !errors.Is(err, store.ErrFull) {
			t.Fatalf("round %d: %v, want ErrFull", round, err)
		}
		fulls++
		if got, err := dump(s); err != nil || !equal(got, want) {
			t.Fatalf("round %d: reads on a full disk: %v, %d keys, want %d", round, err, len(got), len(want))
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if err := write(); err != nil {
				t.Fatalf("round %d: with space again: %v", round, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = filestore.Open(bg, db, o); err != nil {
			t.Fatal(err)
		}
		if got, err := dump(s); err != nil || !equal(got, want) {
			t.Fatalf("round %d: opened again: %v, %d keys, want %d", round, err, len(got), len(want))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(db); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d times full, %d commits", fulls, commits)
}
