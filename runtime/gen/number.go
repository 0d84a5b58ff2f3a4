package gen

import (
	"errors"
	"fmt"
	"math"

	"github.com/tinylib/msgp/msgp"
)

// Signed are the signed integer types.
type Signed interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64
}

// Unsigned are the unsigned integer types.
type Unsigned interface {
	~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// ReadBool reads a bool. nil is false.
func ReadBool[T ~bool](b []byte) (v T, rest []byte, err error) {
	if len(b) > 0 {
		switch b[0] {
		case 0xC3:
			return true, b[1:], nil
		case 0xC2, isNil:
			return false, b[1:], nil
		}
	}
	return false, nil, mismatch("true or false", b)
}

// ReadInt reads an integer, or a float that is exactly one. nil is 0. A number that T cannot hold is an error.
func ReadInt[T Signed](b []byte) (v T, rest []byte, err error) {
	i, rest, err := readInt(b)
	if err != nil {
		return 0, nil, err
	}
	if v = T(i); int64(v) != i {
		return 0, nil, fmt.Errorf("the number is out of the range of %T", v)
	}
	return v, rest, nil
}

// ReadUint reads an integer that is not negative, or a float that is exactly one. nil is 0. A number that T cannot hold is
// an error.
func ReadUint[T Unsigned](b []byte) (v T, rest []byte, err error) {
	i, rest, err := readUint(b)
	if err != nil {
		return 0, nil, err
	}
	if v = T(i); uint64(v) != i {
		return 0, nil, fmt.Errorf("the number is out of the range of %T", v)
	}
	return v, rest, nil
}

// ReadFloat64 reads a float, or an integer that float64 holds exactly. nil is 0.
func ReadFloat64[T ~float64](b []byte) (v T, rest []byte, err error) {
	f, rest, err := readFloat(b)
	return T(f), rest, err
}

// ReadFloat32 reads a number that float32 holds exactly. nil is 0. Infinities and NaN are such numbers.
func ReadFloat32[T ~float32](b []byte) (v T, rest []byte, err error) {
	if len(b) > 0 && b[0] == 0xCA {
		f, rest, err := msgp.ReadFloat32Bytes(b) // not by way of float64, which makes another NaN of a signalling one
		if err != nil {
			return 0, nil, errShort
		}
		return T(f), rest, nil
	}
	f, rest, err := readFloat(b)
	if err != nil {
		return 0, nil, err
	}
	if v = T(f); float64(v) != f && f == f {
		return 0, nil, errors.New("the number is not exactly a float32")
	}
	return v, rest, nil
}

// kind says how a number is written.
type kind uint8

const (
	noNumber kind = iota
	nilNumber
	intNumber
	uintNumber // not negative; only for those that int64 might not hold
	float64Number
	float32Number
)

// kindOf returns how the number is written with which b begins.
func kindOf(b []byte) kind {
	if len(b) == 0 {
		return noNumber
	}
	switch lead := b[0]; {
	case lead < 0x80, lead >= 0xE0, lead >= 0xD0 && lead <= 0xD3, lead >= 0xCC && lead <= 0xCE:
		return intNumber
	case lead == 0xCF:
		return uintNumber
	case lead == 0xCB:
		return float64Number
	case lead == 0xCA:
		return float32Number
	case lead == isNil:
		return nilNumber
	}
	return noNumber
}

func readInt(b []byte) (i int64, rest []byte, err error) {
	if len(b) > 0 && b[0] < 0x80 {
		return int64(b[0]), b[1:], nil
	}
	switch kindOf(b) {
	case intNumber:
		if i, rest, err = msgp.ReadInt64Bytes(b); err != nil {
			return 0, nil, errShort
		}
		return i, rest, nil
	case uintNumber:
		u, rest, err := msgp.ReadUint64Bytes(b)
		switch {
		case err != nil:
			return 0, nil, errShort
		case u > math.MaxInt64:
			return 0, nil, errors.New("the number is out of the range of int64")
		}
		return int64(u), rest, nil
	case float64Number, float32Number:
		f, rest, err := readFloat(b)
		switch {
		case err != nil:
			return 0, nil, err
		case math.Trunc(f) != f || f < -1<<63 || f >= 1<<63:
			return 0, nil, errors.New("the number is not exactly an integer")
		}
		return int64(f), rest, nil
	case nilNumber:
		return 0, b[1:], nil
	}
	return 0, nil, mismatch("an integer", b)
}

func readUint(b []byte) (u uint64, rest []byte, err error) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), b[1:], nil
	}
	switch kindOf(b) {
	case uintNumber:
		if u, rest, err = msgp.ReadUint64Bytes(b); err != nil {
			return 0, nil, errShort
		}
		return u, rest, nil
	case float64Number, float32Number:
		f, rest, err := readFloat(b)
		switch {
		case err != nil:
			return 0, nil, err
		case math.Trunc(f) != f || f < 0 || f >= 1<<64:
			return 0, nil, errors.New("the number is not exactly an integer that is not negative")
		}
		return uint64(f), rest, nil
	}
	i, rest, err := readInt(b)
	switch {
	case err != nil:
		return 0, nil, err
	case i < 0:
		return 0, nil, errors.New("the number is negative")
	}
	return uint64(i), rest, nil
}

func readFloat(b []byte) (f float64, rest []byte, err error) {
	switch kindOf(b) {
	case float64Number:
		if f, rest, err = msgp.ReadFloat64Bytes(b); err != nil {
			return 0, nil, errShort
		}
		return f, rest, nil
	case float32Number:
		f32, rest, err := msgp.ReadFloat32Bytes(b)
		if err != nil {
			return 0, nil, errShort
		}
		return float64(f32), rest, nil
	case intNumber:
		i, rest, err := readInt(b)
		if err != nil {
			return 0, nil, err
		}
		if f = float64(i); f >= 1<<63 || int64(f) != i { // 1<<63 itself is no int64: converting it back is undefined
			return 0, nil, errors.New("the number is not exactly a float64")
		}
		return f, rest, nil
	case uintNumber:
		u, rest, err := msgp.ReadUint64Bytes(b)
		if err != nil {
			return 0, nil, errShort
		}
		if f = float64(u); f >= 1<<64 || uint64(f) != u {
			return 0, nil, errors.New("the number is not exactly a float64")
		}
		return f, rest, nil
	case nilNumber:
		return 0, b[1:], nil
	}
	return 0, nil, mismatch("a number", b)
}
