package filestore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// files returns how many files of sim have names that begin so, and their size.
func files(sim *simfs.FS, prefix string) (n int, size int64) {
	for _, name := range sim.Names() {
		if strings.HasPrefix(name, prefix) {
			n, size = n+1, size+int64(len(sim.ReadFile(name)))
		}
	}
	return n, size
}

// Stats says what is in the directory, before and after a clean close and a crash.
func TestStatsAreThoseOfTheFiles(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	o.FlushKeys = 40
	s := mustOpen(t, o)
	for i := range 400 {
		put(t, s, fmt.Sprintf("k%03d", i%150), strings.Repeat("x", 100))
		filestore.Settle(s)
	}
	check := func(what string, s *filestore.Store) store.Stats {
		t.Helper()
		got := s.Stats()
		runs, runBytes := files(sim, "run-")
		segments, segmentBytes := files(sim, "seg-")
		if got.Runs != runs || got.RunBytes != runBytes || got.Segments != segments {
			t.Errorf("%s: %+v, and there are %d runs of %d bytes and %d segments", what, got, runs, runBytes, segments)
		}
		if over := segmentBytes - got.SegmentBytes; over < 0 || over > o.Reserve {
			t.Errorf("%s: %d bytes of segments, the files have %d with what is reserved", what, got.SegmentBytes, segmentBytes)
		}
		if got.LogBytes < 0 || got.LogBytes > got.SegmentBytes {
			t.Errorf("%s: %d bytes of log in segments of %d", what, got.LogBytes, got.SegmentBytes)
		}
		return got
	}
	got := check("in use", s)
	if got.Flushes < 5 || got.Merges == 0 || got.Syncs < 400 || got.MemoryKeys >= 40 || got.LastError != "" {
		t.Errorf("after 400 commits: %+v", got)
	}
	_, moved := filestore.Compacted(s) // values that are in a run already
	if least, most := int64(got.MemoryKeys)*100, int64(got.MemoryKeys)*200+200+moved; got.LogBytes < least || got.LogBytes > most {
		t.Errorf("%d keys in memory are to be read from %d bytes of log, want %d to %d", got.MemoryKeys, got.LogBytes, least, most)
	}
	if _, end, ok := strings.Cut(got.Durable, ".log:"); !ok || end == "0" {
		t.Errorf("durable up to %q", got.Durable)
	}
	before := got.BlockCache
	for range 2 {
		if _, err := dump(s); err != nil {
			t.Fatal(err)
		}
	}
	now := s.Stats().BlockCache
	if now.Hits == before.Hits || now.Misses == 0 || now.Bytes == 0 || now.Budget == 0 {
		t.Errorf("after reading everything twice the block cache has %+v", now)
	}

	crashed := sim.Crash(simfs.LoseAll, rand.New(rand.NewPCG(1, 1)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	if again := check("after a clean close", s); again.LogBytes > got.LogBytes+100 || again.MemoryKeys != got.MemoryKeys || again.Flushes != 0 {
		t.Errorf("after a clean close: %+v, before it %+v", again, got)
	}
	s.Close()
	sim = crashed
	o.FS = sim
	s = mustOpen(t, o)
	if again := check("after a crash", s); again.MemoryKeys != got.MemoryKeys {
		t.Errorf("after a crash: %+v, before it %+v", again, got)
	}
}

// Work in the background that fails again and again is a matter of health, and passes.
func TestHealthNamesWhatFailsInTheBackground(t *testing.T) {
	sim := simfs.New()
	o, clock := simOptions(sim, store.Sync)
	o.FlushKeys = 10
	s := mustOpen(t, o)
	var broken atomic.Bool
	broken.Store(true)
	sim.Inject(func(op simfs.Op) *simfs.Fault {
		if broken.Load() && strings.HasPrefix(op.Name, "run-") {
			return &simfs.Fault{Err: errDisk}
		}
		return nil
	})
	for i := range 12 {
		put(t, s, fmt.Sprint(i), "x")
		filestore.Settle(s)
	}
	if err := s.Health(bg); err != nil {
		t.Errorf("after one failure Health = %v, want nil", err)
	}
	if got := s.Stats().LastError; !strings.Contains(got, errDisk.Error()) {
		t.Errorf("the last error is %q", got)
	}
	for s.Health(bg) == nil { // until the timer of the next try is there
		clock.advance(time.Minute)
		filestore.Settle(s)
	}
	if err := s.Health(bg); !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "run") {
		t.Errorf("after two failures Health = %v, want what failed", err)
	}
	broken.Store(false)
	for s.Health(bg) != nil {
		clock.advance(time.Minute)
		filestore.Settle(s)
	}
	if got := s.Stats(); got.Flushes != 1 || got.LastError == "" {
		t.Errorf("when it works again: %+v", got)
	}
	s.Close()
	if err := s.Health(bg); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Health of a closed store = %v", err)
	}
	s.Stats()
}
