package repotest

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

func newMemos(t testing.TB, db *kixx.DB) *kinds.MemoRepo {
	t.Helper()
	return Must[*kinds.MemoRepo](t)(kinds.NewMemoRepo(t.Context(), db))
}

func memo(id string) *kinds.Memo { return &kinds.Memo{ID: id, Title: "Title " + id, Folder: "in"} }

// wantKey checks a KeyError of either kind, and whether it speaks of a document that is marked as deleted.
func wantKey(t *testing.T, what string, err, want error, deleted bool) {
	t.Helper()
	var ke *kixx.KeyError
	if !errors.Is(err, want) || !errors.As(err, &ke) || ke.Deleted != deleted {
		t.Errorf("%s: %v, want %v with Deleted %v", what, err, want, deleted)
	}
}

func testSoftDeleteHidesAndKeeps(t *testing.T, p Place) {
	ctx := t.Context()
	db := p.DB(t, kixx.WithClock(Stepping()))
	memos := newMemos(t, db)
	all := memos.WithDeleted()
	first := Must[*kinds.Memo](t)(memos.Insert(ctx, memo("a")))
	Must[*kinds.Memo](t)(memos.Insert(ctx, memo("b")))
	if err := memos.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	same := func(*kinds.Memo) error { return nil }

	_, err := memos.Get(ctx, "a")
	wantKey(t, "Get", err, kixx.ErrNotFound, true)
	if has := Must[bool](t)(memos.Has(ctx, "a")); has {
		t.Error("Has = true of a deleted document")
	}
	if got := Must[[]*kinds.Memo](t)(memos.GetMany(ctx, "a", "b")); got[0] != nil || got[1] == nil {
		t.Errorf("GetMany = %v, want b alone", got)
	}
	_, err = memos.Update(ctx, "a", same)
	wantKey(t, "Update", err, kixx.ErrNotFound, true)
	_, err = memos.UpdateIf(ctx, "a", first.Rev, same)
	wantKey(t, "UpdateIf", err, kixx.ErrNotFound, true)
	wantKey(t, "Delete", memos.Delete(ctx, "a"), kixx.ErrNotFound, true)
	wantKey(t, "DeleteIf", memos.DeleteIf(ctx, "a", first.Rev), kixx.ErrNotFound, true)
	_, err = memos.Insert(ctx, memo("a"))
	wantKey(t, "Insert", err, kixx.ErrExists, true)
	_, err = memos.Upsert(ctx, "a", same)
	wantKey(t, "Upsert", err, kixx.ErrExists, true)
	_, err = memos.Set(ctx, memo("a"))
	wantKey(t, "Set with a zero Rev", err, kixx.ErrExists, true)
	if _, err = memos.Set(ctx, first); !errors.Is(err, kixx.ErrConflict) {
		t.Errorf("Set with the Rev from before the deletion: %v, want ErrConflict", err)
	}
	_, err = memos.GetByTitle(ctx, "Title a")
	if !errors.Is(err, kixx.ErrNotFound) {
		t.Errorf("GetByTitle: %v, want ErrNotFound", err)
	}

	gone := Must[*kinds.Memo](t)(all.Get(ctx, "a"))
	if gone.DeletedAt == nil || gone.Rev.String() != "1" || !gone.UpdatedAt.After(first.UpdatedAt) {
		t.Errorf("WithDeleted sees %+v, want a mark, revision 1 and a later UpdatedAt", gone)
	}
	_, err = memos.Set(ctx, gone)
	wantKey(t, "Set with the Rev of the deletion", err, kixx.ErrNotFound, true)
	changed := Must[*kinds.Memo](t)(all.Update(ctx, "a", func(m *kinds.Memo) error {
		m.Folder, m.DeletedAt = "moved", nil
		return nil
	}))
	if changed.DeletedAt == nil || !changed.DeletedAt.Equal(*gone.DeletedAt) || changed.Folder != "moved" {
		t.Errorf("Update WithDeleted = %+v, want a change that keeps the mark", changed)
	}
	*changed.DeletedAt = changed.DeletedAt.AddDate(1, 0, 0) // the caller's own
	if again := Must[*kinds.Memo](t)(all.Get(ctx, "a")); !again.DeletedAt.Equal(*gone.DeletedAt) {
		t.Error("what a caller does to the mark that it got reaches the cache")
	}

	// The unique value stays taken, and the error says by what.
	taken := memo("c")
	taken.Title = "Title a"
	_, err = memos.Insert(ctx, taken)
	var ue *kixx.UniqueError
	if !errors.As(err, &ue) || ue.Holder != "a" || !ue.Deleted || !strings.Contains(err.Error(), "marked as deleted") {
		t.Errorf("Insert with the unique value of a deleted document: %v, want a UniqueError with Deleted", err)
	}

	// So it does in a transaction that has seen who has it.
	err = db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
		memos := memos.With(tx)
		if _, err := memos.WithDeleted().GetByTitle(ctx, "Title a"); err != nil {
			return err
		}
		_, err := memos.Insert(ctx, taken)
		return err
	})
	if !errors.As(err, &ue) || ue.Holder != "a" || !ue.Deleted {
		t.Errorf("the same in a transaction: %v, want a UniqueError with Deleted", err)
	}

	back := Must[*kinds.Memo](t)(memos.Restore(ctx, "a"))
	if back.DeletedAt != nil || back.Rev.String() != "3" {
		t.Errorf("Restore = %+v, want no mark and revision 3", back)
	}
	if again := Must[*kinds.Memo](t)(memos.Restore(ctx, "a")); !reflect.DeepEqual(again, back) {
		t.Errorf("Restore of what is not deleted = %+v, want it as it is", again)
	}
	_, err = memos.Restore(ctx, "none")
	wantKey(t, "Restore of nothing", err, kixx.ErrNotFound, false)

	if err := memos.Purge(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	wantKey(t, "Purge of nothing", memos.Purge(ctx, "a"), kixx.ErrNotFound, false)
	if _, err := all.Get(ctx, "a"); !errors.Is(err, kixx.ErrNotFound) {
		t.Errorf("Get WithDeleted after Purge: %v", err)
	}
	Must[*kinds.Memo](t)(memos.Insert(ctx, taken))
	fresh := Must[*kinds.Memo](t)(memos.Overwrite(ctx, &kinds.Memo{ID: "a", Title: "Anew"}))
	if back.Rev.Matches(fresh.Rev) || fresh.Rev.String() != "0" {
		t.Errorf("a document made anew has the revision %v", fresh.Rev)
	}
	if err := memos.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	over := Must[*kinds.Memo](t)(all.Overwrite(ctx, &kinds.Memo{ID: "a", Title: "Anew"}))
	if over.DeletedAt != nil || over.Rev.String() != "2" {
		t.Errorf("Overwrite of a deleted document = %+v, want no mark and revision 2", over)
	}
}

