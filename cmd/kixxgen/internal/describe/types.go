package describe

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kixxgen/kixxgen/templates"
)

// A typer describes fields and types of a package.
type typer struct{ p *templates.Package }

// fields describes the fields of a struct. outer are the structs that it is inside of.
func (t typer) fields(s *templates.Struct, outer []*templates.Struct) []*Field {
	outer = append(outer[:len(outer):len(outer)], s)
	fields := []*Field{}
	for _, f := range s.Fields {
		d := &Field{
			Name: path(f), Stored: f.Stored, Type: f.Lines, GoType: t.text(f.Type), is: f.Type,
			Validate: f.Validate, Merge: f.Merge, Was: f.Was, Default: f.Default,
		}
		if inner := structOf(f.Type); inner != nil {
			d.inner = f.Stored
			if inner.Type.Name != nil {
				d.inner = t.text(inner.Type)
			}
			if !slices.Contains(outer, inner) {
				d.Fields = t.fields(inner, outer)
			}
		}
		fields = append(fields, d)
	}
	return fields
}

// structOf returns the struct that t is, or that its elements are; nil if there is none.
func structOf(t *templates.Type) *templates.Struct {
	for ; t != nil; t = t.Elem {
		if t.Struct != nil {
			return t.Struct
		}
	}
	return nil
}

// indexFields describes the fields of an index or of a key.
func (t typer) indexFields(fields []*templates.IndexField) []*IndexField {
	var list []*IndexField
	for _, f := range fields {
		d := &IndexField{
			Name: path(f.Field), Stored: f.Field.Stored, GoType: t.text(f.Key), Descending: f.Desc, Each: f.Each, Optional: f.Deref,
			param: f.Param, is: f.Key,
		}
		if d.param == "" { // of a key of one field
			r, n := utf8.DecodeRuneInString(f.Field.GoName())
			d.param = string(unicode.ToLower(r)) + f.Field.GoName()[n:]
			if strings.ToUpper(f.Field.GoName()) == f.Field.GoName() {
				d.param = strings.ToLower(f.Field.GoName())
			}
		}
		list = append(list, d)
	}
	return list
}

// text returns t as it is written in the source of its package.
func (t typer) text(typ *templates.Type) string {
	if n := typ.Name; n != nil {
		text := t.named(n.Path, n.Name)
		if len(n.Args) > 0 {
			var args []string
			for _, arg := range n.Args {
				args = append(args, t.written(arg))
			}
			text += "[" + strings.Join(args, ", ") + "]"
		}
		return text
	}
	if typ.Go != nil {
		return t.written(typ.Go)
	}
	bits := ""
	if typ.Bits != 0 {
		bits = strconv.Itoa(typ.Bits)
	}
	switch typ.Kind {
	case templates.Bool:
		return "bool"
	case templates.Int:
		return "int" + bits
	case templates.Uint:
		return "uint" + bits
	case templates.Float:
		return "float" + bits
	case templates.String:
		return "string"
	case templates.Bytes:
		return "[]byte"
	case templates.UUID:
		return "[16]byte"
	case templates.Slice:
		return "[]" + t.text(typ.Elem)
	case templates.Array:
		return "[" + strconv.FormatInt(typ.Len, 10) + "]" + t.text(typ.Elem)
	case templates.Map:
		return "map[" + t.text(typ.Key) + "]" + t.text(typ.Elem)
	case templates.Pointer:
		return "*" + t.text(typ.Elem)
	case templates.Complex:
		return "complex" + bits
	}
	return "any"
}

// named returns a name with that of its package.
func (t typer) named(path, name string) string {
	if path == "" {
		return name
	}
	if own := t.p.Names[path]; own != "" {
		return own + "." + name
	}
	return path[strings.LastIndexByte(path, '/')+1:] + "." + name
}

// written returns a type as the source has it.
func (t typer) written(g *templates.GoType) string {
	var b strings.Builder
	for _, part := range g.Parts {
		b.WriteString(t.named(part.Path, part.Name))
	}
	return b.String()
}
