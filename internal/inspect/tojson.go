package inspect

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kixxgen/kixxgen/runtime/gen"
	"github.com/tinylib/msgp/msgp"
)

// Values are written as JSON as an application would, and so that what is read back is the same bytes:
//
//	numbers         all their digits; NaN and the infinities as {"$float":"NaN"}
//	bytes           base64
//	times           RFC 3339 in UTC; in years that it does not have, {"$time":[seconds since 1970, nanoseconds]}
//	UUIDs           0190b2c4-9f00-7000-8000-000000000001
//	json            as it is, if it is in one line without blanks; else {"$bytes":"…"}
//	text            a string; what is not UTF-8 {"$bytes":"…"}
//	maps            an object, with numbers and bools as their text; one with a key that begins with $, or is not UTF-8,
//	                {"$map":[[key,value],…]}
//	structs         an object; the fields that the schema does not know are one member, "$unknown"
//
// What is in "$unknown" has no type here. It is written so that the type can be told: integers without and floats with a
// point or an exponent, and {"$bytes":"…"}, {"$time":…} and, for all that has no other form, {"$raw":"…"}, its MessagePack.

// maxDepth bounds the nesting of values.
const maxDepth = 500

var errDeep = fmt.Errorf("it is nested more than %d levels deep", maxDepth)

// appendJSON reads a stored value of type t from the start of b and appends it to j as JSON.
func (t *typ) appendJSON(j, b []byte, depth int) (_, rest []byte, err error) {
	if depth > maxDepth {
		return nil, nil, errDeep
	}
	if msgp.NextType(b) == msgp.NilType {
		return append(j, "null"...), b[1:], nil
	}
	switch t.kind {
	case boolKind:
		v, rest, err := gen.ReadBool[bool](b)
		return strconv.AppendBool(j, v), rest, err
	case intKind:
		v, rest, err := gen.ReadInt[int64](b)
		return strconv.AppendInt(j, v, 10), rest, err
	case uintKind:
		v, rest, err := gen.ReadUint[uint64](b)
		return strconv.AppendUint(j, v, 10), rest, err
	case floatKind:
		if t.bits == 32 {
			v, rest, err := gen.ReadFloat32[float32](b)
			return appendFloat(j, float64(v), 32), rest, err
		}
		v, rest, err := gen.ReadFloat64[float64](b)
		return appendFloat(j, v, 64), rest, err
	case stringKind:
		v, rest, err := gen.ReadString[string](b)
		return appendText(j, v), rest, err
	case bytesKind:
		v, rest, err := gen.ReadBytes[[]byte](b)
		return appendBase64(j, v), rest, err
	case jsonKind:
		v, rest, err := gen.ReadJSON[[]byte](b)
		return appendRawJSON(j, v), rest, err
	case timeKind:
		v, rest, err := gen.ReadTime(b)
		return appendTime(j, v), rest, err
	case uuidKind:
		v, rest, err := gen.ReadUUID[[16]byte](b)
		return append(append(append(j, '"'), formatUUID(v)...), '"'), rest, err
	case pointerKind:
		return t.elem.appendJSON(j, b, depth)
	case anyKind:
		return appendAny(j, b, depth)
	case sliceKind, arrayKind, boxKind:
		return t.appendList(j, b, depth)
	case mapKind:
		return t.appendMap(j, b, depth)
	case structKind:
		return t.appendStruct(j, b, depth)
	}
	return nil, nil, fmt.Errorf("a value of type %s", t.text)
}

