package gen

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// TestPolicies is a table of what each policy makes of a value that both sides have changed.
func TestPolicies(t *testing.T) {
	one, two := 1, 2
	early, late := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 1, time.UTC)
	nan, inf := math.NaN(), math.Inf(1)
	type outcome struct {
		v  any
		ok bool
	}
	made := func(v any, ok bool) outcome { return outcome{v, ok} }
	for i, row := range []struct {
		got  outcome
		want any // nil: refused
	}{
		{made(Ours(1, 2, 3)), 2},
		{made(Theirs(1, 2, 3)), 3},
		{made(Max(1, 2, 3)), 3},
		{made(Max(1, 3, 2)), 3},
		{made(Max("", "b", "a")), "b"},
		{made(Max(0, nan, 1)), 1.0},
		{made(Max(0, 1, nan)), 1.0},
		{made(Min(1, 2, 3)), 2},
		{made(Min(1, 3, 2)), 2},
		{made(MaxTime(early, late, early)), late},
		{made(MaxTime(early, early, late)), late},
		{made(MinTime(late, late, early)), early},
		{made(MinTime(late, early, late)), early},
		{made(MaxPtr(nil, &one, &two)), &two},
		{made(MaxPtr(nil, &two, &one)), &two},
		{made(MaxPtr(&one, nil, &one)), &one},
		{made(MaxPtr(&one, &one, nil)), &one},
		{made(MinPtr(nil, &one, &two)), &one},
		{made(MinPtr(&one, &two, nil)), (*int)(nil)},
		{made(MinPtr(&one, nil, &two)), (*int)(nil)},
		{made(MaxTimePtr(nil, &early, &late)), &late},
		{made(MaxTimePtr(nil, &early, nil)), &early},
		{made(MinTimePtr(nil, &early, &late)), &early},
		{made(MinTimePtr(nil, &early, nil)), (*time.Time)(nil)},

		{made(SumInt(10, 13, 15)), 18},
		{made(SumInt(10, 7, 5)), 2},
		{made(SumInt[int8](0, 100, 27)), int8(127)},
		{made(SumInt[int8](0, 100, 28)), nil},
		{made(SumInt[int8](0, -100, -28)), int8(-128)},
		{made(SumInt[int8](0, -100, -29)), nil},
		{made(SumInt[int8](127, -128, -128)), nil},
		{made(SumInt[int8](-128, 127, -128)), int8(127)}, // mine - base does not fit, the sum does
		{made(SumInt[int64](math.MinInt64, math.MaxInt64, math.MinInt64)), int64(math.MaxInt64)},
		{made(SumInt[int64](0, math.MaxInt64, 1)), nil},
		{made(SumInt[int64](0, math.MinInt64, -1)), nil},
		{made(SumInt[int64](math.MinInt64, math.MaxInt64, math.MaxInt64)), nil}, // 3 * 2^63 wraps to a small number
		{made(SumInt(0, time.Second, time.Minute)), time.Minute + time.Second},
		{made(SumUint[uint8](10, 13, 15)), uint8(18)},
		{made(SumUint[uint8](10, 0, 10)), uint8(0)},
		{made(SumUint[uint8](10, 0, 9)), nil},
		{made(SumUint[uint8](0, 200, 56)), nil},
		{made(SumUint[uint64](0, math.MaxUint64, 1)), nil},
		{made(SumUint[uint64](math.MaxUint64, math.MaxUint64, 1)), uint64(1)},
		{made(SumUint[uint64](1, 0, 0)), nil},
		{made(SumFloat(1, 2.5, 4)), 5.5},
		{made(SumFloat(math.Ldexp(1, 1023), math.Ldexp(1, 1023), math.Ldexp(1, 1023))), math.Ldexp(1, 1023)}, // the sum of two is too large
		{made(SumFloat(0, math.MaxFloat64, math.MaxFloat64)), nil},
		{made(SumFloat[float32](0, math.MaxFloat32, math.MaxFloat32)), nil},
		{made(SumFloat(0, inf, 1)), nil},
		{made(SumFloat(inf, 1, inf)), nil},
		{made(SumFloat(0, nan, 1)), nil},

		{made(Union([]string{"a", "b", "c"}, []string{"a", "c", "m"}, []string{"t", "b", "a"})), []string{"t", "a", "m"}},
		{made(Union([]int{1}, []int{2, 2, 3}, []int{3, 3})), []int{3, 3, 2}},
		{made(Union(nil, []int{1}, []int{2})), []int{2, 1}},
		{made(Union([]int{1, 2}, []int{1}, []int{2})), []int{}},
		{made(Union([]int{1}, nil, []int{})), []int{}},
	} {
		switch {
		case row.want == nil && row.got.ok:
			t.Errorf("row %d: %v is a result, want none", i, row.got.v)
		case row.want != nil && (!row.got.ok || !reflect.DeepEqual(row.got.v, row.want)):
			t.Errorf("row %d: %v, %v, want %v", i, row.got.v, row.got.ok, row.want)
		}
	}
}

