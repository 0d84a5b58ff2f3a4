package inspect

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kixxgen/kixxgen/internal/storedtype"
	"github.com/kixxgen/kixxgen/runtime/gen"
	"github.com/kixxgen/kixxgen/runtime/ordered"
	"github.com/tinylib/msgp/msgp"
)

// A kind says how a value is stored.
type kind uint8

const (
	boolKind kind = iota + 1
	intKind
	uintKind
	floatKind
	stringKind
	bytesKind
	jsonKind
	timeKind
	uuidKind
	pointerKind
	boxKind // a pointer to what may be nil itself: a list of one element, or nil
	anyKind
	sliceKind
	arrayKind
	mapKind
	structKind
	droppedKind
)

// A typ is the type of a stored value, as the catalogue has it.
type typ struct {
	kind   kind
	bits   int // of a number: 8, 16, 32, 64
	len    int // of an array
	key    *typ
	elem   *typ
	fields []field // of a struct, in its order

	text string
}

type field struct {
	name string
	typ  *typ
}

var scalars = map[string]typ{
	"bool": {kind: boolKind},
	"int":  {kind: intKind, bits: 64}, "int8": {kind: intKind, bits: 8}, "int16": {kind: intKind, bits: 16}, "int32": {kind: intKind, bits: 32}, "int64": {kind: intKind, bits: 64},
	"uint": {kind: uintKind, bits: 64}, "uint8": {kind: uintKind, bits: 8}, "uint16": {kind: uintKind, bits: 16}, "uint32": {kind: uintKind, bits: 32}, "uint64": {kind: uintKind, bits: 64},
	"float32": {kind: floatKind, bits: 32}, "float64": {kind: floatKind, bits: 64},
	"string": {kind: stringKind}, "bytes": {kind: bytesKind}, "json": {kind: jsonKind}, "time": {kind: timeKind}, "uuid": {kind: uuidKind},
	"any": {kind: anyKind}, "text": {kind: stringKind}, "binary": {kind: bytesKind}, "jsontext": {kind: jsonKind},
	"complex64":        {kind: arrayKind, len: 2, elem: &typ{kind: floatKind, bits: 32, text: "float32"}},
	"complex128":       {kind: arrayKind, len: 2, elem: &typ{kind: floatKind, bits: 64, text: "float64"}},
	storedtype.Dropped: {kind: droppedKind},
}

// parseType reads a type that is the whole of text.
func parseType(text string) (*typ, error) {
	st, rest, err := storedtype.Parse(text)
	if err == nil && rest != "" {
		err = fmt.Errorf("%q follows it", rest)
	}
	if err != nil {
		return nil, fmt.Errorf("the type %q cannot be read: %w", text, err)
	}
	t, err := newType(&st, nil)
	if err != nil {
		return nil, fmt.Errorf("the type %q: %w", text, err)
	}
	return t, nil
}

// maxArray bounds what one number in a catalogue lets a missing field take.
const maxArray = 1 << 20

func newType(st *storedtype.Type, outer []*typ) (t *typ, err error) {
	if s, ok := scalars[st.Head]; ok {
		s.text = st.Head
		return &s, nil
	}
	t = &typ{text: st.Head}
	part := func(i int, outer []*typ) *typ {
		if i >= len(st.Parts) {
			err = fmt.Errorf("%s without a type", st.Head)
		}
		if err != nil {
			return nil
		}
		var p *typ
		p, err = newType(&st.Parts[i], outer)
		return p
	}
	switch head := st.Head; {
	case head == "*":
		t.kind, t.elem = pointerKind, part(0, outer)
		if err == nil && slices.Contains([]kind{bytesKind, jsonKind, sliceKind, mapKind, pointerKind, boxKind, anyKind}, t.elem.kind) &&
			t.elem.text != "binary" && t.elem.text != "jsontext" {
			t.kind, t.len = boxKind, 1
		}
	case head == "[]":
		t.kind, t.elem = sliceKind, part(0, outer)
	case head[0] == '[':
		if t.len, err = strconv.Atoi(head[1 : len(head)-1]); err != nil || t.len < 0 || t.len > maxArray {
			return nil, fmt.Errorf("%s is no array", head)
		}
		t.kind, t.elem = arrayKind, part(0, outer)
	case head == "map":
		t.kind, t.key, t.elem = mapKind, part(0, outer), part(1, outer)
		if err == nil && !slices.Contains([]kind{stringKind, intKind, uintKind, boolKind, uuidKind, timeKind}, t.key.kind) {
			err = fmt.Errorf("a map with keys of type %s", t.key.text)
		}
	case head == "struct":
		t.kind = structKind
		for i, name := range st.Fields {
			if f := part(i, append(slices.Clip(outer), t)); f != nil {
				t.fields = append(t.fields, field{name, f})
			}
		}
	case head[0] == '^':
		n, nerr := strconv.Atoi(head[1:])
		if nerr != nil || n < 1 || n > len(outer) {
			return nil, fmt.Errorf("%s, where there are %d structs around", head, len(outer))
		}
		return outer[len(outer)-n], nil
	default:
		return nil, fmt.Errorf("this version does not know %q", head)
	}
	return t, err
}

