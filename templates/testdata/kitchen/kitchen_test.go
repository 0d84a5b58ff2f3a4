package kitchen

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/gen"
	"github.com/kixxgen/kixxgen/runtime/ordered"
	"github.com/kixxgen/kixxgen/templates/testdata/kitchen/geo"
)

// times returns how often to try: few by default, full with KIXX_CI, ten times as often with KIXX_LONG.
func times(few, full int) int {
	switch {
	case os.Getenv("KIXX_LONG") != "":
		return 10 * full
	case os.Getenv("KIXX_CI") != "":
		return full
	}
	return few
}

// fill gives v a random value, in the fields that are stored. depth bounds recursion.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	size := func() int { return r.IntN(4) }
	switch v.Type() {
	case reflect.TypeFor[kixx.Rev](), reflect.TypeFor[kixx.Unknown]():
		return
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(someTime(r)))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> r.IntN(64) >> (64 - v.Type().Bits()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> r.IntN(64) >> (64 - v.Type().Bits()))
	case reflect.Float32:
		v.SetFloat(float64(float32(r.NormFloat64())))
	case reflect.Float64:
		v.SetFloat(r.NormFloat64())
	case reflect.String:
		v.SetString(someText(r))
	case reflect.Pointer:
		if depth > 0 && r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), depth-1)
		}
	case reflect.Slice:
		if depth <= 0 || r.IntN(4) == 0 {
			return
		}
		n := size()
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i), depth-1)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i), depth-1)
		}
	case reflect.Map:
		if depth <= 0 || r.IntN(4) == 0 {
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		for range size() {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(r, key, depth-1)
			fill(r, value, depth-1)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Tag.Get("kixx") != "-" {
				fill(r, v.Field(i), depth-1)
			}
		}
	default:
		panic("no random values of " + v.Type().String())
	}
}

// someTime returns instants of all three stored forms and beyond, in several locations, some with a monotonic reading.
func someTime(r *rand.Rand) time.Time {
	switch r.IntN(6) {
	case 0:
		return time.Time{}
	case 1:
		return time.Now()
	case 2:
		return time.Unix(r.Int64N(1<<32), 0)
	case 3:
		return time.Unix(r.Int64N(1<<34), r.Int64N(1e9)).UTC()
	case 4:
		return time.Unix(int64(r.Uint64()), r.Int64N(1e9))
	}
	return time.Date(1+r.IntN(9999), 1, 1+r.IntN(365), 0, 0, 0, r.IntN(1e9), time.FixedZone("here", 3600*(r.IntN(24)-12)))
}

func someText(r *rand.Rand) string {
	switch r.IntN(4) {
	case 0:
		return ""
	case 1:
		return strings.Repeat("ä", r.IntN(200))
	}
	b := make([]byte, r.IntN(12))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// owned collects what v points to. Bytes and slices without room are nobody's.
func owned(v reflect.Value, into map[uintptr]string, path string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && v.Type().Elem().Size() > 0 && v.Type() != reflect.TypeFor[*time.Location]() {
			into[v.Pointer()] = path
			owned(v.Elem(), into, path)
		}
	case reflect.Slice:
		if v.Cap() > 0 && v.Len() > 0 {
			into[v.Pointer()] = path
		}
		for i := range v.Len() {
			owned(v.Index(i), into, path+"[]")
		}
	case reflect.Array:
		for i := range v.Len() {
			owned(v.Index(i), into, path+"[]")
		}
	case reflect.Map:
		if !v.IsNil() {
			into[v.Pointer()] = path
			for _, key := range v.MapKeys() {
				owned(v.MapIndex(key), into, path+"[]")
			}
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() || v.Type() == reflect.TypeFor[kixx.Unknown]() {
			return
		}
		for i := range v.NumField() {
			owned(v.Field(i), into, path+"."+v.Type().Field(i).Name)
		}
	}
}

// roundTrip stores and reads random documents with the functions of a schema, and holds the copies against each other.
func roundTrip[D any, K comparable](t *testing.T, s *kixx.Schema[D, K], few, full int) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	n := times(few, full)
	stored := 0
	for i := range n {
		doc := s.New()
		fill(r, reflect.ValueOf(doc).Elem(), 5)

		c := s.Clone(doc)
		if !reflect.DeepEqual(c, doc) {
			t.Fatalf("document %d: the clone %+v differs from %+v", i, c, doc)
		}
		mine, theirs := map[uintptr]string{}, map[uintptr]string{}
		owned(reflect.ValueOf(doc), mine, "")
		owned(reflect.ValueOf(c), theirs, "")
		for p, path := range theirs {
			if _, shared := mine[p]; shared {
				t.Fatalf("document %d: the clone shares %s with the document", i, path)
			}
		}

		if s.Canon != nil {
			s.Canon(c)
		}
		b := s.Append(nil, c, nil)
		if s.Canon != nil {
			if raw := s.Append(nil, doc, nil); !bytes.Equal(raw, b) {
				t.Fatalf("document %d: making it canonical changes what is stored", i)
			}
		}
		again := s.New()
		u := new(gen.Unknown)
		rest, err := s.Read(again, append(b[:len(b):len(b)], 0xC1), u)
		if err != nil || len(rest) != 1 {
			t.Fatalf("document %d: Read leaves %d bytes, error %v", i, len(rest), err)
		}
		if !reflect.DeepEqual(again, c) {
			t.Fatalf("document %d: read back\n%#v\nwant\n%#v", i, again, c)
		}
		if u.OrNil() != nil {
			t.Fatalf("document %d: all fields are known, but OrNil is not nil", i)
		}
		if b2 := s.Append(nil, again, u); !bytes.Equal(b, b2) {
			t.Fatalf("document %d: the same document is stored in other bytes", i)
		}
		stored += len(b)
	}
	t.Logf("%d documents, %d bytes", n, stored)
}

