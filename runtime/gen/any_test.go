package gen

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestAnyIsReadAsTheTypeThatHoldsIt(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("z", 3600))
	for _, c := range []struct{ in, want any }{
		{nil, nil}, {true, true}, {"", ""}, {"é\x00", "é\x00"},
		{int(-1), int64(-1)}, {int8(-8), int64(-8)}, {int16(1), int64(1)}, {int32(1), int64(1)}, {int64(math.MinInt64), int64(math.MinInt64)},
		{uint(1), int64(1)}, {uint8(255), int64(255)}, {uint16(1), int64(1)}, {uint32(1), int64(1)}, {uint64(math.MaxInt64), int64(math.MaxInt64)},
		{uint64(math.MaxUint64), uint64(math.MaxUint64)}, {float32(1.5), 1.5}, {math.Inf(1), math.Inf(1)}, {3.0, 3.0},
		{[]byte(nil), nil}, {[]byte{}, []byte{}}, {[]byte{1}, []byte{1}}, {at, at.UTC()},
		{[]any(nil), nil}, {[]any{}, []any{}}, {[]any{1, nil, []any{"x"}}, []any{int64(1), nil, []any{"x"}}},
		{map[string]any(nil), nil}, {map[string]any{}, map[string]any{}}, {map[string]any{"a": uint8(1)}, map[string]any{"a": int64(1)}},
		{[]string{"a"}, []any{"a"}}, {[]int(nil), nil}, {map[string][]int8{"x": {1}, "a": nil}, map[string]any{"x": []any{int64(1)}, "a": nil}},
	} {
		b := AppendAny(nil, c.in)
		got, rest, err := ReadAny(append(bytes.Clone(b), 7))
		if err != nil || len(rest) != 1 || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%#v is read as %#v, %v, want %#v", c.in, got, err, c.want)
		}
		if canon := CanonAny(c.in, "f"); !reflect.DeepEqual(canon, c.want) {
			t.Errorf("CanonAny(%#v) = %#v, want %#v", c.in, canon, c.want)
		}
		if again := AppendAny(nil, got); !bytes.Equal(again, b) {
			t.Errorf("%#v: read and appended again it is %x, want %x", c.in, again, b)
		}
		if clone := CloneAny(c.in); !reflect.DeepEqual(clone, c.in) {
			t.Errorf("CloneAny(%#v) = %#v", c.in, clone)
		}
		if !EqualAny(c.in, c.want) {
			t.Errorf("EqualAny(%#v, %#v) is false", c.in, c.want)
		}
	}
}

type word string

func TestAnyRefusesWhatItCouldNotReadAgain(t *testing.T) {
	self := map[string]any{}
	self["self"] = self
	both := map[string]any{}
	both["a"], both["b"] = both, both
	for name, bad := range map[string]any{
		"struct": struct{ A int }{}, "pointer": new(int), "func": func() {}, "chan": make(chan int), "complex": 1i, "named": word("x"),
		"duration": time.Second, "uintptr": uintptr(1), "array": [2]int{}, "keys": map[int]string{}, "named keys": map[word]int{},
		"inside": []any{map[string]any{"x": []any{word("x")}}}, "inside a slice": []word{"x"}, "cycle": self, "cycles": both,
	} {
		err := refusal(func() { CanonAny(bad, "Item.Meta") })
		if err == nil || err.Field != "Item.Meta" || !strings.HasPrefix(err.Error(), "field Item.Meta: ") {
			t.Errorf("%s: refused with %v, want an error that names the field", name, err)
		}
		if EqualAny(bad, bad) {
			t.Errorf("%s: is equal to itself", name)
		}
		if strings.HasPrefix(name, "cycle") {
			if refusal(func() { CloneAny(bad) }) == nil {
				t.Errorf("%s: was copied", name)
			}
		} else if refusal(func() { CloneAny(bad) }) != nil {
			t.Errorf("%s: a copy is refused, where only storing it is", name)
		}
	}
}

// refusal returns what f refuses.
func refusal(f func()) (err *RefusedError) {
	defer func() {
		if p := recover(); p != nil {
			err = p.(*RefusedError)
		}
	}()
	f()
	return nil
}

func TestCloneOfAnySharesNothing(t *testing.T) {
	list, dict, blob, strs := []any{"a"}, map[string]any{"k": "a"}, []byte{1}, []string{"a"}
	v := map[string]any{"list": list, "dict": dict, "blob": blob, "strs": strs, "ints": map[string][]int{"x": {1}}}
	clone := CloneAny(v).(map[string]any)
	want := CloneAny(v)
	list[0], dict["k"], blob[0], strs[0], v["new"] = "b", "b", 2, "b", 1
	v["ints"].(map[string][]int)["x"][0] = 2
	if !reflect.DeepEqual(clone, want) {
		t.Errorf("the copy has changed with the original: %v, want %v", clone, want)
	}
}

func TestReadAnyHoldsLengthsAgainstTheBytes(t *testing.T) {
	deep := bytes.Repeat([]byte{0x91}, maxAnyDepth+1)
	for _, b := range [][]byte{{}, {0xC1}, {0xDD, 0xFF, 0xFF, 0xFF, 0xFF}, {0xDF, 0xFF, 0xFF, 0xFF, 0xFF, 0xA1}, {0x91}, {0x81, 0xA1, 'a'}, {0x81, 1, 1},
		{0x82, 0xA1, 'a', 1, 0xA1, 'a', 1}, append(deep, 0xC0)} {
		if v, _, err := ReadAny(b); err == nil {
			t.Errorf("ReadAny(%.20x) = %v, want an error", b, v)
		}
	}
}

func FuzzReadAny(f *testing.F) {
	f.Add(AppendAny(nil, map[string]any{"a": []any{1, -1, 1.5, "x", []byte{1}, time.Unix(1, 2), nil, true}}))
	f.Add([]byte{0xCA, 0x7F, 0x80, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := ReadAny(b)
		if err != nil {
			return
		}
		if len(rest) > len(b) {
			t.Fatalf("%d bytes are left of %d", len(rest), len(b))
		}
		again := AppendAny(nil, v)
		w, rest, err := ReadAny(again)
		if err != nil || len(rest) > 0 || !bytes.Equal(AppendAny(nil, w), again) || !EqualAny(v, w) {
			t.Fatalf("%x is read as %#v, which is stored as %x and read as %#v, %v", b, v, again, w, err)
		}
		if c := CloneAny(v); !bytes.Equal(AppendAny(nil, c), again) {
			t.Fatalf("the copy of %#v is %#v", v, c)
		}
	})
}

func TestRefusedErrorUnwraps(t *testing.T) {
	cause := errors.New("why")
	err := error(&RefusedError{"A.B", cause})
	if !errors.Is(err, cause) || err.Error() != "field A.B: why" || (&RefusedError{"", cause}).Error() != "why" {
		t.Errorf("%v", err)
	}
}
