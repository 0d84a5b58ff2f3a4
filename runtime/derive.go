package kixx

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kixxgen/kixxgen/internal/storedtype"
	"github.com/kixxgen/kixxgen/runtime/gen"
	"github.com/tinylib/msgp/msgp"
)

// A store that is a [store.Deriver] keeps documents as JSON too, for SQL to read. What is there is for casts of
// PostgreSQL, in one direction: nothing reads it back.
//
//	_rev            the number of the revision
//	numbers         all their digits; NaN and the infinities as the texts "NaN", "Infinity" and "-Infinity"
//	text            a string, with U+FFFD for a zero byte and for what is not UTF-8
//	bytes           base64
//	times           as in 2006-01-02T15:04:05.999999999Z, with more digits for later years; null before the year 1
//	UUIDs           0190b2c4-9f00-7000-8000-000000000001
//	json            as it is, but for texts as above, and numbers beyond those of a float as text
//	maps, structs   an object; keys that are no texts as their text
//
// A document is as the schema of its writer has it, and if that is an older one than this program's, as this one reads it.
// Fields that no schema knows are among the others.

// maxShapeDepth bounds the nesting of what is written as JSON. PostgreSQL takes several thousands.
const maxShapeDepth = 500

var errDeepDocument = fmt.Errorf("it is nested more than %d levels deep", maxShapeDepth)

// derive says what a put of value at key has a store keep beside it.
func (c *core) derive(key, value []byte) (namespace, entity string, doc []byte, ok bool) {
	if len(key) < headerLen || key[0] != keyFormat || !isDocument(key) {
		return "", "", nil, false
	}
	col := c.collectionOf([indexAt]byte(key))
	if col == nil {
		return "", "", nil, false
	}
	e, body, err := parseEnvelope(value)
	if err == nil {
		doc, err = col.appendJSON(nil, e, body)
	}
	if err != nil {
		doc = nil // whoever reads the document itself is told why
	}
	return col.db.namespace, col.name, doc, true
}

// collectionOf returns the collection whose keys begin so, nil if it is not registered.
func (c *core) collectionOf(start [indexAt]byte) *collection {
	if col, ok := c.derived.Load(start); ok {
		return col.(*collection)
	}
	c.catalogueMu.RLock()
	defer c.catalogueMu.RUnlock()
	for _, col := range c.catalogued {
		if reg := col.reg.Load(); reg != nil && [indexAt]byte(reg.header[:]) == start {
			c.derived.Store(start, col)
			return col
		}
	}
	return nil
}

// shape returns the type of the documents of a schema; nil if it is not known.
func (reg *registration) shape(number uint64) *storedtype.Type {
	if t, ok := reg.shapes.Load(number); ok {
		return t.(*storedtype.Type)
	}
	var t *storedtype.Type
	if i := slices.IndexFunc(reg.schemas, func(s schemaRecord) bool { return s.Number == number }); i >= 0 {
		t = &storedtype.Type{Head: "struct"}
		for _, f := range reg.schemas[i].Fields {
			part, rest, err := storedtype.Parse(f.Type)
			if err != nil || rest != "" {
				part = storedtype.Type{Head: "any"} // of a newer version: values say what they are, nearly
			}
			t.Fields, t.Parts = append(t.Fields, f.Name), append(t.Parts, part)
		}
	}
	reg.shapes.Store(number, t)
	return t
}

// appendJSON appends a document.
func (c *collection) appendJSON(j []byte, e envelope, body []byte) ([]byte, error) {
	reg := c.reg.Load()
	if e.schema != reg.schema {
		if u := c.upcaster(reg, e.schema); u != nil && u.err == nil {
			fields, err := parseFields(body)
			if err != nil {
				return nil, err
			}
			if body, err = u.apply(fields, body); err != nil {
				return nil, err
			}
			e.schema = reg.schema
		}
	}
	number, _ := e.rev.Number()
	j = strconv.AppendUint(append(j, `{"_rev":`...), number, 10)
	w := shaper{j: j, some: true}
	if _, err := w.structure(body, reg.shape(e.schema), 0); err != nil {
		return nil, err
	}
	return append(w.j, '}'), nil
}

// A shaper writes JSON.
type shaper struct {
	j     []byte
	some  bool               // the object has members already
	outer []*storedtype.Type // the structs around, for ^n
}

