package ordered

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// A Kind is the type of a component of a key, for [Format] and for errors. A kind together with [Desc], as in
// Time|Desc, is descending.
type Kind uint8

// The kinds of components.
const (
	String Kind = iota + 1
	Bytes
	Int
	Uint
	Float64
	Float32
	Bool
	Time
	UUID

	Desc Kind = 0x80
)

var kindNames = [...]string{
	String: "string", Bytes: "bytes", Int: "int", Uint: "uint", Float64: "float64", Float32: "float32", Bool: "bool",
	Time: "time", UUID: "uuid",
}

// String returns the name of the kind, as in "time desc".
func (k Kind) String() string {
	name := "kind " + strconv.Itoa(int(k&^Desc))
	if n := int(k &^ Desc); n > 0 && n < len(kindNames) {
		name = kindNames[n]
	}
	if k&Desc != 0 {
		name += " desc"
	}
	return name
}

// Format returns key for people to read: its components in parentheses, as in ("books", 12.5, 2026-01-02T15:04:05Z).
// kinds are the kinds of the components. Format never fails. From the first component on that cannot be read, and
// after the last kind, the bytes are printed in hexadecimal; a key that ends early is printed as far as it goes.
func Format(key []byte, kinds ...Kind) string {
	var out strings.Builder
	out.WriteByte('(')
	for i, k := range kinds {
		if len(key) == 0 {
			break
		}
		text, rest, err := formatOne(key, k)
		if err != nil {
			break
		}
		if i > 0 {
			out.WriteString(", ")
		}
		out.WriteString(text)
		key = rest
	}
	if len(key) > 0 {
		if out.Len() > 1 {
			out.WriteString(", ")
		}
		out.WriteString("0x")
		out.WriteString(hex.EncodeToString(key))
	}
	out.WriteByte(')')
	return out.String()
}

func formatOne(key []byte, k Kind) (text string, rest []byte, err error) {
	switch k {
	case String:
		return format(ReadString[string], strconv.Quote, key)
	case String | Desc:
		return format(ReadStringDesc[string], strconv.Quote, key)
	case Bytes:
		return format(ReadBytes[[]byte], formatBytes, key)
	case Bytes | Desc:
		return format(ReadBytesDesc[[]byte], formatBytes, key)
	case Int:
		return format(ReadInt[int64], formatInt, key)
	case Int | Desc:
		return format(ReadIntDesc[int64], formatInt, key)
	case Uint:
		return format(ReadUint[uint64], formatUint, key)
	case Uint | Desc:
		return format(ReadUintDesc[uint64], formatUint, key)
	case Float64:
		return format(ReadFloat64[float64], formatFloat64, key)
	case Float64 | Desc:
		return format(ReadFloat64Desc[float64], formatFloat64, key)
	case Float32:
		return format(ReadFloat32[float32], formatFloat32, key)
	case Float32 | Desc:
		return format(ReadFloat32Desc[float32], formatFloat32, key)
	case Bool:
		return format(ReadBool[bool], strconv.FormatBool, key)
	case Bool | Desc:
		return format(ReadBoolDesc[bool], strconv.FormatBool, key)
	case Time:
		return format(ReadTime, formatTime, key)
	case Time | Desc:
		return format(ReadTimeDesc, formatTime, key)
	case UUID:
		return format(ReadUUID[[16]byte], formatUUID, key)
	case UUID | Desc:
		return format(ReadUUIDDesc[[16]byte], formatUUID, key)
	}
	return "", nil, malformed(k, 0, "there is no such kind")
}

func format[T any](read func([]byte) (T, []byte, error), print func(T) string, key []byte) (string, []byte, error) {
	v, rest, err := read(key)
	if err != nil {
		return "", nil, err
	}
	return print(v), rest, nil
}

func formatBytes(v []byte) string    { return "x" + strconv.Quote(hex.EncodeToString(v)) }
func formatInt(v int64) string       { return strconv.FormatInt(v, 10) }
func formatUint(v uint64) string     { return strconv.FormatUint(v, 10) }
func formatFloat64(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
func formatFloat32(v float32) string { return strconv.FormatFloat(float64(v), 'g', -1, 32) }
func formatTime(v time.Time) string  { return v.Format(time.RFC3339Nano) }
func formatUUID(v [uuidSize]byte) string {
	h := hex.EncodeToString(v[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