// field returns the field of a struct with a name, nil if there is none.
func (t *typ) field(name string) *typ {
	for i := range t.fields {
		if t.fields[i].name == name {
			return t.fields[i].typ
		}
	}
	return nil
}

// kept returns how many fields of a struct are stored.
func (t *typ) kept() (n int) {
	for i := range t.fields {
		if t.fields[i].typ.kind != droppedKind {
			n++
		}
	}
	return n
}

// appendZero appends the zero value of t as it is stored.
func (t *typ) appendZero(b []byte) []byte {
	switch t.kind {
	case boolKind:
		return msgp.AppendBool(b, false)
	case intKind, uintKind:
		return msgp.AppendInt(b, 0)
	case floatKind:
		return t.appendFloat(b, 0)
	case stringKind:
		return msgp.AppendString(b, "")
	case timeKind:
		return gen.AppendTime(b, time.Time{})
	case uuidKind:
		return gen.AppendUUID(b, [16]byte{})
	case arrayKind:
		b = msgp.AppendArrayHeader(b, uint32(t.len))
		for range t.len {
			b = t.elem.appendZero(b)
		}
		return b
	case structKind:
		b = msgp.AppendMapHeader(b, uint32(t.kept()))
		for i := range t.fields {
			if f := &t.fields[i]; f.typ.kind != droppedKind {
				b = f.typ.appendZero(msgp.AppendString(b, f.name))
			}
		}
		return b
	}
	return msgp.AppendNil(b)
}

func (t *typ) appendFloat(b []byte, v float64) []byte {
	if t.bits == 32 {
		return msgp.AppendFloat32(b, float32(v))
	}
	return msgp.AppendFloat64(b, v)
}

// A component is one part of a key or of an index entry.
type component struct {
	typ  *typ
	desc bool
}

// append reads a stored value and appends it as a component of a key.
func (c component) append(b, value []byte) (_, rest []byte, err error) {
	switch c.typ.kind {
	case boolKind:
		return appendComponent(b, value, c.desc, gen.ReadBool[bool], ordered.AppendBool[bool], ordered.AppendBoolDesc[bool])
	case intKind:
		return appendComponent(b, value, c.desc, gen.ReadInt[int64], ordered.AppendInt[int64], ordered.AppendIntDesc[int64])
	case uintKind:
		return appendComponent(b, value, c.desc, gen.ReadUint[uint64], ordered.AppendUint[uint64], ordered.AppendUintDesc[uint64])
	case floatKind:
		if c.typ.bits == 32 {
			return appendComponent(b, value, c.desc, gen.ReadFloat32[float32], ordered.AppendFloat32[float32], ordered.AppendFloat32Desc[float32])
		}
		return appendComponent(b, value, c.desc, gen.ReadFloat64[float64], ordered.AppendFloat64[float64], ordered.AppendFloat64Desc[float64])
	case stringKind:
		return appendComponent(b, value, c.desc, gen.ReadString[string], ordered.AppendString[string], ordered.AppendStringDesc[string])
	case bytesKind:
		return appendComponent(b, value, c.desc, gen.ReadBytes[[]byte], ordered.AppendBytes[[]byte], ordered.AppendBytesDesc[[]byte])
	case timeKind:
		return appendComponent(b, value, c.desc, gen.ReadTime, ordered.AppendTime, ordered.AppendTimeDesc)
	case uuidKind:
		return appendComponent(b, value, c.desc, gen.ReadUUID[[16]byte], ordered.AppendUUID[[16]byte], ordered.AppendUUIDDesc[[16]byte])
	}
	return nil, nil, fmt.Errorf("the type %s has no order", c.typ.text)
}

