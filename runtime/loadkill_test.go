package kixx_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// A load is cut off by power cuts, at any operation of the file system, and run again from its beginning, until it is
// through. After each cut what was told to be in is in, as the first of the documents, with all its index entries.
func TestLoadGoesOnAfterPowerCuts(t *testing.T) {
	goal := count(20, 80, 5_000)
	cuts, rounds := 0, 0
	for cuts < goal {
		rng := rand.New(rand.NewPCG(uint64(rounds), 1))
		disk := simfs.New()
		const total = 400
		for through := false; !through; {
			var mu sync.Mutex // the hook runs in the store's goroutines too
			var cut *simfs.FS
			told, toldAtCut := 0, 0
			at := disk.Ops() + 3 + rng.IntN(100<<rng.IntN(4)) // a load takes 60, one that finds its documents 400
			disk.Before(func(op simfs.Op) {
				mu.Lock()
				defer mu.Unlock()
				if op.N >= at && cut == nil {
					cut, toldAtCut = disk.Crash(simfs.Losses[cuts%len(simfs.Losses)], rng), told
				}
			})
			st, err := filestore.Open(t.Context(), "", filestore.Options{
				Options: store.Options{Logger: slog.New(slog.DiscardHandler)}, FS: disk, SegmentSize: 32 << 10, Reserve: 4 << 10,
			})
			if err == nil {
				var db *kixx.DB
				if db, err = kixx.OpenStore(t.Context(), st); err == nil {
					err = loadAll(t.Context(), db, total, func(in int) {
						mu.Lock()
						defer mu.Unlock()
						told = in
					})
					if cerr := db.Close(); err == nil {
						err = cerr
					}
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if through = cut == nil; through {
				break
			}
			cuts++
			disk = cut
			checkLoaded(t, disk, toldAtCut)
		}
		rounds++
	}
	t.Logf("%d power cuts in %d loads", cuts, rounds)
}

func loadAll(ctx context.Context, db *kixx.DB, total int, progress func(in int)) error {
	items, err := kinds.NewItemRepo(ctx, db)
	if err != nil {
		return err
	}
	n, err := items.Load(ctx, func(yield func(*kinds.Item) bool) {
		for i := range total {
			if !yield(benchItem2(i)) {
				return
			}
		}
	}, kixx.KeepExisting(), kixx.LoadProgress(progress))
	if err == nil && n != total {
		err = errors.New("the load is not whole")
	}
	return err
}

// checkLoaded opens a copy of the disk and looks at what is there.
func checkLoaded(t *testing.T, disk *simfs.FS, least int) {
	t.Helper()
	ctx := t.Context()
	st, err := filestore.Open(ctx, "", filestore.Options{Options: store.Options{Logger: slog.New(slog.DiscardHandler)}, FS: disk.Clone()})
	if err != nil {
		t.Fatal(err)
	}
	db, err := kixx.OpenStore(ctx, st)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	items, err := kinds.NewItemRepo(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Verify(ctx); err != nil {
		t.Error(err)
	}
	n, err := items.Count(ctx)
	if err != nil || n < least {
		t.Fatalf("%d documents are there, %v, and %d were told to be in", n, err, least)
	}
	for i := range n {
		if _, err := items.Get(ctx, benchItem2(i).ID); err != nil {
			t.Fatalf("of %d documents, not the first ones of the load are there: %v", n, err)
		}
	}
}
