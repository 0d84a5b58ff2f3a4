package kixxhttp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds/v1"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds/v2"
	"github.com/kixxgen/kixxgen/runtime/kixxhttp"
	"github.com/kixxgen/kixxgen/runtime/kixxtest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func item(id string) *kinds.Item {
	return &kinds.Item{ID: id, Title: "secret title", SKU: "sku of " + id, Category: "toys", Price: 10}
}

func newItems(t testing.TB, db *kixx.DB) *kinds.ItemRepo {
	t.Helper()
	return must[*kinds.ItemRepo](t)(kinds.NewItemRepo(t.Context(), db))
}

// withItem returns a repository in memory with the item a.
func withItem(t testing.TB, opts ...kixx.Option) (*kixx.DB, *kinds.ItemRepo, *kinds.Item) {
	t.Helper()
	db := kixxtest.Open(t, opts...)
	items := newItems(t, db)
	return db, items, must[*kinds.Item](t)(items.Insert(t.Context(), item("a")))
}

// logged sets the default logger for the time of a test, and returns where it writes.
func logged(t testing.TB) *bytes.Buffer {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &log
}

// Each error is what a repository really returns; the one that is not is of a kind that the entity does not have.
func TestWriteErrorFindsTheStatusOfEveryError(t *testing.T) {
	second := func(_ any, err error) error { return err }
	for _, test := range []struct {
		name    string
		provoke func(t *testing.T) error
		header  http.Header
		status  int
		code    string
		entity  string
		key     string
		fields  []kixxhttp.Field
	}{
		{name: "not found", status: 404, code: "NOT_FOUND", entity: "item", key: "a",
			provoke: func(t *testing.T) error { return second(newItems(t, kixxtest.Open(t)).Get(t.Context(), "a")) }},
		{name: "not found, and not what was asked for", status: 404, code: "NOT_FOUND", entity: "item",
			provoke: func(t *testing.T) error { return second(newItems(t, kixxtest.Open(t)).Get(t.Context(), "other")) }},
		{name: "deleted", status: 410, code: "NOT_FOUND", entity: "memo", key: "a",
			provoke: func(t *testing.T) error {
				memos := must[*kinds.MemoRepo](t)(kinds.NewMemoRepo(t.Context(), kixxtest.Open(t)))
				must[*kinds.Memo](t)(memos.Insert(t.Context(), &kinds.Memo{ID: "a", Title: "secret"}))
				return errors.Join(memos.Delete(t.Context(), "a"), second(memos.Get(t.Context(), "a")))
			}},
		{name: "exists", status: 409, code: "ALREADY_EXISTS", entity: "item", key: "a",
			provoke: func(t *testing.T) error {
				_, items, a := withItem(t)
				return second(items.Insert(t.Context(), a))
			}},
		{name: "exists, and If-None-Match", status: 412, code: "ALREADY_EXISTS", entity: "item", key: "a",
			header: http.Header{"If-None-Match": {"*"}},
			provoke: func(t *testing.T) error {
				_, items, a := withItem(t)
				return second(items.Insert(t.Context(), a))
			}},
		{name: "exists, and If-None-Match of a tag", status: 409, code: "ALREADY_EXISTS", entity: "item", key: "a",
			header: http.Header{"If-None-Match": {`"1"`}},
			provoke: func(t *testing.T) error {
				_, items, a := withItem(t)
				return second(items.Insert(t.Context(), a))
			}},
		{name: "conflict", status: 409, code: "CONFLICT_ERROR", entity: "item", key: "a", provoke: staleSet},
		{name: "conflict, and If-Match", status: 412, code: "CONFLICT_ERROR", entity: "item", key: "a", provoke: staleSet,
			header: http.Header{"If-Match": {`"0"`}}},
		{name: "merge", status: 409, code: "CONFLICT_ERROR", entity: "item", key: "a", fields: []kixxhttp.Field{{Field: "Title", Rule: "merge"}},
			provoke: func(t *testing.T) error {
				_, items, base := withItem(t)
				theirs, mine := *base, *base
				theirs.Title, mine.Title = "secret of theirs", "secret of mine"
				must[*kinds.Item](t)(items.Set(t.Context(), &theirs))
				return second(items.Merge(t.Context(), base, &mine))
			}},
		{name: "merge of entries of a map", status: 409, code: "CONFLICT_ERROR", entity: "item", key: "a", fields: []kixxhttp.Field{{Field: "Stock", Rule: "merge"}},
			provoke: func(t *testing.T) error {
				return &kixx.MergeError{Entity: "item", Key: "a", Fields: []string{`Stock["secret"]`, `Stock["77"]`}}
			}},
		{name: "busy", status: 503, code: "CONFLICT_ERROR",
			header: http.Header{"If-Match": {`"0"`}},
			provoke: func(t *testing.T) error {
				kit := kixxtest.New(t, kixx.WithRetry(2))
				items := newItems(t, kit.DB)
				must[*kinds.Item](t)(items.Insert(t.Context(), item("a")))
				kit.ConflictNext(2)
				return second(items.Update(t.Context(), "a", func(*kinds.Item) error { return nil }))
			}},
		{name: "unique", status: 409, code: "NOT_UNIQUE", entity: "item", fields: []kixxhttp.Field{{Field: "SKU", Rule: "unique"}},
			provoke: func(t *testing.T) error {
				_, items, _ := withItem(t)
				b := item("b")
				b.SKU = "sku of a"
				return second(items.Insert(t.Context(), b)) // the path has a, the holder, by chance
			}},
		{name: "invalid", status: 422, code: "INVALID_DOCUMENT", entity: "item", key: "a",
			fields: []kixxhttp.Field{{Field: "Title", Rule: "required"}, {Field: "Price", Rule: "gte=0"}},
			provoke: func(t *testing.T) error {
				_, items, a := withItem(t)
				a.Title, a.Price = "", -77
				return second(items.Set(t.Context(), a))
			}},
		{name: "refused by a hook", status: 422, code: "INVALID_DOCUMENT", entity: "hooked",
			provoke: func(t *testing.T) error {
				hooked := must[*kinds.HookedRepo](t)(kinds.NewHookedRepo(t.Context(), kixxtest.Open(t)))
				return second(hooked.Insert(t.Context(), &kinds.Hooked{Name: "refused by Validate"}))
			}},
		{name: "cursor", status: 400, code: "BAD_CURSOR",
			provoke: func(t *testing.T) error {
				_, items, _ := withItem(t)
				return second(items.QueryByCategory("toys").After("AAAA").Page(t.Context()))
			}},
		{name: "key", status: 400, code: "BAD_KEY", entity: "item", key: "a",
			provoke: func(t *testing.T) error {
				_, items, _ := withItem(t)
				return second(items.Update(t.Context(), "a", func(it *kinds.Item) error { it.ID = "b"; return nil }))
			}},
		{name: "empty key", status: 400, code: "BAD_KEY", entity: "item",
			provoke: func(t *testing.T) error {
				_, items, _ := withItem(t)
				return second(items.Insert(t.Context(), item("")))
			}},
		{name: "long key", status: 413, code: "TOO_LARGE", entity: "item",
			provoke: func(t *testing.T) error {
				_, items, _ := withItem(t)
				return second(items.Insert(t.Context(), item(strings.Repeat("x", 2000))))
			}},
		{name: "long entry", status: 413, code: "TOO_LARGE", entity: "item", key: "a", fields: []kixxhttp.Field{{Field: "Category", Rule: "length"}},
			provoke: func(t *testing.T) error {
				_, items, a := withItem(t)
				a.Category = strings.Repeat("x", 2000)
				return second(items.Set(t.Context(), a))
			}},
		{name: "large document", status: 413, code: "TOO_LARGE",
			provoke: func(t *testing.T) error {
				_, items, a := withItem(t, kixx.Portable())
				a.Tags = []string{strings.Repeat("x", 900), strings.Repeat("y", 900)}
				for i := range 90 {
					a.Tags = append(a.Tags, strings.Repeat("z", 800)+fmt.Sprint(i))
				}
				return second(items.Set(t.Context(), a))
			}},
		{name: "full", status: 507, code: "DISK_FULL",
			provoke: func(t *testing.T) error {
				disk := simfs.New()
				items := onDisk(t, disk)
				disk.SetSpace(disk.Used())
				var err error
				for i := 0; err == nil; i++ {
					err = second(items.Insert(t.Context(), item(fmt.Sprint(i))))
				}
				return err
			}},
		{name: "closed", status: 503, code: "CLOSED",
			provoke: func(t *testing.T) error {
				db, items, _ := withItem(t)
				return errors.Join(db.Close(), second(items.Get(t.Context(), "a")))
			}},
		{name: "unavailable", status: 503, code: "UNAVAILABLE",
			provoke: func(t *testing.T) error {
				down := &away{Store: memstore.New(store.Options{})}
				db := must[*kixx.DB](t)(kixx.OpenStore(t.Context(), down))
				t.Cleanup(func() { db.Close() })
				items := newItems(t, db)
				down.away = true
				return second(items.Get(t.Context(), "a"))
			}},
		{name: "stale index", status: 503, code: "INDEX_NOT_READY", provoke: staleIndex},
		{name: "read only", status: 500, code: "READ_ONLY",
			provoke: func(t *testing.T) error {
				db, items, a := withItem(t)
				return db.Snapshot(t.Context(), func(ctx context.Context, s *kixx.Snapshot) error {
					return second(items.With(s).Set(ctx, a))
				})
			}},
		{name: "scope", status: 500, code: "WRONG_SCOPE",
			provoke: func(t *testing.T) error {
				db, items, a := withItem(t)
				return db.Tx(t.Context(), func(ctx context.Context, tx *kixx.Tx) error { return second(items.Set(ctx, a)) })
			}},
		{name: "unknown outcome", status: 500, code: "UNKNOWN_OUTCOME", provoke: func(t *testing.T) error { return afterFailedSync(t, 1) }},
		{name: "failed", status: 500, code: "WRITE_FAILED", provoke: func(t *testing.T) error { return afterFailedSync(t, 2) }},
		{name: "corrupt", status: 500, code: "CORRUPT_DATA", provoke: corrupt},
		{name: "schema", status: 500, code: "SCHEMA_MISMATCH",
			provoke: func(t *testing.T) error {
				db := kixxtest.Open(t)
				must[*v1.ThingRepo](t)(v1.NewThingRepo(t.Context(), db))
				return second(v2.NewThingRepo(t.Context(), db))
			}},
		{name: "deadline", status: 504, code: "OTHER",
			provoke: func(t *testing.T) error {
				_, items, _ := withItem(t)
				ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
				defer cancel()
				return second(items.Count(ctx))
			}},
		{name: "client gone", status: 499, code: "",
			provoke: func(t *testing.T) error {
				_, items, _ := withItem(t)
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				return second(items.Count(ctx))
			}},
		{name: "something else", status: 500, code: "OTHER",
			provoke: func(t *testing.T) error { return errors.New("dial tcp 10.0.0.7: secret") }},
		{name: "the application's own", status: 403, code: "NOT_YOURS",
			provoke: func(t *testing.T) error {
				return fmt.Errorf("shop: %w", &kixxhttp.Error{Status: 403, Code: "NOT_YOURS", Err: errors.New("secret")})
			}},
		{name: "the application's own, of an error of the repository", status: 404, code: "CONFLICT_ERROR", entity: "item", key: "a",
			provoke: func(t *testing.T) error { return &kixxhttp.Error{Status: 404, Err: staleSet(t)} }},
		{name: "the application's own, of what the client may not know", status: 502, code: "CONFLICT_ERROR",
			provoke: func(t *testing.T) error { return &kixxhttp.Error{Status: 502, Err: staleSet(t)} }},
		{name: "the application's own, without a status", status: 500, code: "OTHER",
			provoke: func(t *testing.T) error { return &kixxhttp.Error{} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := logged(t)
			err := test.provoke(t)
			if err == nil {
				t.Fatal("nothing was wrong")
			}
			r := httptest.NewRequest("PUT", "/items/a?secret=1", nil)
			for name, values := range test.header {
				r.Header[name] = values
			}
			w := httptest.NewRecorder()
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("Link", "<?x>")
			log.Reset()
			kixxhttp.WriteError(w, r, err)

			if w.Code != test.status {
				t.Fatalf("the status of %v is %d, want %d", err, w.Code, test.status)
			}
			if got := w.Header().Get("Retry-After"); (got != "") != (test.status == 503) {
				t.Errorf("Retry-After is %q with the status %d", got, test.status)
			}
			if w.Header().Get("ETag") != "" || w.Header().Get("Link") != "" {
				t.Errorf("headers of another answer are left: %v", w.Header())
			}
			if told := log.Len() > 0; told != (test.status >= 500) {
				t.Errorf("the log has %q with the status %d", log, test.status)
			}
			if test.status >= 500 && !strings.Contains(log.String(), "err=") {
				t.Errorf("the log has %q, want the error in it", log)
			}
			if test.status == 499 {
				if w.Body.Len() > 0 {
					t.Errorf("a client that has gone gets %q", w.Body)
				}
				return
			}
			if strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), "77") {
				t.Errorf("the body tells a secret: %s", w.Body)
			}
			var p kixxhttp.Problem
			d := json.NewDecoder(w.Body)
			d.DisallowUnknownFields()
			if err := d.Decode(&p); err != nil || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Fatalf("the body is of the type %q, and %v", w.Header().Get("Content-Type"), err)
			}
			if p.Status != test.status || p.Title != http.StatusText(test.status) || p.Type != "about:blank" || p.Instance != "/items/a" {
				t.Errorf("the problem is %+v, want the status %d, its text, about:blank and /items/a", p, test.status)
			}
			if p.Code != test.code || p.Entity != test.entity || p.Key != test.key || !slices.Equal(p.Fields, test.fields) {
				t.Errorf("the problem is %+v, want the code %s, entity %q, key %q, fields %v", p, test.code, test.entity, test.key, test.fields)
			}
			if p.Detail == "" && !strings.HasPrefix(test.name, "the application's own") {
				t.Error("the problem has no detail")
			}
		})
	}
}

