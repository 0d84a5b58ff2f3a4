// Package ordered encodes values as bytes that sort as the values do.
//
// A key is the encodings of its components, one after the other, each ascending or descending. Keys are compared as
// bytes (bytes.Compare), nothing else about them is ever looked at, so any store of ordered bytes can keep them.
//
// # Laws
//
// For every type, with E its encoding and D its descending one:
//
//  1. Order: a < b exactly if E(a) < E(b), and exactly if D(a) > D(b). Equal values have equal encodings.
//  2. Self-delimiting: no encoding is a proper prefix of another of the same type and direction. So concatenations
//     compare component by component, and a reader knows where a component ends.
//  3. One form: reading E(a) gives a back and consumes E(a) alone, and the only bytes that are read as a are E(a).
//     Everything else is refused with [ErrMalformed], also what is merely not in its one form.
//
// From law 2: the keys that begin with the components X are the range from E(X) to [PrefixEnd] of E(X). E(X) followed
// by FF would not do as the end, since the next component may itself begin with FF.
//
// # Bytes
//
//	string, bytes   the bytes, 00 written as 00 FF, then 00 01           "a\x00b" = 61 00 FF 62 00 01
//	int             8 bytes, big-endian, sign bit inverted                     -1 = 7F FF FF FF FF FF FF FF
//	uint            8 bytes, big-endian                                         1 = 00 00 00 00 00 00 00 01
//	float64         8 bytes, big-endian; all bits inverted if the            -1.0 = 40 0F FF FF FF FF FF FF
//	                number is negative, else the sign bit alone               1.0 = BF F0 00 00 00 00 00 00
//	                -0 is written as 0, every NaN as zeros                    NaN = 00 00 00 00 00 00 00 00
//	float32         the same in 4 bytes                                       1.0 = BF 80 00 00
//	bool            1 byte                                            false, true = 00, 01
//	time            Unix seconds as int, then nanoseconds in 4 bytes,    epoch+1s = 80 00 00 00 00 00 00 01 00 00 00 00
//	                big-endian
//	UUID            the 16 bytes
//
// All integers take 8 bytes whatever their Go type, so that a field may be made wider without touching stored keys. A
// descending component is the ascending one with every bit inverted.
//
// These bytes are stored. They never change.
//
// # What is lost
//
// Strings are compared by bytes, which for UTF-8 is the order of code points, not that of a language. A NaN sorts before
// all other floats, as in package cmp, and all NaNs are one. Of a time only the instant is kept: [ReadTime] gives UTC.
// Seconds compare as time.Time.Compare does for years within 290 billion of the epoch.
package ordered

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed is matched by every error of this package: the bytes are not the encoding of a value of the wanted type
// and direction. The error itself says which byte is wrong, counted from the start of what was read.
var ErrMalformed = errors.New("malformed key")

// malformed returns an error about the component of kind k that begins at byte 0, and is wrong at byte at.
func malformed(k Kind, at int, format string, args ...any) error {
	return fmt.Errorf("ordered: %v, byte %d: %s: %w", k, at, fmt.Sprintf(format, args...), ErrMalformed)
}

// short returns the error for a component of a fixed size that is cut off.
func short(k Kind, have, want int) error {
	return malformed(k, have, "the key ends here, %d bytes are needed", want)
}

// PrefixEnd appends to dst the smallest key that is greater than every key that begins with prefix, and returns the
// extended slice. It returns nil if there is no such key: prefix is empty or all its bytes are FF. dst may be
// prefix[:0] to overwrite prefix, else they must not overlap.
func PrefixEnd(dst, prefix []byte) []byte {
	n := len(prefix)
	for n > 0 && prefix[n-1] == 0xFF {
		n--
	}
	if n == 0 {
		return nil
	}
	dst = append(dst, prefix[:n]...)
	dst[len(dst)-1]++
	return dst
}

// invert inverts all bits of b, eight bytes at a time.
func invert(b []byte) {
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, ^binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	for i := range b {
		b[i] = ^b[i]
	}
}
