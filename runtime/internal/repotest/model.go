package repotest

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

// A machine compares a repository with a map: the same operations on both, and the same answers.
type machine struct {
	p       Place
	db      *kixx.DB
	items   *kinds.ItemRepo
	want    map[string]*kinds.Item
	ops     *int
	patient bool // a snapshot may be read for as long as a transaction takes here
	inTx    bool // unique values are looked at when the transaction commits
}

var (
	someIDs        = rapid.SampledFrom([]string{"a", "b", "c", "item:1", "item:2", "item:2\x00", "item:\xff", "ü", "z"})
	someCategories = rapid.SampledFrom([]string{"c", "c\x00", "c0", "d", "\xff\xff"})
	someSKUs       = rapid.SampledFrom([]string{"s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"})
	somePrices     = rapid.SampledFrom([]float64{0, 0.5, 1, 9.99, 10, 19, 20, 1e9})
	someTags       = rapid.SliceOfN(rapid.SampledFrom([]string{"", "x", "y", "x"}), 0, 3)
)

func drawItem(t *rapid.T, id string) *kinds.Item {
	it := &kinds.Item{ID: id, Title: "t", SKU: someSKUs.Draw(t, "sku"), Category: someCategories.Draw(t, "category"), Price: somePrices.Draw(t, "price"), Tags: someTags.Draw(t, "tags")}
	if rapid.Bool().Draw(t, "nil tags") && len(it.Tags) == 0 {
		it.Tags = nil
	}
	return it
}

func (m *machine) open(t *rapid.T, tb testing.TB) {
	open := m.p.Open
	m.patient = m.p.Patient == nil || rapid.Bool().Draw(t, "patient")
	if m.patient {
		open = m.p.patient()
	}
	db, err := kixx.OpenStore(context.Background(), open(tb), kixx.WithClock(Stepping()), kixx.PointGuards(),
		kixx.WithCacheBytes(rapid.SampledFrom([]int64{0, 1 << 16, 1 << 24}).Draw(t, "cache")))
	if err != nil {
		t.Fatal(err)
	}
	m.db = db
	if m.items, err = kinds.NewItemRepo(context.Background(), db); err != nil {
		t.Fatal(err)
	}
}

// holder returns the key of the document that has a SKU.
func (m *machine) holder(sku string) string {
	for id, it := range m.want {
		if it.SKU == sku {
			return id
		}
	}
	return ""
}

// wrote checks the outcome of a write that the model allows, if not for a unique value.
func (m *machine) wrote(t *rapid.T, what string, in, out *kinds.Item, err error) {
	*m.ops++
	if h := m.holder(in.SKU); h != "" && h != in.ID && !m.inTx {
		var ue *kixx.UniqueError
		if !errors.As(err, &ue) || ue.Holder != h || ue.Key != in.ID {
			t.Fatalf("%s %q: %v, want a UniqueError with holder %q", what, in.ID, err, h)
		}
		return
	}
	if err != nil {
		t.Fatalf("%s %q: %v", what, in.ID, err)
	}
	if old := m.want[in.ID]; old != nil {
		n, _ := old.Rev.Number()
		if !out.Rev.Matches(out.Rev) || out.Rev.String() != fmt.Sprint(n+1) || !out.CreatedAt.Equal(old.CreatedAt) {
			t.Fatalf("%s %q: revision %v after %v, created %v after %v", what, in.ID, out.Rev, old.Rev, out.CreatedAt, old.CreatedAt)
		}
	} else if out.Rev.String() != "0" {
		t.Fatalf("%s %q: a new document has revision %v", what, in.ID, out.Rev)
	}
	same := *out
	same.Rev, same.CreatedAt, same.UpdatedAt = in.Rev, in.CreatedAt, in.UpdatedAt
	if !reflect.DeepEqual(&same, in) {
		t.Fatalf("%s %q = %+v, want %+v", what, in.ID, out, in)
	}
	m.want[in.ID] = out
}

