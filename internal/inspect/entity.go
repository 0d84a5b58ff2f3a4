package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kixxgen/kixxgen/internal/inside"
	"github.com/kixxgen/kixxgen/internal/storedtype"
	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/gen"
	"github.com/tinylib/msgp/msgp"
)

// An Entity is one entity of a database, as its catalogue describes it.
type Entity struct {
	Name string
	Code []string // what its application runs on documents that it writes

	schema  inside.Schema
	doc     *typ         // of the documents
	older   map[int]*typ // of those of earlier levels
	level   int          // of the last migration
	keys    []keyField
	deleted string // the field that marks a document as deleted, "" if there is none
	touched []string
	indexes []*index
}

type keyField struct {
	name string
	component
	place int
}

// An index is an index or a view of an entity.
type index struct {
	kixx.Index
	state  string
	fields []indexField // nil: it cannot be told what they are
	value  *typ         // of a view: what is emitted with the key
	view   *kixx.View[*Entry, *Doc, string]
	bad    error // why its entries cannot be made here; nil: they can
}

type indexField struct {
	name string
	component
	each, optional bool
}

// newEntity makes sense of what the catalogue says.
func newEntity(in *inside.Entity) (*Entity, error) {
	e := &Entity{Name: in.Name}
	if len(in.Schemas) == 0 {
		return nil, fmt.Errorf("%s: %w: the catalogue has no schema of it", in.Name, kixx.ErrCorrupt)
	}
	e.schema = in.Schemas[len(in.Schemas)-1]
	e.Code, e.level = e.schema.Code, e.schema.Level
	e.older = make(map[int]*typ)
	for i := range in.Schemas {
		t, err := docType(in.Name, &in.Schemas[i])
		if err != nil {
			return nil, err
		}
		e.older[in.Schemas[i].Level], e.doc = t, t
	}
	for i, f := range e.schema.Fields {
		t := e.doc.fields[i].typ
		options := strings.Split(f.Options, ",")
		switch place, isPart := strings.CutPrefix(options[0], "key:"); {
		case t.kind == droppedKind:
		case isPart:
			n, err := strconv.Atoi(place)
			if err != nil {
				return nil, fmt.Errorf("%s: field %s: %w: its options are %q", in.Name, f.Name, kixx.ErrCorrupt, f.Options)
			}
			e.keys = append(e.keys, keyField{f.Name, component{typ: t}, n})
		case options[0] == "key":
			e.keys = append(e.keys, keyField{f.Name, component{typ: t}, 0})
		case options[0] == "deleted":
			e.deleted = f.Name
		case options[0] == "created" || options[0] == "updated":
			e.touched = append(e.touched, f.Name)
		}
	}
	if len(e.keys) == 0 {
		return nil, fmt.Errorf("%s: %w: its schema has no key", in.Name, kixx.ErrCorrupt)
	}
	slices.SortStableFunc(e.keys, func(a, b keyField) int { return a.place - b.place })
	for i := range in.Indexes {
		if x := &in.Indexes[i]; x.Of != "key" { // that one comes with the deleted field
			e.indexes = append(e.indexes, e.newIndex(x))
		}
	}
	return e, nil
}

// docType returns the type of the documents of a schema.
func docType(name string, s *inside.Schema) (*typ, error) {
	doc := &typ{kind: structKind, text: name}
	for _, f := range s.Fields {
		t, err := parseType(f.Type)
		if err != nil {
			return nil, fmt.Errorf("%s: field %s: %w", name, f.Name, err)
		}
		doc.fields = append(doc.fields, field{f.Name, t})
	}
	return doc, nil
}

// newIndex makes sense of an index.
func (e *Entity) newIndex(in *inside.Index) *index {
	ix := &index{Index: kixx.Index{Name: in.Name, Of: in.Of, Unique: in.Unique, Desc: in.Desc, Each: in.Each, View: in.View}, state: in.State}
	switch {
	case in.Of == "":
		ix.bad = errors.New("its definition is not in the catalogue; it is once the application has opened the database with this version")
	case in.View:
		ix.bad = errors.New("its entries are made by a function of the application")
		key, rest, err := storedtype.Parse(in.Of)
		if err == nil {
			var value storedtype.Type
			if value, _, err = storedtype.Parse(strings.TrimPrefix(rest, " ")); err == nil {
				var k *typ
				if k, err = newType(&key, nil); err == nil {
					ix.fields = []indexField{{name: "key", component: component{typ: k}}}
					ix.value, err = newType(&value, nil)
				}
			}
		}
		if err != nil {
			ix.fields, ix.bad = nil, fmt.Errorf("its definition %q cannot be read: %w", in.Of, err)
		}
		ix.view = ix.newView(e)
	default:
		if ix.fields, ix.bad = e.indexFields(in.Of); ix.bad != nil {
			ix.fields = nil
		}
	}
	return ix
}

