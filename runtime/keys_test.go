package kixx_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
)

func posts(t testing.TB, db *kixx.DB) *kinds.PostRepo {
	t.Helper()
	return must[*kinds.PostRepo](t)(kinds.NewPostRepo(t.Context(), db))
}

// TestCompositeKeyWorksWhereverAKeyDoes goes through everything that takes or gives a key.
func TestCompositeKeyWorksWhereverAKeyDoes(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		repo := posts(t, p.DB(t))
		key := kinds.PostKey{Tenant: "acme", Slug: "hello"}
		made := must[*kinds.Post](t)(repo.Insert(ctx, &kinds.Post{Tenant: "acme", Slug: "hello", Title: "hello there"}))
		if made.Key() != key {
			t.Errorf("Key() = %v, want %v", made.Key(), key)
		}
		other := must[*kinds.Post](t)(repo.Insert(ctx, &kinds.Post{Tenant: "acm", Slug: "ehello", Title: "not the same"}))
		for _, want := range []*kinds.Post{made, other} {
			if got, err := repo.Get(ctx, want.Key()); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("Get(%v) = %+v, %v, want %+v", want.Key(), got, err, want)
			}
		}
		many, err := repo.GetMany(ctx, other.Key(), kinds.PostKey{Tenant: "acme"}, key)
		if err != nil || len(many) != 3 || many[1] != nil || many[0].Title != "not the same" || many[2].Title != "hello there" {
			t.Errorf("GetMany = %v, %v", many, err)
		}
		if has, err := repo.Has(ctx, key); !has || err != nil {
			t.Errorf("Has = %v, %v", has, err)
		}
		updated := must[*kinds.Post](t)(repo.Update(ctx, key, func(p *kinds.Post) error { p.Title = "hello again"; return nil }))
		if _, err := repo.Update(ctx, key, func(p *kinds.Post) error { p.Slug = "bye"; return nil }); !errors.Is(err, kixx.ErrBadKey) {
			t.Errorf("Update that changes a part of the key: %v", err)
		}
		if _, err := repo.Upsert(ctx, kinds.PostKey{Tenant: "acme", Slug: "new"}, func(p *kinds.Post) error {
			if p.Tenant != "acme" || p.Slug != "new" {
				t.Errorf("Upsert hands in %+v", p)
			}
			p.Title = "new"
			return nil
		}); err != nil {
			t.Error(err)
		}
		if _, err := repo.SetMany(ctx, updated, updated); !errors.Is(err, kixx.ErrInvalid) {
			t.Errorf("SetMany with one key twice: %v", err)
		}
		entries := must[[]*kinds.PostByWord](t)(repo.QueryByWord("hello").WithDocs().Collect(ctx))
		if len(entries) != 1 || entries[0].ID != key || entries[0].Doc.Title != "hello again" {
			t.Errorf("QueryByWord = %+v", entries)
		}
		keys := must[kixx.Page[kinds.PostKey]](t)(repo.QueryByWord("again").Keys(ctx))
		if len(keys.Items) != 1 || keys.Items[0] != key {
			t.Errorf("Keys of a view = %v", keys.Items)
		}
		text, err := json.Marshal(keys)
		if want := `{"items":[{"tenant":"acme","slug":"hello"}]}`; err != nil || string(text) != want {
			t.Errorf("keys as JSON = %s, %v, want %s", text, err, want)
		}
		if err := repo.Delete(ctx, key); err != nil {
			t.Error(err)
		}
		if n := must[int](t)(repo.Count(ctx)); n != 2 {
			t.Errorf("Count = %d, want 2", n)
		}
	})
}

