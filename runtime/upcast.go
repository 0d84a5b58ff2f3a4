package kixx

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kixxgen/kixxgen/internal/storedtype"
	"github.com/kixxgen/kixxgen/runtime/gen"
	"github.com/tinylib/msgp/msgp"
)

// A document that another schema wrote is upcast when it is read: its raw fields become those that this schema would have
// written. What the writer knew is in its lines in the catalogue, under the schema number of the document's envelope:
//
//  1. A field that the writer lacked and that has another name there, by its own was or by that of the writer, takes the
//     value of the other name. A value of its own name, which the writer only carried, is older and goes.
//  2. The migrations above the writer's level follow, in their order.
//  3. A field that the writer lacked and that still has no value takes its default. A carried value, also 0, stays.
//
// What this schema drops, the generated reader skips. A document of a later level, or of a type that this schema does not
// read, is refused and never reinterpreted. A document of the schema's own number goes through none of this.

// newSchemaRecord returns the lines of a schema, without a number.
func newSchemaRecord(fields []Field, migrate []Migration) schemaRecord {
	s := schemaRecord{Fields: fields}
	if n := len(migrate); n > 0 {
		s.Level = migrate[n-1].Level
	}
	h := sha256.New()
	for _, f := range fields {
		io.WriteString(h, f.Name+"\x00"+f.Type+"\x00"+f.Options+"\x00")
		for _, was := range f.Was {
			io.WriteString(h, "was "+was+"\x00")
		}
		if f.Default != "" {
			io.WriteString(h, "default "+f.Default+"\x00")
		}
	}
	if s.Level > 0 {
		fmt.Fprintf(h, "level %d", s.Level)
	}
	s.Fingerprint = hex.EncodeToString(h.Sum(nil)[:16])
	return s
}

// field returns the field that s stores under a name, nil if it has none, or drops it.
func (s *schemaRecord) field(name string) *Field {
	for i := range s.Fields {
		if f := &s.Fields[i]; f.Name == name && f.Type != storedtype.Dropped {
			return f
		}
	}
	return nil
}

// contradicts returns the fields of one name that two schemas of one level store as different types. Between schemas of
// different levels a migration makes one of the other.
func (s *schemaRecord) contradicts(t *schemaRecord) (mine, theirs *Field, bad bool) {
	if s.Level != t.Level {
		return nil, nil, false
	}
	for i := range t.Fields {
		theirs = &t.Fields[i]
		if mine = s.field(theirs.Name); mine != nil && !storedtype.Compatible(mine.Type, theirs.Type) {
			return mine, theirs, true
		}
	}
	return nil, nil, false
}

// isKeyOption reports whether the options of a field are those of the key, or of a part of it: "key", "key,auto", "key:2".
func isKeyOption(options string) bool {
	rest, ok := strings.CutPrefix(options, "key")
	return ok && (rest == "" || rest[0] == ',' || rest[0] == ':')
}

// same reports whether two fields of two schemas are one, under different names.
func (f *Field) same(g *Field) bool {
	return slices.Contains(f.Was, g.Name) || slices.Contains(g.Was, f.Name) ||
		slices.ContainsFunc(f.Was, func(name string) bool { return slices.Contains(g.Was, name) })
}

// An upcaster brings the documents of one schema to another one. It is made once for a registration.
type upcaster struct {
	err      error // they cannot be read
	moves    []move
	migrate  []Migration
	defaults []rawField
	keys     []string        // names of the fields that the key is made of
	known    map[string]bool // names that some schema of the catalogue has or had
	alias    map[string]string
}

// A move says where the value of a field is that the writer did not have under this name.
type move struct {
	to   string
	from []string // the first of them that is there
}

// newUpcaster returns what brings documents of the schema theirs to the schema own. all are the schemas of the catalogue: a
// value that theirs only carried may have its name from any of them.
func newUpcaster(own, theirs *schemaRecord, migrate []Migration, all []schemaRecord) *upcaster {
	u := &upcaster{known: make(map[string]bool), alias: make(map[string]string)}
	if theirs.Level > own.Level {
		u.err = fmt.Errorf("%w: the document was written at migrate level %d, and this program knows %d", ErrSchema, theirs.Level, own.Level)
		return u
	}
	if f, g, bad := own.contradicts(theirs); bad {
		u.err = fmt.Errorf("%w: the document was written with field %q of type %s, which this program has as %s", ErrSchema, g.Name, g.Type, f.Type)
		return u
	}
	for _, s := range append(slices.Clone(all), *own) {
		for _, f := range s.Fields {
			u.known[f.Name] = true
			for _, was := range f.Was {
				u.known[was] = true
			}
		}
	}
	for i := range own.Fields {
		f := &own.Fields[i]
		if f.Type == storedtype.Dropped {
			continue
		}
		for _, was := range f.Was {
			u.alias[was] = f.Name
		}
		if isKeyOption(f.Options) {
			u.keys = append(u.keys, f.Name)
		}
		if theirs.field(f.Name) != nil {
			continue
		}
		if from := sources(f, own, theirs, all); len(from) > 0 {
			u.moves = append(u.moves, move{f.Name, from})
		}
		if f.Default != "" {
			value, err := appendDefault(nil, f)
			if err != nil {
				u.err = err
				return u
			}
			u.defaults = append(u.defaults, rawField{f.Name, value})
		}
	}
	for _, m := range migrate {
		if m.Level > theirs.Level {
			u.migrate = append(u.migrate, m)
		}
	}
	return u
}