// value appends a value of type t from the start of b. A t of nil is any.
func (w *shaper) value(b []byte, t *storedtype.Type, depth int) (rest []byte, err error) {
	if depth > maxShapeDepth {
		return nil, errDeepDocument
	}
	if t != nil && t.Head == "*" {
		t = &t.Parts[0]
		if msgp.NextType(b) == msgp.ArrayType && slices.Contains(boxed, t.Head) {
			n, b, err := msgp.ReadArrayHeaderBytes(b)
			if err != nil || n != 1 {
				return nil, fmt.Errorf("a pointer to %s in a list of %d: %w", t.Head, n, err)
			}
			return w.value(b, t, depth+1)
		}
	}
	if t != nil && strings.HasPrefix(t.Head, "^") {
		n, err := strconv.Atoi(t.Head[1:])
		if err != nil || n < 1 || n > len(w.outer) {
			return nil, fmt.Errorf("%s, where there are %d structs around", t.Head, len(w.outer))
		}
		t = w.outer[len(w.outer)-n]
	}
	switch msgp.NextType(b) {
	case msgp.NilType:
		w.j = append(w.j, "null"...)
		return msgp.ReadNilBytes(b)
	case msgp.BoolType:
		v, rest, err := msgp.ReadBoolBytes(b)
		w.j = strconv.AppendBool(w.j, v)
		return rest, err
	case msgp.IntType:
		v, rest, err := msgp.ReadInt64Bytes(b)
		w.j = strconv.AppendInt(w.j, v, 10)
		return rest, err
	case msgp.UintType:
		v, rest, err := msgp.ReadUint64Bytes(b)
		w.j = strconv.AppendUint(w.j, v, 10)
		return rest, err
	case msgp.Float32Type:
		v, rest, err := msgp.ReadFloat32Bytes(b)
		w.float(float64(v), 32)
		return rest, err
	case msgp.Float64Type:
		v, rest, err := msgp.ReadFloat64Bytes(b)
		w.float(v, 64)
		return rest, err
	case msgp.StrType:
		v, rest, err := msgp.ReadStringZC(b)
		if err == nil && t != nil && (t.Head == "json" || t.Head == "jsontext") && w.raw(v, depth) {
			return rest, nil
		}
		w.text(string(v))
		return rest, err
	case msgp.BinType:
		v, rest, err := msgp.ReadBytesZC(b)
		w.bytes(v, t)
		return rest, err
	case msgp.ArrayType:
		return w.list(b, t, depth)
	case msgp.MapType:
		w.j = append(w.j, '{')
		some := w.some
		w.some = false
		if t != nil && t.Head == "struct" {
			rest, err = w.structure(b, t, depth)
		} else {
			rest, err = w.entries(b, t, depth)
		}
		w.some = some
		w.j = append(w.j, '}')
		return rest, err
	}
	v, rest, err := gen.ReadTime(b)
	w.time(v)
	return rest, err
}

// structure appends the fields of a struct, without the braces.
func (w *shaper) structure(b []byte, t *storedtype.Type, depth int) (rest []byte, err error) {
	if t != nil {
		w.outer = append(w.outer, t)
		defer func() { w.outer = w.outer[:len(w.outer)-1] }()
	}
	return gen.ReadFields(b, func(name, b []byte) ([]byte, error) {
		var f *storedtype.Type
		if t != nil {
			if i := slices.Index(t.Fields, string(name)); i >= 0 {
				f = &t.Parts[i]
			}
		}
		if f != nil && f.Head == storedtype.Dropped {
			return gen.Skip(b)
		}
		w.member(string(name))
		return w.value(b, f, depth+1)
	})
}

// member begins a member of an object.
func (w *shaper) member(name string) {
	if w.some {
		w.j = append(w.j, ',')
	}
	w.some = true
	w.text(name)
	w.j = append(w.j, ':')
}

// entries appends the entries of a map.
func (w *shaper) entries(b []byte, t *storedtype.Type, depth int) (rest []byte, err error) {
	var key, elem *storedtype.Type
	if t != nil && len(t.Parts) == 2 {
		key, elem = &t.Parts[0], &t.Parts[1]
	}
	n, b, err := msgp.ReadMapHeaderBytes(b)
	for i := uint32(0); i < n && err == nil; i++ {
		if i > 0 {
			w.j = append(w.j, ',')
		}
		at := len(w.j)
		if b, err = w.value(b, key, depth+1); err != nil {
			break
		}
		switch w.j[at] {
		case '"':
		case '{', '[':
			return nil, errors.New("a key of a map that is no text")
		default:
			w.j = append(slices.Insert(w.j, at, '"'), '"')
		}
		w.j = append(w.j, ':')
		b, err = w.value(b, elem, depth+1)
	}
	return b, err
}

