package kixx_test

import (
	"context"
	"errors"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

func TestWatchOfSoftDeletes(t *testing.T) {
	db := places[0].make(t).DB(t)
	memos := must[*kinds.MemoRepo](t)(kinds.NewMemoRepo(t.Context(), db))
	ctx, cancel := context.WithCancel(t.Context())
	live, all := memos.Watch(ctx, ""), memos.WithDeleted().Watch(ctx, "")
	must[*kinds.Memo](t)(memos.Insert(ctx, &kinds.Memo{ID: "a", Title: "Title a"}))
	for _, err := range []error{memos.Delete(ctx, "a"), memos.Purge(ctx, "a")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	tell := func(changes func(func(kixx.Change[*kinds.Memo, string], error) bool)) (s string) {
		n := 0
		for c, err := range changes {
			switch {
			case err != nil:
				t.Fatal(err)
			case c.Doc == nil:
				s += "gone "
			case c.Doc.DeletedAt != nil:
				s += "marked "
			default:
				s += "there "
			}
			if n++; n == 3 {
				break
			}
		}
		return s
	}
	if got := tell(live); got != "there gone gone " {
		t.Errorf("the feed of what is live: %s", got)
	}
	if got := tell(all); got != "there marked gone " {
		t.Errorf("the feed WithDeleted: %s", got)
	}
	cancel()
	for _, err := range memos.Watch(ctx, "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a watch whose context has ended: %v", err)
		}
	}
}

func TestWatchRefusals(t *testing.T) {
	db := places[0].make(t).DB(t)
	items := newItems(t, db)
	one := func(what string, changes func(func(kixx.Change[*kinds.Item, string], error) bool), want error) {
		t.Helper()
		n := 0
		for _, err := range changes {
			if n++; !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d elements, want the error alone", what, n)
		}
	}
	err := db.Snapshot(t.Context(), func(ctx context.Context, s *kixx.Snapshot) error {
		one("bound to a snapshot", items.With(s).Watch(t.Context(), ""), kixx.ErrTxScope)
		one("with the context of a snapshot", items.Watch(ctx, ""), kixx.ErrTxScope)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for c, err := range items.Watch(t.Context(), "garbage") {
		if err != nil || !c.Resync {
			t.Errorf("from a token of nowhere: %+v, %v, want a resync", c, err)
		}
		break
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	one("after Close", items.Watch(t.Context(), ""), kixx.ErrClosed)
}