func (m *machine) insert(t *rapid.T) {
	it := drawItem(t, someIDs.Draw(t, "id"))
	out, err := m.items.Insert(context.Background(), it)
	if m.want[it.ID] != nil {
		if *m.ops++; !errors.Is(err, kixx.ErrExists) {
			t.Fatalf("Insert %q: %v, want ErrExists", it.ID, err)
		}
		return
	}
	m.wrote(t, "Insert", it, out, err)
}

func (m *machine) set(t *rapid.T) {
	it := drawItem(t, someIDs.Draw(t, "id"))
	old := m.want[it.ID]
	right := rapid.IntRange(0, 3).Draw(t, "right revision") > 0
	switch {
	case old != nil && right:
		it.Rev = old.Rev
	case old == nil && !right:
		it.Rev = kixx.RevOf(7)
	}
	out, err := m.items.Set(context.Background(), it)
	if !right {
		if *m.ops++; !errors.Is(err, kixx.ErrConflict) {
			t.Fatalf("Set %q with Rev %v: %v, want ErrConflict", it.ID, it.Rev, err)
		}
		return
	}
	m.wrote(t, "Set", it, out, err)
}

func (m *machine) overwrite(t *rapid.T) {
	it := drawItem(t, someIDs.Draw(t, "id"))
	out, err := m.items.Overwrite(context.Background(), it)
	m.wrote(t, "Overwrite", it, out, err)
}

func (m *machine) update(t *rapid.T) {
	id := someIDs.Draw(t, "id")
	next := drawItem(t, id)
	out, err := m.items.Update(context.Background(), id, func(it *kinds.Item) error { *it = *next; return nil })
	if m.want[id] == nil {
		if *m.ops++; !errors.Is(err, kixx.ErrNotFound) {
			t.Fatalf("Update %q: %v, want ErrNotFound", id, err)
		}
		return
	}
	m.wrote(t, "Update", next, out, err)
}