// A softMachine compares a repository that marks what it deletes with a map.
type softMachine struct {
	memos, all *kinds.MemoRepo
	want       map[string]*kinds.Memo
	ops        *int
}

var (
	memoIDs    = rapid.SampledFrom([]string{"a", "b", "c", "d\x00", "d\xff", "e", "f"})
	memoTitles = rapid.SampledFrom([]string{"one", "two words", "three", "words two", "x x x", "y"})
	folders    = rapid.SampledFrom([]string{"in", "in\x00", "out"})
)

func (m *softMachine) holder(title string) string {
	for id, w := range m.want {
		if w.Title == title {
			return id
		}
	}
	return ""
}

func (m *softMachine) overwrite(t *rapid.T) {
	*m.ops++
	d := &kinds.Memo{ID: memoIDs.Draw(t, "id"), Title: memoTitles.Draw(t, "title"), Folder: folders.Draw(t, "folder"), Tags: []string{"t", folders.Draw(t, "tag")}}
	out, err := m.memos.Overwrite(context.Background(), d)
	if h := m.holder(d.Title); h != "" && h != d.ID {
		var ue *kixx.UniqueError
		if !errors.As(err, &ue) || ue.Holder != h || ue.Deleted != (m.want[h].DeletedAt != nil) {
			t.Fatalf("Overwrite: %v, want a UniqueError with the holder %q, deleted %v", err, h, m.want[h].DeletedAt)
		}
		return
	}
	if err != nil || out.DeletedAt != nil {
		t.Fatalf("Overwrite = %+v, %v", out, err)
	}
	m.want[d.ID] = out
}

