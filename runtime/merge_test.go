package kixx_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	v1 "github.com/kixxgen/kixxgen/runtime/internal/kinds/v1"
	v2 "github.com/kixxgen/kixxgen/runtime/internal/kinds/v2"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
)

func accounts(t testing.TB, db *kixx.DB) *kinds.AccountRepo {
	t.Helper()
	return must[*kinds.AccountRepo](t)(kinds.NewAccountRepo(t.Context(), db))
}

// readAgain returns another copy of a document.
func readAgain(t testing.TB, repo *kinds.AccountRepo, a *kinds.Account) *kinds.Account {
	t.Helper()
	return must[*kinds.Account](t)(repo.Get(t.Context(), a.ID))
}

// TestMergeStoresWhatBothSidesChanged merges after somebody else has written.
func TestMergeStoresWhatBothSidesChanged(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		clock := repotest.Stepping()
		repo := accounts(t, p.DB(t, kixx.WithClock(clock)))
		floor := 3
		base := must[*kinds.Account](t)(repo.Insert(ctx, &kinds.Account{ID: "a", Name: "old", Num: 1, SumInt: 10, Union: []string{"x", "y"},
			Home: kinds.Home{Street: "s", City: "c"}, Away: &kinds.Home{City: "far", Floor: &floor}, Map: map[string]int{"a": 1}}))
		mine := readAgain(t, repo, base)
		theirs := must[*kinds.Account](t)(repo.Update(ctx, "a", func(a *kinds.Account) error {
			a.Name, a.SumInt, a.Home.City, a.Away.Street = "theirs", 11, "their city", "their street"
			a.Union = append(a.Union, "theirs")
			return nil
		}))
		mine.Num, mine.SumInt, mine.Home.Street, mine.Away.Floor = 2, 15, "my street", nil
		mine.Union = []string{"y", "mine"}
		mine.When = time.Date(2026, 5, 5, 1, 0, 0, 0, time.FixedZone("there", 3600))
		mine.CreatedAt, mine.UpdatedAt, mine.Rev = time.Time{}, time.Time{}, kixx.Rev{} // not looked at
		before := [2]kinds.Account{*base, *mine}
		got := must[*kinds.Account](t)(repo.Merge(ctx, base, mine))
		if !reflect.DeepEqual(before, [2]kinds.Account{*base, *mine}) {
			t.Error("Merge has changed what was passed in")
		}
		want := *theirs
		want.Num, want.SumInt, want.Home.Street, want.Union = 2, 16, "my street", []string{"y", "theirs", "mine"}
		want.Away = &kinds.Home{City: "far", Street: "their street"}
		want.When = mine.When.UTC()
		want.Rev, want.UpdatedAt = got.Rev, got.UpdatedAt
		if !reflect.DeepEqual(got, &want) {
			t.Errorf("Merge gives\n%+v, want\n%+v", got, &want)
		}
		if n, _ := got.Rev.Number(); n != 2 || got.Rev.Matches(theirs.Rev) {
			t.Errorf("the revision is %v, want 2", got.Rev)
		}
		if !got.CreatedAt.Equal(base.CreatedAt) || !got.UpdatedAt.After(theirs.UpdatedAt) {
			t.Errorf("created %v, updated %v after %v", got.CreatedAt, got.UpdatedAt, theirs.UpdatedAt)
		}
		mine.Away.City, mine.Map["a"] = "changed afterwards", 7
		got.Map["a"] = 8
		if stored := readAgain(t, repo, base); !reflect.DeepEqual(stored, &want) {
			t.Errorf("stored is\n%+v, want\n%+v", stored, &want)
		}
	})
}

// TestMergeReportsWhatItCannotSettle checks the error, and that nothing is written.
func TestMergeReportsWhatItCannotSettle(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		repo := accounts(t, p.DB(t))
		base := must[*kinds.Account](t)(repo.Insert(ctx, &kinds.Account{ID: "a", SumInt8: 100, SumUint8: 3, Home: kinds.Home{City: "c"},
			UnionMap: map[string]int{"k": 1, "gone": 1}}))
		mine := readAgain(t, repo, base)
		theirs := must[*kinds.Account](t)(repo.Update(ctx, "a", func(a *kinds.Account) error {
			a.Name, a.Home.City, a.SumInt8, a.SumUint8, a.Flag = "theirs", "theirs", 120, 0, true
			a.UnionMap = map[string]int{"k": 2}
			return nil
		}))
		mine.Name, mine.Home.City, mine.SumInt8, mine.SumUint8, mine.Num = "mine", "mine", 127, 2, 5
		mine.UnionMap = map[string]int{"k": 3, "gone": 2}
		_, err := repo.Merge(ctx, base, mine)
		want := &kixx.MergeError{Entity: "account", Key: "a", Fields: []string{"Name", "Home.City", "SumInt8", "SumUint8", `UnionMap["gone"]`, `UnionMap["k"]`},
			Overflows: []string{"SumInt8", "SumUint8"}}
		var got *kixx.MergeError
		if !errors.As(err, &got) || !reflect.DeepEqual(got, want) {
			t.Errorf("Merge: %#v, want %#v", err, want)
		}
		if !errors.Is(err, kixx.ErrConflict) || errors.Is(err, kixx.ErrInvalid) || kixx.Code(err) != "CONFLICT_ERROR" {
			t.Errorf("the error does not say that it is a conflict: code %s", kixx.Code(err))
		}
		if stored := readAgain(t, repo, base); !reflect.DeepEqual(stored, theirs) {
			t.Errorf("something was written: %+v", stored)
		}
	})
}

