package gen

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
	"unsafe"
)

// someDoc returns a document with random values in all its fields.
func someDoc(r *rand.Rand, depth int) *doc {
	v := &doc{
		S: string(someBytes(r)), I: int16(r.Uint32()), U: r.Uint64() >> r.IntN(64), F: float32(r.NormFloat64()), G: r.NormFloat64(),
		T: CanonTime(time.Unix(int64(r.Uint64())>>r.IntN(64), r.Int64N(1e9))), B: someBytes(r), J: json.RawMessage(someBytes(r)),
		Arr: [2]bool{r.IntN(2) == 0, r.IntN(2) == 0}, In: inner{X: int(int32(r.Uint32())), Y: r.IntN(3)},
	}
	for range r.IntN(4) {
		v.Strs = append(v.Strs, string(someBytes(r)))
		if v.Nums == nil {
			v.Nums = map[int64]float64{}
		}
		v.Nums[int64(r.Uint64())>>r.IntN(64)] = float64(r.IntN(9))
	}
	if r.IntN(2) == 0 {
		v.P = &inner{X: 1}
	}
	if depth > 0 {
		v.By = map[string]*doc{}
		for range r.IntN(3) {
			v.Kids = append(v.Kids, *someDoc(r, depth-1))
			v.By[string(someBytes(r))] = someDoc(r, depth-1)
		}
		v.By["none"] = nil
	}
	return v
}

func someBytes(r *rand.Rand) []byte {
	if r.IntN(4) == 0 {
		return nil
	}
	b := make([]byte, r.IntN(40))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestDocumentsComeBackAsTheyWere(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	n := times(500, 20_000)
	for range n {
		want := someDoc(r, 3)
		b := appendDoc(nil, want, nil, MaxDepth)
		got := new(doc)
		rest, err := readDoc(got, b, nil, MaxDepth)
		if err != nil || len(rest) > 0 || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v\nis read back as\n%+v\nerror %v", want, got, err)
		}
	}
	t.Logf("%d documents", n)
}

// hostile reads b as a document. It must not panic, allocate much, or accept what it then writes otherwise.
func hostile(t *testing.T, b []byte) (read bool) {
	t.Helper()
	v, u := new(doc), new(Unknown)
	var rest []byte
	var err error
	got := allocated(func() { rest, err = readDoc(v, b, u, MaxDepth) })
	// An empty struct takes one byte, and twice its size in a slice that grows.
	if most := int64(len(b))*(16+3*int64(unsafe.Sizeof(doc{}))) + 64<<10; got > most {
		t.Errorf("%d bytes are allocated for an input of %d", got, len(b))
	}
	if err != nil {
		if err.Error() == "" {
			t.Error("the error has no text")
		}
		return false
	}
	if len(rest) > len(b) || !bytes.HasSuffix(b, rest) {
		t.Fatalf("what comes after the document is not the end of the input")
	}
	stored := appendDoc(nil, v, u, MaxDepth)
	again, au := new(doc), new(Unknown)
	if rest, err := readDoc(again, stored, au, MaxDepth); err != nil || len(rest) > 0 {
		t.Fatalf("what was read is written as % x, which cannot be read: %v", stored, err)
	}
	if twice := appendDoc(nil, again, au, MaxDepth); !bytes.Equal(twice, stored) {
		t.Fatalf("% x\nis written again as\n% x", stored, twice)
	}
	return true
}

// mutate changes b in a few places: bytes, lengths, pieces cut out or put in twice.
func mutate(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	leads := []byte{0xC0, 0xC1, 0xC4, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCF, 0xD3, 0xD4, 0xD8, 0xD9, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF}
	for range 1 + r.IntN(4) {
		if len(b) == 0 {
			return b
		}
		i, j := r.IntN(len(b)), r.IntN(len(b))
		i, j = min(i, j), max(i, j)
		switch r.IntN(5) {
		case 0:
			b[i] ^= 1 << r.IntN(8)
		case 1:
			b[i] = leads[r.IntN(len(leads))]
		case 2:
			b = append(b[:i:i], b[min(j, i+r.IntN(9)):]...)
		case 3:
			b = append(b[:j:j], append(bytes.Clone(b[i:min(j, i+64)]), b[j:]...)...)
		case 4:
			b[i] = byte(r.Uint32())
		}
	}
	return b
}

func TestHostileBytesAreReadOrRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	n, read := times(5_000, 100_000), 0
	for i := range n {
		b := mutate(r, appendDoc(nil, someDoc(r, i%3), nil, MaxDepth))
		if hostile(t, b) {
			read++
		}
		if t.Failed() {
			t.Fatalf("input %d: % x", i, b)
		}
	}
	t.Logf("%d inputs, %d of them read", n, read)
}

func FuzzRead(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 20 {
		f.Add(appendDoc(nil, someDoc(r, i%3), nil, MaxDepth))
	}
	f.Add(bytes.Repeat([]byte{0x81, 0xA4, 'K', 'i', 'd', 's', 0x91}, 2*MaxDepth))
	f.Fuzz(func(t *testing.T, b []byte) { hostile(t, b) })
}

func TestBytesNestedTooDeepAreRefused(t *testing.T) {
	level := []byte{0x81, 0xA4, 'K', 'i', 'd', 's', 0x91}
	for n, want := range map[int]error{MaxDepth - 1: nil, MaxDepth: ErrDepth, 1 << 20: ErrDepth} {
		b := append(bytes.Repeat(level, n), 0x80)
		if _, err := readDoc(new(doc), b, nil, MaxDepth); !errors.Is(err, want) {
			t.Errorf("%d structs inside one: %v, want %v", n, err, want)
		}
	}
}
