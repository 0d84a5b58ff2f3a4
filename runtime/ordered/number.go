package ordered

import (
	"encoding/binary"
	"math"
)

// A Signed is a type whose underlying type is a signed integer.
type Signed interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64
}

// An Unsigned is a type whose underlying type is an unsigned integer.
type Unsigned interface {
	~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

const signBit = 1 << 63

// AppendInt appends the encoding of v to b, 8 bytes, and returns the extended slice. It does not allocate if b has the
// capacity.
func AppendInt[T Signed](b []byte, v T) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(int64(v))^signBit)
}

// AppendIntDesc is [AppendInt] for a descending component.
func AppendIntDesc[T Signed](b []byte, v T) []byte {
	return binary.BigEndian.AppendUint64(b, ^(uint64(int64(v)) ^ signBit))
}

// AppendUint appends the encoding of v to b, 8 bytes, and returns the extended slice. It does not allocate if b has the
// capacity.
func AppendUint[T Unsigned](b []byte, v T) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(v))
}

// AppendUintDesc is [AppendUint] for a descending component.
func AppendUintDesc[T Unsigned](b []byte, v T) []byte {
	return binary.BigEndian.AppendUint64(b, ^uint64(v))
}

// AppendFloat64 appends the encoding of v to b, 8 bytes, and returns the extended slice. -0 is encoded as 0, and a NaN
// sorts before all other values. It does not allocate if b has the capacity.
func AppendFloat64[T ~float64](b []byte, v T) []byte {
	return binary.BigEndian.AppendUint64(b, bitsOf64(float64(v)))
}

// AppendFloat64Desc is [AppendFloat64] for a descending component: a NaN sorts after all other values.
func AppendFloat64Desc[T ~float64](b []byte, v T) []byte {
	return binary.BigEndian.AppendUint64(b, ^bitsOf64(float64(v)))
}

// AppendFloat32 appends the encoding of v to b, 4 bytes, and returns the extended slice. -0 is encoded as 0, and a NaN
// sorts before all other values. It does not allocate if b has the capacity.
func AppendFloat32[T ~float32](b []byte, v T) []byte {
	return binary.BigEndian.AppendUint32(b, bitsOf32(float32(v)))
}

// AppendFloat32Desc is [AppendFloat32] for a descending component: a NaN sorts after all other values.
func AppendFloat32Desc[T ~float32](b []byte, v T) []byte {
	return binary.BigEndian.AppendUint32(b, ^bitsOf32(float32(v)))
}

// AppendBool appends the encoding of v to b, 1 byte, and returns the extended slice: false sorts before true. It does
// not allocate if b has the capacity.
func AppendBool[T ~bool](b []byte, v T) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendBoolDesc is [AppendBool] for a descending component.
func AppendBoolDesc[T ~bool](b []byte, v T) []byte {
	if v {
		return append(b, 0xFE)
	}
	return append(b, 0xFF)
}

// ReadInt reads an integer from the beginning of b and returns it with what comes after it. If b does not begin with
// the encoding of a T, because it is too short or because the number does not fit into T, the error matches
// [ErrMalformed] and rest is nil.
func ReadInt[T Signed](b []byte) (v T, rest []byte, err error) {
	if len(b) < 8 {
		return 0, nil, short(Int, len(b), 8)
	}
	return toInt[T](binary.BigEndian.Uint64(b), b, Int)
}

// ReadIntDesc is [ReadInt] for a descending component.
func ReadIntDesc[T Signed](b []byte) (v T, rest []byte, err error) {
	if len(b) < 8 {
		return 0, nil, short(Int|Desc, len(b), 8)
	}
	return toInt[T](^binary.BigEndian.Uint64(b), b, Int|Desc)
}

func toInt[T Signed](bits uint64, b []byte, k Kind) (T, []byte, error) {
	n := int64(bits ^ signBit)
	if int64(T(n)) != n {
		return 0, nil, malformed(k, 0, "%d does not fit into the type of the field", n)
	}
	return T(n), b[8:], nil
}

// ReadUint reads an unsigned integer from the beginning of b and returns it with what comes after it. If b does not
// begin with the encoding of a T, because it is too short or because the number does not fit into T, the error matches
// [ErrMalformed] and rest is nil.
func ReadUint[T Unsigned](b []byte) (v T, rest []byte, err error) {
	if len(b) < 8 {
		return 0, nil, short(Uint, len(b), 8)
	}
	return toUint[T](binary.BigEndian.Uint64(b), b, Uint)
}

// ReadUintDesc is [ReadUint] for a descending component.
func ReadUintDesc[T Unsigned](b []byte) (v T, rest []byte, err error) {
	if len(b) < 8 {
		return 0, nil, short(Uint|Desc, len(b), 8)
	}
	return toUint[T](^binary.BigEndian.Uint64(b), b, Uint|Desc)
}

