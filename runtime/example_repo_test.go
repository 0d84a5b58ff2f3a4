package kixx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
)

func ExampleOpen() {
	ctx := context.Background()
	db, err := kixx.Open(ctx, "mem:", kixx.WithLogger(slog.New(slog.DiscardHandler)), kixx.WithRetry(50)) // or "file:./data"
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(db.Close())
	_, err = kixx.Open(ctx, "cloud:x")
	fmt.Println(err != nil)
	// Output:
	// <nil>
	// true
}

func ExampleOpenStore() {
	db, err := kixx.OpenStore(context.Background(), memstore.New(store.Options{}))
	fmt.Println(err)
	db.Close()
	// Output: <nil>
}

func ExampleDB_Close() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	fmt.Println(db.Close())
	_, err := items.Get(ctx, "lamp")
	fmt.Println(errors.Is(err, kixx.ErrClosed))
	// Output:
	// <nil>
	// true
}

func ExampleDB_Verify() {
	ctx := context.Background()
	db, _ := shelfOf(ctx)
	defer db.Close()
	fmt.Println(db.Verify(ctx)) // every index against its documents
	// Output: <nil>
}

func ExampleDB_Backup() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := kixx.Open(ctx, "file:"+filepath.Join(dir, "data"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	fmt.Println(db.Backup(ctx, filepath.Join(dir, "monday"))) // others may write meanwhile

	monday, err := kixx.Open(ctx, "file:"+filepath.Join(dir, "monday"))
	fmt.Println(err)
	monday.Close()
	// Output:
	// <nil>
	// <nil>
}

func ExampleDB_BackupTo() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := kixx.Open(ctx, "file:"+filepath.Join(dir, "data"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	var archive bytes.Buffer // or a file, or the body of a request
	fmt.Println(db.BackupTo(ctx, &archive))
	// Output: <nil>
}

func ExampleRepo_Insert() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	it, err := items.Insert(ctx, &kinds.Item{ID: "sofa", Title: "sofa", SKU: "S-9", Category: "home"})
	fmt.Println(it.Rev, err)
	_, err = items.Insert(ctx, &kinds.Item{ID: "sofa", Title: "sofa", SKU: "S-9", Category: "home"})
	fmt.Println(errors.Is(err, kixx.ErrExists))
	_, err = items.Insert(ctx, &kinds.Item{ID: "bench", SKU: "S-8", Category: "home"})
	fmt.Println(err)
	// Output:
	// 0 <nil>
	// true
	// kixx: item "bench": invalid: Title breaks required
}

func ExampleRepo_Overwrite() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	it, err := items.Overwrite(ctx, &kinds.Item{ID: "lamp", Title: "new lamp", SKU: "S-0", Category: "home"}) // no Rev is needed
	fmt.Println(it.Title, it.Rev, err)
	// Output: new lamp 1 <nil>
}

func ExampleRepo_UpdateIf() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	seen, _ := items.Get(ctx, "lamp")
	rename := func(it *kinds.Item) error { it.Title = "new lamp"; return nil }
	_, err := items.UpdateIf(ctx, "lamp", seen.Rev, rename)
	fmt.Println(err)
	_, err = items.UpdateIf(ctx, "lamp", seen.Rev, rename)
	fmt.Println(errors.Is(err, kixx.ErrConflict))
	// Output:
	// <nil>
	// true
}

func ExampleRepo_Upsert() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	for range 2 {
		it, err := items.Upsert(ctx, "sofa", func(it *kinds.Item) error {
			it.Title, it.SKU, it.Category = "sofa", "S-9", "home"
			it.Price++
			return nil
		})
		fmt.Println(it.Price, it.Rev, err)
	}
	// Output:
	// 1 0 <nil>
	// 2 1 <nil>
}

func ExampleRepo_DeleteIf() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	it, _ := items.Get(ctx, "lamp")
	fmt.Println(errors.Is(items.DeleteIf(ctx, "lamp", kixx.RevOf(3)), kixx.ErrConflict))
	fmt.Println(items.DeleteIf(ctx, "lamp", it.Rev))
	// Output:
	// true
	// <nil>
}

func ExampleRepo_Has() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	fmt.Println(items.Has(ctx, "lamp"))
	// Output: true <nil>
}

func ExampleRepo_GetMany() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	two, err := items.GetMany(ctx, "table", "sofa") // of one state; nil for what is not there
	fmt.Println(two[0].ID, two[1] == nil, err)
	// Output: table true <nil>
}

func ExampleRepo_Query() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	show(items.Query().Collect(ctx)) // in the order of the keys
	// Output: chair lamp table <nil>
}

