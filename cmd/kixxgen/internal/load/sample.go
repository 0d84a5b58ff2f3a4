package load

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/kixxgen/kixxgen/templates"
)

// sample returns a document as the present version of e stores it, every field filled, and the path of its file inside the
// package. The name has a hash of the schema, so that the versions of two branches are two files. The file is made once and
// stays: a generated test reads all that there are with the code of today.
//
// It is JSON with one field of the schema on a line, the document for people to read, and the document as it is stored.
func (e *entity) sample() (path string, content []byte) {
	h := sha256.New()
	var fields bytes.Buffer
	level := 0
	for _, line := range e.schemaLines() {
		if line.Migrate > 0 {
			level = line.Migrate
			continue
		}
		field, _ := json.Marshal(struct { // as the runtime has it in the catalogue
			Name    string   `json:"name"`
			Type    string   `json:"type"`
			Options string   `json:"options,omitempty"`
			Was     []string `json:"was,omitempty"`
			Default string   `json:"default,omitempty"`
		}{line.Field, line.Type, line.Options, line.Was, line.Default}) // strings always encode
		if fields.Len() > 0 {
			fields.WriteString(",\n")
		}
		fields.WriteString("    ")
		fields.Write(field)
	}
	fmt.Fprintf(h, "%s %d %s", e.collection, level, fields.Bytes())
	s := sampler{path: "$"}
	s.structure(e.model.Struct)
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n  \"entity\": %q,\n  \"level\": %d,\n  \"fields\": [\n%s\n  ],\n  \"document\": ", e.collection, level, fields.Bytes())
	json.Indent(&b, s.text.Bytes(), "  ", "  ")
	fmt.Fprintf(&b, ",\n  \"stored\": %q\n}\n", base64.StdEncoding.EncodeToString(s.stored))
	return fmt.Sprintf("testdata/kixx/%s.%s.json", e.collection, hex.EncodeToString(h.Sum(nil)[:6])), b.Bytes()
}

// A sampler writes a value of every type, as it is stored and as JSON. Values follow from their place in the document.
type sampler struct {
	stored []byte
	text   bytes.Buffer
	path   string
	inside []*templates.Struct
}

// number returns a small number that differs from place to place.
func (s *sampler) number() int { return int(sha256.Sum256([]byte(s.path))[0]%99) + 1 }

// at runs f for a value inside the present one.
func (s *sampler) at(step string, f func()) {
	before := s.path
	s.path += step
	f()
	s.path = before
}

// print writes JSON.
func (s *sampler) print(v any) {
	enc := json.NewEncoder(&s.text)
	enc.SetEscapeHTML(false)
	enc.Encode(v)
}

// structure writes a struct with all its fields.
func (s *sampler) structure(st *templates.Struct) {
	s.inside = append(s.inside, st)
	var fields []*templates.Field
	for _, f := range st.Fields {
		if !marshalsItself(f.Type) { // what its type can read is not known here
			fields = append(fields, f)
		}
	}
	s.stored = msgp.AppendMapHeader(s.stored, uint32(len(fields)))
	s.text.WriteByte('{')
	for i, f := range fields {
		if i > 0 {
			s.text.WriteByte(',')
		}
		s.print(f.Stored)
		s.text.WriteByte(':')
		s.stored = msgp.AppendString(s.stored, f.Stored)
		s.at("."+f.Stored, func() { s.value(f.Type) })
	}
	s.text.WriteByte('}')
	s.inside = s.inside[:len(s.inside)-1]
}

// marshalsItself reports whether there are values in one of t that marshal themselves, structs inside left out.
func marshalsItself(t *templates.Type) bool {
	for ; t != nil; t = t.Elem {
		for _, one := range []*templates.Type{t, t.Key} {
			if one != nil && (one.Kind == templates.Text || one.Kind == templates.Binary || one.Kind == templates.JSON) {
				return true
			}
		}
	}
	return false
}

// endless reports whether t leads to a struct that is being written: its lists end there.
func (s *sampler) endless(t *templates.Type) bool {
	for ; t != nil; t = t.Elem {
		for _, st := range s.inside {
			if t.Struct == st {
				return true
			}
		}
	}
	return false
}