func appendComponent[T any](b, value []byte, desc bool, read gen.Reader[T], up, down func([]byte, T) []byte) (_, rest []byte, err error) {
	v, rest, err := read(value)
	if err != nil {
		return nil, nil, err
	}
	if desc {
		up = down
	}
	return up(b, v), rest, nil
}

// stored reads a component from the start of a key and appends it to b as a document stores it.
func (c component) stored(b, key []byte) (_, rest []byte, err error) {
	switch c.typ.kind {
	case boolKind:
		return storedComponent(b, key, c.desc, ordered.ReadBool[bool], ordered.ReadBoolDesc[bool], msgp.AppendBool)
	case intKind:
		return storedComponent(b, key, c.desc, ordered.ReadInt[int64], ordered.ReadIntDesc[int64], msgp.AppendInt64)
	case uintKind:
		return storedComponent(b, key, c.desc, ordered.ReadUint[uint64], ordered.ReadUintDesc[uint64], msgp.AppendUint64)
	case floatKind:
		if c.typ.bits == 32 {
			return storedComponent(b, key, c.desc, ordered.ReadFloat32[float32], ordered.ReadFloat32Desc[float32], msgp.AppendFloat32)
		}
		return storedComponent(b, key, c.desc, ordered.ReadFloat64[float64], ordered.ReadFloat64Desc[float64], msgp.AppendFloat64)
	case stringKind:
		return storedComponent(b, key, c.desc, ordered.ReadString[string], ordered.ReadStringDesc[string], msgp.AppendString)
	case bytesKind:
		return storedComponent(b, key, c.desc, ordered.ReadBytes[[]byte], ordered.ReadBytesDesc[[]byte], msgp.AppendBytes)
	case timeKind:
		return storedComponent(b, key, c.desc, ordered.ReadTime, ordered.ReadTimeDesc, gen.AppendTime)
	case uuidKind:
		return storedComponent(b, key, c.desc, ordered.ReadUUID[[16]byte], ordered.ReadUUIDDesc[[16]byte], gen.AppendUUID[[16]byte])
	}
	return nil, nil, fmt.Errorf("the type %s has no order", c.typ.text)
}

func storedComponent[T any](b, key []byte, desc bool, up, down func([]byte) (T, []byte, error), add func([]byte, T) []byte) (_, rest []byte, err error) {
	if desc {
		up = down
	}
	v, rest, err := up(key)
	if err != nil {
		return nil, nil, err
	}
	return add(b, v), rest, nil
}

// parse reads a value that a person wrote, and appends it as a component of a key.
func (c component) parse(b []byte, text string) ([]byte, error) {
	value, err := c.typ.parseText(nil, text)
	if err != nil {
		return nil, err
	}
	b, _, err = c.append(b, value)
	return b, err
}

// parseText reads a scalar that a person wrote, and appends it as it is stored.
func (t *typ) parseText(b []byte, text string) ([]byte, error) {
	switch t.kind {
	case stringKind:
		return msgp.AppendString(b, text), nil
	case timeKind:
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime, "2006-01-02T15:04", time.DateOnly} {
			if v, err := time.Parse(layout, text); err == nil {
				return gen.AppendTime(b, v), nil
			}
		}
		return nil, fmt.Errorf("%q is no time; write it as 2006-01-02T15:04:05Z, or 2006-01-02", text)
	case intKind:
		if v, err := time.ParseDuration(text); err == nil && text != "0" { // durations are stored as nanoseconds
			return msgp.AppendInt64(b, int64(v)), nil
		}
	case floatKind:
		if v, err := strconv.ParseFloat(text, t.bits); err == nil {
			return t.appendFloat(b, v), nil
		}
		return nil, t.wrong(text)
	case bytesKind, uuidKind:
		return t.textOf(b, text)
	}
	return t.literal(b, strings.TrimSpace(text))
}

// wrong says that text is no value of t.
func (t *typ) wrong(text string) error {
	want := t.text
	if t.kind == uuidKind {
		want = "uuid, as 0190b2c4-9f00-7000-8000-000000000001"
	}
	return fmt.Errorf("%s is no %s", shorten(text), want)
}

// shorten quotes a text for an error, the beginning of it if it is long.
func shorten(text string) string {
	if len(text) > 60 {
		return strconv.QuoteToASCII(strings.ToValidUTF8(text[:60], "�")) + "…"
	}
	return strconv.Quote(text)
}
