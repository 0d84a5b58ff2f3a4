package gen

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/tinylib/msgp/msgp"
)

// A FieldError says which field of a document could not be read. Its text is "field lines[3].price: …".
type FieldError struct {
	steps []string // the path, from the field outwards
	err   error
}

// Error returns the path of the field and what was wrong with it.
func (e *FieldError) Error() string { return "field " + e.Path() + ": " + e.err.Error() }

// Unwrap returns what was wrong with the field.
func (e *FieldError) Unwrap() error { return e.err }

// Path returns the path of the field in stored names: lines[3].price, or parts["wheel"].w for a map.
func (e *FieldError) Path() string {
	var path strings.Builder
	for i := len(e.steps) - 1; i >= 0; i-- {
		step := e.steps[i]
		if path.Len() > 0 && step[0] != '[' {
			path.WriteByte('.')
		}
		path.WriteString(step)
	}
	return path.String()
}

// wrap adds an outer step to the path of err. The steps are joined only when somebody looks: the nesting may be deep.
func wrap(err error, step string) error {
	if e, ok := err.(*FieldError); ok {
		e.steps = append(e.steps, step)
		return e
	}
	return &FieldError{steps: []string{step}, err: err}
}

// show returns a name for a path, which may have come from anywhere.
func show(name []byte) string {
	const most = 64
	if len(name) > most {
		return fmt.Sprintf("%.*q…", most, name)
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7F || c == '"' || c == '.' || c == '[' {
			return fmt.Sprintf("%q", name)
		}
	}
	if len(name) == 0 {
		return `""`
	}
	return string(name)
}

var (
	errShort     = errors.New("the bytes end inside the value")
	errDuplicate = errors.New("the field is there twice")
)

// mismatch says that b does not begin with what was wanted.
func mismatch(want string, b []byte) error {
	if len(b) == 0 {
		return errShort
	}
	found := msgp.NextType(b)
	if found == msgp.InvalidType {
		return fmt.Errorf("want %s, found byte %#02x, which begins no value", want, b[0])
	}
	return fmt.Errorf("want %s, found %s", want, found)
}

const isNil = 0xC0

// Up to fewFields fields, ReadFields finds duplicates without an allocation.
const fewFields = 64

// ReadFields reads a struct: it calls field with each name and the bytes from the field's value on, and field returns the
// bytes after the value. name is only good until field returns. An error of field gets the name added. nil reads as a
// struct without fields. A name that is there twice is refused, so that no value is silently the second of two.
func ReadFields(b []byte, field func(name, b []byte) ([]byte, error)) ([]byte, error) {
	if len(b) > 0 && b[0] == isNil {
		return b[1:], nil
	}
	n, b, err := readMapHeader(b, "the fields of a struct")
	if err != nil {
		return nil, err
	}
	if n > fewFields {
		return readManyFields(n, b, field)
	}
	var (
		seen  [4]uint64 // a Bloom filter with one bit for each name: in most documents no two fields share one
		names [fewFields]uint32
		start = b
	)
	for i := range n {
		at := uint32(len(start) - len(b))
		name, rest, err := readText(b)
		if err != nil {
			return nil, fmt.Errorf("name of field %d: %w", i, err)
		}
		h := hashName(name)
		if bit := uint64(1) << (h & 63); seen[h>>6&3]&bit == 0 {
			seen[h>>6&3] |= bit
		} else {
			for _, before := range names[:i] {
				if other, _, _ := readText(start[before:]); bytes.Equal(name, other) {
					return nil, wrap(errDuplicate, show(name))
				}
			}
		}
		names[i] = at
		if b, err = field(name, rest); err != nil {
			return nil, wrap(err, show(name))
		}
	}
	return b, nil
}

// readManyFields is ReadFields for more fields than a struct usually has.
func readManyFields(n int, b []byte, field func(name, b []byte) ([]byte, error)) ([]byte, error) {
	seen := make(map[string]struct{}, fewFields)
	for i := range n {
		name, rest, err := readText(b)
		if err != nil {
			return nil, fmt.Errorf("name of field %d: %w", i, err)
		}
		if _, twice := seen[string(name)]; twice {
			return nil, wrap(errDuplicate, show(name))
		}
		seen[string(name)] = struct{}{}
		if b, err = field(name, rest); err != nil {
			return nil, wrap(err, show(name))
		}
	}
	return b, nil
}

// hashName tells most names of one struct apart by four things that cost nothing to look at.
func hashName(name []byte) uint32 {
	n := len(name)
	if n == 0 {
		return 0
	}
	h := uint32(n)*0x9E37 + uint32(name[0])*0x85EB + uint32(name[n-1])*0xC2B3 + uint32(name[n/2])*0x27D5
	return h ^ h>>7
}

// readMapHeader reads the header of a map and holds it against the bytes that are left: a name or key and a value take at
// least one byte each.
func readMapHeader(b []byte, want string) (n int, rest []byte, err error) {
	size, rest, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return 0, nil, headerError(want, b)
	}
	if uint64(size)*2 > uint64(len(rest)) {
		return 0, nil, fmt.Errorf("%s: %d pairs are announced, %d bytes are left", want, size, len(rest))
	}
	return int(size), rest, nil
}

// readArrayHeader reads the header of an array and holds it against the bytes that are left.
func readArrayHeader(b []byte) (n int, rest []byte, err error) {
	size, rest, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil {
		return 0, nil, headerError("a list", b)
	}
	if uint64(size) > uint64(len(rest)) {
		return 0, nil, fmt.Errorf("a list of %d elements is announced, %d bytes are left", size, len(rest))
	}
	return int(size), rest, nil
}

// headerError says why b does not begin with a header: another type, or the bytes end in it.
func headerError(want string, b []byte) error {
	if len(b) > 0 {
		if t := msgp.NextType(b); t == msgp.MapType || t == msgp.ArrayType {
			if (t == msgp.MapType) == (want != "a list") {
				return errShort
			}
		}
	}
	return mismatch(want, b)
}