func (t *typ) appendList(j, b []byte, depth int) (_, rest []byte, err error) {
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil {
		return nil, nil, err
	}
	if t.kind != sliceKind && int(n) != t.len {
		return nil, nil, fmt.Errorf("an array of %d elements, want %d", n, t.len)
	}
	j = append(j, '[')
	for i := range n {
		if i > 0 {
			j = append(j, ',')
		}
		if j, b, err = t.elem.appendJSON(j, b, depth+1); err != nil {
			return nil, nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return append(j, ']'), b, nil
}

// appendMap appends a map: as an object, if all its keys can be names in one.
func (t *typ) appendMap(j, b []byte, depth int) (_, rest []byte, err error) {
	n, entries, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return nil, nil, err
	}
	start := len(j)
	j, b = append(j, '{'), entries
	for i := range n {
		if i > 0 {
			j = append(j, ',')
		}
		at := len(j)
		if j, b, err = t.key.appendJSON(j, b, depth+1); err != nil {
			return nil, nil, fmt.Errorf("key %d: %w", i, err)
		}
		switch key := j[at:]; {
		case key[0] == '{' || bytes.HasPrefix(key, []byte(`"$`)):
			return t.appendPairs(j[:start], n, entries, depth)
		case key[0] != '"':
			j = append(slices.Insert(j, at, '"'), '"')
		}
		if j, b, err = t.elem.appendJSON(append(j, ':'), b, depth+1); err != nil {
			return nil, nil, err
		}
	}
	return append(j, '}'), b, nil
}

// appendPairs appends the n entries of a map as pairs.
func (t *typ) appendPairs(j []byte, n uint32, b []byte, depth int) (_, rest []byte, err error) {
	j = append(j, `{"$map":[`...)
	for i := range n {
		if i > 0 {
			j = append(j, ',')
		}
		if j, b, err = t.key.appendJSON(append(j, '['), b, depth+1); err != nil {
			return nil, nil, fmt.Errorf("key %d: %w", i, err)
		}
		if j, b, err = t.elem.appendJSON(append(j, ','), b, depth+1); err != nil {
			return nil, nil, err
		}
		j = append(j, ']')
	}
	return append(j, ']', '}'), b, nil
}

// appendStruct appends a struct, with what t does not know behind.
func (t *typ) appendStruct(j, b []byte, depth int) (_, rest []byte, err error) {
	j = append(j, '{')
	var unknown []byte
	start := len(j)
	b, err = gen.ReadFields(b, func(name, b []byte) (rest []byte, err error) {
		f := t.field(string(name))
		if f == nil {
			if unknown != nil {
				unknown = append(unknown, ',')
			}
			unknown = append(appendText(unknown, string(name)), ':')
			unknown, rest, err = appendAny(unknown, b, depth+2)
			return rest, err
		}
		if f.kind == droppedKind {
			return gen.Skip(b)
		}
		if len(j) > start {
			j = append(j, ',')
		}
		j = append(appendText(j, string(name)), ':')
		j, rest, err = f.appendJSON(j, b, depth+1)
		return rest, err
	})
	if err != nil {
		return nil, nil, err
	}
	if unknown != nil {
		if len(j) > start {
			j = append(j, ',')
		}
		j = append(append(append(j, `"$unknown":{`...), unknown...), '}')
	}
	return append(j, '}'), b, nil
}

// appendAny reads a value whose type nobody knows, and appends it to j so that it comes back as the same bytes.
func appendAny(j, b []byte, depth int) (_, rest []byte, err error) {
	rest, err = gen.Skip(b)
	if err != nil {
		return nil, nil, err
	}
	value := b[:len(b)-len(rest)]
	start := len(j)
	if depth < maxDepth {
		if j, again, ok := appendPlain(j, value, depth); ok && bytes.Equal(again, value) {
			return j, rest, nil
		}
	}
	j = append(j[:start], `{"$raw":`...)
	return append(appendBase64(j, value), '}'), rest, nil
}

// appendPlain appends a value that is one of the usual ones to j. again is what comes back of it.
func appendPlain(j, value []byte, depth int) (_, again []byte, ok bool) {
	switch msgp.NextType(value) {
	case msgp.NilType:
		return append(j, "null"...), value, true
	case msgp.BoolType:
		v, _, err := msgp.ReadBoolBytes(value)
		return strconv.AppendBool(j, v), value, err == nil
	case msgp.IntType:
		v, _, err := msgp.ReadInt64Bytes(value)
		return strconv.AppendInt(j, v, 10), msgp.AppendInt64(nil, v), err == nil
	case msgp.Float64Type:
		v, _, err := msgp.ReadFloat64Bytes(value)
		at := len(j)
		if j = appendFloat(j, v, 64); !bytes.ContainsAny(j[at:], ".e{") {
			j = append(j, ".0"...)
		}
		return j, msgp.AppendFloat64(nil, v), err == nil
	case msgp.StrType:
		v, _, err := msgp.ReadStringBytes(value)
		return appendText(j, v), msgp.AppendString(nil, v), err == nil && utf8.ValidString(v)
	case msgp.BinType:
		v, _, err := msgp.ReadBytesZC(value)
		return append(appendBase64(append(j, `{"$bytes":`...), v), '}'), msgp.AppendBytes(nil, v), err == nil
	case msgp.ArrayType:
		n, b, err := msgp.ReadArrayHeaderBytes(value)
		again = msgp.AppendArrayHeader(nil, n)
		j = append(j, '[')
		for i := range n {
			if i > 0 {
				j = append(j, ',')
			}
			var rest []byte
			if j, rest, err = appendAny(j, b, depth+1); err != nil {
				return j, nil, false
			}
			again = append(again, b[:len(b)-len(rest)]...)
			b = rest
		}
		return append(j, ']'), again, err == nil
	case msgp.MapType:
		n, b, err := msgp.ReadMapHeaderBytes(value)
		again = msgp.AppendMapHeader(nil, n)
		seen := make(map[string]bool)
		j = append(j, '{')
		for i := range n {
			if err != nil || msgp.NextType(b) != msgp.StrType {
				return j, nil, false
			}
			var key string
			key, b, err = msgp.ReadStringBytes(b)
			if err != nil || !utf8.ValidString(key) || strings.HasPrefix(key, "$") || seen[key] {
				return j, nil, false
			}
			seen[key] = true
			if i > 0 {
				j = append(j, ',')
			}
			j = append(appendText(j, key), ':')
			var rest []byte
			if j, rest, err = appendAny(j, b, depth+1); err != nil {
				return j, nil, false
			}
			again = append(msgp.AppendString(again, key), b[:len(b)-len(rest)]...)
			b = rest
		}
		return append(j, '}'), again, err == nil
	case msgp.ExtensionType, msgp.TimeType:
		v, _, err := gen.ReadTime(value)
		if err != nil {
			return j, nil, false
		}
		if k := appendTime(nil, v); k[0] == '{' {
			j = append(j, k...)
		} else {
			j = append(append(append(j, `{"$time":`...), k...), '}')
		}
		return j, gen.AppendTime(nil, v), true
	}
	return j, nil, false
}

// appendFloat appends a float with as many digits as it takes to tell it from the others.
func appendFloat(j []byte, v float64, bits int) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(strconv.AppendFloat(append(j, `{"$float":"`...), v, 'g', -1, bits), `"}`...)
	}
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(j, v, format, -1, bits)
}

