package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// runFiles returns the names of the runs in the directory.
func runFiles(sim *simfs.FS) (names []string) {
	for _, name := range sim.Names() {
		if strings.HasPrefix(name, "run-") {
			names = append(names, name)
		}
	}
	return names
}

// fill commits n keys of a prefix, one after the other, until one is refused, and lets s flush after each.
func fill(s *filestore.Store, prefix string, n int) (int, error) {
	for i := range n {
		key := fmt.Sprintf("%s/%04d", prefix, i)
		if _, err := s.Commit(bg, batch(set{key: key, value: strings.Repeat(key, 12)})); err != nil {
			return i, err
		}
		filestore.Settle(s)
	}
	return n, nil
}

// stillReads checks that a snapshot reads the state before, and that the files are there which it had then.
func stillReads(t *testing.T, r store.SnapshotReader, sim *simfs.FS, had []string, before map[string]string) error {
	t.Helper()
	for _, name := range had {
		if !slices.Contains(sim.Names(), name) {
			t.Errorf("%s is gone while a snapshot reads it", name)
		}
	}
	items, err := r.Page(bg, store.Page{Limit: 1000})
	if err != nil {
		return err
	}
	got := make(map[string]string)
	for _, it := range items {
		got[string(it.Key)] = string(it.Value)
	}
	if !equal(got, before) {
		t.Errorf("the snapshot has%s, want%s", show(got), show(before))
	}
	return nil
}

