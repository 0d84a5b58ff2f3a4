package gen

import (
	"fmt"

	"github.com/tinylib/msgp/msgp"
)

const uuidSize = 16

// AppendUUID appends the 16 bytes of v.
func AppendUUID[T ~[uuidSize]byte](b []byte, v T) []byte {
	a := [uuidSize]byte(v)
	return msgp.AppendBytes(b, a[:])
}

// ReadUUID reads 16 bytes. nil is 16 zeros.
func ReadUUID[T ~[uuidSize]byte](b []byte) (v T, rest []byte, err error) {
	if len(b) > 0 && b[0] == isNil {
		return v, b[1:], nil
	}
	data, rest, err := readText(b)
	if err != nil {
		return v, nil, err
	}
	if len(data) != uuidSize {
		return v, nil, fmt.Errorf("want %d bytes, found %d", uuidSize, len(data))
	}
	return T(data), rest, nil
}

// ParseUUID returns the bytes of a UUID that is written in its usual form, with small letters: the runtime's ids are. Of
// another text it makes some bytes, without a meaning.
func ParseUUID[T ~[uuidSize]byte](text string) T {
	var id [uuidSize]byte
	digits := 0
	for i := range len(text) {
		c := text[i]
		if c == '-' || digits == 2*uuidSize {
			continue
		}
		if c >= 'a' {
			c -= 'a' - 10
		} else {
			c -= '0'
		}
		id[digits/2] = id[digits/2]<<4 | c&0xF
		digits++
	}
	return T(id)
}
