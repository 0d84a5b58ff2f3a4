package gen

import (
	"bytes"
	"unsafe"

	"github.com/tinylib/msgp/msgp"
)

// AppendComplex appends a complex number as a list of its real and its imaginary part, floats of half its size.
func AppendComplex[T ~complex64 | ~complex128](b []byte, v T) []byte {
	b = msgp.AppendArrayHeader(b, 2)
	if unsafe.Sizeof(v) == unsafe.Sizeof(complex64(0)) {
		c := complex64(v)
		return msgp.AppendFloat32(msgp.AppendFloat32(b, real(c)), imag(c))
	}
	c := complex128(v)
	return msgp.AppendFloat64(msgp.AppendFloat64(b, real(c)), imag(c))
}

// ReadComplex reads what [AppendComplex] wrote. nil is zero.
func ReadComplex[T ~complex64 | ~complex128](b []byte) (v T, rest []byte, err error) {
	if len(b) > 0 && b[0] == isNil {
		return 0, b[1:], nil
	}
	if unsafe.Sizeof(v) == unsafe.Sizeof(complex64(0)) {
		var parts [2]float32
		rest, err = ReadArray(b, parts[:], ReadFloat32[float32])
		return T(complex(parts[0], parts[1])), rest, err
	}
	var parts [2]float64
	rest, err = ReadArray(b, parts[:], ReadFloat64[float64])
	return T(complex(parts[0], parts[1])), rest, err
}

// EqualComplex reports whether x and y are stored as the same bytes.
func EqualComplex[T ~complex64 | ~complex128](x, y *T) bool {
	return bytes.Equal(AppendComplex(nil, *x), AppendComplex(nil, *y))
}
