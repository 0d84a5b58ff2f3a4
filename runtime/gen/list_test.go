package gen

import (
	"fmt"
	"reflect"
	"runtime"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

func TestListsOfAllLengthsComeBack(t *testing.T) {
	for _, n := range []int{0, 1, 2, 15, 16, 63, 64, 65, 127, 128, 129, 1000, 70_000} {
		list := make([]int, n)
		b := AppendListHeader(nil, false, n)
		for i := range list {
			list[i] = i * i
			b = msgp.AppendInt(b, list[i])
		}
		b = append(b, 0xC1)
		scalars, rest, err := ReadScalars(b, ReadInt[int])
		if err != nil || len(rest) != 1 || !reflect.DeepEqual(scalars, list) {
			t.Errorf("ReadScalars of %d elements: %d, %d bytes are left, error %v", n, len(scalars), len(rest), err)
		}
		slice, rest, err := ReadSlice(b, ReadInt[int])
		if err != nil || len(rest) != 1 || !reflect.DeepEqual(slice, list) {
			t.Errorf("ReadSlice of %d elements: %d, %d bytes are left, error %v", n, len(slice), len(rest), err)
		}
		if cap(slice) > max(n, 1) {
			t.Errorf("ReadSlice of %d elements keeps room for %d", n, cap(slice))
		}
	}
}

func TestMapsOfAllLengthsComeBack(t *testing.T) {
	for _, n := range []int{0, 1, 8, 9, 15, 16, 1000, 70_000} {
		m := make(map[string]int, n)
		for i := range n {
			m[fmt.Sprint(i)] = i
		}
		b := AppendMapHeader(nil, false, n)
		for _, k := range SortedKeys(m) {
			b = msgp.AppendInt(msgp.AppendString(b, k), m[k])
		}
		got, rest, err := ReadMap(append(b, 0xC1), ReadString[string], ReadInt[int])
		if err != nil || len(rest) != 1 || !reflect.DeepEqual(got, m) {
			t.Errorf("ReadMap of %d entries: %d, %d bytes are left, error %v", n, len(got), len(rest), err)
		}
	}
}

func TestKeysOfMapsAreSorted(t *testing.T) {
	if got := SortedKeys(map[int]bool{3: true, -1: true, 2: true}); !reflect.DeepEqual(got, []int{-1, 2, 3}) {
		t.Errorf("SortedKeys = %v", got)
	}
	if got := SortedKeys(map[text]bool{"b": true, "": true, "a\xff": true}); !reflect.DeepEqual(got, []text{"", "a\xff", "b"}) {
		t.Errorf("SortedKeys = %q", got)
	}
	for _, m := range []map[flag]int{{}, {true: 1}, {false: 1}, {true: 1, false: 1}} {
		got := SortedBools(m)
		if len(got) != len(m) || len(got) == 2 && got[0] {
			t.Errorf("SortedBools(%v) = %v", m, got)
		}
	}
	if testing.AllocsPerRun(10, func() { SortedKeys(map[string]int(nil)) }) > 0 {
		t.Error("SortedKeys of nil allocates")
	}
}

func TestNilIsKeptApartFromEmpty(t *testing.T) {
	if b := AppendListHeader(nil, true, 0); b[0] != 0xC0 {
		t.Errorf("a nil slice is % x", b)
	}
	if s, _, err := ReadScalars(AppendListHeader(nil, false, 0), ReadInt[int]); s == nil || len(s) > 0 || err != nil {
		t.Errorf("an empty slice is read as %v, %v", s, err)
	}
	if s, _, err := ReadSlice(AppendListHeader(nil, false, 0), ReadInt[int]); s == nil || len(s) > 0 || err != nil {
		t.Errorf("an empty slice is read as %v, %v", s, err)
	}
	if m, _, err := ReadMap(AppendMapHeader(nil, false, 0), ReadInt[int], ReadInt[int]); m == nil || len(m) > 0 || err != nil {
		t.Errorf("an empty map is read as %v, %v", m, err)
	}
	if b, _, err := ReadBytes[[]byte](AppendBytes(nil, []byte{})); b == nil || err != nil {
		t.Errorf("empty bytes are read as %v, %v", b, err)
	}
	for _, in := range [][]byte{AppendBytes(nil, nil), AppendJSON(nil, nil)} {
		if b, _, err := ReadBytes[[]byte](in); b != nil || err != nil {
			t.Errorf("nil bytes are read as %v, %v", b, err)
		}
	}
	var (
		noSlice []*int
		noMap   map[int]*int
	)
	same := func(p *int) *int { return p }
	if CloneSlice(noSlice, same) != nil || CloneSlice([]*int{}, same) == nil {
		t.Error("CloneSlice mixes up nil and empty")
	}
	if CloneMap(noMap, same) != nil || CloneMap(map[int]*int{}, same) == nil {
		t.Error("CloneMap mixes up nil and empty")
	}
	if ClonePtr[int](nil) != nil || ClonePtrFunc(nil, func(i int) int { return i }) != nil {
		t.Error("a copy of a nil pointer is not nil")
	}
}

func TestClonesShareNothing(t *testing.T) {
	one := 1
	if c := ClonePtr(&one); c == &one || *c != 1 {
		t.Errorf("ClonePtr = %v", c)
	}
	if c := ClonePtrFunc(&one, func(i int) int { return i + 1 }); c == &one || *c != 2 {
		t.Errorf("ClonePtrFunc = %v", c)
	}
	s := []*int{&one, nil}
	if c := CloneSlice(s, ClonePtr[int]); c[0] == s[0] || *c[0] != 1 || c[1] != nil || &c[0] == &s[0] {
		t.Errorf("CloneSlice = %v", c)
	}
	m := map[string]*int{"a": &one}
	c := CloneMap(m, ClonePtr[int])
	c["b"] = nil
	if len(m) != 1 || c["a"] == m["a"] || *c["a"] != 1 {
		t.Errorf("CloneMap = %v of %v", c, m)
	}
	a := [2]*int{&one, nil}
	CloneArray(a[:], ClonePtr[int])
	if a[0] == &one || *a[0] != 1 || a[1] != nil {
		t.Errorf("CloneArray = %v", a)
	}
}

func TestListErrors(t *testing.T) {
	ints := func(b []byte) error { _, _, err := ReadScalars(b, ReadInt[int8]); return err }
	lists := func(b []byte) error {
		_, _, err := ReadSlice(b, func(b []byte) ([]int8, []byte, error) { return ReadScalars(b, ReadInt[int8]) })
		return err
	}
	maps := func(b []byte) error { _, _, err := ReadMap(b, ReadString[string], ReadInt[int8]); return err }
	pair := func(b []byte) error { var a [2]int8; _, err := ReadArray(b, a[:], ReadInt[int8]); return err }
	for i, row := range []struct {
		read func([]byte) error
		b    []byte
		want string
	}{
		{ints, nil, errShort.Error()},
		{ints, []byte{0x93, 1}, "a list of 3 elements is announced, 1 bytes are left"},
		{ints, []byte{0xDD, 0xFF, 0xFF, 0xFF, 0xFF, 1}, "a list of 4294967295 elements is announced, 1 bytes are left"},
		{ints, []byte{0xDD, 0xFF}, errShort.Error()},
		{ints, []byte{0xDC}, errShort.Error()},
		{ints, []byte{0x80}, "want a list, found map"},
		{ints, []byte{0xC1}, "want a list, found byte 0xc1, which begins no value"},
		{ints, []byte{0x92, 1, 0xCC}, "field [1]: " + errShort.Error()},
		{lists, []byte{0x92, 0x90, 0x91, 0xC3}, "field [1][0]: want an integer, found bool"},
		{maps, []byte{0xDF, 0xFF, 0xFF, 0xFF, 0xFF, 1}, "a map: 4294967295 pairs are announced, 1 bytes are left"},
		{maps, []byte{0xDE, 1}, errShort.Error()},
		{maps, []byte{0x90}, "want a map, found array"},
		{maps, []byte{0x81, 1, 1}, "key 0: want text, found int"},
		{maps, []byte{0x81, 0xA1, 'k', 0xC3}, `field ["k"]: want an integer, found bool`},
		{maps, []byte{0x82, 0xA1, 'k', 1, 0xA1, 'k', 1}, `key "k" is there twice`},
		{pair, []byte{0x91, 1}, "want a list of 2 elements, found one of 1"},
		{pair, []byte{0x92, 1, 0xA0}, "field [1]: want an integer, found str"},
	} {
		err := row.read(row.b)
		if err == nil || err.Error() != row.want {
			t.Errorf("row %d: % x: %v, want %s", i, row.b, err, row.want)
		}
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// TestHeadersThatLieAllocateLittle reads lengths for which there are no elements, at every depth that can be read.
func TestHeadersThatLieAllocateLittle(t *testing.T) {
	const room = 1 << 20
	list := []byte{0xDD, 0, 0x0F, 0, 0} // 983,040 elements
	dict := []byte{0xDF, 0, 0x07, 0, 0}
	padding := make([]byte, room)
	for name, b := range map[string][]byte{
		"Strs": append(append([]byte{0x81, 0xA4, 'S', 't', 'r', 's'}, list...), padding...),
		"Nums": append(append([]byte{0x81, 0xA4, 'N', 'u', 'm', 's'}, dict...), padding...),
		"Kids": append(append([]byte{0x81, 0xA4, 'K', 'i', 'd', 's'}, list...), padding...),
		"By":   append(append([]byte{0x81, 0xA2, 'B', 'y'}, dict...), padding...),
	} {
		got := allocated(func() {
			if _, err := readDoc(new(doc), b, nil, MaxDepth); err == nil {
				t.Errorf("%s: no error", name)
			}
		})
		t.Logf("%s: %d bytes allocated for %d", name, got, len(b))
		if got > 16*int64(len(b))+64<<10 {
			t.Errorf("%s: %d bytes are allocated for an input of %d", name, got, len(b))
		}
	}
	var deep []byte
	for range MaxDepth {
		deep = append(append(deep, 0x81, 0xA4, 'K', 'i', 'd', 's'), list...)
	}
	deep = append(deep, padding...)
	got := allocated(func() {
		if _, err := readDoc(new(doc), deep, nil, MaxDepth); err == nil {
			t.Error("deep: no error")
		}
	})
	t.Logf("deep: %d bytes allocated for %d", got, len(deep))
	if got > 16*int64(len(deep))+64<<10 {
		t.Errorf("deep: %d bytes are allocated for an input of %d", got, len(deep))
	}
}