// staleSet returns the conflict of a document that somebody else has changed.
func staleSet(t *testing.T) error {
	_, items, a := withItem(t)
	must[*kinds.Item](t)(items.Overwrite(t.Context(), a))
	_, err := items.Set(t.Context(), a)
	return err
}

// An away store cannot be reached.
type away struct {
	store.Store
	away bool
}

func (s *away) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	if s.away {
		return nil, fmt.Errorf("dial tcp: %w", store.ErrUnavailable)
	}
	return s.Store.Get(ctx, keys...)
}

func onDisk(t *testing.T, disk *simfs.FS) *kinds.ItemRepo {
	st, err := filestore.Open(t.Context(), "secret", filestore.Options{FS: disk, Reserve: 1 << 12})
	if err != nil {
		t.Fatal(err)
	}
	db := must[*kixx.DB](t)(kixx.OpenStore(t.Context(), st))
	t.Cleanup(func() { db.Close() }) // which may fail, as it should
	return newItems(t, db)
}

// afterFailedSync returns the error of the first or second write to a disk that fails.
func afterFailedSync(t *testing.T, write int) (err error) {
	disk := simfs.New()
	items := onDisk(t, disk)
	disk.Inject(func(op simfs.Op) *simfs.Fault {
		if op.Kind == "sync" {
			return &simfs.Fault{Err: errors.New("secret")}
		}
		return nil
	})
	for range write {
		_, err = items.Insert(t.Context(), item("a"))
	}
	return err
}

