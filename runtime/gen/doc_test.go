package gen

import (
	"encoding/json"
	"os"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// times returns how often to try: few by default, full with KIXX_CI, ten times as often with KIXX_LONG.
func times(few, full int) int {
	switch {
	case os.Getenv("KIXX_LONG") != "":
		return 10 * full
	case os.Getenv("KIXX_CI") != "":
		return full
	}
	return few
}

// A doc is a document with functions in the shape of generated ones.
type doc struct {
	S    string
	I    int16
	U    uint64
	F    float32
	G    float64
	T    time.Time
	B    []byte
	J    json.RawMessage
	Strs []string
	Nums map[int64]float64
	Kids []doc
	By   map[string]*doc
	Arr  [2]bool
	In   inner
	P    *inner
}

type inner struct {
	Unknown
	X, Y int
}

func appendDoc(b []byte, v *doc, u *Unknown, depth int) []byte {
	depth = Down(depth)
	b = AppendHeader(b, 15, u)
	b = msgp.AppendString(b, "S")
	b = msgp.AppendString(b, v.S)
	b = msgp.AppendString(b, "I")
	b = msgp.AppendInt16(b, v.I)
	b = msgp.AppendString(b, "U")
	b = msgp.AppendUint64(b, v.U)
	b = msgp.AppendString(b, "F")
	b = msgp.AppendFloat32(b, v.F)
	b = msgp.AppendString(b, "G")
	b = msgp.AppendFloat64(b, v.G)
	b = msgp.AppendString(b, "T")
	b = AppendTime(b, v.T)
	b = msgp.AppendString(b, "B")
	b = AppendBytes(b, v.B)
	b = msgp.AppendString(b, "J")
	b = AppendJSON(b, v.J)
	b = msgp.AppendString(b, "Strs")
	b = AppendListHeader(b, v.Strs == nil, len(v.Strs))
	for _, x := range v.Strs {
		b = msgp.AppendString(b, x)
	}
	b = msgp.AppendString(b, "Nums")
	b = AppendMapHeader(b, v.Nums == nil, len(v.Nums))
	for _, k := range SortedKeys(v.Nums) {
		x := v.Nums[k]
		b = msgp.AppendInt64(b, k)
		b = msgp.AppendFloat64(b, x)
	}
	b = msgp.AppendString(b, "Kids")
	b = AppendListHeader(b, v.Kids == nil, len(v.Kids))
	for i := range v.Kids {
		b = appendDoc(b, &v.Kids[i], nil, depth)
	}
	b = msgp.AppendString(b, "By")
	b = AppendMapHeader(b, v.By == nil, len(v.By))
	for _, k := range SortedKeys(v.By) {
		x := v.By[k]
		b = msgp.AppendString(b, k)
		if x == nil {
			b = msgp.AppendNil(b)
		} else {
			b = appendDoc(b, x, nil, depth)
		}
	}
	b = msgp.AppendString(b, "Arr")
	b = msgp.AppendArrayHeader(b, 2)
	for _, x := range v.Arr {
		b = msgp.AppendBool(b, x)
	}
	b = msgp.AppendString(b, "In")
	b = appendInner(b, &v.In, u.Sub("In"))
	b = msgp.AppendString(b, "P")
	if v.P == nil {
		b = msgp.AppendNil(b)
	} else {
		b = appendInner(b, v.P, u.Sub("P"))
	}
	return AppendUnknown(b, u)
}

func appendInner(b []byte, v *inner, _ *Unknown) []byte {
	u := v.Unknown.Of("inner")
	b = AppendHeader(b, 2, u)
	b = msgp.AppendString(b, "X")
	b = msgp.AppendInt(b, v.X)
	b = msgp.AppendString(b, "Y")
	b = msgp.AppendInt(b, v.Y)
	return AppendUnknown(b, u)
}

func readDoc(v *doc, b []byte, u *Unknown, depth int) ([]byte, error) {
	if depth == 0 {
		return nil, ErrDepth
	}
	depth--
	return ReadFields(b, func(name, b []byte) (_ []byte, err error) {
		switch string(name) {
		case "S":
			v.S, b, err = ReadString[string](b)
		case "I":
			v.I, b, err = ReadInt[int16](b)
		case "U":
			v.U, b, err = ReadUint[uint64](b)
		case "F":
			v.F, b, err = ReadFloat32[float32](b)
		case "G":
			v.G, b, err = ReadFloat64[float64](b)
		case "T":
			v.T, b, err = ReadTime(b)
		case "B":
			v.B, b, err = ReadBytes[[]byte](b)
		case "J":
			v.J, b, err = ReadJSON[json.RawMessage](b)
		case "Strs":
			v.Strs, b, err = ReadScalars(b, ReadString[string])
		case "Nums":
			v.Nums, b, err = ReadMap(b, ReadInt[int64], ReadFloat64[float64])
		case "Kids":
			v.Kids, b, err = ReadSlice(b, Value(func(x *doc, b []byte, u *Unknown) ([]byte, error) { return readDoc(x, b, u, depth) }))
		case "By":
			v.By, b, err = ReadMap(b, ReadString[string], func(b []byte) (*doc, []byte, error) {
				return ReadPtr(b, Value(func(x *doc, b []byte, u *Unknown) ([]byte, error) { return readDoc(x, b, u, depth) }))
			})
		case "Arr":
			b, err = ReadArray(b, v.Arr[:], ReadBool[bool])
		case "In":
			b, err = readInner(&v.In, b, u.At("In"))
		case "P":
			v.P, b, err = ReadStruct(b, readInner, u.At("P"))
		default:
			b, err = u.Keep(name, b)
		}
		return b, err
	})
}

func readInner(v *inner, b []byte, _ *Unknown) ([]byte, error) {
	u := &v.Unknown
	b, err := ReadFields(b, func(name, b []byte) (_ []byte, err error) {
		switch string(name) {
		case "X":
			v.X, b, err = ReadInt[int](b)
		case "Y":
			v.Y, b, err = ReadInt[int](b)
		default:
			b, err = u.Keep(name, b)
		}
		return b, err
	})
	u.Own("inner")
	return b, err
}