// sources returns the names under which the value of f may be in a document of theirs, the best first: what theirs knew
// is fresher than what it carried.
func sources(f *Field, own, theirs *schemaRecord, all []schemaRecord) []string {
	var knew, carried []string
	add := func(name string) {
		switch {
		case name == f.Name || own.field(name) != nil || slices.Contains(knew, name) || slices.Contains(carried, name):
		case theirs.field(name) != nil:
			knew = append(knew, name)
		default:
			carried = append(carried, name)
		}
	}
	for _, was := range f.Was {
		add(was)
	}
	for i := range theirs.Fields {
		if g := &theirs.Fields[i]; f.same(g) {
			add(g.Name)
		}
	}
	for i := range all {
		for j := range all[i].Fields {
			if g := &all[i].Fields[j]; f.same(g) {
				add(g.Name)
			}
		}
	}
	return append(knew, carried...)
}

// upcast returns the body of a document of the schema with a number as this schema would have written it.
func (c *collection) upcast(number uint64, body []byte) ([]byte, error) {
	fields, err := parseFields(body)
	if err != nil {
		return nil, err
	}
	for refreshed := false; ; refreshed = true {
		reg := c.reg.Load()
		u := c.upcaster(reg, number)
		strange := u == nil || slices.ContainsFunc(fields.list, func(f rawField) bool { return u.err == nil && !u.known[f.name] })
		if strange && !refreshed {
			// A schema was registered since the record was read; it may say what that field was.
			changed, err := c.changed(c.core.life, reg)
			if err == nil && changed {
				_, err = c.refresh(c.core.life)
			}
			if err != nil {
				return nil, err
			}
			if changed {
				continue
			}
		}
		if u == nil {
			return nil, fmt.Errorf("%w: it was written by schema %d, which the catalogue does not have", ErrCorrupt, number)
		}
		if u.err != nil {
			return nil, u.err
		}
		return u.apply(fields, body)
	}
}

// upcaster returns what brings documents of a schema to this one, or nil if the registration has no such schema.
func (c *collection) upcaster(reg *registration, number uint64) *upcaster {
	if u, ok := reg.upcasters.Load(number); ok {
		return u.(*upcaster)
	}
	i := slices.IndexFunc(reg.schemas, func(s schemaRecord) bool { return s.Number == number })
	if i < 0 {
		return nil
	}
	u := newUpcaster(&c.own, &reg.schemas[i], c.migrate, reg.schemas)
	reg.upcasters.Store(number, u)
	return u
}

// apply upcasts the fields of a document; body is what they were read from, and comes back if nothing is to be done.
func (u *upcaster) apply(fields *Fields, body []byte) ([]byte, error) {
	if len(u.moves)+len(u.migrate)+len(u.defaults) == 0 {
		return body, nil
	}
	for _, m := range u.moves {
		at := slices.IndexFunc(m.from, fields.has)
		if at < 0 {
			continue
		}
		fields.remove(m.to)
		fields.list[fields.find(m.from[at])].name = m.to
		for _, other := range m.from {
			fields.remove(other)
		}
	}
	fields.alias = u.alias
	keys := make([][]byte, len(u.keys))
	for i, name := range u.keys {
		keys[i] = fields.raw(name)
	}
	for _, m := range u.migrate {
		if err := fields.migrate(m); err != nil {
			return nil, err
		}
		for i, name := range u.keys {
			if !bytes.Equal(keys[i], fields.raw(name)) {
				return nil, fmt.Errorf("migrate to level %d: it changes the key, field %q; insert another document for that", m.Level, name)
			}
		}
	}
	for _, d := range u.defaults {
		if !fields.has(d.name) {
			fields.list = append(fields.list, d)
		}
	}
	return fields.append(nil), nil
}

// appendDefault appends the default value of a field as it is stored.
func appendDefault(b []byte, f *Field) (_ []byte, err error) {
	typ, text := f.Type, f.Default
	if typ != "" && typ[0] == '*' {
		typ = typ[1:]
	}
	switch typ {
	case "string":
		return msgp.AppendString(b, text), nil
	case "bool":
		var v bool
		if v, err = strconv.ParseBool(text); err == nil {
			return msgp.AppendBool(b, v), nil
		}
	case "int", "int8", "int16", "int32", "int64":
		var v int64
		if v, err = strconv.ParseInt(text, 10, 64); err == nil {
			return msgp.AppendInt64(b, v), nil
		}
	case "uint", "uint8", "uint16", "uint32", "uint64":
		var v uint64
		if v, err = strconv.ParseUint(text, 10, 64); err == nil {
			return msgp.AppendUint64(b, v), nil
		}
	case "float32", "float64":
		var v float64
		if v, err = strconv.ParseFloat(text, 64); err == nil {
			return msgp.AppendFloat64(b, v), nil
		}
	case "time":
		var v time.Time
		if v, err = time.Parse(time.RFC3339Nano, text); err == nil {
			return gen.AppendTime(b, v), nil
		}
	default:
		err = fmt.Errorf("no value of it can be written as text")
	}
	return nil, fmt.Errorf("%w: default %q of field %q, which is of type %s: %w", ErrSchema, text, f.Name, f.Type, err)
}