// TestErrorsShowKeys is a table of every form in which a key is printed.
func TestErrorsShowKeys(t *testing.T) {
	ctx := t.Context()
	db := memory(t).DB(t)
	repo := posts(t, db)
	visits := must[*kinds.VisitRepo](t)(kinds.NewVisitRepo(ctx, db))
	tokens := must[*kinds.TokenRepo](t)(kinds.NewTokenRepo(ctx, db))
	moments := must[*kinds.MomentRepo](t)(kinds.NewMomentRepo(ctx, db))
	switches := must[*kinds.SwitchRepo](t)(kinds.NewSwitchRepo(ctx, db))
	insert := func(p *kinds.Post) error { _, err := repo.Insert(ctx, p); return err }
	if err := insert(&kinds.Post{Tenant: "a/b", Slug: `"c"`, Title: "taken"}); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 4, 4, 5, 6, time.FixedZone("there", 3600))
	id := kinds.UUID{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10}
	get := func(_ any, err error) error { return err }
	for i, row := range []struct {
		err  error
		is   error
		want string
	}{
		{get(repo.Get(ctx, kinds.PostKey{Tenant: "acme", Slug: "x"})), kixx.ErrNotFound, `kixx: post "acme"/"x": there is no such document`},
		{insert(&kinds.Post{Tenant: "a/b", Slug: `"c"`}), kixx.ErrExists, `kixx: post "a/b"/"\"c\"": already there; use Update, or Upsert if either is fine`},
		{insert(&kinds.Post{Tenant: "acme", Slug: "y", Title: "taken"}), kixx.ErrUnique, `kixx: post "acme"/"y": its Title is taken by "a/b"/"\"c\""`},
		{insert(&kinds.Post{Title: "forgotten"}), kixx.ErrBadKey, `kixx: post ""/"": the key is empty`},
		{insert(&kinds.Post{Tenant: strings.Repeat("a", 1100)}), kixx.ErrTooLarge,
			`kixx: post "` + strings.Repeat("a", 1100) + `"/"": its key takes 1117 bytes, the most is 1024`},
		{get(visits.Get(ctx, kinds.VisitKey{Channel: "go", Rank: 1, Robot: true, At: at, Seq: 3, Who: id})), kixx.ErrNotFound,
			`kixx: visit "#go"/owner/true/2026-01-02T04:04:05.000000006+01:00/3/01234567-89ab-cdef-fedc-ba9876543210: there is no such document`},
		{get(tokens.Get(ctx, id)), kixx.ErrNotFound, `kixx: token 01234567-89ab-cdef-fedc-ba9876543210: there is no such document`},
		{get(moments.Get(ctx, at)), kixx.ErrNotFound, `kixx: moment 2026-01-02T04:04:05.000000006+01:00: there is no such document`},
		{get(switches.Get(ctx, true)), kixx.ErrNotFound, `kixx: switch true: there is no such document`},
	} {
		if row.err == nil || !errors.Is(row.err, row.is) || row.err.Error() != row.want {
			t.Errorf("row %d: %v, want %s", i, row.err, row.want)
		}
	}
	var unique *kixx.UniqueError
	if err := insert(&kinds.Post{Tenant: "acme", Slug: "y", Title: "taken"}); !errors.As(err, &unique) ||
		unique.Holder != any(kinds.PostKey{Tenant: "a/b", Slug: `"c"`}) || unique.Key != any(kinds.PostKey{Tenant: "acme", Slug: "y"}) {
		t.Errorf("UniqueError = %+v", unique)
	}
}

// TestKeysThatAreRefused writes keys at the edges of what can be a key.
func TestKeysThatAreRefused(t *testing.T) {
	ctx := t.Context()
	db := memory(t).DB(t)
	repo := posts(t, db)
	for i, p := range []*kinds.Post{{Tenant: "acme", Title: "a"}, {Slug: "s", Title: "b"}, {Tenant: "\x00\x01", Title: "c"}} {
		if _, err := repo.Insert(ctx, p); err != nil {
			t.Errorf("row %d: a key with one text that is not empty: %v", i, err)
		}
	}
	visits := must[*kinds.VisitRepo](t)(kinds.NewVisitRepo(ctx, db))
	if _, err := visits.Insert(ctx, &kinds.Visit{}); err != nil {
		t.Errorf("the zero key of which a part is no text: %v", err)
	}
	switches := must[*kinds.SwitchRepo](t)(kinds.NewSwitchRepo(ctx, db))
	for _, on := range []bool{false, true} {
		if _, err := switches.Insert(ctx, &kinds.Switch{On: on}); err != nil {
			t.Errorf("the key %v: %v", on, err)
		}
	}
	far := time.Unix(math.MinInt64, 0).Add(-time.Second)
	for i, change := range []func() error{
		func() error { _, err := visits.Insert(ctx, &kinds.Visit{Channel: "x", At: far}); return err },
		func() error {
			_, err := visits.Upsert(ctx, kinds.VisitKey{At: far}, func(*kinds.Visit) error { return nil })
			return err
		},
		func() error { _, err := visits.SetMany(ctx, &kinds.Visit{Channel: "y", At: far}); return err },
	} {
		if err := change(); !errors.Is(err, kixx.ErrBadKey) || !strings.Contains(fmt.Sprint(err), "the time in At is too far from 1970 to be in a key") {
			t.Errorf("row %d: a key with a time that is out of range: %v", i, err)
		}
	}
}

