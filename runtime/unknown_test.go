package kixx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
)

// A losing store loses every second commit, and goes on holding its bytes.
type losing struct {
	*memstore.Store
	commits   int
	held      [][]byte
	copies    [][]byte
	meanwhile func() // called before the next commit is lost
	beaten    func() // called after the next conflict
}

func (l *losing) Limits() store.Limits {
	limits := l.Store.Limits()
	limits.Settles = true
	return limits
}

func (l *losing) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	if l.commits++; l.commits%2 == 1 {
		v, err := l.Store.Commit(ctx, b)
		if errors.Is(err, store.ErrConflict) {
			once(&l.beaten)
		}
		return v, err
	}
	for i := range b.Ops {
		l.hold(b.Ops[i].Key, b.Ops[i].Value)
	}
	for i := range b.Checks {
		l.hold(b.Checks[i].Key)
	}
	once(&l.meanwhile)
	return 0, &store.UnknownError{Err: errors.New("the connection was lost")}
}

func once(f *func()) {
	if do := *f; do != nil {
		*f = nil
		do()
	}
}

func (l *losing) hold(all ...[]byte) {
	for _, b := range all {
		l.held, l.copies = append(l.held, b), append(l.copies, bytes.Clone(b))
	}
}

// A batch whose outcome was unknown belongs to the store for good, also when the same batch or a later one succeeded.
func TestBatchOfUnknownOutcomeIsNeverChanged(t *testing.T) {
	ctx := t.Context()
	st := &losing{Store: memstore.New(store.Options{})}
	db, err := kixx.OpenStore(ctx, st)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	items, err := kinds.NewItemRepo(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	made := func(n int) *kinds.Item {
		id := fmt.Sprintf("i%d", n%5)
		return &kinds.Item{ID: id, SKU: id, Title: id, Category: fmt.Sprint("c", n%3), Price: float64(n)}
	}
	beaten := 0
	do := func(_ *kinds.Item, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range 100 {
		it := made(n)
		if n%7 == 3 {
			// Another document takes the unique value before the lost commit is made again, and gives it up when that has
			// failed: the write begins anew.
			it.SKU = fmt.Sprint("new", n)
			st.meanwhile = func() { do(items.Insert(ctx, &kinds.Item{ID: "thief", SKU: it.SKU, Title: "x", Category: "c"})) }
			st.beaten = func() {
				beaten++
				do(nil, items.Delete(ctx, "thief"))
			}
		}
		if n%2 == 0 {
			do(items.Overwrite(ctx, it))
			continue
		}
		do(nil, db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
			_, err := items.With(tx).Overwrite(ctx, it)
			return err
		}))
	}
	if beaten < 5 {
		t.Fatalf("%d writes began anew, want more", beaten)
	}
	if len(st.held) < 100 {
		t.Fatalf("%d pieces of batches were held, want more", len(st.held))
	}
	for i := range st.held {
		if !bytes.Equal(st.held[i], st.copies[i]) {
			t.Fatalf("%q of a batch with an unknown outcome became %q", st.copies[i], st.held[i])
		}
	}
}
