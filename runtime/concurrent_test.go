package kixx_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
)

func TestUpdatesOfOneDocumentAllSucceed(t *testing.T) {
	each := count(20, 250, 1000)
	db := must[*kixx.DB](t)(kixx.Open(t.Context(), "file:"+t.TempDir()))
	defer db.Close()
	items := newItems(t, db)
	put(t, items, item("a"))
	together(64, func(int) {
		for range each {
			if _, err := items.Update(t.Context(), "a", func(it *kinds.Item) error { it.Price++; return nil }); err != nil {
				t.Error(err)
				return
			}
		}
	})
	it := must[*kinds.Item](t)(items.Get(t.Context(), "a"))
	if want := fmt.Sprint(64 * each); it.Rev.String() != want || it.Price != float64(10+64*each) {
		t.Errorf("after %s updates the revision is %v and the price %v, want %s and %d", want, it.Rev, it.Price, want, 10+64*each)
	}
	t.Logf("64 goroutines x %d updates of one document, synced", each)
}

func TestWritersOfOneKeyMeetNoConflict(t *testing.T) {
	until := time.Now().Add(time.Duration(count(1, 10, 60)) * time.Second)
	db := must[*kixx.DB](t)(kixx.Open(t.Context(), "file:"+t.TempDir()))
	defer db.Close()
	items := newItems(t, db)
	put(t, items, item("a"))
	var done atomic.Int64
	together(8, func(int) {
		for time.Now().Before(until) {
			if _, err := items.Update(t.Context(), "a", func(it *kinds.Item) error { it.Price++; return nil }); err != nil {
				t.Error(err)
				return
			}
			done.Add(1)
		}
	})
	t.Logf("8 writers, %d updates of one key", done.Load())
}

func TestASlowCallbackHoldsUpNobodyForLong(t *testing.T) {
	items := memory(t).Items(t)
	put(t, items, item("a"), item("b"))
	inside, goOn := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		first := true
		_, err := items.Update(context.Background(), "a", func(it *kinds.Item) error {
			if first {
				first = false
				close(inside)
				<-goOn
			}
			it.Price++
			return nil
		})
		done <- err
	}()
	<-inside
	for _, id := range []string{"a", "b"} {
		must[*kinds.Item](t)(items.Update(t.Context(), id, func(it *kinds.Item) error { it.Price++; return nil }))
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if it := must[*kinds.Item](t)(items.Get(t.Context(), "a")); it.Price != 12 {
		t.Errorf("the price after two updates = %v, want 12", it.Price)
	}
}

func TestContextEndsRetries(t *testing.T) {
	items := memory(t).Items(t, kixx.WithRetry(1<<30))
	put(t, items, item("a"))
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	_, err := items.Update(ctx, "a", func(it *kinds.Item) error {
		if tries++; tries == 3 {
			cancel()
		}
		_, err := items.Overwrite(t.Context(), item("a")) // somebody else is always faster
		return err
	})
	if !errors.Is(err, context.Canceled) || tries > 4 {
		t.Errorf("Update = %v after %d tries, want context.Canceled", err, tries)
	}
	few := memory(t).Items(t, kixx.WithRetry(3))
	put(t, few, item("a"))
	tries = 0
	_, err = few.Update(t.Context(), "a", func(it *kinds.Item) error {
		tries++
		_, err := few.Overwrite(t.Context(), item("a"))
		return err
	})
	var be *kixx.BusyError
	if !errors.As(err, &be) || !errors.Is(err, kixx.ErrConflict) || tries != 3 {
		t.Errorf("Update = %v after %d tries, want a BusyError after 3", err, tries)
	}
}

// Instances that start at once on one store agree about the numbers of collections.
func TestInstancesThatStartTogetherAgree(t *testing.T) {
	st := memstore.New(store.Options{})
	defer st.Close()
	together(8, func(int) {
		db, err := kixx.OpenStore(t.Context(), repotest.KeepOpen{Store: st})
		if err != nil {
			t.Error(err)
			return
		}
		defer db.Close()
		items, err := kinds.NewItemRepo(t.Context(), db)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := kinds.NewHookedRepo(t.Context(), db); err != nil {
			t.Error(err)
			return
		}
		if _, err := items.Upsert(t.Context(), "a", func(it *kinds.Item) error {
			it.Title, it.SKU, it.Category = "t", "s", "c"
			it.Price++
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	db := must[*kixx.DB](t)(kixx.OpenStore(t.Context(), repotest.KeepOpen{Store: st}))
	if it := must[*kinds.Item](t)(newItems(t, db).Get(t.Context(), "a")); it.Price != 8 {
		t.Errorf("8 instances have written, and the price is %v", it.Price)
	}
	db.Close()
}