// TestTimeKeysAreInstants looks documents up by times of other places than they were written with.
func TestTimeKeysAreInstants(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		moments := must[*kinds.MomentRepo](t)(kinds.NewMomentRepo(ctx, p.DB(t)))
		now := time.Now() // with a monotonic reading
		there := now.In(time.FixedZone("there", 7200))
		m := must[*kinds.Moment](t)(moments.Insert(ctx, &kinds.Moment{At: now, What: "first"}))
		if m.At != now.UTC().Round(0) {
			t.Errorf("the key is stored as %#v, want %#v", m.At, now.UTC())
		}
		if _, err := moments.Insert(ctx, &kinds.Moment{At: there}); !errors.Is(err, kixx.ErrExists) {
			t.Errorf("Insert of the same instant: %v", err)
		}
		if _, err := moments.SetMany(ctx, &kinds.Moment{At: now.Add(1)}, &kinds.Moment{At: there.Add(1)}); !errors.Is(err, kixx.ErrInvalid) {
			t.Errorf("SetMany with one instant twice: %v", err)
		}
		m, err := moments.Update(ctx, there, func(m *kinds.Moment) error {
			m.At = now.In(time.Local) // the same key
			m.What = "second"
			return nil
		})
		if err != nil || m.At != now.UTC().Round(0) || m.What != "second" {
			t.Errorf("Update = %+v, %v", m, err)
		}
		if _, err := moments.Update(ctx, now, func(m *kinds.Moment) error { m.At = m.At.Add(1); return nil }); !errors.Is(err, kixx.ErrBadKey) {
			t.Errorf("Update that moves the key by a nanosecond: %v", err)
		}
		m, err = moments.Upsert(ctx, there.Add(time.Hour), func(m *kinds.Moment) error { m.What = "third"; return nil })
		if err != nil || m.At != now.UTC().Round(0).Add(time.Hour) {
			t.Errorf("Upsert = %+v, %v", m, err)
		}
		if err := moments.Delete(ctx, now.Add(time.Hour).In(time.FixedZone("x", -60))); err != nil {
			t.Error(err)
		}
	})
}

// TestMadeUUIDsSortByTime makes keys of 16 bytes on Insert.
func TestMadeUUIDsSortByTime(t *testing.T) {
	ctx := t.Context()
	tokens := must[*kinds.TokenRepo](t)(kinds.NewTokenRepo(ctx, memory(t).DB(t)))
	var made []kinds.UUID
	for range 100 {
		tok := must[*kinds.Token](t)(tokens.Insert(ctx, &kinds.Token{}))
		if tok.ID[6]>>4 != 7 || tok.ID[8]>>6 != 2 {
			t.Fatalf("%x is no UUIDv7", tok.ID)
		}
		if len(made) > 0 && bytes.Compare(made[len(made)-1][:], tok.ID[:]) >= 0 {
			t.Fatalf("%x was made before %x", made[len(made)-1], tok.ID)
		}
		made = append(made, tok.ID)
	}
	given := kinds.UUID{1}
	if tok := must[*kinds.Token](t)(tokens.Insert(ctx, &kinds.Token{ID: given})); tok.ID != given {
		t.Errorf("Insert with the key %x stores %x", given, tok.ID)
	}
	page := must[kixx.Page[*kinds.Token]](t)(tokens.RangeByKey().Between(made[10], made[19]).Page(ctx))
	if len(page.Items) != 10 {
		t.Errorf("a range of 10 keys finds %d", len(page.Items))
	}
}

// A visitModel says what queries of visits should find, the plain way.
type visitModel map[kinds.VisitKey]*kinds.Visit

func compareVisitKeys(a, b kinds.VisitKey) int {
	flag := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Rank, b.Rank), flag(a.Robot)-flag(b.Robot),
		a.At.Compare(b.At), cmp.Compare(a.Seq, b.Seq), bytes.Compare(a.Who[:], b.Who[:]))
}

// sorted returns the keys of the visits that keep says, in the order of by, and where that is equal of their keys.
func (m visitModel) sorted(keep func(*kinds.Visit) bool, by func(a, b *kinds.Visit) int) []kinds.VisitKey {
	var found []kinds.VisitKey
	for key, v := range m {
		if keep(v) {
			found = append(found, key)
		}
	}
	slices.SortFunc(found, func(a, b kinds.VisitKey) int { return cmp.Or(by(m[a], m[b]), compareVisitKeys(a, b)) })
	return found
}