func TestDocumentsComeBackAsTheyWere(t *testing.T) {
	t.Run("Everything", func(t *testing.T) { roundTrip(t, everythingSchema, 300, 5_000) })
	t.Run("Counter", func(t *testing.T) { roundTrip(t, counterSchema, 1000, 100_000) })
	t.Run("Tick", func(t *testing.T) { roundTrip(t, tickSchema, 1000, 100_000) })
	t.Run("Wide", func(t *testing.T) { roundTrip(t, wideSchema, 1000, 100_000) })
}

func TestCutOffDocumentsAreRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	doc := new(Everything)
	fill(r, reflect.ValueOf(doc).Elem(), 4)
	b := appendEverything(nil, doc, nil)
	for n := range b {
		if _, err := readEverything(new(Everything), b[:n:n], new(gen.Unknown)); err == nil {
			t.Fatalf("%d of %d bytes are read without an error", n, len(b))
		}
	}
	t.Logf("%d prefixes", len(b))
}

func TestFieldsThatAreNotStoredAreZeroInAClone(t *testing.T) {
	doc := &Everything{hidden: 1, Left: "left", Box: Box{note: "n"}, PBoxes: []*Box{{note: "n"}}, Rev: kixx.RevOf(7)}
	c := cloneEverything(doc)
	if c.hidden != 0 || c.Left != "" || c.Box.note != "" || c.PBoxes[0].note != "" {
		t.Errorf("the clone has fields that are not stored: %d %q %q %q", c.hidden, c.Left, c.Box.note, c.PBoxes[0].note)
	}
	if !c.Rev.Matches(doc.Rev) || c.Rev != doc.Rev {
		t.Errorf("the clone has revision %v, want %v", c.Rev, doc.Rev)
	}
}

// TestAnOlderProgramKeepsWhatItDoesNotKnow reads documents as a program without some fields does, changes one that it
// knows, and reads them again as the newer program.
func TestAnOlderProgramKeepsWhatItDoesNotKnow(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	n := times(1000, 100_000)
	for i := range n {
		doc := new(Wide)
		fill(r, reflect.ValueOf(doc).Elem(), 5)
		old := new(Narrow)
		u := new(gen.Unknown)
		if _, err := readNarrow(old, appendWide(nil, doc, nil), u); err != nil {
			t.Fatal(err)
		}
		if u = u.OrNil(); u == nil || u.Len() != 2 || u.Sub("In").Len() != 2 || u.Sub("Mid").Len() != 1 || u.Sub("Mid").Sub("In").Len() != 2 {
			t.Fatalf("document %d: the unknown fields are %+v", i, u)
		}
		if (u.Sub("P").Len() == 2) != (doc.P != nil) {
			t.Fatalf("document %d: P is %v, but has %d unknown fields", i, doc.P, u.Sub("P").Len())
		}
		old = cloneNarrow(old)
		old.A, doc.A = "changed", "changed"
		got := new(Wide)
		gu := new(gen.Unknown)
		if _, err := readWide(got, appendNarrow(nil, old, u), gu); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, doc) {
			t.Fatalf("document %d: the older program made\n%+v of\n%+v", i, got, doc)
		}
		if gu.OrNil() != nil {
			t.Fatalf("document %d: fields are unknown that are known", i)
		}
	}
	t.Logf("%d documents", n)
}