// appendText appends text.
func appendText(j []byte, text string) []byte {
	if !utf8.ValidString(text) {
		return append(appendBase64(append(j, `{"$bytes":`...), []byte(text)), '}')
	}
	return quote(j, text)
}

// quote appends text as a JSON string.
func quote(j []byte, text string) []byte {
	j = append(j, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			j = append(j, '\\', c)
		case c == '\n':
			j = append(j, `\n`...)
		case c == '\t':
			j = append(j, `\t`...)
		case c < ' ':
			j = fmt.Appendf(j, `\u%04x`, c)
		default:
			j = append(j, c)
		}
	}
	return append(j, '"')
}

func appendBase64(j, v []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(j, '"'), v), '"')
}

func appendTime(j []byte, v time.Time) []byte {
	if y := v.Year(); y < 0 || y > 9999 {
		return fmt.Appendf(j, `{"$time":[%d,%d]}`, v.Unix(), v.Nanosecond())
	}
	return append(v.AppendFormat(append(j, '"'), time.RFC3339Nano), '"')
}

func formatUUID(v [16]byte) string {
	h := hex.EncodeToString(v[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// appendRawJSON appends a JSON value that is kept as text.
func appendRawJSON(j, v []byte) []byte {
	var compact bytes.Buffer
	plain := utf8.Valid(v) && json.Compact(&compact, v) == nil && bytes.Equal(compact.Bytes(), v) &&
		!bytes.HasPrefix(v, []byte(`{"$`)) && !bytes.Equal(v, []byte("null"))
	if plain {
		return append(j, v...)
	}
	return append(appendBase64(append(j, `{"$bytes":`...), v), '}')
}
