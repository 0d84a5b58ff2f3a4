package kixx_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

// A filler fills values with random content, by reflection: it knows nothing of the codec.
type filler struct{ r *rand.Rand }

func (f filler) fill(v reflect.Value, depth int) {
	switch v.Type() {
	case reflect.TypeFor[kixx.Rev]():
		return
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(f.time()))
		return
	case reflect.TypeFor[json.RawMessage]():
		v.Set(reflect.ValueOf([]json.RawMessage{nil, []byte(`null`), []byte(`{"a":[1,2.5,"x"]}`), []byte(`7`)}[f.r.IntN(4)]))
		return
	}
	if x := f.special(v.Type()); x != nil {
		v.Set(reflect.ValueOf(x))
		return
	}
	switch v.Kind() {
	case reflect.Interface:
		if x := f.any(depth); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	case reflect.Bool:
		v.SetBool(f.r.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt([]int64{0, 1, -1, 127, -128, math.MaxInt64, math.MinInt64, f.r.Int64()}[f.r.IntN(8)] >> (64 - v.Type().Bits()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint([]uint64{0, 1, 255, math.MaxUint64, f.r.Uint64()}[f.r.IntN(5)] >> (64 - v.Type().Bits()))
	case reflect.Float32:
		v.SetFloat([]float64{0, math.Copysign(0, -1), 1.5, math.MaxFloat32, float64(float32(f.r.NormFloat64()))}[f.r.IntN(5)])
	case reflect.Float64:
		v.SetFloat([]float64{0, math.Copysign(0, -1), 3, math.MaxFloat64, math.SmallestNonzeroFloat64, f.r.NormFloat64()}[f.r.IntN(6)])
	case reflect.Complex128:
		v.SetComplex(complex(f.r.NormFloat64(), math.Inf(f.r.IntN(2))))
	case reflect.String:
		v.SetString([]string{"", "a", "\x00", "ünï", "with \"quotes\"\n", string(make([]byte, f.r.IntN(400)))}[f.r.IntN(6)])
	case reflect.Pointer:
		if depth > 0 && f.r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem(), depth-1)
		}
	case reflect.Slice:
		if n := f.r.IntN(5) - 1; n >= 0 && depth > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				f.fill(v.Index(i), depth-1)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i), depth)
		}
	case reflect.Map:
		if n := f.r.IntN(5) - 1; n >= 0 && depth > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range n {
				key, val := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				f.fill(key, depth)
				f.fill(val, depth-1)
				v.SetMapIndex(key, val)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Tag.Get("kixx") != "-" {
				f.fill(v.Field(i), depth)
			}
		}
	default:
		panic("the test does not know " + v.Type().String())
	}
}

// special returns a value of a type that is more than its exported fields.
func (f filler) special(t reflect.Type) any {
	switch t {
	case reflect.TypeFor[netip.Addr]():
		return []netip.Addr{{}, netip.AddrFrom4([4]byte{10, 0, 0, byte(f.r.Int())}), netip.MustParseAddr("fe80::1%eth0"), netip.IPv6Unspecified()}[f.r.IntN(4)]
	case reflect.TypeFor[netip.Prefix]():
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10}), f.r.IntN(33))
	case reflect.TypeFor[big.Int]():
		return *new(big.Int).Lsh(big.NewInt(f.r.Int64N(9)-4), uint(f.r.IntN(100)))
	case reflect.TypeFor[url.URL]():
		return url.URL{Scheme: "https", Host: "example.com", User: url.User("ü"), Path: "/a b", RawQuery: "x=" + strconv.Itoa(f.r.IntN(9))}
	case reflect.TypeFor[sql.NullInt64](): // its null has a value too, which encoding/json shows
		return sql.NullInt64{Int64: f.r.Int64(), Valid: f.r.IntN(2) == 0}
	}
	return nil
}