// TestQueriesOfEveryKeyTypeEqualAModel writes random documents with keys of every type, and compares ranges in both
// directions, pages by cursor, and keys with a map, before and after the store was opened anew.
func TestQueriesOfEveryKeyTypeEqualAModel(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		r := rand.New(rand.NewPCG(7, 11))
		model := visitModel{}
		base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		who := func() kinds.UUID { return kinds.UUID{0: byte(r.IntN(3)) * 0x7f, 15: byte(r.IntN(2))} }
		when := func() time.Time {
			return base.Add(time.Duration(r.IntN(5)-2) * 100 * 365 * 24 * time.Hour).Add(time.Duration(r.IntN(2)))
		}
		visits, closeDB := openVisits(t, p)
		for i := range count(150, 1500, 5000) {
			v := &kinds.Visit{Channel: kinds.Channel([]string{"", "a", "a\x00", "b"}[r.IntN(4)]), Place: kinds.Place{Rank: kinds.Rank(r.IntN(3) - 1)},
				Robot: r.IntN(2) == 0, At: when(), Seq: uint32(r.IntN(2)), Who: who(), Note: fmt.Sprint(i)}
			for range r.IntN(3) {
				v.Ranks = append(v.Ranks, kinds.Rank(r.IntN(3)-1))
			}
			if by := (kinds.UUID{1: byte(i >> 8), 2: byte(i)}); r.IntN(2) == 0 {
				v.By = &by
			}
			stored := must[*kinds.Visit](t)(visits.Overwrite(t.Context(), v))
			model[stored.Key()] = stored
		}
		checkVisits(t, visits, model, r)
		if p.Durable {
			closeDB()
			visits, closeDB = openVisits(t, p)
			checkVisits(t, visits, model, r)
		}
		closeDB()
		t.Logf("%d documents", len(model))
	})
}

func openVisits(t *testing.T, p repotest.Place) (*kinds.VisitRepo, func()) {
	db := must[*kixx.DB](t)(kixx.OpenStore(context.Background(), p.Open(t)))
	return must[*kinds.VisitRepo](t)(kinds.NewVisitRepo(t.Context(), db)), func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func checkVisits(t *testing.T, visits *kinds.VisitRepo, model visitModel, r *rand.Rand) {
	t.Helper()
	ctx := t.Context()
	all := func(*kinds.Visit) bool { return true }
	same := func(a, b *kinds.Visit) int { return 0 }
	check := func(name string, q kixx.Query[*kinds.Visit, kinds.VisitKey], want []kinds.VisitKey) {
		t.Helper()
		found := must[[]*kinds.Visit](t)(q.Collect(ctx))
		var got []kinds.VisitKey
		for _, v := range found {
			got = append(got, v.Key())
			if !reflect.DeepEqual(v, model[v.Key()]) {
				t.Errorf("%s finds %+v, stored is %+v", name, v, model[v.Key()])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s finds %d visits, want %d:\n%v\n%v", name, len(got), len(want), got, want)
			return
		}
		slices.Reverse(want)
		var paged []kinds.VisitKey
		for c := kixx.Cursor(""); ; {
			page := must[kixx.Page[kinds.VisitKey]](t)(q.Reverse().Limit(1 + r.IntN(40)).After(c).Keys(ctx))
			paged = append(paged, page.Items...)
			if c = page.Next; c == "" {
				break
			}
		}
		if !slices.Equal(paged, want) {
			t.Errorf("%s, by pages and in reverse, finds %d visits, want %d", name, len(paged), len(want))
		}
	}
	check("Query", visits.Query(), model.sorted(all, same))
	keys := model.sorted(all, same)
	for range 5 {
		k := keys[r.IntN(len(keys))]
		check("RangeByKey", visits.RangeByKey(k.Channel, k.Rank, k.Robot, k.At, k.Seq).From(k.Who), model.sorted(func(v *kinds.Visit) bool {
			o := v.Key()
			return o.Channel == k.Channel && o.Rank == k.Rank && o.Robot == k.Robot && o.At == k.At && o.Seq == k.Seq && bytes.Compare(o.Who[:], k.Who[:]) >= 0
		}, same))
		check("RangeByAt", visits.RangeByAt().To(k.At), model.sorted(func(v *kinds.Visit) bool { return !v.At.After(k.At) },
			func(a, b *kinds.Visit) int { return b.At.Compare(a.At) }))
		check("QueryByAt", visits.QueryByAt(k.At.In(time.FixedZone("x", 60))), model.sorted(func(v *kinds.Visit) bool { return v.At == k.At }, same))
		check("RangeByWhoWhen", visits.RangeByWhoWhen(k.Who).Above(k.At), model.sorted(func(v *kinds.Visit) bool { return v.Who == k.Who && v.At.After(k.At) },
			func(a, b *kinds.Visit) int { return b.At.Compare(a.At) }))
		check("QueryByRobot", visits.QueryByRobot(k.Robot), model.sorted(func(v *kinds.Visit) bool { return v.Robot == k.Robot }, same))
		check("QueryByRanks", visits.QueryByRanks(k.Rank), model.sorted(func(v *kinds.Visit) bool { return slices.Contains(v.Ranks, k.Rank) }, same))
	}
	check("RangeByBy", visits.RangeByBy().Above(kinds.UUID{}), model.sorted(func(v *kinds.Visit) bool { return v.By != nil && *v.By != kinds.UUID{} },
		func(a, b *kinds.Visit) int { return bytes.Compare(a.By[:], b.By[:]) }))
}
