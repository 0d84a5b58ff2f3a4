package repotest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

func testQueriesFindInOrder(t *testing.T, p Place) {
	ctx := t.Context()
	items := p.Items(t, kixx.WithClock(Stepping()))
	Shelf(t, items, 9)
	cases := []struct {
		name string
		q    kixx.Query[*kinds.Item, string]
		want string
	}{
		{"all", items.Query(), "0 1 2 3 4 5 6 7 8"},
		{"all, reverse", items.Query().Reverse(), "8 7 6 5 4 3 2 1 0"},
		{"keys with a prefix", items.RangeByKey().Prefix("item:00"), "0 1 2 3 4 5 6 7 8"},
		{"keys between", items.RangeByKey().Between("item:003", "item:005"), "3 4 5"},
		{"one category", items.QueryByCategory("c1"), "1 4 7"},
		{"one category, reverse", items.QueryByCategory("c1").Reverse(), "7 4 1"},
		{"no category", items.QueryByCategory("c"), ""},
		{"categories by prefix", items.RangeByCategory().Prefix("c"), "0 3 6 1 4 7 2 5 8"},
		{"categories above", items.RangeByCategory().Above("c0"), "1 4 7 2 5 8"},
		{"prices from", items.RangeByPrice().From(6), "6 7 8"},
		{"prices above", items.RangeByPrice().Above(6), "7 8"},
		{"prices to", items.RangeByPrice().To(2), "0 1 2"},
		{"prices below", items.RangeByPrice().Below(2), "0 1"},
		{"prices between", items.RangeByPrice().Between(2, 4), "2 3 4"},
		{"prices from and below", items.RangeByPrice().FromBelow(2, 4), "2 3"},
		{"prices above and to", items.RangeByPrice().AboveTo(2, 4), "3 4"},
		{"prices within nothing", items.RangeByPrice().Within(nil, nil), "0 1 2 3 4 5 6 7 8"},
		{"one price", items.RangeByPrice().Is(5), "5"},
		{"bounds the wrong way round", items.RangeByPrice().Between(4, 2), ""},
		{"descending composite", items.RangeByCategoryPrice("c2").Everything(), "8 5 2"},
		{"descending composite, from", items.RangeByCategoryPrice("c2").From(5), "8 5"},
		{"descending composite, above", items.RangeByCategoryPrice("c2").Above(5), "8"},
		{"descending composite, to", items.RangeByCategoryPrice("c2").To(5), "5 2"},
		{"descending composite, below", items.RangeByCategoryPrice("c2").Below(5), "2"},
		{"descending composite, from and below", items.RangeByCategoryPrice("c2").FromBelow(2, 8), "5 2"},
		{"descending composite, above and to", items.RangeByCategoryPrice("c2").AboveTo(2, 8), "8 5"},
		{"descending composite, reverse", items.RangeByCategoryPrice("c2").Between(2, 5).Reverse(), "2 5"},
		{"composite, both", items.QueryByCategoryPrice("c2", 5), "5"},
		{"a tag", items.QueryByTags("t1"), "1 3 5 7"},
		{"a tag that is there twice", items.QueryByTags("all"), "0 1 2 3 4 5 6 7 8"},
		{"tags in a range", items.RangeByTags().Prefix("t"), "0 2 4 6 8 1 3 5 7"},
		{"latest first", items.RangeByCreatedAt().Everything().Limit(3), "8 7 6"},
		{"limit", items.Query().Limit(2), "0 1"},
		{"limit 0", items.Query().Limit(0), ""},
		{"offset", items.Query().Offset(7), "7 8"},
		{"offset and limit", items.QueryByCategory("c0").Offset(1).Limit(1), "3"},
		{"offset behind the end", items.Query().Offset(70), ""},
		{"offset, reverse", items.Query().Reverse().Offset(6), "2 1 0"},
		{"unique", items.RangeBySKU().Prefix("sku-item:00").Limit(2), "0 1"},
	}
	for _, c := range cases {
		short := func(list []*kinds.Item) string {
			return strings.TrimSpace(strings.ReplaceAll(IDs(list), "item:00", ""))
		}
		page, err := c.q.Page(ctx)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := short(page.Items); got != c.want || page.Items == nil {
			t.Errorf("%s: Page = %s, want %s", c.name, got, c.want)
		}
		all, err := c.q.Collect(ctx)
		if got := short(all); err != nil || got != c.want {
			t.Errorf("%s: Collect = %s, %v, want %s", c.name, got, err, c.want)
		}
		keys, err := c.q.Keys(ctx)
		if got := strings.ReplaceAll(strings.Join(keys.Items, " "), "item:00", ""); err != nil || got != c.want {
			t.Errorf("%s: Keys = %s, %v, want %s", c.name, got, err, c.want)
		}
		first, err := c.q.First(ctx)
		if c.name == "limit 0" {
			// First has a limit of its own.
		} else if c.want == "" {
			if !errors.Is(err, kixx.ErrNotFound) {
				t.Errorf("%s: First: %v, want ErrNotFound", c.name, err)
			}
		} else if err != nil || !strings.HasPrefix("item:00"+c.want, first.ID) {
			t.Errorf("%s: First = %v, %v", c.name, first, err)
		}
		// By cursors, two at a time, the same documents come.
		if !strings.Contains(c.name, "limit") && !strings.Contains(c.name, "offset") && !strings.Contains(c.name, "first") && c.name != "unique" {
			var paged []*kinds.Item
			for q := c.q.Limit(2); ; {
				page := Must[kixx.Page[*kinds.Item]](t)(q.Page(ctx))
				paged = append(paged, page.Items...)
				if page.Next == "" {
					break
				}
				q = q.After(page.Next)
			}
			if got := short(paged); got != c.want {
				t.Errorf("%s: by pages of two %s, want %s", c.name, got, c.want)
			}
			if n, err := c.q.Count(ctx); err != nil || n != len(strings.Fields(c.want)) {
				t.Errorf("%s: Count = %d, %v, want %d", c.name, n, err, len(strings.Fields(c.want)))
			}
		}
	}
}