func TestMergeErrorSaysWhatToDo(t *testing.T) {
	for i, row := range []struct {
		err  kixx.MergeError
		want string
	}{
		{kixx.MergeError{Entity: "item", Key: "a", Fields: []string{"Price"}},
			`kixx: item "a": cannot be merged: Price changed on both sides to different values; settle by hand, or with merge=… in the tag`},
		{kixx.MergeError{Entity: "post", Key: kinds.PostKey{Tenant: "acme", Slug: "x"}, Fields: []string{"Title", "Home.City"}},
			`kixx: post "acme"/"x": cannot be merged: Title, Home.City changed on both sides to different values; settle by hand, or with merge=… in the tag`},
		{kixx.MergeError{Entity: "item", Key: 7, Fields: []string{"A", "B"}, Overflows: []string{"B"}},
			`kixx: item 7: cannot be merged: A changed on both sides to different values; settle by hand, or with merge=… in the tag; the sum of both changes does not fit into B`},
		{kixx.MergeError{Entity: "item", Key: 7, Fields: []string{"B"}, Overflows: []string{"B"}},
			`kixx: item 7: cannot be merged: the sum of both changes does not fit into B`},
	} {
		if got := row.err.Error(); got != row.want {
			t.Errorf("row %d: %s, want %s", i, got, row.want)
		}
	}
}

// TestMergeRefusesABaseThatIsNone passes bases that the stored document did not come from.
func TestMergeRefusesABaseThatIsNone(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		repo := accounts(t, p.DB(t))
		first := must[*kinds.Account](t)(repo.Insert(ctx, &kinds.Account{ID: "a"}))
		newer := must[*kinds.Account](t)(repo.Update(ctx, "a", func(a *kinds.Account) error { a.Num++; return nil }))
		other := must[*kinds.Account](t)(repo.Insert(ctx, &kinds.Account{ID: "b"}))
		unstored := &kinds.Account{ID: "a"}
		endless := readAgain(t, repo, first)
		endless.Away = &kinds.Home{}
		endless.Away.Next = endless.Away
		invalid := readAgain(t, repo, first)
		invalid.Name = "invalid"

		check := func(what string, base, mine *kinds.Account, is error, want string) {
			t.Helper()
			_, err := repo.Merge(ctx, base, mine)
			if !errors.Is(err, is) || want != "" && err.Error() != want {
				t.Errorf("%s: %v, want %v: %s", what, err, is, want)
			}
		}
		check("no base", nil, first, kixx.ErrInvalid, "kixx: account without a key: invalid: a document to merge is a nil pointer")
		check("no mine", first, nil, kixx.ErrInvalid, "kixx: account without a key: invalid: a document to merge is a nil pointer")
		check("a base that was never stored", unstored, first, kixx.ErrInvalid,
			`kixx: account "a": invalid: the base of the merge was never stored: it is the document as it was read, with its Rev`)
		check("a base with another key", other, first, kixx.ErrBadKey, `kixx: account "a": the base of the merge has another key: "b"`)
		check("a base that contains itself", endless, first, kixx.ErrInvalid, "")
		check("a document that contains itself", first, endless, kixx.ErrInvalid, "")
		check("an invalid result", first, invalid, kixx.ErrInvalid, `kixx: account "a": invalid: Name breaks ne=invalid`)

		if err := repo.Delete(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		check("a document that is gone", newer, newer, kixx.ErrNotFound, `kixx: account "a": there is no such document`)
		again := must[*kinds.Account](t)(repo.Insert(ctx, &kinds.Account{ID: "a"}))
		check("a document that was made anew, at a lower revision", newer, newer, kixx.ErrConflict,
			`kixx: account "a": stored revision is 0, yours is 1; read it again or use Update`)
		check("a document that was made anew, at the same revision", first, first, kixx.ErrConflict,
			`kixx: account "a": revision 0 is of a document that was deleted; another one was made with this key`)
		must[*kinds.Account](t)(repo.Update(ctx, "a", func(a *kinds.Account) error { a.Num++; return nil }))
		bare := readAgain(t, repo, again)
		bare.Rev = kixx.RevOf(0) // as from a form
		bare.Num = 0
		if got, err := repo.Merge(ctx, bare, bare); err != nil || got.Num != 1 {
			t.Errorf("a base with a bare number of a revision: %+v, %v", got, err)
		}
		ahead := readAgain(t, repo, again)
		ahead.Rev = kixx.RevOf(99)
		check("a base that is newer than what is stored", ahead, ahead, kixx.ErrConflict, "")
	})
}

