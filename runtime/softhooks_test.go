package kixx_test

import (
	"context"
	"errors"
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