// corrupt returns the error of a query whose index has an entry for a document that is not there.
func corrupt(t *testing.T) error {
	st := memstore.New(store.Options{})
	db := must[*kixx.DB](t)(kixx.OpenStore(t.Context(), st))
	t.Cleanup(func() { db.Close() })
	items := newItems(t, db)
	must[*kinds.Item](t)(items.Insert(t.Context(), item("a")))
	for _, it := range must[[]store.Item](t)(st.Page(t.Context(), store.Page{Limit: 100})) {
		if !bytes.Contains(it.Value, []byte("secret title")) || it.Key[12] != 0 {
			continue
		}
		b := &store.Batch{Ops: []store.Op{{Key: it.Key, Delete: true}}}
		for i := range b.ID {
			b.ID[i] = byte(rand.Uint32())
		}
		must[store.Version](t)(st.Commit(t.Context(), b))
	}
	_, err := items.QueryByCategory("toys").Page(t.Context())
	return err
}

// staleIndex returns the error of a query on an index that yesterday's program does not keep.
func staleIndex(t *testing.T) error {
	st := memstore.New(store.Options{})
	db := must[*kixx.DB](t)(kixx.OpenStore(t.Context(), st))
	t.Cleanup(func() { db.Close() })
	today := must[*v2.ThingRepo](t)(v2.NewThingRepo(t.Context(), db))
	old := must[*kixx.DB](t)(kixx.OpenStore(t.Context(), st))
	yesterday := must[*v1.ThingRepo](t)(v1.NewThingRepo(t.Context(), old))
	must[*v1.Thing](t)(yesterday.Insert(t.Context(), &v1.Thing{ID: "c", Name: "n"}))
	_, err := today.QueryByColor("red").Page(t.Context())
	return err
}