// indexFields reads the fields of an index from its definition: category string, price float64 desc; …
func (e *Entity) indexFields(of string) (fields []indexField, err error) {
	bad := func() ([]indexField, error) { return nil, fmt.Errorf("its definition %q cannot be read", of) }
	for rest := of; ; {
		var f indexField
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			f.name, _ = strconv.Unquote(quoted)
			rest = rest[len(quoted):]
		} else if n := strings.IndexByte(rest, ' '); n > 0 {
			f.name, rest = rest[:n], rest[n:]
		}
		end := len(rest)
		if n := strings.IndexAny(rest, ",;"); n >= 0 {
			end = n
		}
		words := strings.Fields(rest[:end])
		if len(words) == 0 {
			return bad()
		}
		if f.typ, err = parseType(words[0]); err != nil {
			return bad()
		}
		if _, _, err := f.append(nil, f.typ.appendZero(nil)); err != nil && f.typ.kind != bytesKind {
			return bad()
		}
		for _, w := range words[1:] {
			switch w {
			case "each":
				f.each = true
			case "optional":
				f.optional = true
			case "desc":
				f.desc = true
			default:
				return bad()
			}
		}
		if t := e.doc.field(f.name); t == nil || t.kind == droppedKind {
			return nil, fmt.Errorf("its definition %q has a field %s, which the last schema has not", of, f.name)
		}
		fields = append(fields, f)
		if end == len(rest) || rest[end] == ';' {
			return fields, nil
		}
		rest = strings.TrimPrefix(rest[end+1:], " ")
	}
}

// A Doc is a document of an entity whose Go type is not at hand.
type Doc struct {
	Rev kixx.Rev

	of      *Entity
	key     Key
	body    []byte // as it is stored
	deleted *time.Time
	level   int // at which it was written, if not at that of the entity
	behind  bool
	entries [][][]byte // by the place of the index, the tuples
}

// A Key is the key of a [Doc].
type Key struct {
	tuple string // encoded
	of    *Entity
}

// String returns the key as a person writes it.
func (k Key) String() string {
	if k.of == nil {
		return ""
	}
	texts, err := k.of.texts(k.tuple)
	if err != nil {
		return fmt.Sprintf("%x", k.tuple)
	}
	return strings.Join(texts, "/")
}