func testViewsFindWhatWasEmitted(t *testing.T, p Place) {
	ctx := t.Context()
	items := p.Items(t)
	for i, price := range []float64{5, 12, 19, 25, 7777} {
		it := Item(fmt.Sprint("i", i))
		it.Price = price
		Put(t, items, it)
	}
	show := func(list []*kinds.ItemByPriceRange) (s string) {
		for _, e := range list {
			s += fmt.Sprintf("%s=%s/%s/%v ", e.Key, e.ID, e.Value.Title, e.Doc != nil)
		}
		return s
	}
	got := Must[[]*kinds.ItemByPriceRange](t)(items.QueryByPriceRange("000010-000019").Collect(ctx))
	if want := "000010-000019=i1/Title of i1/false 000010-000019=i2/Title of i2/false "; show(got) != want {
		t.Errorf("QueryByPriceRange = %s, want %s", show(got), want)
	}
	got = Must[[]*kinds.ItemByPriceRange](t)(items.RangeByPriceRange().From("000020").WithDocs().Collect(ctx))
	if want := "000020-000029=i3/Title of i3/true 007770-007779=i4/Title of i4/true 007770-007779=i4/Title of i4 again/true "; show(got) != want {
		t.Errorf("RangeByPriceRange with documents = %s, want %s", show(got), want)
	}
	page := Must[kixx.Page[*kinds.ItemByPriceRange]](t)(items.RangeByPriceRange().Everything().WithDocs().Limit(2).Page(ctx))
	if len(page.Items) != 2 || page.Items[0].Doc.ID != "i0" || page.Next == "" {
		t.Errorf("a page with documents = %s, next %q", show(page.Items), page.Next)
	}
	// A change of the value alone shows, and a document that goes takes its entries along.
	Must[*kinds.Item](t)(items.Update(ctx, "i1", func(it *kinds.Item) error { it.Title = "Other"; return nil }))
	if err := items.Delete(ctx, "i2"); err != nil {
		t.Fatal(err)
	}
	got = Must[[]*kinds.ItemByPriceRange](t)(items.RangeByPriceRange().Prefix("000010").Collect(ctx))
	if want := "000010-000019=i1/Other/false "; show(got) != want {
		t.Errorf("after a change = %s, want %s", show(got), want)
	}
}

func testNilMakesNoEntry(t *testing.T, p Place) {
	ctx := t.Context()
	repo := Must[*kinds.EveryRepo](t)(kinds.NewEveryRepo(ctx, p.DB(t)))
	five := 5
	for id, n := range map[int64]*int{1: nil, 2: &five, -3: nil} {
		Must[*kinds.Every](t)(repo.Insert(ctx, &kinds.Every{ID: id, PtrInt: n}))
	}
	if n := Must[int](t)(repo.RangeByPtrInt().Everything().Count(ctx)); n != 1 {
		t.Errorf("a sparse index has %d entries, want 1", n)
	}
	all := Must[[]*kinds.Every](t)(repo.Query().Collect(ctx))
	if len(all) != 3 || all[0].ID != -3 || all[2].ID != 2 {
		t.Errorf("documents in the order of number keys: %v", all)
	}
}

