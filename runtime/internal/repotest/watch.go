package repotest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

// picture reads all items of one state, and where a watch goes on. A weak store may end the snapshot.
func picture(t *testing.T, db *kixx.DB, items *kinds.ItemRepo) (map[string]*kinds.Item, kixx.Token) {
	for {
		all := make(map[string]*kinds.Item)
		var token kixx.Token
		err := db.Snapshot(t.Context(), func(ctx context.Context, s *kixx.Snapshot) error {
			token = s.Token()
			for it, err := range items.With(s).All(ctx) {
				if err != nil {
					return err
				}
				all[it.ID] = it
			}
			return nil
		})
		if errors.Is(err, kixx.ErrSnapshotTooOld) {
			continue
		}
		if err != nil {
			t.Error(err)
		}
		return all, token
	}
}

// What a watcher makes of a first read and of the changes after it is what is stored, whatever writers do meanwhile.
func testWatchEqualsWhatIsStored(t *testing.T, p Place) {
	if !p.limits(t).Watch {
		t.Skip("the store has no feed of changes")
	}
	ctx := t.Context()
	db := p.DB(t, kixx.WithRetry(1000))
	items := NewItems(t, db)
	n := Count(300, 5_000, 100_000)
	var writers, watchers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for range n {
				id := fmt.Sprint(rng.IntN(20))
				var err error
				switch rng.IntN(5) {
				case 0:
					err = items.Delete(ctx, id)
				default:
					_, err = items.Upsert(ctx, id, func(it *kinds.Item) error {
						it.Title, it.SKU, it.Category, it.Price = "t", "sku-"+id, "c", it.Price+1
						return nil
					})
				}
				if err != nil && !errors.Is(err, kixx.ErrNotFound) && !errors.Is(err, kixx.ErrUnknown) {
					t.Error(err)
					return
				}
			}
		})
	}
	results := make([]map[string]*kinds.Item, 3)
	for w := range results {
		watchers.Go(func() {
			all, token := picture(t, db, items)
			changes, resyncs := 0, 0
		again:
			for c, err := range items.Watch(ctx, token) {
				switch {
				case err != nil:
					t.Error(err)
					return
				case c.Resync:
					resyncs++
					all, token = picture(t, db, items)
					goto again
				case c.Key == "end" && c.Doc != nil:
					delete(all, "end")
					results[w] = all
					t.Logf("watcher %d: %d changes, %d resyncs", w, changes, resyncs)
					return
				case c.Doc == nil:
					delete(all, c.Key)
				default:
					all[c.Key] = c.Doc
				}
				token = c.Token
				if changes++; changes%(50*(w+1)) == 0 {
					goto again // from the token, as after a break
				}
			}
		})
	}
	writers.Wait()
	want, _ := picture(t, db, items)
	// A weak store may tell of the end with a resync: then the document itself is in the picture.
	done := make(chan struct{})
	go func() { watchers.Wait(); close(done) }()
	for i := 0; ; i++ {
		if _, err := items.Overwrite(ctx, &kinds.Item{ID: "end", Title: "t", SKU: "end", Category: fmt.Sprint(i)}); err != nil && !errors.Is(err, kixx.ErrUnknown) {
			t.Error(err)
		}
		select {
		case <-done:
		default:
			continue
		}
		break
	}
	for w, got := range results {
		maps.DeleteFunc(got, func(id string, _ *kinds.Item) bool { return id == "end" })
		if !reflect.DeepEqual(got, want) {
			t.Errorf("watcher %d has %d documents in other states than the %d that are stored", w, len(got), len(want))
		}
	}
}