// texts returns the parts of a key.
func (e *Entity) texts(tuple string) (texts []string, err error) {
	rest := []byte(tuple)
	for _, k := range e.keys {
		var text string
		if text, rest, err = k.show(rest); err != nil {
			return nil, err
		}
		if len(e.keys) > 1 && (strings.ContainsAny(text, "/\"") || text == "") {
			text = strconv.Quote(text)
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// show reads a component from the start of a key and returns it as a person writes it.
func (c component) show(key []byte) (text string, rest []byte, err error) {
	value, rest, err := c.stored(nil, key)
	if err != nil {
		return "", nil, err
	}
	j, _, err := c.typ.appendJSON(nil, value, 0)
	if err != nil {
		return "", nil, err
	}
	return plainText(j), rest, nil
}

// plainText returns a JSON value for people: a string without its quotes, null as nothing.
func plainText(j []byte) string {
	var text string
	if len(j) > 0 && j[0] == '"' && json.Unmarshal(j, &text) == nil {
		return text
	}
	if string(j) == "null" {
		return ""
	}
	return string(j)
}

// readKey reads a key from the start of a tuple.
func (e *Entity) readKey(b []byte) (Key, []byte, error) {
	rest := b
	for _, k := range e.keys {
		var err error
		if _, rest, err = k.stored(nil, rest); err != nil {
			return Key{}, nil, err
		}
	}
	return Key{string(b[:len(b)-len(rest)]), e}, rest, nil
}

// ParseKey reads a key as a person writes it: its parts are separated by slashes, and one with a slash in it is quoted.
func (e *Entity) ParseKey(text string) (Key, error) {
	parts := []string{text}
	if len(e.keys) > 1 {
		parts = parts[:0]
		for rest := text; ; {
			part := rest
			if quoted, err := strconv.QuotedPrefix(rest); err == nil && rest[0] == '"' {
				part, _ = strconv.Unquote(quoted)
				rest = rest[len(quoted):]
			} else if n := strings.IndexByte(rest, '/'); n >= 0 {
				part, rest = rest[:n], rest[n:]
			} else {
				rest = ""
			}
			parts = append(parts, part)
			if rest == "" || rest[0] != '/' {
				break
			}
			rest = rest[1:]
		}
	}
	if len(parts) != len(e.keys) {
		return Key{}, fmt.Errorf("the key %q of %s has %d parts, want %d: %s", text, e.Name, len(parts), len(e.keys), e.keyForm())
	}
	var tuple []byte
	for i, k := range e.keys {
		var err error
		if tuple, err = k.parse(tuple, parts[i]); err != nil {
			return Key{}, fmt.Errorf("the key %q of %s: %s: %w", text, e.Name, k.name, err)
		}
	}
	return Key{string(tuple), e}, nil
}

// keyForm returns how a key is written: tenant/slug.
func (e *Entity) keyForm() string {
	var names []string
	for _, k := range e.keys {
		names = append(names, k.name)
	}
	return strings.Join(names, "/")
}

// levelMark is set in documents that were read without the migrations that they lack.
const levelMark = "\x00level"

// An openEntity is an entity whose documents can be read, and written if it was opened so.
type openEntity struct {
	*Entity
	repo *kixx.SoftRepo[*Doc, Key]
	kept []*index // that are kept on writing
}

// open registers the entity with a database. For reading there are the indexes that are ready, and migrate stands for the
// migrations of the application; for writing, those that are to be kept and can be. Nothing changes by that.
func (e *Entity) open(ctx context.Context, db *kixx.DB, write bool, migrate func(level int, f *kixx.Fields) error) (*openEntity, error) {
	s := &kixx.Schema[*Doc, Key]{
		Name:      e.Name,
		New:       func() *Doc { return &Doc{of: e} },
		Key:       func(d *Doc) Key { return d.key },
		SetKey:    func(d *Doc, k Key) { d.key = k },
		AppendKey: func(b []byte, k Key) []byte { return append(b, k.tuple...) },
		ReadKey:   e.readKey,
		Meta: func(d *Doc) kixx.Meta {
			m := kixx.Meta{Rev: &d.Rev}
			if e.deleted != "" {
				m.Deleted = &d.deleted
			}
			return m
		},
		Append: appendDoc,
		Clone: func(d *Doc) *Doc {
			c := *d
			return &c
		},
	}
	for _, f := range e.schema.Fields {
		s.Fields = append(s.Fields, kixx.Field(f))
	}
	if e.level > 0 {
		for level := 1; level <= e.level; level++ {
			s.Migrate = append(s.Migrate, kixx.Migration{Level: level, Func: func(f *kixx.Fields) error { return migrate(level, f) }})
		}
	}
	o := &openEntity{Entity: e}
	for _, ix := range e.indexes {
		switch {
		case write && ix.state != "stale" && ix.bad == nil:
			o.kept = append(o.kept, ix)
		case write || ix.state != "ready" || ix.Of == "":
			continue
		}
		if ix.view != nil {
			s.Indexes = append(s.Indexes, &ix.view.Index)
		} else {
			s.Indexes = append(s.Indexes, &ix.Index)
		}
	}
	s.Read = func(d *Doc, b []byte, u *gen.Unknown) ([]byte, error) { return d.read(b, u, o.kept) }
	s.Index = func(d *Doc, into *kixx.Entries) {
		for i, tuples := range d.entries {
			for _, tuple := range tuples {
				into.Add(s.Indexes[i], append(into.Key(), tuple...))
			}
		}
	}
	o.repo = new(kixx.SoftRepo[*Doc, Key])
	var err error
	if e.deleted != "" {
		*o.repo, err = kixx.NewSoftRepo(ctx, db, s)
	} else {
		o.repo.Repo, err = kixx.NewRepo(ctx, db, s)
	}
	return o, err
}

// read reads a document from the beginning of b, and the entries that it has in indexes.
func (d *Doc) read(b []byte, u *gen.Unknown, indexes []*index) ([]byte, error) {
	raw := make(map[string][]byte)
	rest, err := eachField(b, func(name string, value []byte) {
		raw[name] = value
		if d.of.doc.field(name) == nil && name != levelMark {
			u.Keep([]byte(name), value)
		}
	})
	if err != nil {
		return nil, err
	}
	d.body = bytes.Clone(b[:len(b)-len(rest)])
	if mark, ok := raw[levelMark]; ok {
		d.behind = true
		if d.level, _, err = gen.ReadInt[int](mark); err != nil {
			return nil, err
		}
		if d.body, err = without(d.body, levelMark); err != nil {
			return nil, err
		}
	}
	var tuple []byte
	for _, k := range d.of.keys {
		value, ok := raw[k.name]
		if !ok {
			return nil, fmt.Errorf("field %s, of the key, is missing", k.name)
		}
		if tuple, _, err = k.append(tuple, value); err == nil && k.typ.kind == timeKind {
			var at time.Time
			if at, _, err = gen.ReadTime(value); err == nil {
				err = gen.CanonKeyTime(&at, k.name)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", k.name, err)
		}
	}
	d.key = Key{string(tuple), d.of}
	if at, ok := raw[d.of.deleted]; ok && d.of.deleted != "" && msgp.NextType(at) != msgp.NilType {
		t, _, err := gen.ReadTime(at)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", d.of.deleted, err)
		}
		d.deleted = &t
	}
	d.entries = make([][][]byte, len(indexes))
	for i, ix := range indexes {
		if d.entries[i], err = ix.tuples(raw); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// eachField calls f with the fields of a struct, and returns what comes after it.
func eachField(b []byte, f func(name string, value []byte)) (rest []byte, err error) {
	return gen.ReadFields(b, func(name, b []byte) ([]byte, error) {
		rest, err := gen.Skip(b)
		if err == nil {
			f(string(name), b[:len(b)-len(rest)])
		}
		return rest, err
	})
}

// without returns a body without one of its fields.
func without(body []byte, name string) ([]byte, error) {
	n := uint32(0)
	var fields []byte
	_, err := eachField(body, func(other string, value []byte) {
		if other != name {
			n++
			fields = append(msgp.AppendString(fields, other), value...)
		}
	})
	return append(msgp.AppendMapHeader(nil, n), fields...), err
}

// tuples returns the entries that a document has in an index, as its application would make them.
func (ix *index) tuples(raw map[string][]byte) (tuples [][]byte, err error) {
	tuples = [][]byte{nil}
	for i := range ix.fields {
		f := &ix.fields[i]
		value, ok := raw[f.name]
		isNil := !ok || msgp.NextType(value) == msgp.NilType
		values := [][]byte{value}
		switch {
		case isNil && (f.each || f.optional):
			return nil, nil
		case f.each:
			if values, err = elements(value, f.optional); err != nil {
				return nil, fmt.Errorf("field %s: %w", f.name, err)
			}
		case isNil && f.typ.kind == bytesKind:
			values[0] = msgp.AppendBytes(nil, nil)
		case isNil:
			values[0] = f.typ.appendZero(nil)
		}
		var next [][]byte
		for _, tuple := range tuples {
			for _, v := range values {
				t, _, err := f.append(bytes.Clone(tuple), v)
				if err != nil {
					return nil, fmt.Errorf("field %s: %w", f.name, err)
				}
				next = append(next, t)
			}
		}
		tuples = next
	}
	return tuples, nil
}

// elements returns the elements of a list, without those that are nil if these make no entry.
func elements(list []byte, optional bool) (values [][]byte, err error) {
	n, b, err := msgp.ReadArrayHeaderBytes(list)
	if err != nil {
		return nil, err
	}
	for range n {
		rest, err := gen.Skip(b)
		if err != nil {
			return nil, err
		}
		if v := b[:len(b)-len(rest)]; !optional || msgp.NextType(v) != msgp.NilType {
			values = append(values, v)
		}
		b = rest
	}
	return values, nil
}

// appendDoc appends a document as it is stored. What it lacks of u, the unknown fields of the document that it replaces,
// is carried on.
func appendDoc(b []byte, d *Doc, u *gen.Unknown) []byte {
	if u == nil {
		return append(b, d.body...)
	}
	has := make(map[string]bool)
	n, more := uint32(0), []byte(nil)
	eachField(d.body, func(name string, _ []byte) {
		has[name] = true
		n++
	})
	eachField(gen.AppendUnknown(gen.AppendHeader(nil, 0, u), u), func(name string, value []byte) {
		if !has[name] {
			n++
			more = append(msgp.AppendString(more, name), value...)
		}
	})
	_, fields, _ := msgp.ReadMapHeaderBytes(d.body)
	return append(append(msgp.AppendMapHeader(b, n), fields...), more...)
}
