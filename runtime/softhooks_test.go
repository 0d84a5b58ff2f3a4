package kixx_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

// Restore asks BeforeSet, Purge asks BeforeDelete, and Peek finds nothing that is marked.
func TestHooksAndPeekOfWhatIsMarked(t *testing.T) {
	ctx := t.Context()
	s := *kixx.SchemaOf(&must[*kinds.MemoRepo](t)(kinds.NewMemoRepo(ctx, memory(t).DB(t))).Repo)
	var calls []string
	s.BeforeSet = func(m *kinds.Memo, _ context.Context) error { calls = append(calls, "set "+m.ID); return nil }
	s.BeforeDelete = func(m *kinds.Memo, _ context.Context) error { calls = append(calls, "delete "+m.ID); return nil }
	memos := must[kixx.SoftRepo[*kinds.Memo, string]](t)(kixx.NewSoftRepo(ctx, memory(t).DB(t), &s))
	must[*kinds.Memo](t)(memos.Insert(ctx, &kinds.Memo{ID: "m", Title: "m"}))
	if err := memos.Delete(ctx, "m"); err != nil {
		t.Fatal(err)
	}
	title := func(m *kinds.Memo) string { return m.Title }
	if _, err := kixx.PeekWith(ctx, &memos.Repo, "m", title); !errors.Is(err, kixx.ErrNotFound) {
		t.Errorf("Peek of a marked document: %v, want ErrNotFound", err)
	}
	must[*kinds.Memo](t)(memos.Restore(ctx, "m"))
	if got := must[string](t)(kixx.PeekWith(ctx, &memos.Repo, "m", title)); got != "m" {
		t.Errorf("Peek after Restore: %q", got)
	}
	if err := memos.Purge(ctx, "m"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"set m", "delete m", "set m", "delete m"}; !slices.Equal(calls, want) {
		t.Errorf("hooks: %q, want %q", calls, want)
	}
}

// Count reads pages of both halves in one order: what was read of one half beyond the end of the page is read again with the
// next.
func TestCountOfBothHalvesGoesOnWhereThePageEnded(t *testing.T) {
	ctx := t.Context()
	memos := must[*kinds.MemoRepo](t)(kinds.NewMemoRepo(ctx, memory(t).DB(t)))
	const live, marked = 1500, 20
	_, err := memos.Load(ctx, func(yield func(*kinds.Memo) bool) {
		for i := range live + marked {
			id := fmt.Sprintf("%04d", i)
			if !yield(&kinds.Memo{ID: id, Title: id, Folder: "f"}) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := live; i < live+marked; i++ { // behind all others
		if err := memos.Delete(ctx, fmt.Sprintf("%04d", i)); err != nil {
			t.Fatal(err)
		}
	}
	all := memos.WithDeleted()
	if n := must[int](t)(all.QueryByFolder("f").Count(ctx)); n != live+marked {
		t.Errorf("Count of both halves: %d, want %d", n, live+marked)
	}
	q := all.QueryByFolder("f").Reverse().Limit(700)
	for n := 0; ; {
		page := must[kixx.Page[string]](t)(q.Keys(ctx))
		if n += len(page.Items); page.Next != "" {
			q = q.After(page.Next)
			continue
		}
		if n != live+marked {
			t.Errorf("pages of both halves have %d keys, want %d", n, live+marked)
		}
		break
	}
}
