package gen

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

// with returns the struct b with one more field, name, whose value is value.
func with(b []byte, name string, value []byte) []byte {
	n, rest, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		panic(err)
	}
	out := msgp.AppendMapHeader(nil, n+1)
	out = append(out, rest...)
	return append(msgp.AppendString(out, name), value...)
}

func TestUnknownFieldsAreWrittenAsTheyCame(t *testing.T) {
	nested := []byte{0x82, 0xA1, 'a', 0x93, 1, 0xD3, 0, 0, 0, 0, 0, 0, 0, 1, 0xC4, 1, 'x', 0x05, 0xD6, 7, 1, 2, 3, 4} // not the shortest forms
	in := fieldMap("known")
	in = with(in, "first", nested)
	in = with(in, "second", []byte{0xC0})
	u := new(Unknown)
	read := func(name, b []byte) ([]byte, error) {
		if string(name) == "known" {
			return b[1:], nil
		}
		return u.Keep(name, b)
	}
	if _, err := ReadFields(in, read); err != nil {
		t.Fatal(err)
	}
	if u.Len() != 2 || u.OrNil() != u {
		t.Errorf("%d fields are kept, want 2", u.Len())
	}
	in[len(in)-1] = 0xC1 // what is kept is a copy
	out := AppendHeader(nil, 1, u)
	out = append(msgp.AppendString(out, "known"), 0)
	out = AppendUnknown(out, u)
	in[len(in)-1] = 0xC0
	if !bytes.Equal(out, in) {
		t.Errorf("% x\nis written as\n% x", in, out)
	}
}

func TestNilUnknownWorksEverywhere(t *testing.T) {
	var u *Unknown
	if u.Len() != 0 || u.Sub("a") != nil || u.At("a") != nil || u.OrNil() != nil || new(Unknown).OrNil() != nil {
		t.Error("a nil Unknown holds something")
	}
	if rest, err := u.Keep([]byte("a"), []byte{0x91, 1, 0xC1}); err != nil || len(rest) != 1 {
		t.Errorf("Keep leaves %d bytes, error %v", len(rest), err)
	}
	if b := AppendUnknown(AppendHeader(nil, 2, u), u); !bytes.Equal(b, []byte{0x82}) {
		t.Errorf("a nil Unknown appends % x", b)
	}
}

func TestNestedUnknownFieldsAreFoundByPath(t *testing.T) {
	u := new(Unknown)
	value := []byte{1}
	keep := func(u *Unknown, name string) {
		t.Helper()
		if _, err := u.Keep([]byte(name), value); err != nil {
			t.Fatal(err)
		}
	}
	u.At("empty")
	keep(u.At("a"), "x")
	deep := u.At("b").At("c")
	keep(deep.At("d"), "y")
	deep.At("e") // nothing
	u.At("f").At("g").At("h")
	u.At("last")
	if u.Len() != 0 || u.OrNil() == nil {
		t.Error("nested fields do not count as something")
	}
	for path, want := range map[string]int{"a": 1, "b": 0, "b.c": 0, "b.c.d": 1} {
		at := u
		for _, step := range strings.Split(path, ".") {
			if at = at.Sub(step); at == nil {
				t.Fatalf("%s is lost", path)
			}
		}
		if at.Len() != want {
			t.Errorf("%s has %d fields, want %d", path, at.Len(), want)
		}
	}
	for _, path := range []string{"empty", "f", "last", "x", ""} {
		if u.Sub(path) != nil {
			t.Errorf("%q is there, but holds nothing", path)
		}
	}
	if u.Sub("b").Sub("c").Sub("e") != nil {
		t.Error("b.c.e is there, but holds nothing")
	}
	none := new(Unknown)
	none.At("a").At("b")
	none.At("c")
	if none.OrNil() != nil {
		t.Errorf("%+v holds something", none.fields)
	}
}

func TestReadingNestedStructsWithoutUnknownFieldsAllocatesOnce(t *testing.T) {
	got := testing.AllocsPerRun(100, func() {
		u := new(Unknown)
		for _, name := range []string{"a", "b", "c", "d"} {
			u.At(name)
		}
		if u.OrNil() != nil {
			t.Fatal("there is something")
		}
	})
	if got > 1 {
		t.Errorf("%v allocations, want 1", got)
	}
}

func TestCarriedFieldsAreThoseOfTheirType(t *testing.T) {
	b := appendInner(nil, &inner{X: 1, Y: 2}, nil)
	b = with(b, "Z", []byte{3})
	var v inner
	if _, err := readInner(&v, b, nil); err != nil {
		t.Fatal(err)
	}
	if v.Unknown.Len() != 1 || v.Unknown.Of("other") != nil || v.Unknown.Of("inner") == nil {
		t.Errorf("the struct carries %d fields", v.Unknown.Len())
	}
	copied := v
	if got := appendInner(nil, &copied, nil); !bytes.Equal(got, b) {
		t.Errorf("% x is written as % x", b, got)
	}
	var plain inner
	if _, err := readInner(&plain, appendInner(nil, &inner{X: 1}, nil), nil); err != nil || !reflect.DeepEqual(plain, inner{X: 1}) {
		t.Errorf("%+v, %v", plain, err)
	}
}

func TestKeepRefusesWhatIsNoValue(t *testing.T) {
	for i, row := range []struct {
		b    []byte
		want string
	}{
		{nil, errShort.Error()},
		{[]byte{0xA2, 'a'}, errShort.Error()},
		{[]byte{0x92, 1}, errShort.Error()},
		{[]byte{0xC1}, "want a value, found byte 0xc1, which begins no value"},
		{bytes.Repeat([]byte{0x91}, 1<<20), ErrDepth.Error()},
	} {
		for _, u := range []*Unknown{nil, new(Unknown)} {
			_, err := u.Keep([]byte("name"), row.b)
			if err == nil || err.Error() != row.want {
				t.Errorf("row %d: %v, want %s", i, err, row.want)
			}
			if u.OrNil() != nil {
				t.Errorf("row %d: something is kept", i)
			}
		}
	}
	if _, err := new(Unknown).Keep(nil, bytes.Repeat([]byte{0x91}, 1<<20)); !errors.Is(err, ErrDepth) {
		t.Errorf("deep nesting is refused with %v, want ErrDepth", err)
	}
}

func TestSkipLeavesWhatFollows(t *testing.T) {
	value := msgp.AppendArrayHeader(nil, 2)
	value = msgp.AppendString(msgp.AppendInt(value, 1), "two")
	rest, err := Skip(append(value, 7))
	if err != nil || len(rest) != 1 || rest[0] != 7 {
		t.Errorf("Skip leaves %x, %v, want 07", rest, err)
	}
	for n := range value {
		if _, err := Skip(value[:n]); err == nil {
			t.Errorf("%d of %d bytes were taken for a value", n, len(value))
		}
	}
}
