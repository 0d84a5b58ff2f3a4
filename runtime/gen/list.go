package gen

import (
	"fmt"
	"strconv"
	"unsafe"
)

// A Reader reads one value from the beginning of b and returns it with what comes after it.
type Reader[T any] = func(b []byte) (v T, rest []byte, err error)

// ReadScalars reads a slice whose elements contain no other slices, maps or structs. nil is nil, and a list without
// elements is an empty slice.
func ReadScalars[T any](b []byte, read Reader[T]) ([]T, []byte, error) {
	if len(b) > 0 && b[0] == isNil {
		return nil, b[1:], nil
	}
	n, b, err := readArrayHeader(b)
	if err != nil {
		return nil, nil, err
	}
	// An element takes a byte at least, and if one is missing it is here that it is missed: one slice is made in vain.
	s := make([]T, n)
	for i := range s {
		if s[i], b, err = read(b); err != nil {
			return nil, nil, wrapIndex(err, i)
		}
	}
	return s, b, nil
}

// ReadSlice reads a slice. nil is nil, and a list without elements is an empty slice.
func ReadSlice[T any](b []byte, read Reader[T]) ([]T, []byte, error) {
	if len(b) > 0 && b[0] == isNil {
		return nil, b[1:], nil
	}
	n, b, err := readArrayHeader(b)
	if err != nil {
		return nil, nil, err
	}
	// Slices may be nested a thousand deep, and each header may lie. So room for more than ahead bytes is made only when
	// the elements before are there.
	const ahead = 1 << 10
	var zero T
	s := make([]T, 0, min(n, max(1, ahead/max(1, int(unsafe.Sizeof(zero))))))
	for i := range n {
		if len(s) == cap(s) {
			s = append(make([]T, 0, min(n, 2*len(s))), s...)
		}
		v, rest, err := read(b)
		if err != nil {
			return nil, nil, wrapIndex(err, i)
		}
		s, b = append(s, v), rest
	}
	return s, b, nil
}

// ReadArray reads into, which is all of an array. A list of another length is an error. nil is an array of zeros.
func ReadArray[T any](b []byte, into []T, read Reader[T]) ([]byte, error) {
	if len(b) > 0 && b[0] == isNil {
		clear(into)
		return b[1:], nil
	}
	n, b, err := readArrayHeader(b)
	if err != nil {
		return nil, err
	}
	if n != len(into) {
		return nil, fmt.Errorf("want a list of %d elements, found one of %d", len(into), n)
	}
	for i := range into {
		if into[i], b, err = read(b); err != nil {
			return nil, wrapIndex(err, i)
		}
	}
	return b, nil
}

// ReadMap reads a map. nil is nil, and one without entries is an empty map. A key that is there twice is an error.
func ReadMap[K comparable, V any](b []byte, readKey Reader[K], read Reader[V]) (map[K]V, []byte, error) {
	if len(b) > 0 && b[0] == isNil {
		return nil, b[1:], nil
	}
	n, b, err := readMapHeader(b, "a map")
	if err != nil {
		return nil, nil, err
	}
	m := make(map[K]V, min(n, 8)) // more, if they are there
	for i := range n {
		key, rest, err := readKey(b)
		if err != nil {
			return nil, nil, fmt.Errorf("key %d: %w", i, err)
		}
		if _, twice := m[key]; twice {
			return nil, nil, fmt.Errorf("key %s is there twice", showKey(key))
		}
		v, rest, err := read(rest)
		if err != nil {
			return nil, nil, wrap(err, "["+showKey(key)+"]")
		}
		m[key], b = v, rest
	}
	return m, b, nil
}

// ReadPtr reads a pointer. nil is nil.
func ReadPtr[T any](b []byte, read Reader[T]) (*T, []byte, error) {
	if len(b) > 0 && b[0] == isNil {
		return nil, b[1:], nil
	}
	v, rest, err := read(b)
	if err != nil {
		return nil, nil, err
	}
	return &v, rest, nil
}

// ReadBoxed reads a pointer to what may be nil itself, and is therefore stored as a list of one element. nil is nil.
func ReadBoxed[T any](b []byte, read Reader[T]) (*T, []byte, error) {
	if len(b) > 0 && b[0] == isNil {
		return nil, b[1:], nil
	}
	var v [1]T
	b, err := ReadArray(b, v[:], read)
	if err != nil {
		return nil, nil, err
	}
	return &v[0], b, nil
}

// ReadStruct reads a pointer to a struct, whose unknown fields go to u. nil is nil.
func ReadStruct[T any](b []byte, read func(*T, []byte, *Unknown) ([]byte, error), u *Unknown) (*T, []byte, error) {
	if len(b) > 0 && b[0] == isNil {
		return nil, b[1:], nil
	}
	v := new(T)
	rest, err := read(v, b, u)
	if err != nil {
		return nil, nil, err
	}
	return v, rest, nil
}

// Value makes a [Reader] of the function that reads a struct. Unknown fields are skipped.
func Value[T any](read func(*T, []byte, *Unknown) ([]byte, error)) Reader[T] {
	return func(b []byte) (v T, rest []byte, err error) {
		rest, err = read(&v, b, nil)
		return v, rest, err
	}
}

func wrapIndex(err error, i int) error { return wrap(err, "["+strconv.Itoa(i)+"]") }

// showKey returns the key of a map for a path, not longer than a path should be.
func showKey(key any) string {
	const most = 64
	text := fmt.Sprint(key)
	if len(text) > most {
		return fmt.Sprintf("%.*q…", most, text)
	}
	return fmt.Sprintf("%q", text)
}
