package gen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

// A number is one way of writing one in MessagePack, and what it is exactly.
type number struct {
	b     []byte
	exact *big.Float // nil for NaN
}

// wireNumbers returns the number with these bits in every way that is possible, also in those that are not the shortest.
func wireNumbers(bits uint64) []number {
	var all []number
	add := func(lead byte, size int, exact *big.Float) {
		b := []byte{lead}
		for i := size - 1; i >= 0; i-- {
			b = append(b, byte(bits>>(8*i)))
		}
		all = append(all, number{b, exact})
	}
	signed := func(i int64) *big.Float { return new(big.Float).SetPrec(200).SetInt64(i) }
	unsigned := func(u uint64) *big.Float { return new(big.Float).SetPrec(200).SetUint64(u) }
	add(0xCC, 1, unsigned(uint64(uint8(bits))))
	add(0xCD, 2, unsigned(uint64(uint16(bits))))
	add(0xCE, 4, unsigned(uint64(uint32(bits))))
	add(0xCF, 8, unsigned(bits))
	add(0xD0, 1, signed(int64(int8(bits))))
	add(0xD1, 2, signed(int64(int16(bits))))
	add(0xD2, 4, signed(int64(int32(bits))))
	add(0xD3, 8, signed(int64(bits)))
	add(byte(bits&0x7F), 0, unsigned(bits&0x7F))
	add(byte(bits|0xE0), 0, signed(int64(int8(bits|0xE0))))
	float := func(f float64) *big.Float {
		if f != f {
			return nil
		}
		return new(big.Float).SetPrec(200).SetFloat64(f)
	}
	add(0xCA, 4, float(float64(math.Float32frombits(uint32(bits)))))
	add(0xCB, 8, float(math.Float64frombits(bits)))
	return all
}

// someBits returns bits around the borders of all number types more often than others.
func someBits(r *rand.Rand) uint64 {
	switch r.IntN(4) {
	case 0:
		return r.Uint64()
	case 1:
		return math.Float64bits(float64(int64(r.Uint64()) >> r.IntN(64)))
	case 2:
		return uint64(math.Float32bits(float32(int64(r.Uint64()) >> r.IntN(64))))
	}
	return uint64(1)<<r.IntN(64) + uint64(r.IntN(5)) - 2
}

// TestNumbersAreReadExactlyOrNotAtAll compares the readers of all number types with exact arithmetic.
func TestNumbersAreReadExactlyOrNotAtAll(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	n, read := 0, 0
	for range times(5_000, 100_000) {
		for _, num := range wireNumbers(someBits(r)) {
			n++
			in := append(num.b[:len(num.b):len(num.b)], 0xC1)
			check := func(name string, got *big.Float, isNaN bool, rest []byte, err error, fits func(*big.Float) bool) {
				t.Helper()
				want := num.exact != nil && fits(num.exact) || num.exact == nil && strings.HasPrefix(name, "float")
				switch {
				case (err == nil) != want:
					t.Fatalf("Read %s of % x = %v, %v; the number is %v", name, num.b, got, err, num.exact)
				case err == nil && len(rest) != 1:
					t.Fatalf("Read %s of % x leaves %d bytes", name, num.b, len(rest)-1)
				case err == nil && !isNaN && got.Cmp(num.exact) != 0:
					t.Fatalf("Read %s of % x = %v, want %v", name, num.b, got, num.exact)
				case err == nil && isNaN != (num.exact == nil):
					t.Fatalf("Read %s of % x: is NaN %v, the number is %v", name, num.b, isNaN, num.exact)
				}
				if err == nil {
					read++
				}
			}
			isInt := func(lo, hi float64) func(*big.Float) bool { // hi is not in the range
				return func(x *big.Float) bool {
					return x.IsInt() && x.Cmp(big.NewFloat(lo)) >= 0 && x.Cmp(big.NewFloat(hi)) < 0
				}
			}
			i := func(v int64) *big.Float { return new(big.Float).SetPrec(200).SetInt64(v) }
			u := func(v uint64) *big.Float { return new(big.Float).SetPrec(200).SetUint64(v) }
			i8, rest, err := ReadInt[int8](in)
			check("int8", i(int64(i8)), false, rest, err, isInt(-1<<7, 1<<7))
			i16, rest, err := ReadInt[int16](in)
			check("int16", i(int64(i16)), false, rest, err, isInt(-1<<15, 1<<15))
			i32, rest, err := ReadInt[int32](in)
			check("int32", i(int64(i32)), false, rest, err, isInt(-1<<31, 1<<31))
			i64, rest, err := ReadInt[int64](in)
			check("int64", i(i64), false, rest, err, isInt(-1<<63, 1<<63))
			u8, rest, err := ReadUint[uint8](in)
			check("uint8", u(uint64(u8)), false, rest, err, isInt(0, 1<<8))
			u16, rest, err := ReadUint[uint16](in)
			check("uint16", u(uint64(u16)), false, rest, err, isInt(0, 1<<16))
			u32, rest, err := ReadUint[uint32](in)
			check("uint32", u(uint64(u32)), false, rest, err, isInt(0, 1<<32))
			u64, rest, err := ReadUint[uint64](in)
			check("uint64", u(u64), false, rest, err, isInt(0, 1<<64))
			f := func(v float64) *big.Float {
				if v != v {
					return nil
				}
				return big.NewFloat(v).SetPrec(200)
			}
			f32, rest, err := ReadFloat32[float32](in)
			check("float32", f(float64(f32)), f32 != f32, rest, err, func(x *big.Float) bool {
				v, acc := x.Float32()
				return acc == big.Exact && !(math.IsInf(float64(v), 0) && !x.IsInf())
			})
			f64, rest, err := ReadFloat64[float64](in)
			check("float64", f(f64), f64 != f64, rest, err, func(x *big.Float) bool {
				_, acc := x.Float64()
				return acc == big.Exact
			})
		}
	}
	t.Logf("%d numbers as 10 types, %d of them read", n, read)
}

