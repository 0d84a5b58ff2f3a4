package kinds

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/gen"
)

// A twin merges documents by reflection, the plain way: it knows the rules, and nothing of the generated code.
type twin struct{ conflicts []string }

// same reports whether two values are stored as the same bytes.
func same(a, b reflect.Value) bool {
	if t, ok := a.Interface().(time.Time); ok {
		return t.Equal(b.Interface().(time.Time))
	}
	switch a.Kind() {
	case reflect.Float32, reflect.Float64:
		return math.Float64bits(a.Float()) == math.Float64bits(b.Float())
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return same(a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			if f := a.Type().Field(i); f.IsExported() && f.Type != reflect.TypeFor[kixx.Unknown]() && !same(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice, reflect.Array:
		if a.Kind() == reflect.Slice && a.IsNil() != b.IsNil() || a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !same(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Map:
		if a.IsNil() != b.IsNil() || a.Len() != b.Len() {
			return false
		}
		for _, key := range a.MapKeys() {
			if v := b.MapIndex(key); !v.IsValid() || !same(a.MapIndex(key), v) {
				return false
			}
		}
		return true
	}
	return a.Interface() == b.Interface()
}

// merge returns the merge of three values of one type; tag is that of their field.
func (w *twin) merge(path, tag string, base, mine, theirs reflect.Value) reflect.Value {
	policy := ""
	for option := range strings.SplitSeq(tag, ",") {
		if p, ok := strings.CutPrefix(option, "merge="); ok {
			policy = p
		}
		if option == "key" || option == "rev" || option == "created" || option == "updated" {
			return theirs
		}
	}
	t := base.Type()
	switch {
	case t == reflect.TypeFor[kixx.Unknown]():
		return theirs
	case policy == "" && t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]():
		out := reflect.New(t).Elem()
		for i := range t.NumField() {
			f := t.Field(i)
			if path != "" {
				f.Name = path + "." + f.Name
			}
			out.Field(i).Set(w.merge(f.Name, f.Tag.Get("kixx"), base.Field(i), mine.Field(i), theirs.Field(i)))
		}
		return out
	case policy == "" && t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct && t.Elem() != reflect.TypeFor[time.Time]() &&
		!base.IsNil() && !mine.IsNil() && !theirs.IsNil():
		out := reflect.New(t.Elem())
		out.Elem().Set(w.merge(path, "", base.Elem(), mine.Elem(), theirs.Elem()))
		return out
	case same(mine, base), same(mine, theirs):
		return theirs
	case same(theirs, base):
		return mine
	case policy == "ours":
		return mine
	case policy == "theirs":
		return theirs
	case policy == "max", policy == "min":
		if order := compareValues(mine, theirs); order > 0 == (policy == "max") && order != 0 {
			return mine
		}
		return theirs
	case policy == "sum":
		if sum, ok := sumOf(base, mine, theirs); ok {
			return sum
		}
	case policy == "union" && t.Kind() == reflect.Slice:
		has := func(s, v reflect.Value) bool {
			for i := range s.Len() {
				if s.Index(i).Interface() == v.Interface() {
					return true
				}
			}
			return false
		}
		out := reflect.MakeSlice(t, 0, 0)
		for i := range theirs.Len() {
			if v := theirs.Index(i); has(mine, v) || !has(base, v) {
				out = reflect.Append(out, v)
			}
		}
		for i := range mine.Len() {
			if v := mine.Index(i); !has(base, v) && !has(theirs, v) && !has(out, v) {
				out = reflect.Append(out, v)
			}
		}
		return out
	case policy == "union":
		return w.unionMap(path, base, mine, theirs)
	}
	w.conflicts = append(w.conflicts, path)
	return theirs
}

// unionMap merges maps key by key.
func (w *twin) unionMap(path string, base, mine, theirs reflect.Value) reflect.Value {
	out := reflect.MakeMap(base.Type())
	keys := map[any]reflect.Value{}
	for _, m := range []reflect.Value{base, mine, theirs} {
		for _, key := range m.MapKeys() {
			keys[key.Interface()] = key
		}
	}
	equal := func(a, b reflect.Value) bool {
		if !a.IsValid() || !b.IsValid() {
			return a.IsValid() == b.IsValid()
		}
		return same(a, b)
	}
	var conflicts []string
	for _, key := range keys {
		b, m, t := base.MapIndex(key), mine.MapIndex(key), theirs.MapIndex(key)
		v := t
		switch {
		case equal(m, b), equal(m, t):
		case equal(t, b):
			v = m
		default:
			conflicts = append(conflicts, fmt.Sprintf("%s[%q]", path, fmt.Sprint(key.Interface())))
		}
		if v.IsValid() {
			out.SetMapIndex(key, v)
		}
	}
	slices.Sort(conflicts)
	w.conflicts = append(w.conflicts, conflicts...)
	return out
}

// compareValues compares two values of an ordered type; nil and NaN are the least.
func compareValues(a, b reflect.Value) int {
	if a.Kind() == reflect.Pointer {
		switch {
		case a.IsNil() || b.IsNil():
			return map[bool]int{false: 1}[a.IsNil()] - map[bool]int{false: 1}[b.IsNil()]
		}
		return compareValues(a.Elem(), b.Elem())
	}
	if t, ok := a.Interface().(time.Time); ok {
		return t.Compare(b.Interface().(time.Time))
	}
	less := func(a, b reflect.Value) bool {
		switch a.Kind() {
		case reflect.String:
			return a.String() < b.String()
		case reflect.Float64:
			return a.Float() < b.Float() || math.IsNaN(a.Float()) && !math.IsNaN(b.Float())
		case reflect.Uint64:
			return a.Uint() < b.Uint()
		}
		return a.Int() < b.Int()
	}
	switch {
	case less(a, b):
		return -1
	case less(b, a):
		return 1
	}
	return 0
}

// sumOf adds with numbers of any size.
func sumOf(base, mine, theirs reflect.Value) (reflect.Value, bool) {
	out := reflect.New(base.Type()).Elem()
	switch {
	case base.CanFloat():
		sum := mine.Float() + theirs.Float() - base.Float()
		if math.IsInf(sum, 0) {
			sum = 2 * (mine.Float()/2 + theirs.Float()/2 - base.Float()/2)
		}
		out.SetFloat(sum)
		return out, !math.IsInf(out.Float(), 0) && !math.IsNaN(out.Float())
	case base.CanInt():
		sum := new(big.Int).Add(big.NewInt(mine.Int()), big.NewInt(theirs.Int()))
		sum.Sub(sum, big.NewInt(base.Int()))
		if !sum.IsInt64() || out.OverflowInt(sum.Int64()) {
			return out, false
		}
		out.SetInt(sum.Int64())
	default:
		n := func(v reflect.Value) *big.Int { return new(big.Int).SetUint64(v.Uint()) }
		sum := new(big.Int).Add(n(mine), n(theirs))
		sum.Sub(sum, n(base))
		if !sum.IsUint64() || out.OverflowUint(sum.Uint64()) {
			return out, false
		}
		out.SetUint(sum.Uint64())
	}
	return out, true
}

// random sets v to a random value; few different ones, so that both sides often agree.
func random(r *rand.Rand, v reflect.Value, depth int) {
	pick := func(n int) int { return r.IntN(n) }
	if v.Type() == reflect.TypeFor[time.Time]() {
		zone := []*time.Location{time.UTC, time.FixedZone("there", 3600)}[pick(2)]
		v.Set(reflect.ValueOf(time.Date(2026, 1, 1+pick(3), 0, 0, 0, 0, time.UTC).In(zone)))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(pick(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int64:
		least := int64(-1) << (v.Type().Bits() - 1)
		v.SetInt([]int64{0, 1, -1, 7, 100, least, -(least + 1)}[pick(7)])
	case reflect.Uint8, reflect.Uint64:
		most := ^uint64(0) >> (64 - v.Type().Bits())
		v.SetUint([]uint64{0, 1, 7, 200, most - 1, most}[pick(6)])
	case reflect.Float32:
		v.SetFloat([]float64{0, math.Copysign(0, -1), 1.5, -2, math.MaxFloat32, math.Inf(1)}[pick(6)])
	case reflect.Float64:
		v.SetFloat([]float64{0, math.Copysign(0, -1), 1.5, -2, math.MaxFloat64, -math.MaxFloat64, math.Inf(-1), math.NaN()}[pick(8)])
	case reflect.String:
		v.SetString([]string{"", "a", "b", "c"}[pick(4)])
	case reflect.Pointer:
		v.SetZero()
		if pick(3) > 0 && depth < 4 {
			v.Set(reflect.New(v.Type().Elem()))
			random(r, v.Elem(), depth+1)
		}
	case reflect.Slice:
		v.SetZero()
		if pick(4) > 0 && depth < 4 {
			n := pick(4)
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				random(r, v.Index(i), depth+1)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			if v.Type().Elem().Kind() != reflect.Uint8 || i == 0 {
				random(r, v.Index(i), depth+1)
			}
		}
	case reflect.Map:
		v.SetZero()
		if pick(4) > 0 && depth < 4 {
			v.Set(reflect.MakeMap(v.Type()))
			for range pick(4) {
				key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				random(r, key, depth+1)
				random(r, value, depth+1)
				v.SetMapIndex(key, value)
			}
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[kixx.Rev]() || v.Type() == reflect.TypeFor[kixx.Unknown]() {
			return
		}
		for i := range v.NumField() {
			random(r, v.Field(i), depth+1)
		}
	default:
		panic(v.Type())
	}
}

// vary changes some fields of an account, and of the structs in it, or takes them from another one.
func vary(r *rand.Rand, v, from reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		switch {
		case f.Type() == reflect.TypeFor[kixx.Rev](), f.Type() == reflect.TypeFor[kixx.Unknown]():
		case f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[time.Time]() && r.IntN(2) == 0:
			vary(r, f, from.Field(i))
		case f.Kind() == reflect.Pointer && f.Type().Elem() == reflect.TypeFor[Home]() && !f.IsNil() && !from.Field(i).IsNil() && r.IntN(2) == 0:
			c := cloneHome(*f.Interface().(*Home), gen.MaxDepth)
			f.Set(reflect.ValueOf(&c))
			vary(r, f.Elem(), from.Field(i).Elem())
		case r.IntN(5) == 0:
			random(r, f, 1)
		case r.IntN(8) == 0:
			f.Set(from.Field(i))
		}
	}
}

func randomAccounts(r *rand.Rand, clashes bool) (base, mine, theirs *Account) {
	base = new(Account)
	random(r, reflect.ValueOf(base).Elem(), 0)
	mine, theirs = cloneAccount(base), cloneAccount(base)
	vary(r, reflect.ValueOf(mine).Elem(), reflect.ValueOf(base).Elem())
	from := base
	if clashes {
		from = mine
	}
	vary(r, reflect.ValueOf(theirs).Elem(), reflect.ValueOf(from).Elem())
	mine, theirs = cloneAccount(mine), cloneAccount(theirs)
	mine.ID, theirs.ID = base.ID, base.ID
	return base, mine, theirs
}

// merged returns what the generated code makes of three accounts, none of which it changes.
func merged(base, mine, theirs *Account) (*Account, []string) {
	var m gen.Merger
	out := cloneAccount(theirs)
	mergeAccount(&m, out, cloneAccount(base), cloneAccount(mine))
	return out, m.Conflicts
}

func runs() int {
	switch {
	case os.Getenv("KIXX_LONG") != "":
		return 500_000
	case os.Getenv("KIXX_CI") != "":
		return 8_000
	}
	return 2_000
}

// TestMergeEqualsItsTwin compares the generated merge with the reflective one on random documents.
func TestMergeEqualsItsTwin(t *testing.T) {
	clean, fields := 0, map[string]bool{}
	for seed := range uint64(runs()) {
		r := rand.New(rand.NewPCG(seed, 1))
		base, mine, theirs := randomAccounts(r, true)
		var w twin
		want := w.merge("", "", reflect.ValueOf(base).Elem(), reflect.ValueOf(mine).Elem(), reflect.ValueOf(theirs).Elem())
		got, conflicts := merged(base, mine, theirs)
		if !slices.Equal(conflicts, w.conflicts) {
			t.Fatalf("seed %d: conflicts are %q, want %q", seed, conflicts, w.conflicts)
		}
		for i := range want.NumField() {
			f := reflect.ValueOf(got).Elem().Field(i)
			if f.Type() != reflect.TypeFor[kixx.Rev]() && !same(f, want.Field(i)) {
				t.Fatalf("seed %d: field %s is %v, want %v", seed, want.Type().Field(i).Name, f, want.Field(i))
			}
		}
		for _, name := range conflicts {
			fields[name] = true
		}
		if len(conflicts) == 0 {
			clean++
		}
	}
	t.Logf("%d merges, %d without a conflict; conflicts in %d different places", runs(), clean, len(fields))
	if len(fields) < 60 {
		t.Errorf("only %d different places had a conflict", len(fields))
	}
}

// TestMergeLaws checks what holds of every merge.
func TestMergeLaws(t *testing.T) {
	equal := func(a, b *Account) bool { return equalForTest(a, b) }
	commuted := 0
	for seed := range uint64(runs()) {
		r := rand.New(rand.NewPCG(seed, 2))
		base, mine, theirs := randomAccounts(r, seed%2 == 0)
		for _, law := range []struct {
			name               string
			base, mine, theirs *Account
			want               *Account
		}{
			{"merge(base, mine, base) = mine", base, mine, base, mine},
			{"merge(base, base, theirs) = theirs", base, base, theirs, theirs},
			{"merge(base, mine, mine) = mine", base, mine, mine, mine},
			{"merge(base, theirs, theirs) = theirs", base, theirs, theirs, theirs},
		} {
			got, conflicts := merged(law.base, law.mine, law.theirs)
			if len(conflicts) > 0 || !equal(got, law.want) {
				t.Fatalf("seed %d: %s does not hold: conflicts %q", seed, law.name, conflicts)
			}
		}
		// Policies that take a side, and the order of a union, are not the same from both sides: these fields are left out.
		for _, a := range []*Account{base, mine, theirs} {
			a.Ours, a.OurHome, a.OurTimes, a.Theirs, a.TheirHome, a.TheirMap = "", Home{}, nil, false, nil, nil
			a.Union, a.UnionRanks, a.UnionUUIDs, a.UnionCells = nil, nil, nil, nil
			a.MaxRatio += 0 // of 0 and -0 neither is the greater one
		}
		one, conflicts := merged(base, mine, theirs)
		other, swapped := merged(base, theirs, mine)
		if !slices.Equal(conflicts, swapped) {
			t.Fatalf("seed %d: conflicts are %q from one side, %q from the other", seed, conflicts, swapped)
		}
		if len(conflicts) == 0 {
			commuted++
			if !equal(one, other) {
				t.Fatalf("seed %d: merging from the other side gives another document", seed)
			}
		}
	}
	t.Logf("%d merges, %d of them without a conflict from both sides", runs(), commuted)
	if commuted < runs()/1000 {
		t.Error("nearly all merges had a conflict")
	}
}

// equalForTest compares all that is merged.
func equalForTest(a, b *Account) bool {
	x, y := cloneAccount(a), cloneAccount(b)
	x.Rev, y.Rev = kixx.Rev{}, kixx.Rev{}
	x.CreatedAt, x.UpdatedAt, y.CreatedAt, y.UpdatedAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return same(reflect.ValueOf(x), reflect.ValueOf(y))
}
