package kixx_test

import (
	"errors"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
)

// A field that was an ordinary one becomes the deleted field. Documents in which it was set are deleted then; and a binary
// from before refuses what was deleted since, which it could only bring back.
func TestAFieldBecomesTheDeletedOne(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		st := repotest.KeepOpen{Store: p.Open(t)}
		defer st.Store.Close()
		open := func() *kixx.DB {
			db := must[*kixx.DB](t)(kixx.OpenStore(ctx, st))
			t.Cleanup(func() { db.Close() })
			return db
		}
		s := *kixx.SchemaOf(&must[*kinds.MemoRepo](t)(kinds.NewMemoRepo(ctx, memory(t).DB(t))).Repo)
		meta := s.Meta
		s.Meta = func(m *kinds.Memo) kixx.Meta {
			all := meta(m)
			all.Deleted = nil
			return all
		}
		s.Indexes, s.Index = nil, nil
		s.Fields = append([]kixx.Field(nil), s.Fields...)
		for i := range s.Fields {
			if s.Fields[i].Options == "deleted" {
				s.Fields[i].Options = ""
			}
		}
		before := must[kixx.Repo[*kinds.Memo, string]](t)(kixx.NewRepo(ctx, open(), &s))
		gone := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, id := range []string{"a", "b", "c"} {
			m := &kinds.Memo{ID: id, Title: id, Folder: "in"}
			if id == "b" {
				m.DeletedAt = &gone
			}
			must[*kinds.Memo](t)(before.Insert(ctx, m))
		}

		memos := must[*kinds.MemoRepo](t)(kinds.NewMemoRepo(ctx, open()))
		if n := must[int](t)(memos.Count(ctx)); n != 2 {
			t.Errorf("%d documents are live, want 2", n)
		}
		if n := must[int](t)(memos.WithDeleted().QueryByFolder("in").Count(ctx)); n != 3 {
			t.Errorf("%d documents WithDeleted, want 3", n)
		}
		if _, err := memos.Insert(ctx, &kinds.Memo{ID: "d", Title: "b"}); !errors.Is(err, kixx.ErrUnique) {
			t.Errorf("Insert with the title of a deleted document: %v, want ErrUnique", err)
		}
		must[*kinds.Memo](t)(memos.Restore(ctx, "b"))
		if err := memos.Delete(ctx, "c"); err != nil {
			t.Fatal(err)
		}
		if _, err := before.Get(ctx, "c"); !errors.Is(err, kixx.ErrSchema) {
			t.Errorf("the binary from before reads a deleted document: %v, want ErrSchema", err)
		}
		must[*kinds.Memo](t)(before.Get(ctx, "b"))
	})
}