func toUint[T Unsigned](n uint64, b []byte, k Kind) (T, []byte, error) {
	if uint64(T(n)) != n {
		return 0, nil, malformed(k, 0, "%d does not fit into the type of the field", n)
	}
	return T(n), b[8:], nil
}

// ReadFloat64 reads a float from the beginning of b and returns it with what comes after it. If b does not begin with
// an encoding as [AppendFloat64] makes it, the error matches [ErrMalformed] and rest is nil.
func ReadFloat64[T ~float64](b []byte) (v T, rest []byte, err error) {
	if len(b) < 8 {
		return 0, nil, short(Float64, len(b), 8)
	}
	f, ok := floatOf64(binary.BigEndian.Uint64(b))
	if !ok {
		return 0, nil, malformed(Float64, 0, "%X is a zero or a NaN that is never written so", b[:8])
	}
	return T(f), b[8:], nil
}

// ReadFloat64Desc is [ReadFloat64] for a descending component.
func ReadFloat64Desc[T ~float64](b []byte) (v T, rest []byte, err error) {
	if len(b) < 8 {
		return 0, nil, short(Float64|Desc, len(b), 8)
	}
	f, ok := floatOf64(^binary.BigEndian.Uint64(b))
	if !ok {
		return 0, nil, malformed(Float64|Desc, 0, "%X is a zero or a NaN that is never written so", b[:8])
	}
	return T(f), b[8:], nil
}

// ReadFloat32 reads a float from the beginning of b and returns it with what comes after it. If b does not begin with
// an encoding as [AppendFloat32] makes it, the error matches [ErrMalformed] and rest is nil.
func ReadFloat32[T ~float32](b []byte) (v T, rest []byte, err error) {
	if len(b) < 4 {
		return 0, nil, short(Float32, len(b), 4)
	}
	f, ok := floatOf32(binary.BigEndian.Uint32(b))
	if !ok {
		return 0, nil, malformed(Float32, 0, "%X is a zero or a NaN that is never written so", b[:4])
	}
	return T(f), b[4:], nil
}

// ReadFloat32Desc is [ReadFloat32] for a descending component.
func ReadFloat32Desc[T ~float32](b []byte) (v T, rest []byte, err error) {
	if len(b) < 4 {
		return 0, nil, short(Float32|Desc, len(b), 4)
	}
	f, ok := floatOf32(^binary.BigEndian.Uint32(b))
	if !ok {
		return 0, nil, malformed(Float32|Desc, 0, "%X is a zero or a NaN that is never written so", b[:4])
	}
	return T(f), b[4:], nil
}

// ReadBool reads a bool from the beginning of b and returns it with what comes after it. If the first byte is missing
// or neither of the two that are written, the error matches [ErrMalformed] and rest is nil.
func ReadBool[T ~bool](b []byte) (v T, rest []byte, err error) {
	if len(b) < 1 {
		return false, nil, short(Bool, 0, 1)
	}
	if b[0] > 1 {
		return false, nil, malformed(Bool, 0, "%02X is neither 00 nor 01", b[0])
	}
	return b[0] == 1, b[1:], nil
}

// ReadBoolDesc is [ReadBool] for a descending component.
func ReadBoolDesc[T ~bool](b []byte) (v T, rest []byte, err error) {
	if len(b) < 1 {
		return false, nil, short(Bool|Desc, 0, 1)
	}
	if b[0] < 0xFE {
		return false, nil, malformed(Bool|Desc, 0, "%02X is neither FF nor FE", b[0])
	}
	return b[0] == 0xFE, b[1:], nil
}

// bitsOf64 returns bits that sort as f does. The bits of positive floats sort already; those of negative ones sort the
// wrong way round. 0 is free for NaN: it would be a NaN itself.
func bitsOf64(f float64) uint64 {
	switch {
	case f > 0:
		return math.Float64bits(f) | signBit
	case f < 0:
		return ^math.Float64bits(f)
	case f == 0:
		return signBit
	}
	return 0
}

func floatOf64(bits uint64) (f float64, ok bool) {
	if bits == 0 {
		return math.NaN(), true
	}
	if bits&signBit != 0 {
		f = math.Float64frombits(bits &^ signBit)
	} else {
		f = math.Float64frombits(^bits)
	}
	return f, bitsOf64(f) == bits
}

func bitsOf32(f float32) uint32 {
	switch {
	case f > 0:
		return math.Float32bits(f) | signBit>>32
	case f < 0:
		return ^math.Float32bits(f)
	case f == 0:
		return signBit >> 32
	}
	return 0
}

func floatOf32(bits uint32) (f float32, ok bool) {
	if bits == 0 {
		return float32(math.NaN()), true
	}
	if bits&(signBit>>32) != 0 {
		f = math.Float32frombits(bits &^ (signBit >> 32))
	} else {
		f = math.Float32frombits(^bits)
	}
	return f, bitsOf32(f) == bits
}
