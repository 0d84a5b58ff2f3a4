package gen

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

// fieldMap returns a struct with these names, each with its position as the value.
func fieldMap(names ...string) []byte {
	b := msgp.AppendMapHeader(nil, uint32(len(names)))
	for i, name := range names {
		b = msgp.AppendInt(msgp.AppendString(b, name), i)
	}
	return b
}

func TestReadFieldsGivesEachFieldOnceInOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	n := times(2_000, 30_000)
	for range n {
		var names []string
		taken := map[string]bool{}
		for range r.IntN(150) {
			// Few letters, so that many names have the same hash.
			name := strings.Repeat("a", r.IntN(3)) + fmt.Sprint(r.IntN(1000)) + strings.Repeat("a", r.IntN(3))
			if !taken[name] {
				taken[name] = true
				names = append(names, name)
			}
		}
		var got []string
		read := func(name, b []byte) ([]byte, error) {
			i, b, err := ReadInt[int](b)
			if err == nil && i != len(got) {
				t.Fatalf("field %q has value %d, want %d", name, i, len(got))
			}
			got = append(got, string(name))
			return b, err
		}
		rest, err := ReadFields(append(fieldMap(names...), 0xC1), read)
		if err != nil || len(rest) != 1 || len(got) != len(names) || len(names) > 0 && !reflect.DeepEqual(got, names) {
			t.Fatalf("%q is read as %q, %d bytes are left, error %v", names, got, len(rest), err)
		}
		if len(names) == 0 {
			continue
		}
		twice := names[r.IntN(len(names))]
		at := r.IntN(len(names) + 1)
		names = append(names[:at:at], append([]string{twice}, names[at:]...)...)
		_, err = ReadFields(fieldMap(names...), func(_, b []byte) ([]byte, error) { return b[len(msgp.AppendInt(nil, int(b[0]))):], nil })
		if len(names) <= 128 && !errors.Is(err, errDuplicate) { // positions up to 127 are one byte
			t.Fatalf("%q has %q twice: %v", names, twice, err)
		}
	}
	t.Logf("%d structs", n)
}

func TestFieldErrors(t *testing.T) {
	skip := func(_, b []byte) ([]byte, error) { return b[1:], nil }
	many := make([]string, 100)
	for i := range many {
		many[i] = fmt.Sprint("f", i%99)
	}
	for i, row := range []struct {
		b    []byte
		want string
	}{
		{nil, errShort.Error()},
		{[]byte{0x90}, "want the fields of a struct, found array"},
		{[]byte{0xDE}, errShort.Error()},
		{[]byte{0x83, 0xA0}, "the fields of a struct: 3 pairs are announced, 1 bytes are left"},
		{[]byte{0xDF, 0xFF, 0xFF, 0xFF, 0xFF}, "the fields of a struct: 4294967295 pairs are announced, 0 bytes are left"},
		{[]byte{0x81, 0x01, 0x01}, "name of field 0: want text, found int"},
		{[]byte{0x81, 0xA5, 'a'}, "name of field 0: " + errShort.Error()},
		{fieldMap("a", "a"), "field a: the field is there twice"},
		{fieldMap("", ""), `field "": the field is there twice`},
		{fieldMap("a b", "a b"), `field "a b": the field is there twice`},
		{fieldMap(strings.Repeat("x", 100), strings.Repeat("x", 100)), `field "` + strings.Repeat("x", 64) + `"…: the field is there twice`},
		{fieldMap(many...), "field f0: the field is there twice"},
	} {
		_, err := ReadFields(row.b, skip)
		if err == nil || err.Error() != row.want {
			t.Errorf("row %d: % x: %v, want %s", i, row.b, err, row.want)
		}
	}
}

func TestFieldErrorUnwraps(t *testing.T) {
	cause := errors.New("cause")
	err := wrap(wrap(wrap(cause, "w"), "[3]"), "lines")
	var fe *FieldError
	if !errors.As(err, &fe) || fe.Path() != "lines[3].w" || !errors.Is(err, cause) || err.Error() != "field lines[3].w: cause" {
		t.Errorf("the error is %v", err)
	}
}