// any returns values of all types that an any can hold.
func (f filler) any(depth int) any {
	if depth < 0 {
		return nil
	}
	one := reflect.New([]reflect.Type{
		reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[uint64](), reflect.TypeFor[float64](), reflect.TypeFor[bool](),
		reflect.TypeFor[string](), reflect.TypeFor[[]byte](), reflect.TypeFor[time.Time](), reflect.TypeFor[[]any](), reflect.TypeFor[map[string]any](),
		reflect.TypeFor[[]string](), reflect.TypeFor[map[string][]int16](),
	}[f.r.IntN(12)]).Elem() // a float32 becomes a float64, which JSON shows with more digits
	f.fill(one, depth-1)
	return one.Interface()
}

// time returns times in many forms: with a zone, with a monotonic part, far away.
func (f filler) time() time.Time {
	switch f.r.IntN(6) {
	case 0:
		return time.Time{}
	case 1:
		return time.Now()
	case 2:
		return time.Date(1, 1, 1, 0, 0, 0, 1, time.FixedZone("", 3600))
	case 3:
		return time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
	case 4:
		return time.Unix(f.r.Int64N(1<<33), f.r.Int64N(1e9)).In(time.FixedZone("X", -7*3600))
	}
	return time.Unix(0, 0)
}

func TestWhatSetReturnedIsWhatIsReadFromCacheAndStore(t *testing.T) {
	n := count(300, 4_000, 200_000)
	p := files(t)
	f := filler{rand.New(rand.NewPCG(1, 2))}
	ctx := t.Context()
	open := func() (*kixx.DB, *kinds.EveryRepo) {
		db := must[*kixx.DB](t)(kixx.OpenStore(ctx, p.Open(t)))
		return db, must[*kinds.EveryRepo](t)(kinds.NewEveryRepo(ctx, db))
	}
	db, repo := open()
	set := make([]*kinds.Every, n)
	marshal := func(e any) string {
		return string(must[[]byte](t)(json.Marshal(e)))
	}
	for i := range set {
		in := &kinds.Every{}
		f.fill(reflect.ValueOf(in).Elem(), 3)
		in.ID, in.Skipped = int64(i), "not stored"
		before := marshal(in)
		out := must[*kinds.Every](t)(repo.Set(ctx, in))
		if marshal(in) != before {
			t.Fatalf("Set changed its argument:\n%s\nwas\n%s", marshal(in), before)
		}
		got := must[*kinds.Every](t)(repo.Get(ctx, in.ID))
		if !reflect.DeepEqual(got, out) || marshal(got) != marshal(out) {
			t.Fatalf("Get from the cache:\n%s\nSet returned\n%s", marshal(got), marshal(out))
		}
		if out.Skipped != "" {
			t.Fatalf("a field that is not stored came back: %q", out.Skipped)
		}
		// But for the times' zones, it is what was passed in.
		sameTimes := *in
		sameTimes.Rev, sameTimes.Skipped = out.Rev, ""
		if a, b := marshal(canonicalTimes(t, &sameTimes)), marshal(canonicalTimes(t, out)); a != b {
			t.Fatalf("Set returned\n%s\nfor\n%s", b, a)
		}
		set[i] = out
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, repo = open()
	defer db.Close()
	for i, want := range set {
		got := must[*kinds.Every](t)(repo.Get(ctx, int64(i)))
		if !reflect.DeepEqual(got, want) || marshal(got) != marshal(want) {
			t.Fatalf("Get after the database was opened again:\n%s\nwant\n%s", marshal(got), marshal(want))
		}
	}
	if n := must[int](t)(repo.Count(ctx)); n != len(set) {
		t.Errorf("Count = %d, want %d", n, len(set))
	}
	t.Logf("%d random documents of every field type", n)
}

// canonicalTimes returns a copy of e with all times in UTC, by way of its JSON, which has them as text.
func canonicalTimes(t *testing.T, e *kinds.Every) any {
	var v any
	dec := json.NewDecoder(bytes.NewReader(must[[]byte](t)(json.Marshal(e))))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return inUTC(v)
}

func inUTC(v any) any {
	switch v := v.(type) {
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return at.UTC().Format(time.RFC3339Nano)
		}
	case []any:
		for i := range v {
			v[i] = inUTC(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = inUTC(v[k])
		}
	}
	return v
}