func testCursorsStayValidWhileOthersWrite(t *testing.T, p Place) {
	ctx := t.Context()
	items := p.Items(t)
	Shelf(t, items, 12)
	page := Must[kixx.Page[*kinds.Item]](t)(items.RangeByPrice().Everything().Limit(4).Page(ctx))
	if err := items.Delete(ctx, "item:003"); err != nil { // the one the cursor stands on
		t.Fatal(err)
	}
	between := Item("between")
	between.Price = 3.5
	Put(t, items, between)
	page = Must[kixx.Page[*kinds.Item]](t)(items.RangeByPrice().Everything().Limit(2).After(page.Next).Page(ctx))
	if got := IDs(page.Items); got != "between item:004 " {
		t.Errorf("the next page = %s, want between item:004", got)
	}
	// Not bound to the bounds: they may move, and the position counts within the new ones.
	q := items.RangeByPrice().Between(8, 10)
	if got := IDs(Must[kixx.Page[*kinds.Item]](t)(q.After(page.Next).Page(ctx)).Items); got != "item:008 item:009 item:010 " {
		t.Errorf("a cursor before the range = %s, want its start", got)
	}
	if got := IDs(Must[kixx.Page[*kinds.Item]](t)(items.RangeByPrice().Below(2).After(page.Next).Page(ctx)).Items); got != "" {
		t.Errorf("a cursor behind the range = %s, want nothing", got)
	}
}

func testForeignCursorsAreRefused(t *testing.T, p Place) {
	ctx := t.Context()
	items := p.Items(t)
	Shelf(t, items, 12)
	next := Must[kixx.Page[*kinds.Item]](t)(items.QueryByCategory("c0").Limit(2).Page(ctx)).Next
	for name, q := range map[string]kixx.Query[*kinds.Item, string]{
		"other lead":      items.QueryByCategory("c1").After(next),
		"other index":     items.RangeByPrice().Everything().After(next),
		"range of it":     items.RangeByCategory().Everything().After(next),
		"other direction": items.QueryByCategory("c0").Reverse().After(next),
		"documents":       items.Query().After(next),
		"changed":         items.QueryByCategory("c0").After(next[:len(next)-1] + "A"),
		"cut":             items.QueryByCategory("c0").After(next[:4]),
		"not base64":      items.QueryByCategory("c0").After("!!"),
		"long":            items.QueryByCategory("c0").After(kixx.Cursor(strings.Repeat("A", 5000))),
	} {
		_, err := q.Page(ctx)
		if !errors.Is(err, kixx.ErrBadCursor) {
			t.Errorf("%s: %v, want ErrBadCursor", name, err)
		}
		if _, err := q.Keys(ctx); !errors.Is(err, kixx.ErrBadCursor) {
			t.Errorf("%s: Keys: %v, want ErrBadCursor", name, err)
		}
		if _, err := q.Collect(ctx); !errors.Is(err, kixx.ErrBadCursor) {
			t.Errorf("%s: Collect: %v, want ErrBadCursor", name, err)
		}
	}
}

func testSignedCursors(t *testing.T, p Place) {
	if !p.Durable {
		t.Skip("the store keeps nothing after Close")
	}
	old, new := []byte("0123456789abcdef-old"), []byte("0123456789abcdef-new")
	page := func(after kixx.Cursor, opts ...kixx.Option) (kixx.Page[*kinds.Item], error) {
		db, err := kixx.OpenStore(t.Context(), p.Open(t), opts...)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		items := NewItems(t, db)
		if n := Must[int](t)(items.Count(t.Context())); n == 0 {
			Shelf(t, items, 6)
		}
		return items.QueryByCategory("c0").Limit(1).After(after).Page(t.Context())
	}
	first, err := page("", kixx.SignCursors(old))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := page("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := page(first.Next, kixx.SignCursors(new, old)); err != nil {
		t.Errorf("a cursor signed by the second key: %v", err)
	}
	for name, opts := range map[string][]kixx.Option{"another key": {kixx.SignCursors(new)}, "no key": nil} {
		if _, err := page(first.Next, opts...); !errors.Is(err, kixx.ErrBadCursor) {
			t.Errorf("a signed cursor with %s: %v, want ErrBadCursor", name, err)
		}
	}
	if _, err := page(plain.Next, kixx.SignCursors(old)); !errors.Is(err, kixx.ErrBadCursor) {
		t.Errorf("a plain cursor where they are signed: %v, want ErrBadCursor", err)
	}
	if _, err := kixx.Open(t.Context(), "mem:", kixx.SignCursors([]byte("short"))); err == nil {
		t.Error("a short key was taken")
	}
}