// boxed are the types that a pointer stores in a list of one, since they can be nil themselves.
var boxed = []string{"bytes", "json", "[]", "map", "*", "any"}

func (w *shaper) list(b []byte, t *storedtype.Type, depth int) (rest []byte, err error) {
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil {
		return nil, err
	}
	var elem *storedtype.Type
	if t != nil && len(t.Parts) == 1 {
		elem = &t.Parts[0]
	}
	w.j = append(w.j, '[')
	for i := range n {
		if i > 0 {
			w.j = append(w.j, ',')
		}
		if b, err = w.value(b, elem, depth+1); err != nil {
			return nil, err
		}
	}
	w.j = append(w.j, ']')
	return b, nil
}

func (w *shaper) float(v float64, bits int) {
	switch {
	case math.IsNaN(v):
		w.j = append(w.j, `"NaN"`...)
	case math.IsInf(v, 1):
		w.j = append(w.j, `"Infinity"`...)
	case math.IsInf(v, -1):
		w.j = append(w.j, `"-Infinity"`...)
	default:
		w.j = strconv.AppendFloat(w.j, v, 'g', -1, bits)
	}
}

// text appends a string. jsonb has no zero bytes, and is UTF-8.
func (w *shaper) text(s string) {
	w.j = append(w.j, '"')
	for _, r := range s { // U+FFFD for each byte that is not UTF-8
		switch {
		case r == 0:
			w.j = utf8.AppendRune(w.j, utf8.RuneError)
		case r == '"' || r == '\\':
			w.j = append(w.j, '\\', byte(r))
		case r < ' ':
			w.j = fmt.Appendf(w.j, `\u%04x`, r)
		default:
			w.j = utf8.AppendRune(w.j, r)
		}
	}
	w.j = append(w.j, '"')
}

func (w *shaper) bytes(v []byte, t *storedtype.Type) {
	w.j = append(w.j, '"')
	if t != nil && t.Head == "uuid" && len(v) == 16 {
		for i, part := range [...][]byte{v[:4], v[4:6], v[6:8], v[8:10], v[10:]} {
			if i > 0 {
				w.j = append(w.j, '-')
			}
			w.j = hex.AppendEncode(w.j, part)
		}
	} else {
		w.j = base64.StdEncoding.AppendEncode(w.j, v)
	}
	w.j = append(w.j, '"')
}

func (w *shaper) time(v time.Time) {
	if v.Year() < 1 || v.Year() > 294275 { // what a timestamptz can be
		w.j = append(w.j, "null"...)
		return
	}
	w.j = append(v.AppendFormat(append(w.j, '"'), time.RFC3339Nano), '"')
}

// raw appends JSON that is kept as text, and reports whether it is some. Texts of JSON can have escapes that jsonb does not
// take.
func (w *shaper) raw(text []byte, depth int) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	at := len(w.j)
	if d.Decode(&v) != nil || d.More() || !w.plain(v, depth) {
		w.j = w.j[:at]
		return false
	}
	return true
}

// plain appends a value that was decoded from JSON.
func (w *shaper) plain(v any, depth int) bool {
	if depth > maxShapeDepth {
		return false
	}
	switch v := v.(type) {
	case nil:
		w.j = append(w.j, "null"...)
	case bool:
		w.j = strconv.AppendBool(w.j, v)
	case string:
		w.text(v)
	case json.Number:
		if f, err := v.Float64(); err != nil || len(v) > 1000 || f == 0 && strings.ContainsAny(string(v), "eE") {
			w.text(string(v)) // a few digits could be a number of a hundred thousand
		} else {
			w.j = append(w.j, v...)
		}
	case []any:
		w.j = append(w.j, '[')
		for i, elem := range v {
			if i > 0 {
				w.j = append(w.j, ',')
			}
			if !w.plain(elem, depth+1) {
				return false
			}
		}
		w.j = append(w.j, ']')
	case map[string]any:
		w.j = append(w.j, '{')
		first := true
		for name, elem := range v {
			if !first {
				w.j = append(w.j, ',')
			}
			first = false
			w.text(name)
			w.j = append(w.j, ':')
			if !w.plain(elem, depth+1) {
				return false
			}
		}
		w.j = append(w.j, '}')
	}
	return true
}