func TestFloatsKeepAllTheirBits(t *testing.T) {
	for _, bits := range []uint64{0, 1 << 63, 0x7FF8000000000001, 0x7FF0000000000001, 0xFFF8000000000000, 0x7FF0000000000000, 1} {
		got, _, err := ReadFloat64[float64](msgp.AppendFloat64(nil, math.Float64frombits(bits)))
		if err != nil || math.Float64bits(got) != bits {
			t.Errorf("float64 %x is read back as %x, error %v", bits, math.Float64bits(got), err)
		}
	}
	for _, bits := range []uint32{0, 1 << 31, 0x7FC00001, 0x7F800001, 0x7F800000, 1} {
		got, _, err := ReadFloat32[float32](binary.BigEndian.AppendUint32([]byte{0xCA}, bits))
		if err != nil || math.Float32bits(got) != bits {
			t.Errorf("float32 %x is read back as %x, error %v", bits, math.Float32bits(got), err)
		}
	}
}

type (
	text  string
	small int8
	blob  []byte
	flag  bool
	ratio float32
)

// TestScalarErrors lists what each reader refuses, in its words.
func TestScalarErrors(t *testing.T) {
	for i, row := range []struct {
		read func([]byte) error
		b    []byte
		want string
	}{
		{errOf(ReadString[text]), []byte{0x01}, "want text, found int"},
		{errOf(ReadString[text]), []byte{0xC1}, "want text, found byte 0xc1, which begins no value"},
		{errOf(ReadString[text]), nil, errShort.Error()},
		{errOf(ReadString[text]), []byte{0xA2, 'a'}, errShort.Error()},
		{errOf(ReadString[text]), []byte{0xD9}, errShort.Error()},
		{errOf(ReadString[text]), []byte{0xDB, 0xFF, 0xFF, 0xFF, 0xFF, 'a'}, errShort.Error()},
		{errOf(ReadString[text]), []byte{0xDB, 0x80, 0, 0, 0, 'a'}, errShort.Error()},
		{errOf(ReadString[text]), []byte{0xDA, 0, 2, 'a'}, errShort.Error()},
		{errOf(ReadBytes[blob]), []byte{0xC4, 2, 'a'}, errShort.Error()},
		{errOf(ReadBytes[blob]), []byte{0xC6, 0xFF, 0xFF, 0xFF, 0xFF}, errShort.Error()},
		{errOf(ReadBytes[blob]), []byte{0x90}, "want text, found array"},
		{errOf(ReadBool[flag]), []byte{0x01}, "want true or false, found int"},
		{errOf(ReadBool[flag]), nil, errShort.Error()},
		{errOf(ReadInt[small]), []byte{0xCC, 0x80}, "the number is out of the range of gen.small"},
		{errOf(ReadInt[int64]), []byte{0xCF, 0x80, 0, 0, 0, 0, 0, 0, 0}, "the number is out of the range of int64"},
		{errOf(ReadInt[int64]), []byte{0xD3, 1}, errShort.Error()},
		{errOf(ReadInt[int64]), []byte{0xA1, '1'}, "want an integer, found str"},
		{errOf(ReadInt[int64]), msgp.AppendFloat64(nil, 1.5), "the number is not exactly an integer"},
		{errOf(ReadInt[int64]), msgp.AppendFloat64(nil, math.NaN()), "the number is not exactly an integer"},
		{errOf(ReadInt[int64]), msgp.AppendFloat64(nil, 1<<63), "the number is not exactly an integer"},
		{errOf(ReadUint[uint8]), []byte{0xFF}, "the number is negative"},
		{errOf(ReadUint[uint8]), msgp.AppendFloat64(nil, -1), "the number is not exactly an integer that is not negative"},
		{errOf(ReadUint[uint8]), []byte{0xCD, 1, 0}, "the number is out of the range of uint8"},
		{errOf(ReadFloat64[float64]), msgp.AppendInt64(nil, 1<<53+1), "the number is not exactly a float64"},
		{errOf(ReadFloat64[float64]), msgp.AppendUint64(nil, 1<<64-1), "the number is not exactly a float64"},
		{errOf(ReadFloat64[float64]), []byte{0xC3}, "want a number, found bool"},
		{errOf(ReadFloat32[ratio]), msgp.AppendFloat64(nil, 0.1), "the number is not exactly a float32"},
		{errOf(ReadFloat32[ratio]), []byte{0xCA, 1}, errShort.Error()},
		{errOf(ReadFloat64[float64]), []byte{0xCB, 1}, errShort.Error()},
		{errOf(ReadTime), []byte{0x01}, "want a time, found int"},
		{errOf(ReadTime), []byte{0xD6, 0x07, 0, 0, 0, 0}, "want a time, found extension 7 of 4 bytes"},
		{errOf(ReadTime), []byte{0xD6, 0xFF, 0, 0}, errShort.Error()},
		{errOf(ReadTime), []byte{0xC7}, errShort.Error()},
		{errOf(ReadTime), []byte{0xC7, 3, 0xFF, 0, 0, 0}, "want a time, found extension -1 of 3 bytes"},
		{errOf(ReadTime), []byte{0xD7, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0}, "the 1073741823 nanoseconds of a time are a second or more"},
	} {
		err := row.read(row.b)
		if err == nil || err.Error() != row.want {
			t.Errorf("row %d: % x: %v, want %s", i, row.b, err, row.want)
		}
	}
}

