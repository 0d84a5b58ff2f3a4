package templates

import (
	"strconv"
	"strings"
)

// Small words to write models with.
var (
	tBool   = &Type{Kind: Bool}
	tInt    = &Type{Kind: Int}
	tString = &Type{Kind: String}
	tBytes  = &Type{Kind: Bytes}
	tFloat  = &Type{Kind: Float, Bits: 64}
	tRaw    = &Type{Kind: Raw, Name: &Name{Path: "encoding/json", Name: "RawMessage"}}
	tTime   = &Type{Kind: Time, Name: &Name{Path: "time", Name: "Time"}}
	tUUID   = &Type{Kind: UUID}
	tDur    = &Type{Kind: Int, Bits: 64, Name: &Name{Path: "time", Name: "Duration"}}
)

func tSigned(bits int) *Type       { return &Type{Kind: Int, Bits: bits} }
func tUnsigned(bits int) *Type     { return &Type{Kind: Uint, Bits: bits} }
func sliceOf(t *Type) *Type        { return &Type{Kind: Slice, Elem: t} }
func ptrTo(t *Type) *Type          { return &Type{Kind: Pointer, Elem: t} }
func mapOf(k, t *Type) *Type       { return &Type{Kind: Map, Key: k, Elem: t} }
func arrayOf(n int, t *Type) *Type { return &Type{Kind: Array, Len: int64(n), Elem: t} }

// named returns t under a name, path.Name or Name.
func named(name string, t *Type) *Type {
	n := *t
	n.Name = &Name{Name: name}
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		n.Name = &Name{Path: name[:i], Name: name[i+1:]}
	}
	return &n
}

// structOf returns the type of a struct, to which fields are added.
func structOf(name, fn string) *Type {
	t := named(name, &Type{Kind: StructKind})
	t.Struct = &Struct{Type: t, Func: fn}
	return t
}

// add adds a field; path is a Go path, stored is "" for the same name.
func (s *Struct) add(path, stored string, t *Type) *Field {
	f := &Field{Path: strings.Split(path, "."), Stored: stored, Type: t, Lines: lineOf(t, 0)}
	if stored == "" {
		f.Stored = f.GoName()
	}
	s.Fields = append(s.Fields, f)
	return f
}

// literal adds a field to the guard's literal. typ may hold "path.Name" in backquotes.
func (s *Struct) literal(name, typ string) {
	var parts []Name
	for i, piece := range strings.Split(typ, "`") {
		switch {
		case i%2 == 1:
			at := strings.LastIndexByte(piece, '.')
			parts = append(parts, Name{Path: piece[:at], Name: piece[at+1:]})
		case piece != "":
			parts = append(parts, Name{Name: piece})
		}
	}
	s.Literal = append(s.Literal, LiteralField{Name: name, Type: &GoType{Parts: parts}})
}

// lineOf returns the stored type as text, cut off where it goes on for ever.
func lineOf(t *Type, level int) string {
	switch t.Kind {
	case Slice:
		return "[]" + lineOf(t.Elem, level)
	case Pointer:
		return "*" + lineOf(t.Elem, level)
	case Map:
		return "map[" + lineOf(t.Key, level) + "]" + lineOf(t.Elem, level)
	case Array:
		return "[n]" + lineOf(t.Elem, level)
	case Bytes:
		return "bytes"
	case Raw:
		return "json"
	case Time:
		return "time"
	case UUID:
		return "uuid"
	case StructKind:
		if level > 0 {
			return "struct"
		}
		var fields []string
		for _, f := range t.Struct.Fields {
			fields = append(fields, f.Stored+" "+lineOf(f.Type, level+1))
		}
		return "struct{" + strings.Join(fields, "; ") + "}"
	}
	return basic(t)
}

// on returns an index field over f.
func on(f *Field, param, options string) *IndexField {
	x := &IndexField{Field: f, Key: f.Type, Param: param, Desc: strings.Contains(options, "desc")}
	if x.Key.Kind == Slice {
		x.Each, x.Key = true, x.Key.Elem
	}
	if x.Key.Kind == Pointer {
		x.Deref, x.Key = true, x.Key.Elem
	}
	return x
}

// keyed makes fields the key. Several have the type <name>Key.
func (e *Entity) keyed(options string, fields ...*Field) {
	for i, f := range fields {
		f.Options = options
		if len(fields) > 1 {
			e.KeyType = e.Name + "Key"
			f.Options = "key:" + strconv.Itoa(i+1)
		}
		e.Keys = append(e.Keys, &IndexField{Field: f, Key: f.Type, Param: lowerFirst(f.GoName())})
	}
	e.Auto = options == "key,auto"
}

// index adds an index.
func (e *Entity) index(name string, unique bool, fields ...*IndexField) {
	var of []string
	for _, f := range fields {
		text := f.Field.Stored + " " + lineOf(f.Key, 0)
		if f.Each {
			text += " each"
		}
		if f.Desc {
			text += " desc"
		}
		of = append(of, text)
	}
	e.Indexes = append(e.Indexes, &Index{Name: name, Var: lowerFirst(e.Name) + "By" + name, Fields: fields, Unique: unique, Of: strings.Join(of, ", ")})
}

// view adds a view.
func (e *Entity) view(name, fn string, key, value *Type) {
	e.Views = append(e.Views, &View{
		Name: name, Query: strings.TrimPrefix(name, "By"), Type: e.Name + name, Var: lowerFirst(e.Name) + name, Func: fn,
		Key: key, Value: value, Of: lineOf(key, 0) + " " + lineOf(value, 0) + " source 0",
	})
}

// entity returns an entity whose fields are still to be added.
func entityOf(name, varName, plural string, t *Type) *Entity {
	return &Entity{
		Name: name, Var: varName, Plural: plural, Collection: strings.ToLower(name), Struct: t.Struct,
		Rev:  &Field{Path: []string{"Rev"}},
		File: strings.ToLower(name) + "_kixx.go",
	}
}

// standardNames are the packages that any generated file may import.
func standardNames(more map[string]string) map[string]string {
	names := map[string]string{
		kixxPath: "kixx", genPath: "gen", orderedPath: "ordered", msgpPath: "msgp",
		"context": "context", "time": "time", "maps": "maps", "slices": "slices", "encoding/json": "json",
	}
	for path, name := range more {
		names[path] = name
	}
	return names
}