// TestMergesOfManyAddUp has several writers merge their own changes, which each of them makes to an old copy. Each adds
// another number, so that two sums that are equal were made of the same changes.
func TestMergesOfManyAddUp(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		repo := accounts(t, p.DB(t, kixx.WithRetry(1000)))
		base := must[*kinds.Account](t)(repo.Insert(t.Context(), &kinds.Account{ID: "a"}))
		const writers, bits = 8, 7 // of the sum for each writer
		each := count(10, 100, 1<<bits-1)
		var acknowledged [writers]int
		var unknown atomic.Int64
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				ctx := context.Background()
				mine := base
				for i := range each {
					changed := *mine
					changed.SumUint64 += 1 << (bits * w)
					changed.Union = append(slices.Clone(mine.Union), fmt.Sprintf("%d/%d", w, i))
					got, err := repo.Merge(ctx, mine, &changed)
					switch {
					case errors.Is(err, kixx.ErrUnknown): // another writer came between the commit and the reading back
						unknown.Add(1)
						got, err = repo.Get(ctx, "a")
					case err == nil:
						acknowledged[w]++
					}
					if err != nil {
						t.Error(err)
						return
					}
					mine = got
				}
			})
		}
		group.Wait()
		got := readAgain(t, repo, base)
		total := 0
		for w := range writers {
			sum := int(got.SumUint64 >> (bits * w) & (1<<bits - 1))
			total += sum
			if sum < acknowledged[w] || unknown.Load() == 0 && sum != acknowledged[w] {
				t.Errorf("writer %d has added %d, of its merges %d were acknowledged", w, sum, acknowledged[w])
			}
		}
		if len(got.Union) != total {
			t.Errorf("the union has %d elements, the sums come to %d", len(got.Union), total)
		}
		if n, _ := got.Rev.Number(); n != uint64(total) {
			t.Errorf("the revision is %d after %d merges", n, total)
		}
		t.Logf("%d merges, %d with an unknown outcome", total, unknown.Load())
	})
}

// TestMergeRunsHooks merges a document that has every hook.
func TestMergeRunsHooks(t *testing.T) {
	ctx := t.Context()
	repo := must[*kinds.HookedRepo](t)(kinds.NewHookedRepo(ctx, places[0].make(t).DB(t)))
	base := must[*kinds.Hooked](t)(repo.Insert(ctx, &kinds.Hooked{ID: "a", Name: "old"}))
	mine := *base
	mine.Name = "new"
	var calls []string
	got := must[*kinds.Hooked](t)(repo.Merge(kinds.WithCalls(ctx, &calls), base, &mine))
	if want := []string{"before new", "after new"}; !slices.Equal(calls, want) || !slices.Equal(got.Steps, []string{"before", "before"}) {
		t.Errorf("hooks are called: %q, the steps are %q", calls, got.Steps)
	}
	mine.Name = "refused by Validate"
	if _, err := repo.Merge(ctx, base, &mine); err == nil {
		t.Error("both sides have changed Name, and there is no error")
	}
	if _, err := repo.Merge(ctx, got, &mine); !errors.Is(err, kixx.ErrInvalid) {
		t.Errorf("Merge of what Validate refuses: %v", err)
	}
}

// TestMergeKeepsUnknownFields merges with an older program what a newer one has written meanwhile.
func TestMergeKeepsUnknownFields(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		v := newVersions(t, p)
		ctx := t.Context()
		first := must[*v2.Thing](t)(v.New().Insert(ctx, &v2.Thing{ID: "a", Name: "n", Size: 5, Color: "red", Part: v2.Part{A: 1, B: "old"}}))
		old := v.Old()
		base := must[*v1.Thing](t)(old.Get(ctx, "a"))
		must[*v2.Thing](t)(v.New().Update(ctx, "a", func(th *v2.Thing) error { th.Color, th.Part.B, th.Size = "blue", "new", 6; return nil }))
		mine := *base
		mine.Name, mine.Part.A = "m", 2
		must[*v1.Thing](t)(v.Old().Merge(ctx, base, &mine))
		got := must[*v2.Thing](t)(v.New().Get(ctx, "a"))
		want := &v2.Thing{ID: "a", Rev: got.Rev, Name: "m", Size: 6, Color: "blue", Part: v2.Part{A: 2, B: "new"}}
		if !reflect.DeepEqual(got, want) || got.Rev.Matches(first.Rev) {
			t.Errorf("after the merge of the older program it is %+v, want %+v", got, want)
		}
	})
}