func TestCarriedFieldsStayWithTheirOwnType(t *testing.T) {
	var line Line
	if _, err := readLine(&line, appendWideLine(nil, &WideLine{SKU: "s", N: 1, Note: "note"}, nil), nil); err != nil {
		t.Fatal(err)
	}
	if line.Unknown.Len() != 1 {
		t.Fatalf("the line carries %d fields, want 1", line.Unknown.Len())
	}
	var back WideLine
	if _, err := readWideLine(&back, appendLine(nil, &line, nil), nil); err != nil || back.Note != "note" {
		t.Errorf("the carried note is %q, error %v", back.Note, err)
	}
	// A struct of another type does not write them: they may be fields that it has itself.
	var other Unlike
	other.Unknown = line.Unknown
	if u := other.Unknown.Of("example.com/unlike.Unlike"); u != nil {
		t.Errorf("another type writes %d carried fields", u.Len())
	}
	parcel := Parcel{weight: 1}
	if _, err := readParcel(&parcel, appendWideLine(nil, &WideLine{SKU: "s"}, nil), nil); err != nil || parcel.Unknown.Len() != 3 {
		t.Fatalf("the parcel carries %d fields, want 3; error %v", parcel.Unknown.Len(), err)
	}
	if c := cloneParcel(parcel); c.Unknown != parcel.Unknown || c.weight != 0 {
		t.Errorf("the clone carries %d fields, want 3", c.Unknown.Len())
	}
	var plain Line
	if _, err := readLine(&plain, appendLine(nil, &Line{SKU: "s"}, nil), nil); err != nil || !reflect.DeepEqual(plain, Line{SKU: "s"}) {
		t.Errorf("a line without unknown fields is read as %+v, error %v", plain, err)
	}
}

// Unlike is another struct that carries unknown fields.
type Unlike struct{ kixx.Unknown }

func TestDocumentsThatContainThemselvesAreRefused(t *testing.T) {
	cycle := &Everything{PNode: &Node{Name: "a"}}
	cycle.PNode.Next = cycle.PNode
	for name, f := range map[string]func(){
		"clone":  func() { cloneEverything(cycle) },
		"canon":  func() { canonEverything(cycle) },
		"append": func() { appendEverything(nil, cycle, nil) },
	} {
		func() {
			defer func() {
				if got := recover(); got != gen.ErrDepth {
					t.Errorf("%s of a document with a cycle panics with %v, want gen.ErrDepth", name, got)
				}
			}()
			f()
		}()
	}
}

func TestNestingIsReadUpToItsLimit(t *testing.T) {
	chain := func(n int) *Node {
		var top *Node
		for range n {
			top = &Node{Next: top}
		}
		return top
	}
	deepest := &Everything{PNode: cloneNodePtr(chain(gen.MaxDepth))}
	b := appendEverything(nil, deepest, nil)
	got := new(Everything)
	if _, err := readEverything(got, b, nil); err != nil || !reflect.DeepEqual(got, deepest) {
		t.Fatalf("%d structs inside one another: %v", gen.MaxDepth, err)
	}

	// One more, as bytes: each level is a map with the field Next.
	var level []byte
	for range gen.MaxDepth + 1 {
		level = append(level, 0x81, 0xA4, 'N', 'e', 'x', 't')
	}
	level = append(level, 0xC0)
	if _, err := readNode(new(Node), level, nil, gen.MaxDepth); !errors.Is(err, gen.ErrDepth) {
		t.Errorf("%d structs inside one another: %v, want ErrDepth", gen.MaxDepth+1, err)
	}
}

func cloneNodePtr(n *Node) *Node { c := cloneNode(*n, gen.MaxDepth); return &c }