func errOf[T any](read Reader[T]) func([]byte) error {
	return func(b []byte) error {
		_, _, err := read(b)
		return err
	}
}

func TestNilIsZero(t *testing.T) {
	in := []byte{0xC0, 0xC1}
	check := func(name string, zero bool, rest []byte, err error) {
		t.Helper()
		if !zero || len(rest) != 1 || err != nil {
			t.Errorf("%s: nil is zero %v, %d bytes are left, error %v", name, zero, len(rest), err)
		}
	}
	s, rest, err := ReadString[string](in)
	check("string", s == "", rest, err)
	b, rest, err := ReadBytes[[]byte](in)
	check("bytes", b == nil, rest, err)
	i, rest, err := ReadInt[int](in)
	check("int", i == 0, rest, err)
	u, rest, err := ReadUint[uint](in)
	check("uint", u == 0, rest, err)
	f, rest, err := ReadFloat64[float64](in)
	check("float64", f == 0, rest, err)
	g, rest, err := ReadFloat32[float32](in)
	check("float32", g == 0, rest, err)
	o, rest, err := ReadBool[bool](in)
	check("bool", !o, rest, err)
	at, rest, err := ReadTime(in)
	check("time", at.IsZero(), rest, err)
	l, rest, err := ReadScalars(in, ReadInt[int])
	check("slice", l == nil, rest, err)
	m, rest, err := ReadMap(in, ReadInt[int], ReadInt[int])
	check("map", m == nil, rest, err)
	p, rest, err := ReadPtr(in, ReadInt[int])
	check("pointer", p == nil, rest, err)
	arr := [2]int{1, 2}
	rest, err = ReadArray(in, arr[:], ReadInt[int])
	check("array", arr == [2]int{}, rest, err)
	var d doc
	rest, err = readDoc(&d, in, nil, MaxDepth)
	check("struct", d.S == "", rest, err)
}

func TestTextOfAllLengthsComesBack(t *testing.T) {
	for _, n := range []int{0, 1, 31, 32, 255, 256, 65535, 65536, 1 << 20} {
		s := strings.Repeat("x", n)
		if got, rest, err := ReadString[text](append(msgp.AppendString(nil, s), 0xC1)); err != nil || string(got) != s || len(rest) != 1 {
			t.Errorf("text of %d bytes is read as %d bytes, %d are left, error %v", n, len(got), len(rest), err)
		}
		in := AppendBytes(nil, []byte(s))
		got, _, err := ReadBytes[blob](in)
		if err != nil || !bytes.Equal(got, []byte(s)) || got == nil {
			t.Errorf("%d bytes are read as %d, error %v", n, len(got), err)
		}
		if n > 0 {
			if in[len(in)-1] = 'y'; got[n-1] == 'y' {
				t.Errorf("%d bytes share memory with the input", n)
			}
		}
		if got, _, err := ReadJSON[blob](AppendJSON(nil, []byte(s))); err != nil || !bytes.Equal(got, []byte(s)) || got == nil {
			t.Errorf("JSON of %d bytes is read as %d, error %v", n, len(got), err)
		}
	}
	if got, _, err := ReadString[string](AppendBytes(nil, []byte("x"))); err != nil || got != "x" {
		t.Errorf("bytes as text: %q, %v", got, err)
	}
	if got, _, err := ReadBytes[[]byte](msgp.AppendString(nil, "x")); err != nil || string(got) != "x" {
		t.Errorf("text as bytes: %q, %v", got, err)
	}
}

func TestDepthErrorIsOne(t *testing.T) {
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, ErrDepth) {
			t.Errorf("Down(0) panics with %v, want ErrDepth", err)
		}
	}()
	if Down(MaxDepth) != MaxDepth-1 {
		t.Errorf("Down(%d) = %d", MaxDepth, Down(MaxDepth))
	}
	Down(0)
}