// value writes a value of type t.
func (s *sampler) value(t *templates.Type) {
	n := s.number()
	switch t.Kind {
	case templates.Bool:
		s.stored = msgp.AppendBool(s.stored, true)
		s.print(true)
	case templates.Int:
		s.stored = msgp.AppendInt(s.stored, n)
		s.print(n)
	case templates.Uint:
		s.stored = msgp.AppendUint(s.stored, uint(n))
		s.print(n)
	case templates.Float:
		f := float64(n) + 0.5
		if t.Bits == 32 {
			s.stored = msgp.AppendFloat32(s.stored, float32(f))
		} else {
			s.stored = msgp.AppendFloat64(s.stored, f)
		}
		s.print(f)
	case templates.String:
		text := s.name() + " " + strconv.Itoa(n)
		s.stored = msgp.AppendString(s.stored, text)
		s.print(text)
	case templates.Bytes:
		s.stored = msgp.AppendBytes(s.stored, []byte{byte(n), 0, 255})
		s.print([]byte{byte(n), 0, 255})
	case templates.UUID:
		id := make([]byte, 16)
		id[0], id[15] = byte(n), 255
		s.stored = msgp.AppendBytes(s.stored, id)
		s.print(id)
	case templates.Raw:
		text := fmt.Sprintf(`{"n":%d}`, n)
		s.stored = msgp.AppendString(s.stored, text)
		s.text.WriteString(text)
	case templates.Time:
		at := time.Date(2026, 1, 2, 3, 4, n%60, n*1000, time.UTC)
		s.stored = msgp.AppendTimeExt(s.stored, at)
		s.print(at)
	case templates.Complex:
		f := float64(n) + 0.5
		s.stored = msgp.AppendArrayHeader(s.stored, 2)
		if t.Bits == 64 {
			s.stored = msgp.AppendFloat32(msgp.AppendFloat32(s.stored, float32(f)), float32(-f))
		} else {
			s.stored = msgp.AppendFloat64(msgp.AppendFloat64(s.stored, f), -f)
		}
		s.print([]float64{f, -f})
	case templates.Any:
		s.stored = msgp.AppendInt(msgp.AppendString(msgp.AppendMapHeader(s.stored, 1), "n"), n)
		s.print(map[string]any{"n": n})
	case templates.Pointer:
		if s.endless(t) {
			s.stored = msgp.AppendNil(s.stored)
			s.print(nil)
			return
		}
		if templates.IsBoxed(t) {
			s.list(t, 1)
			return
		}
		s.value(t.Elem)
	case templates.StructKind:
		s.structure(t.Struct)
	case templates.Slice:
		count := 2
		if s.endless(t) {
			count = 0
		}
		s.list(t, count)
	case templates.Array:
		s.list(t, int(t.Len))
	case templates.Map:
		s.entry(t)
	}
}

// name returns the last step of the path as a word.
func (s *sampler) name() string {
	return strings.Trim(s.path[strings.LastIndexByte(s.path, '.')+1:], "$[]")
}

// list writes so many elements.
func (s *sampler) list(t *templates.Type, n int) {
	s.stored = msgp.AppendArrayHeader(s.stored, uint32(n))
	s.text.WriteByte('[')
	for i := range n {
		if i > 0 {
			s.text.WriteByte(',')
		}
		s.at(fmt.Sprintf("[%d]", i), func() { s.value(t.Elem) })
	}
	s.text.WriteByte(']')
}

// entry writes a map with one entry.
func (s *sampler) entry(t *templates.Type) {
	if s.endless(t) {
		s.stored = msgp.AppendMapHeader(s.stored, 0)
		s.text.WriteString("{}")
		return
	}
	s.stored = msgp.AppendMapHeader(s.stored, 1)
	s.text.WriteByte('{')
	s.at("[]", func() {
		key := sampler{path: s.path}
		key.value(t.Key)
		s.stored = append(s.stored, key.stored...)
		text := strings.TrimSpace(key.text.String())
		if !strings.HasPrefix(text, `"`) {
			text = strconv.Quote(text)
		}
		s.text.WriteString(text + ":")
		s.value(t.Elem)
	})
	s.text.WriteByte('}')
}