func TestErrorsNameTheField(t *testing.T) {
	text := func(s string) []byte { return append([]byte{0xA0 | byte(len(s))}, s...) }
	one := func(name string, value ...byte) []byte { return append(append([]byte{0x81}, text(name)...), value...) }
	wrong := text("x")
	for _, row := range []struct {
		b    []byte
		want string
	}{
		{one("I8", 0xD1, 1, 0), `field I8: the number is out of the range of int8`},
		{one("U", 0xFF), `field U: the number is negative`},
		{one("Dims", one("W", wrong...)...), `field Dims.W: want a number, found str`},
		{one("Strs", 0x92, 0xA0, 0x01), `field Strs[1]: want text, found int`},
		{one("Boxes", append([]byte{0x91}, one("dims", one("H", wrong...)...)...)...), `field Boxes[0].dims.H: want a number, found str`},
		{one("MSX", append([]byte{0x81}, append(text("k"), one("SealedAt", 1)...)...)...), `field MSX["k"].SealedAt: want a time, found int`},
		{one("PNode", one("Next", one("Kids", append([]byte{0x91}, one("Name", 1)...)...)...)...), `field PNode.Next.Kids[0].Name: want text, found int`},
		{one("Arr", 0x91, 1), `field Arr: want a list of 4 elements, found one of 1`},
		{append(append([]byte{0x82}, one("S", wrong...)[1:]...), one("S", wrong...)[1:]...), `field S: the field is there twice`},
		{append(append([]byte{0x82}, one("no", 1)[1:]...), one("no", 2)[1:]...), `field no: the field is there twice`},
	} {
		_, err := readEverything(new(Everything), row.b, new(gen.Unknown))
		if err == nil || err.Error() != row.want {
			t.Errorf("% x: %v, want %s", row.b, err, row.want)
		}
	}
}

func TestARepositoryStoresEverything(t *testing.T) {
	ctx := context.Background()
	db, err := kixx.Open(ctx, "mem:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all, err := NewEverythingRepo(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(7, 8))
	stored := map[ID]*Everything{}
	for range times(30, 300) {
		doc := new(Everything)
		fill(r, reflect.ValueOf(doc).Elem(), 4)
		doc.ID, doc.S, doc.Hash, doc.Origin = "", doc.S+"x", nil, string(ordered.AppendInt(nil, len(stored)))
		doc.F64 = float64(len(stored))
		for _, text := range []*string{&doc.S, (*string)(&doc.Stat), (*string)(&doc.Zone)} {
			*text = (*text)[:min(len(*text), 50)]
		}
		got, err := all.Insert(ctx, doc)
		if err != nil {
			t.Fatal(err)
		}
		stored[got.ID] = got
	}
	n := 0
	for key, want := range stored {
		got, err := all.Get(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("Get(%q) = %+v, want %+v", key, got, want)
		}
		if byOrigin, err := all.GetByOrigin(ctx, want.Origin); err != nil || byOrigin.ID != key {
			t.Fatalf("GetByOrigin(%q): %v", want.Origin, err)
		}
		entries, err := all.QueryByText(want.Stat).WithDocs().Collect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, e := range entries {
			if e.ID == key {
				found = reflect.DeepEqual(e.Value, want.Box) && reflect.DeepEqual(e.Doc, want) && e.Key == want.Stat
			}
		}
		if !found {
			t.Fatalf("QueryByText(%q) does not find the Box of %q", want.Stat, key)
		}
		n++
	}
	lines, err := all.RangeByLines().Everything().Collect(ctx)
	if err != nil || len(lines) != len(stored) {
		t.Fatalf("the view ByLines has %d entries, error %v, want %d", len(lines), err, len(stored))
	}
	down, err := all.RangeByF64Down().Everything().Collect(ctx)
	if err != nil || len(down) != len(stored) || down[0].F64 != float64(len(stored)-1) {
		t.Fatalf("RangeByF64Down finds %d documents, error %v", len(down), err)
	}
	t.Logf("%d documents", n)
}

func TestStructsOfOtherPackagesAreStoredByTheirExportedFields(t *testing.T) {
	p := geo.Point{X: 1, Y: 2, Tags: []string{}}
	var got geo.Point
	if _, err := readGeoPoint(&got, appendGeoPoint(nil, &p, nil), nil); err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("%+v is read back as %+v, error %v", p, got, err)
	}
}