func testAllMayWriteWhatItWalksOver(t *testing.T, p Place) {
	items := p.Items(t)
	Shelf(t, items, 30)
	seen := 0
	for it, err := range items.RangeByPrice().Everything().All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen > 30 {
			t.Fatal("All meets documents again that the loop has moved")
		}
		Must[*kinds.Item](t)(items.Update(t.Context(), it.ID, func(it *kinds.Item) error { it.Price += 200; return nil }))
	}
	if seen != 30 {
		t.Errorf("All found %d, want 30", seen)
	}
	n := 0
	for id, err := range kixx.AllKeys(t.Context(), items.Query().Limit(25)) {
		if err != nil || !strings.HasPrefix(id, "item:") {
			t.Fatal(id, err)
		}
		n++
	}
	if n != 25 {
		t.Errorf("AllKeys with Limit(25) found %d", n)
	}
	for range items.All(t.Context()) {
		break // leaves nothing behind, goleak sees it
	}
}

func testRangesOfEveryKeyType(t *testing.T, p Place) {
	ctx := t.Context()
	repo := Must[*kinds.EveryRepo](t)(kinds.NewEveryRepo(ctx, p.DB(t)))
	early, late := time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 1, time.UTC)
	docs := []*kinds.Every{
		{ID: 1, Base: kinds.Base{Level: -5}, Bool: false, Int: math.MinInt, Int8: -128, Uint: 0, Uint64: 0, Float32: -1, Status: "a", When: early, Took: -1, Bytes: []byte{0}, Ints: []int32{-7, 7}, PtrTime: &early},
		{ID: 2, Base: kinds.Base{Level: 0}, Bool: true, Int: 0, Int8: 0, Uint: 1, Uint64: 1, Float32: 0, Status: "a\x00", When: time.Time{}, Took: 0, Bytes: []byte{0, 0}, Ints: []int32{0}},
		{ID: 3, Base: kinds.Base{Level: 9}, Bool: true, Int: math.MaxInt, Int8: 127, Uint: math.MaxUint, Uint64: math.MaxUint64, Float32: 1, Status: "b", When: late, Took: 5, Bytes: []byte{255}, PtrTime: &late},
	}
	for _, d := range docs {
		Must[*kinds.Every](t)(repo.Insert(ctx, d))
	}
	check := func(name string, q kixx.Query[*kinds.Every, int64], want ...int64) {
		t.Helper()
		keys, err := q.Keys(ctx)
		if err != nil || !slices.Equal(keys.Items, want) && len(want)+len(keys.Items) > 0 {
			t.Errorf("%s = %v, %v, want %v", name, keys.Items, err, want)
		}
	}
	check("Level", repo.RangeByLevel().From(-4), 2, 3)
	check("Bool", repo.QueryByBool(true), 2, 3)
	check("Int desc", repo.RangeByInt().Everything(), 3, 2, 1)
	check("Int desc above", repo.RangeByInt().Above(0), 3)
	check("Int8", repo.RangeByInt8().Below(127), 1, 2)
	check("Uint", repo.RangeByUint().Above(1), 3)
	check("Uint64", repo.RangeByUint64().To(1), 1, 2)
	check("Float32", repo.RangeByFloat32().Between(-1, 0), 1, 2)
	check("Status", repo.RangeByStatus().Prefix("a"), 1, 2)
	check("Status is", repo.QueryByStatus("a"), 1)
	check("When", repo.RangeByWhen().To(time.Time{}), 1, 2)
	check("Took", repo.RangeByTook().Above(-1), 2, 3)
	check("Bytes", repo.RangeByBytes().From([]byte{0, 0}), 2, 3)
	check("Ints", repo.RangeByInts().Everything(), 1, 2, 1)
	check("PtrTime desc", repo.RangeByPtrTime().Everything(), 3, 1)
	check("StatusWhen", repo.RangeByStatusWhen("a").Everything(), 1)
	check("keys", repo.RangeByKey().Between(2, 3), 2, 3)
}

func testNamespacesAreApart(t *testing.T, p Place) {
	ctx := t.Context()
	db := p.DB(t)
	acme := Must[*kixx.DB](t)(db.Namespace(ctx, "acme"))
	mine, theirs := NewItems(t, db), NewItems(t, acme)
	Put(t, mine, Item("a"))
	Put(t, theirs, Item("a"), Item("b"))
	if n := Must[int](t)(mine.Count(ctx)); n != 1 {
		t.Errorf("the default namespace has %d documents, want 1", n)
	}
	if got := IDs(Must[[]*kinds.Item](t)(theirs.QueryByCategory("toys").Collect(ctx))); got != "a b " {
		t.Errorf("acme has %s, want a b", got)
	}
	if again := Must[*kixx.DB](t)(db.Namespace(ctx, "acme")); again != acme {
		t.Error("a namespace is opened twice")
	}
}