func (m *machine) setMany(t *rapid.T) {
	list := rapid.SliceOfNDistinct(someIDs, 1, 4, rapid.ID).Draw(t, "ids")
	docs := make([]*kinds.Item, len(list))
	final := make(map[string]string) // SKU -> who has it afterwards
	for id, it := range m.want {
		if !slices.Contains(list, id) {
			final[it.SKU] = id
		}
	}
	clash := false
	for i, id := range list {
		docs[i] = drawItem(t, id)
		if old := m.want[id]; old != nil {
			docs[i].Rev = old.Rev
		}
		clash = clash || final[docs[i].SKU] != ""
		final[docs[i].SKU] = id
	}
	out, err := m.items.SetMany(context.Background(), docs...)
	if clash && !m.inTx {
		if *m.ops++; !errors.Is(err, kixx.ErrUnique) {
			t.Fatalf("SetMany %q with a clash of SKUs: %v, want ErrUnique", list, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("SetMany %q: %v", list, err)
	}
	// All of them are written at one moment: while the answers are checked, none holds what it gives up.
	for _, id := range list {
		if old := m.want[id]; old != nil {
			moved := *old
			moved.SKU = "given up by " + id
			m.want[id] = &moved
		}
	}
	for i := range docs {
		m.wrote(t, "SetMany", docs[i], out[i], nil)
	}
}

func (m *machine) delete(t *rapid.T) {
	id := someIDs.Draw(t, "id")
	err := m.items.Delete(context.Background(), id)
	*m.ops++
	if m.want[id] == nil {
		if !errors.Is(err, kixx.ErrNotFound) {
			t.Fatalf("Delete %q: %v, want ErrNotFound", id, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("Delete %q: %v", id, err)
	}
	delete(m.want, id)
}

func (m *machine) get(t *rapid.T) {
	id := someIDs.Draw(t, "id")
	got, err := m.items.Get(context.Background(), id)
	*m.ops++
	if want := m.want[id]; want == nil {
		if !errors.Is(err, kixx.ErrNotFound) {
			t.Fatalf("Get %q = %v, %v, want ErrNotFound", id, got, err)
		}
	} else if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("Get %q = %+v, %v, want %+v", id, got, err, want)
	}
}

// sorted returns what the model finds, in the order of less.
func (m *machine) sorted(keep func(*kinds.Item) bool, order func(a, b *kinds.Item) int) (list []*kinds.Item) {
	for _, it := range m.want {
		if keep(it) {
			list = append(list, it)
		}
	}
	slices.SortFunc(list, func(a, b *kinds.Item) int { return cmp.Or(order(a, b), cmp.Compare(a.ID, b.ID)) })
	return list
}

// query compares a query, read by pages of a random size, with the model.
func (m *machine) query(t *rapid.T) {
	category, low, high := someCategories.Draw(t, "category"), somePrices.Draw(t, "low"), somePrices.Draw(t, "high")
	var q kixx.Query[*kinds.Item, string]
	var want []*kinds.Item
	all := func(*kinds.Item) bool { return true }
	none := func(a, b *kinds.Item) int { return 0 }
	kind := rapid.IntRange(0, 6).Draw(t, "kind")
	switch kind {
	case 0:
		q, want = m.items.Query(), m.sorted(all, none)
	case 1:
		q, want = m.items.QueryByCategory(category), m.sorted(func(it *kinds.Item) bool { return it.Category == category }, none)
	case 2:
		q = m.items.RangeByPrice().FromBelow(low, high)
		want = m.sorted(func(it *kinds.Item) bool { return low <= it.Price && it.Price < high }, func(a, b *kinds.Item) int { return cmp.Compare(a.Price, b.Price) })
	case 3:
		q = m.items.RangeByCategoryPrice(category).AboveTo(low, high)
		want = m.sorted(func(it *kinds.Item) bool { return it.Category == category && low < it.Price && it.Price <= high }, func(a, b *kinds.Item) int { return cmp.Compare(b.Price, a.Price) })
	case 4:
		q, want = m.items.QueryByTags("x"), m.sorted(func(it *kinds.Item) bool { return slices.Contains(it.Tags, "x") }, none)
	case 5:
		q = m.items.RangeByCreatedAt().Everything()
		want = m.sorted(all, func(a, b *kinds.Item) int { return b.CreatedAt.Compare(a.CreatedAt) })
	case 6:
		q = m.items.RangeByCategory().Prefix("c")
		want = m.sorted(func(it *kinds.Item) bool { return it.Category != "d" && it.Category != "\xff\xff" }, func(a, b *kinds.Item) int { return cmp.Compare(a.Category, b.Category) })
	}
	if rapid.Bool().Draw(t, "reverse") {
		q = q.Reverse()
		slices.Reverse(want)
	}
	offset := rapid.IntRange(0, 2).Draw(t, "offset")
	q = q.Offset(offset)
	want = want[min(offset, len(want)):]
	size := rapid.IntRange(1, 4).Draw(t, "size")
	var got []*kinds.Item
	for q = q.Limit(size); ; {
		page, err := q.Page(context.Background())
		if err != nil {
			t.Fatalf("query %d: %v", kind, err)
		}
		got = append(got, page.Items...)
		if page.Next == "" {
			break
		}
		q = q.Offset(0).After(page.Next)
	}
	*m.ops++
	if len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Fatalf("query %d(%q, %v, %v) offset %d = %s, want %s", kind, category, low, high, offset, IDs(got), IDs(want))
	}
	if n, err := q.Count(context.Background()); err != nil || n < len(want) {
		t.Fatalf("query %d: Count = %d, %v, want at least %d", kind, n, err, len(want))
	}
}

func (m *machine) view(t *rapid.T) {
	*m.ops++
	got, err := m.items.RangeByPriceRange().Everything().WithDocs().Collect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(m.want) {
		t.Fatalf("the view has %d entries for %d documents", len(got), len(m.want))
	}
	for _, e := range got {
		if want := m.want[e.ID]; !reflect.DeepEqual(e.Doc, want) || e.Value.Price != want.Price {
			t.Fatalf("the view's entry of %q = %+v, want it for %+v", e.ID, e, want)
		}
	}
}

// testRepositoryEqualsAMap makes places of its own, since each run of the machine needs an empty one.
// unique reports whether no SKU is there twice.
func (m *machine) unique() bool {
	seen := make(map[string]bool)
	for _, it := range m.want {
		if seen[it.SKU] {
			return false
		}
		seen[it.SKU] = true
	}
	return true
}

// getBySKU compares the unique index.
func (m *machine) getBySKU(t *rapid.T) {
	sku := someSKUs.Draw(t, "sku")
	*m.ops++
	if m.inTx && !m.unique() {
		return
	}
	got, err := m.items.GetBySKU(context.Background(), sku)
	if h := m.holder(sku); h == "" {
		if !errors.Is(err, kixx.ErrNotFound) {
			t.Fatalf("GetBySKU %q = %v, %v, want ErrNotFound", sku, got, err)
		}
	} else if err != nil || !reflect.DeepEqual(got, m.want[h]) {
		t.Fatalf("GetBySKU %q = %+v, %v, want %+v", sku, got, err, m.want[h])
	}
}

var errStop = errors.New("stop")

// tx does several steps in a transaction, which sees its own writes, and commits or gives up.
func (m *machine) tx(t *rapid.T) {
	if !m.patient {
		t.Skip("the snapshot would be too old after a few reads")
	}
	before, items := m.want, m.items
	fails := rapid.IntRange(0, 4).Draw(t, "gives up") == 0
	steps := []func(*rapid.T){m.insert, m.set, m.overwrite, m.update, m.setMany, m.delete, m.get, m.query, m.query, m.view, m.getBySKU}
	n := rapid.IntRange(1, 12).Draw(t, "steps")
	m.inTx = true
	err := m.db.Tx(context.Background(), func(ctx context.Context, tx *kixx.Tx) error {
		m.want, m.items = maps.Clone(before), items.With(tx)
		for range n {
			steps[rapid.IntRange(0, len(steps)-1).Draw(t, "step")](t)
		}
		if fails {
			return errStop
		}
		return nil
	})
	m.inTx, m.items = false, items
	clash := !m.unique()
	if fails || clash {
		m.want = before
	}
	switch {
	case fails && err != errStop:
		t.Fatalf("Tx: %v, want the error of its function as it is", err)
	case !fails && clash && !errors.Is(err, kixx.ErrUnique):
		t.Fatalf("Tx with a clash of SKUs: %v, want ErrUnique", err)
	case !fails && !clash && err != nil:
		t.Fatalf("Tx: %v", err)
	}
}

func testRepositoryEqualsAMap(t *testing.T, place func(t testing.TB) Place) {
	Must[any](t)(nil, flag.Set("rapid.steps", "120"))
	Must[any](t)(nil, flag.Set("rapid.checks", "10"))
	ops, reopened, goal := 0, 0, 1
	for ops < goal && !t.Failed() {
		rapid.Check(t, func(rt *rapid.T) {
			m := &machine{p: place(t), want: make(map[string]*kinds.Item), ops: &ops}
			goal = m.p.less(Count(1_500, 12_000, 500_000))
			m.open(rt, t)
			defer func() { m.db.Close() }()
			rt.Repeat(map[string]func(*rapid.T){
				"insert": m.insert, "set": m.set, "overwrite": m.overwrite, "update": m.update, "setMany": m.setMany,
				"delete": m.delete, "get": m.get, "query": m.query, "view": m.view, "getBySKU": m.getBySKU, "tx": m.tx,
				"reopen": func(rt *rapid.T) {
					if !m.p.Durable || rapid.IntRange(0, 5).Draw(rt, "reopen") > 0 {
						rt.Skip("not now")
					}
					if err := m.db.Close(); err != nil {
						rt.Fatal(err)
					}
					m.open(rt, t)
					reopened++
				},
			})
		})
	}
	t.Logf("%d operations, reopened %d times", ops, reopened)
}
