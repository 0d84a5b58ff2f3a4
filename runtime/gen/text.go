package gen

import (
	"encoding/binary"

	"github.com/tinylib/msgp/msgp"
)

// ReadString reads text. nil is the empty string.
func ReadString[T ~string](b []byte) (v T, rest []byte, err error) {
	if len(b) > 0 && b[0] == isNil {
		return v, b[1:], nil
	}
	text, rest, err := readText(b)
	return T(text), rest, err
}

// ReadBytes reads bytes. nil is nil, and no bytes are an empty slice.
func ReadBytes[T ~[]byte](b []byte) (v T, rest []byte, err error) {
	if len(b) > 0 && b[0] == isNil {
		return nil, b[1:], nil
	}
	data, rest, err := readText(b)
	if err != nil {
		return nil, nil, err
	}
	v = make(T, len(data))
	copy(v, data)
	return v, rest, nil
}

// ReadJSON reads a JSON value that is kept as text. It is not parsed: what was stored comes back.
func ReadJSON[T ~[]byte](b []byte) (v T, rest []byte, err error) { return ReadBytes[T](b) }

// readText returns the contents of text or bytes, inside b.
func readText(b []byte) (text, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errShort
	}
	n, head := 0, 0
	switch lead := b[0]; {
	case lead&0xE0 == 0xA0: // fixstr
		n, head = int(lead&0x1F), 1
	case lead == 0xD9 || lead == 0xC4: // str 8, bin 8
		if len(b) < 2 {
			return nil, nil, errShort
		}
		n, head = int(b[1]), 2
	case lead == 0xDA || lead == 0xC5: // str 16, bin 16
		if len(b) < 3 {
			return nil, nil, errShort
		}
		n, head = int(binary.BigEndian.Uint16(b[1:])), 3
	case lead == 0xDB || lead == 0xC6: // str 32, bin 32
		if len(b) < 5 {
			return nil, nil, errShort
		}
		size := binary.BigEndian.Uint32(b[1:])
		if uint64(size) > uint64(len(b)) { // also keeps int from overflowing on 32-bit machines
			return nil, nil, errShort
		}
		n, head = int(size), 5
	default:
		return nil, nil, mismatch("text", b)
	}
	if len(b)-head < n {
		return nil, nil, errShort
	}
	return b[head : head+n], b[head+n:], nil
}

// AppendBytes appends bytes, or nil for nil.
func AppendBytes(b, v []byte) []byte {
	if v == nil {
		return msgp.AppendNil(b)
	}
	return msgp.AppendBytes(b, v)
}

// AppendJSON appends a JSON value as text, or nil for nil. It is not parsed.
func AppendJSON(b, v []byte) []byte {
	if v == nil {
		return msgp.AppendNil(b)
	}
	return msgp.AppendStringFromBytes(b, v)
}