// TestSumsOfSmallNumbers compares every sum of three numbers of 8 bits with that of larger ones.
func TestSumsOfSmallNumbers(t *testing.T) {
	for base := -128; base < 128; base += 5 {
		for mine := -128; mine < 128; mine++ {
			for theirs := -128; theirs < 128; theirs++ {
				want := theirs + mine - base
				if got, ok := SumInt(int8(base), int8(mine), int8(theirs)); ok != (want >= -128 && want < 128) || ok && int(got) != want {
					t.Fatalf("SumInt(%d, %d, %d) = %d, %v, want %d", base, mine, theirs, got, ok, want)
				}
				want += 128
				if got, ok := SumUint(uint8(base+128), uint8(mine+128), uint8(theirs+128)); ok != (want >= 0 && want < 256) || ok && int(got) != want {
					t.Fatalf("SumUint(%d, %d, %d) = %d, %v, want %d", base+128, mine+128, theirs+128, got, ok, want)
				}
			}
		}
	}
}

// TestEqualIsStoredAsTheSameBytes compares the Equal functions with what is written.
func TestEqualIsStoredAsTheSameBytes(t *testing.T) {
	floats := []float64{0, math.Copysign(0, -1), 1, math.NaN(), math.Float64frombits(0x7ff8000000000123), math.Inf(1)}
	for i, a := range floats {
		for j, b := range floats {
			if got := EqualFloat(&a, &b); got != (i == j) {
				t.Errorf("EqualFloat(%v, %v) = %v", a, b, got)
			}
		}
	}
	equal := Equal[int]
	slices := [][]int{nil, {}, {1}, {1, 2}, {2, 1}}
	for i, a := range slices {
		for j, b := range slices {
			if got := EqualSlice(a, b, equal); got != (i == j) {
				t.Errorf("EqualSlice(%v, %v) = %v", a, b, got)
			}
		}
	}
	maps := []map[string]int{nil, {}, {"a": 0}, {"a": 1}, {"b": 0}, {"a": 0, "b": 0}}
	for i, a := range maps {
		for j, b := range maps {
			if got := EqualMap(a, b, equal); got != (i == j) {
				t.Errorf("EqualMap(%v, %v) = %v", a, b, got)
			}
		}
	}
	data := [][]byte{nil, {}, {1}, {2}}
	for i, a := range data {
		for j, b := range data {
			if got := EqualBytes(&a, &b); got != (i == j) {
				t.Errorf("EqualBytes(%v, %v) = %v", a, b, got)
			}
		}
	}
	one, two, uno := 1, 2, 1
	for _, row := range []struct {
		a, b *int
		want bool
	}{{nil, nil, true}, {nil, &one, false}, {&one, nil, false}, {&one, &two, false}, {&one, &uno, true}} {
		if got := EqualPtr(row.a, row.b, equal); got != row.want {
			t.Errorf("EqualPtr(%v, %v) = %v", row.a, row.b, got)
		}
	}
	here := time.Date(2026, 1, 1, 1, 0, 0, 0, time.FixedZone("here", 3600))
	if there := here.UTC(); !EqualTime(&here, &there) {
		t.Error("EqualTime takes one instant in two places for two")
	}
}

// TestEqualUnknown compares fields that are not known.
func TestEqualUnknown(t *testing.T) {
	read := func(names ...string) *Unknown {
		u := new(Unknown)
		for _, name := range names {
			at := u
			if name[0] == '.' {
				at, name = u.At(name[:2]), name[2:]
			}
			if _, err := at.Keep([]byte(name), []byte{7}); err != nil {
				t.Fatal(err)
			}
		}
		if u.fields != nil {
			u.Own("T")
		}
		return u
	}
	other := read("a")
	other.fields.of = "U"
	all := []*Unknown{read(), read("a"), read("b"), read("a", "b"), read(".pa"), read(".qa"), read(".pb"), read("a", ".pa"), other}
	for i, a := range all {
		for j, b := range all {
			if got := EqualUnknown(a, b); got != (i == j) {
				t.Errorf("EqualUnknown(%d, %d) = %v", i, j, got)
			}
		}
	}
	if !EqualUnknown(nil, new(Unknown)) || !EqualUnknown(new(Unknown), nil) || EqualUnknown(nil, read("a")) || !EqualUnknown(read("a"), read("a")) {
		t.Error("EqualUnknown does not take nil for nothing")
	}
}

// TestMergedMapsShareNothingThatIsChanged checks that a merge changes the stored side alone.
func TestMergedMapsShareNothingThatIsChanged(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func() map[string]int {
		m := map[string]int{}
		for range r.IntN(4) {
			m[fmt.Sprint(r.IntN(4))] = r.IntN(3)
		}
		if len(m) == 0 && r.IntN(2) == 0 {
			return nil
		}
		return m
	}
	for range 2000 {
		base, mine, theirs := random(), random(), random()
		before := fmt.Sprint(base, mine)
		var m Merger
		MergeMap(&m, "M", &theirs, &base, &mine, Equal[int])
		if after := fmt.Sprint(base, mine); after != before {
			t.Fatalf("base and mine were %s, and are %s", before, after)
		}
		if !slices.IsSorted(m.Conflicts) {
			t.Fatalf("conflicts are %q", m.Conflicts)
		}
	}
}