func ExampleRepo_All() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	for it, err := range items.All(ctx) {
		fmt.Println(it.ID, err)
	}
	// Output:
	// chair <nil>
	// lamp <nil>
	// table <nil>
}

func ExampleRepo_Count() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	fmt.Println(items.Count(ctx))
	// Output: 3 <nil>
}

// memosOf returns the memos of a new database, with one that is marked as deleted.
func memosOf(ctx context.Context) (*kixx.DB, *kinds.MemoRepo) {
	db, err := kixx.Open(ctx, "mem:")
	if err != nil {
		log.Fatal(err)
	}
	memos, err := kinds.NewMemoRepo(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := memos.Insert(ctx, &kinds.Memo{ID: "m", Title: "call back"}); err != nil {
		log.Fatal(err)
	}
	if err := memos.Delete(ctx, "m"); err != nil {
		log.Fatal(err)
	}
	return db, memos
}

func ExampleSoftRepo_Restore() {
	ctx := context.Background()
	db, memos := memosOf(ctx)
	defer db.Close()
	m, err := memos.Restore(ctx, "m")
	fmt.Println(m.Title, m.DeletedAt == nil, err)
	// Output: call back true <nil>
}

func ExampleSoftRepo_Purge() {
	ctx := context.Background()
	db, memos := memosOf(ctx)
	defer db.Close()
	fmt.Println(memos.Purge(ctx, "m"))
	fmt.Println(memos.WithDeleted().Has(ctx, "m"))
	// Output:
	// <nil>
	// false <nil>
}

func ExampleSnapshot_Token() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	var token kixx.Token
	err := db.Snapshot(ctx, func(ctx context.Context, s *kixx.Snapshot) error {
		token = s.Token()
		_, err := items.With(s).Get(ctx, "lamp")
		return err
	})
	fmt.Println(err, items.Delete(ctx, "lamp"))
	for change, err := range items.Watch(ctx, token) { // all that the snapshot does not see
		fmt.Println(change.Key, change.Doc == nil, err)
		break
	}
	// Output:
	// <nil> <nil>
	// lamp true <nil>
}

func ExampleRev() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	it, _ := items.Get(ctx, "lamp")
	number, stored := it.Rev.Number()
	fmt.Println(it.Rev, number, stored, it.Rev.IsZero(), kixx.Rev{})
	b, _ := json.Marshal(it.Rev)
	fmt.Println(string(b), kixx.RevOf(0).Matches(it.Rev), kixx.RevOf(1).Matches(it.Rev))
	// Output:
	// 0 0 true false unstored
	// 0 true false
}

func ExampleRev_ETag() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	it, _ := items.Get(ctx, "lamp")
	seen, err := kixx.ParseETag(it.Rev.ETag()) // from a client's If-Match
	fmt.Println(seen.Matches(it.Rev), err)
	_ = items.Delete(ctx, "lamp")
	again, _ := items.Insert(ctx, &kinds.Item{ID: "lamp", Title: "lamp", SKU: "S-0", Category: "home"})
	fmt.Println(again.Rev, seen.Matches(again.Rev)) // the same number, and another document
	// Output:
	// true <nil>
	// 0 false
}

func ExampleCode() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	_, err := items.Get(ctx, "sofa")
	fmt.Println(kixx.Code(err), kixx.Code(errors.New("mine")), kixx.Code(nil) == "")
	// Output: NOT_FOUND OTHER true
}

func ExampleLoadProgress() {
	ctx := context.Background()
	db, items := shelfOf(ctx)
	defer db.Close()
	lamp := &kinds.Item{ID: "lamp", Title: "lamp", SKU: "S-0", Category: "garden"}
	load := func(yield func(*kinds.Item) bool) { yield(lamp) }
	in, err := items.Load(ctx, load, kixx.KeepExisting())
	it, _ := items.Get(ctx, "lamp")
	fmt.Println(in, err, it.Category)
	in, err = items.Load(ctx, load, kixx.ReplaceExisting(), kixx.LoadProgress(func(in int) { fmt.Println(in, "is in") }))
	it, _ = items.Get(ctx, "lamp")
	fmt.Println(in, err, it.Category)
	// Output:
	// 1 <nil> home
	// 1 is in
	// 1 <nil> garden
}

func ExampleSignCursors() {
	ctx := context.Background()
	key := []byte("32 random bytes, kept in secret.")
	db, err := kixx.Open(ctx, "mem:", kixx.SignCursors(key), kixx.WithClock(time.Now), kixx.WithCacheBytes(1<<20))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	items, err := kinds.NewItemRepo(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	_, err = items.Query().After("made up").Page(ctx)
	fmt.Println(errors.Is(err, kixx.ErrBadCursor))
	// Output: true
}