func (m *softMachine) delete(t *rapid.T) {
	*m.ops++
	id := memoIDs.Draw(t, "id")
	err := m.memos.Delete(context.Background(), id)
	if w := m.want[id]; w == nil || w.DeletedAt != nil {
		if !errors.Is(err, kixx.ErrNotFound) {
			t.Fatalf("Delete: %v, want ErrNotFound", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	m.look(t, id)
}

// look takes into the model what the last call made of a document.
func (m *softMachine) look(t *rapid.T, id string) {
	var err error
	if m.want[id], err = m.all.Get(context.Background(), id); err != nil {
		t.Fatal(err)
	}
}

func (m *softMachine) restore(t *rapid.T) {
	*m.ops++
	id := memoIDs.Draw(t, "id")
	out, err := m.memos.Restore(context.Background(), id)
	switch {
	case m.want[id] == nil:
		if !errors.Is(err, kixx.ErrNotFound) {
			t.Fatalf("Restore: %v, want ErrNotFound", err)
		}
	case err != nil || out.DeletedAt != nil:
		t.Fatalf("Restore = %+v, %v", out, err)
	default:
		m.want[id] = out
	}
}

func (m *softMachine) purge(t *rapid.T) {
	*m.ops++
	id := memoIDs.Draw(t, "id")
	if err := m.memos.Purge(context.Background(), id); m.want[id] == nil && !errors.Is(err, kixx.ErrNotFound) || m.want[id] != nil && err != nil {
		t.Fatalf("Purge: %v", err)
	}
	delete(m.want, id)
}

func (m *softMachine) update(t *rapid.T) {
	*m.ops++
	id, folder, deleted := memoIDs.Draw(t, "id"), folders.Draw(t, "folder"), rapid.Bool().Draw(t, "with deleted")
	repo := m.memos
	if deleted {
		repo = m.all
	}
	_, err := repo.Update(context.Background(), id, func(d *kinds.Memo) error { d.Folder = folder; return nil })
	if w := m.want[id]; w == nil || w.DeletedAt != nil && !deleted {
		if !errors.Is(err, kixx.ErrNotFound) {
			t.Fatalf("Update: %v, want ErrNotFound", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	before := m.want[id]
	m.look(t, id)
	if after := m.want[id]; after.Folder != folder || (after.DeletedAt != nil) != (before.DeletedAt != nil) {
		t.Fatalf("Update = %+v of %+v", after, before)
	}
}

// query compares a query of either repository, by pages whose cursors go from one to the other.
func (m *softMachine) query(t *rapid.T) {
	*m.ops++
	deleted := rapid.Bool().Draw(t, "with deleted")
	repo := m.memos
	if deleted {
		repo = m.all
	}
	var want []*kinds.Memo
	for _, w := range m.want {
		if deleted || w.DeletedAt == nil {
			want = append(want, w)
		}
	}
	by := func(keep func(*kinds.Memo) bool, order func(a, b *kinds.Memo) int) {
		want = slices.DeleteFunc(want, func(w *kinds.Memo) bool { return !keep(w) })
		slices.SortFunc(want, func(a, b *kinds.Memo) int { return cmp.Or(order(a, b), cmp.Compare(a.ID, b.ID)) })
	}
	all := func(*kinds.Memo) bool { return true }
	none := func(a, b *kinds.Memo) int { return 0 }
	var q kixx.Query[*kinds.Memo, string]
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	switch kind {
	case 0:
		q = repo.Query()
		by(all, none)
	case 1:
		q = repo.RangeByKey().FromBelow("b", "e")
		by(func(w *kinds.Memo) bool { return w.ID >= "b" && w.ID < "e" }, none)
	case 2:
		q = repo.QueryByFolder("in")
		by(func(w *kinds.Memo) bool { return w.Folder == "in" }, none)
	case 3:
		q = repo.RangeByUpdatedAt().Everything()
		by(all, func(a, b *kinds.Memo) int { return b.UpdatedAt.Compare(a.UpdatedAt) })
	case 4:
		q = repo.RangeByTitle().Everything()
		by(all, func(a, b *kinds.Memo) int { return cmp.Compare(a.Title, b.Title) })
	case 5:
		q = repo.QueryByTags("t")
		by(all, none)
	}
	if rapid.Bool().Draw(t, "reverse") {
		q = q.Reverse()
		slices.Reverse(want)
	}
	if n, err := q.Count(context.Background()); err != nil || n != len(want) {
		t.Fatalf("query %d, deleted %v: Count = %d, %v, want %d", kind, deleted, n, err, len(want))
	}
	var got []*kinds.Memo
	var keys []string
	for q := q.Limit(rapid.IntRange(1, 3).Draw(t, "size")); ; {
		page, err := q.Page(context.Background())
		if err != nil {
			t.Fatalf("query %d: %v", kind, err)
		}
		ks, err := q.Keys(context.Background())
		if err != nil || ks.Next != page.Next {
			t.Fatalf("query %d: Keys = %v, %v, want the cursor of Page", kind, ks, err)
		}
		got, keys = append(got, page.Items...), append(keys, ks.Items...)
		if page.Next == "" {
			break
		}
		q = q.After(page.Next)
	}
	show := func(list []*kinds.Memo) (s string) {
		for _, d := range list {
			s += fmt.Sprintf("%q ", d.ID)
		}
		return s
	}
	if show(got) != show(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Fatalf("query %d, deleted %v = %s, want %s", kind, deleted, show(got), show(want))
	}
	for i, id := range keys {
		if id != want[i].ID {
			t.Fatalf("query %d: Keys = %q, want those of %s", kind, keys, show(want))
		}
	}
}

func (m *softMachine) view(t *rapid.T) {
	*m.ops++
	for _, deleted := range []bool{false, true} {
		repo, n := m.memos, 0
		if deleted {
			repo = m.all
		}
		for _, w := range m.want {
			if deleted || w.DeletedAt == nil {
				n += len(strings.Fields(w.Title))
			}
		}
		got, err := repo.RangeByWord().Everything().WithDocs().Collect(context.Background())
		if err != nil || len(got) != n {
			t.Fatalf("the view has %d entries, %v, want %d", len(got), err, n)
		}
		for _, e := range got {
			if !reflect.DeepEqual(e.Doc, m.want[e.ID]) {
				t.Fatalf("the view's entry %+v has the document %+v", e, e.Doc)
			}
		}
	}
}

func testSoftRepositoryEqualsAMap(t *testing.T, p Place) {
	goal := p.less(Count(500, 6_000, 500_000))
	ops := 0
	if p.Slow > 1 {
		Must[any](t)(nil, flag.Set("rapid.checks", "20"))
	}
	for ops < goal && !t.Failed() {
		db := Must[*kixx.DB](t)(kixx.OpenStore(t.Context(), p.patient()(t), kixx.WithClock(Stepping()), kixx.PointGuards()))
		memos := newMemos(t, db)
		for d, err := range memos.WithDeleted().All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if err := memos.Purge(t.Context(), d.ID); err != nil {
				t.Fatal(err)
			}
		}
		rapid.Check(t, func(rt *rapid.T) {
			m := &softMachine{memos: memos, all: memos.WithDeleted(), want: make(map[string]*kinds.Memo), ops: &ops}
			steps := map[string]func(*rapid.T){
				"overwrite": m.overwrite, "delete": m.delete, "restore": m.restore, "purge": m.purge, "update": m.update, "query": m.query, "view": m.view,
			}
			inTx := rapid.Bool().Draw(rt, "in a transaction")
			if !inTx {
				rt.Repeat(steps)
			} else if err := db.Tx(t.Context(), func(ctx context.Context, tx *kixx.Tx) error {
				// Unique values are looked at when the transaction commits: every title has one document here.
				m.memos = memos.With(tx)
				m.all = m.memos.WithDeleted()
				clear(m.want)
				for range rapid.IntRange(1, 40).Draw(rt, "steps") {
					switch rapid.IntRange(0, 5).Draw(rt, "step") {
					case 0:
						id := memoIDs.Draw(rt, "id")
						out, err := m.memos.Overwrite(ctx, &kinds.Memo{ID: id, Title: "own " + id, Folder: folders.Draw(rt, "folder"), Tags: []string{"t"}})
						if err != nil {
							return err
						}
						m.want[id] = out
					case 1:
						m.delete(rt)
					case 2:
						m.restore(rt)
					case 3:
						m.update(rt)
					case 4:
						m.query(rt)
					case 5:
						m.view(rt)
					}
				}
				return nil
			}); err != nil {
				rt.Fatal(err)
			}
			m.memos, m.all = memos, memos.WithDeleted()
			m.query(rt)
			for id := range m.want {
				if err := memos.Purge(context.Background(), id); err != nil {
					rt.Fatal(err)
				}
			}
			if n, err := m.all.Count(context.Background()); n != 0 || err != nil {
				rt.Fatalf("%d documents are left, %v", n, err)
			}
		})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d operations", ops)
}
