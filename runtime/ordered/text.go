package ordered

import (
	"bytes"
	"strings"
	"unsafe"
)

// In a string 00 is followed by escaped where it is a byte of the string, and by ended where the string ends. ended is
// the smaller one, so that a string sorts before all that begin with it.
const (
	ended   = 0x01
	escaped = 0xFF
)

// AppendString appends the encoding of v to b and returns the extended slice: len(v)+2 bytes, and one more for each 00
// in v. It does not allocate if b has the capacity.
func AppendString[T ~string](b []byte, v T) []byte {
	return append(appendEscaped(b, string(v)), 0, ended)
}

// AppendStringDesc is [AppendString] for a descending component.
func AppendStringDesc[T ~string](b []byte, v T) []byte {
	n := len(b)
	b = AppendString(b, v)
	invert(b[n:])
	return b
}

// AppendStringPrefix appends what the encodings of all strings that begin with prefix have in common, and no other
// encoding begins with: together with [PrefixEnd] it makes the range of these strings. It is no encoding of a value.
func AppendStringPrefix[T ~string](b []byte, prefix T) []byte {
	return appendEscaped(b, string(prefix))
}

// AppendStringPrefixDesc is [AppendStringPrefix] for a descending component.
func AppendStringPrefixDesc[T ~string](b []byte, prefix T) []byte {
	n := len(b)
	b = appendEscaped(b, string(prefix))
	invert(b[n:])
	return b
}

// AppendBytes is [AppendString] for a byte slice. A nil slice is encoded as an empty one. v is only read.
func AppendBytes[T ~[]byte](b []byte, v T) []byte {
	return append(appendEscaped(b, unsafeString(v)), 0, ended)
}

// AppendBytesDesc is [AppendBytes] for a descending component.
func AppendBytesDesc[T ~[]byte](b []byte, v T) []byte {
	n := len(b)
	b = AppendBytes(b, v)
	invert(b[n:])
	return b
}

// ReadString reads a string from the beginning of b and returns it with what comes after it. The string is a copy. If b
// does not begin with the encoding of a string, the error matches [ErrMalformed] and rest is nil.
func ReadString[T ~string](b []byte) (v T, rest []byte, err error) {
	text, rest, err := readText(b, String)
	return T(unsafeString(text)), rest, err
}

// ReadStringDesc is [ReadString] for a descending component.
func ReadStringDesc[T ~string](b []byte) (v T, rest []byte, err error) {
	text, rest, err := readText(b, String|Desc)
	return T(unsafeString(text)), rest, err
}

// ReadBytes is [ReadString] for a byte slice. The slice is a copy and, without an error, never nil.
func ReadBytes[T ~[]byte](b []byte) (v T, rest []byte, err error) {
	text, rest, err := readText(b, Bytes)
	return T(text), rest, err
}

// ReadBytesDesc is [ReadBytes] for a descending component.
func ReadBytesDesc[T ~[]byte](b []byte) (v T, rest []byte, err error) {
	text, rest, err := readText(b, Bytes|Desc)
	return T(text), rest, err
}

// appendEscaped copies s in the runs between its zero bytes: nearly always in one.
func appendEscaped(b []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			return append(b, s...)
		}
		b = append(b, s[:i+1]...)
		b = append(b, escaped)
		s = s[i+1:]
	}
}

// readText reads the encoding of a string or of bytes, into memory of its own. It first finds the end, so that it
// allocates once, and no more than b is long.
func readText(b []byte, k Kind) (text, rest []byte, err error) {
	var flip byte
	if k&Desc != 0 {
		flip = 0xFF
	}
	end, escapes := 0, 0
	for {
		i := bytes.IndexByte(b[end:], flip)
		if i < 0 || end+i+1 == len(b) {
			return nil, nil, malformed(k, len(b), "the key ends here, before the end of the component")
		}
		end += i + 2
		switch b[end-1] ^ flip {
		case ended:
			text = make([]byte, 0, end-2-escapes)
			for from := b[:end]; ; {
				i := bytes.IndexByte(from, flip)
				if from[i+1]^flip == ended {
					text = append(text, from[:i]...)
					break
				}
				text = append(text, from[:i+1]...)
				from = from[i+2:]
			}
			if flip != 0 {
				invert(text)
			}
			return text, b[end:], nil
		case escaped:
			escapes++
		default:
			return nil, nil, malformed(k, end-1, "%02X must not follow %02X", b[end-1], flip)
		}
	}
}

// unsafeString returns the bytes of b as a string without copying them. b must not change while the string is used.
func unsafeString(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}