// A snapshot goes on to read its state while the files that it reads from are merged away, and they go when it does.
func TestSnapshotKeepsItsRuns(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	o.FlushKeys = 10
	s := mustOpen(t, o)
	if _, err := fill(s, "a", 45); err != nil {
		t.Fatal(err)
	}
	before, err := dump(s)
	if err != nil {
		t.Fatal(err)
	}
	had := runFiles(sim)
	err = s.Snapshot(bg, func(r store.SnapshotReader) error {
		for i := range 45 {
			if _, err := s.Commit(bg, batch(set{key: fmt.Sprintf("a/%04d", i), value: "new"}, set{key: fmt.Sprintf("b/%04d", i), value: "new"})); err != nil {
				return err
			}
			filestore.Settle(s)
		}
		return stillReads(t, r, sim, had, before)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := runFiles(sim); len(got) != filestore.Runs(s) || slices.ContainsFunc(got, func(name string) bool { return slices.Contains(had, name) }) {
		t.Errorf("after the snapshot there are %q, of %d runs; before it there were %q", got, filestore.Runs(s), had)
	}
}

// When runs cannot be written, commits go on until the memory for them is used up, and again when they can be.
func TestAFullDiskEndsFlushesAndNotTheStore(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO} {
		t.Run(cause.Error(), func(t *testing.T) {
			sim := simfs.New()
			o, clock := simOptions(sim, store.Sync)
			o.FlushKeys = 20
			s := mustOpen(t, o)
			sim.Inject(func(op simfs.Op) *simfs.Fault {
				if op.Kind == "write" && strings.HasPrefix(op.Name, "run-") {
					return &simfs.Fault{Err: cause, Short: 10}
				}
				return nil
			})
			n, err := fill(s, "a", 1000)
			// 20 keys are frozen, and 40 more are behind them.
			want := store.ErrFailed
			if cause == syscall.ENOSPC {
				want = store.ErrFull
			}
			if !errors.Is(err, want) || n != 60 {
				t.Fatalf("%d commits, then %v; want 60 and %v", n, err, want)
			}
			if got := runFiles(sim); len(got) != 0 {
				t.Errorf("there are %q, of runs that could not be written", got)
			}
			if got, err := dump(s); err != nil || len(got) != 60 {
				t.Errorf("%d keys are read, %v, want 60", len(got), err)
			}
			clock.advance(time.Minute) // another try, which fails as well
			filestore.Settle(s)
			if n, err := fill(s, "b", 1); !errors.Is(err, want) || n != 0 {
				t.Errorf("after another try: %d commits, %v, want %v", n, err, want)
			}
			sim.Inject(nil)
			clock.advance(time.Minute)
			filestore.Settle(s)
			if got, err := reopened(sim.Crash(simfs.LoseAll, rand.New(rand.NewPCG(1, 1))), store.Sync, 0); err != nil || len(got) != 60 {
				t.Errorf("after a power cut behind the first flush that went through: %d keys, %v, want 60", len(got), err)
			}
			if n, err := fill(s, "b", 100); err != nil || n != 100 {
				t.Errorf("with space: %d commits, %v", n, err)
			}
			if filestore.Runs(s) == 0 {
				t.Error("there are no runs")
			}
			if got, err := dump(s); err != nil || len(got) != 160 {
				t.Errorf("%d keys are read, %v, want 160", len(got), err)
			}
		})
	}
}

// A run that cannot be read keeps nobody from writing: it cannot be merged, that is all.
func TestADamagedRunStopsMergesAlone(t *testing.T) {
	sim := simfs.New()
	o, clock := simOptions(sim, store.Sync)
	o.FlushKeys = 10
	s := mustOpen(t, o)
	if _, err := fill(s, "a", 10); err != nil {
		t.Fatal(err)
	}
	sim.Inject(func(op simfs.Op) *simfs.Fault {
		if op.Kind == "read" && op.Name == "run-00000001.kv" {
			return &simfs.Fault{Err: syscall.EIO}
		}
		return nil
	})
	if n, err := fill(s, "b", 100); err != nil {
		t.Fatalf("%d commits, then %v", n, err)
	}
	if n := filestore.Runs(s); n < 10 {
		t.Errorf("%d runs, want all that were written", n)
	}
	sim.Inject(nil)
	clock.advance(time.Minute)
	filestore.Settle(s)
	if n := filestore.Runs(s); n > 2 {
		t.Errorf("%d runs when they can be read, want them merged", n)
	}
	if got, err := dump(s); err != nil || len(got) != 110 {
		t.Errorf("%d keys, %v, want 110", len(got), err)
	}
}

// A commit that waits for a flush ends with its context, and with the store.
func TestACommitWaitsForAFlush(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	o.FlushKeys = 5
	s := mustOpen(t, o)
	held, goOn := make(chan struct{}, 1), make(chan struct{})
	sim.Before(func(op simfs.Op) {
		if op.Kind == "create" && strings.HasPrefix(op.Name, "run-") {
			select {
			case held <- struct{}{}:
			default:
			}
			<-goOn
		}
	})
	n := 0
	commit := func(ctx context.Context) error {
		n++
		_, err := s.Commit(ctx, batch(set{key: fmt.Sprint("k", n), value: "v"}))
		return err
	}
	for range 5 {
		if err := commit(bg); err != nil {
			t.Fatal(err)
		}
	}
	<-held
	for range 10 {
		if err := commit(bg); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(bg)
	done := make(chan error)
	go func() { done <- commit(ctx) }()
	filestore.AwaitWaiting(s)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a commit whose context ends: %v", err)
	}
	go func() { done <- commit(bg) }()
	filestore.AwaitWaiting(s)
	close(goOn)
	if err := <-done; err != nil {
		t.Errorf("a commit that has waited for the flush: %v", err)
	}
	filestore.Settle(s)
	if got, err := dump(s); err != nil || len(got) != 16 {
		t.Errorf("%d keys, %v, want 16", len(got), err)
	}
}

// What a crash leaves of runs is removed; a run that the manifest names and is not there is damage.
func TestRunsAtOpening(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	o.FlushKeys = 10
	s := mustOpen(t, o)
	if _, err := fill(s, "a", 25); err != nil {
		t.Fatal(err)
	}
	want, err := dump(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	named := runFiles(sim)
	for _, name := range []string{"run-000000ff.kv", "run-00000100.kv.tmp"} {
		if err := sim.Rename(create(t, sim, "x"), name); err != nil {
			t.Fatal(err)
		}
	}
	s = mustOpen(t, o)
	if got, err := dump(s); err != nil || !equal(got, want) {
		t.Errorf("opened again: %v%s, want%s", err, show(got), show(want))
	}
	if got := runFiles(sim); !slices.Equal(got, named) {
		t.Errorf("there are %q after the opening, want %q", got, named)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range named {
		lost := sim.Clone()
		if err := lost.Remove(name); err != nil {
			t.Fatal(err)
		}
		o, _ := simOptions(lost, store.Sync)
		var damaged *store.CorruptError
		if _, err := filestore.Open(bg, "sim", o); !errors.As(err, &damaged) || damaged.File != name {
			t.Errorf("without %s: %v, want a CorruptError that names it", name, err)
		}
	}
}

// create makes a file with something in it.
func create(t *testing.T, sim *simfs.FS, name string) string {
	t.Helper()
	f, err := sim.OpenFile(name, os.O_RDWR|os.O_CREATE)
	if err == nil {
		_, err = f.WriteAt([]byte("something"), 0)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}
