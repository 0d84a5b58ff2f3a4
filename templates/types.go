package templates

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/dave/jennifer/jen"
)

// typ returns t as it is written in source.
func (w *writer) typ(t *Type) *jen.Statement {
	switch {
	case t.Name != nil:
		return w.named(t.Name)
	case t.Go != nil:
		return t.Go.code()
	}
	switch t.Kind {
	case Slice:
		return jen.Index().Add(w.typ(t.Elem))
	case Array:
		return jen.Index(jen.Id(strconv.FormatInt(t.Len, 10))).Add(w.typ(t.Elem))
	case Map:
		return jen.Map(w.typ(t.Key)).Add(w.typ(t.Elem))
	case Pointer:
		return jen.Op("*").Add(w.typ(t.Elem))
	case Bytes:
		return jen.Index().Byte()
	case UUID:
		return jen.Index(jen.Lit(16)).Byte()
	}
	return jen.Id(basic(t))
}

// named returns the name of a type, with its package and type arguments.
func (w *writer) named(n *Name) *jen.Statement {
	name := jen.Id(n.Name)
	if n.Path != "" {
		name = jen.Qual(n.Path, n.Name)
	}
	if len(n.Args) > 0 {
		var args []jen.Code
		for _, arg := range n.Args {
			args = append(args, arg.code())
		}
		name.Types(args...)
	}
	return name
}

// code returns t as it is written in source.
func (t *GoType) code() *jen.Statement {
	written := jen.Null()
	for _, part := range t.Parts {
		if part.Path != "" {
			written.Qual(part.Path, part.Name)
		} else {
			written.Op(part.Name)
		}
	}
	return written
}

// marshals reports whether values of t marshal themselves.
func marshals(t *Type) bool { return t.Kind == Text || t.Kind == Binary || t.Kind == JSON }

// marshalName returns what the functions of package gen for values that marshal themselves are called.
func marshalName(t *Type) string {
	switch t.Kind {
	case Text:
		return "Text"
	case Binary:
		return "Binary"
	}
	return "Marshaler"
}

// IsBoxed reports whether t is a pointer to what may be nil itself. It is stored as a list of one element, or nil could be
// either.
func IsBoxed(t *Type) bool {
	switch t.Elem.Kind {
	case Bytes, Raw, Slice, Map, Pointer, Any:
		return true
	}
	return false
}

// basic returns the predeclared type that values of t are converted to: int16 for an Int of 16 bits.
func basic(t *Type) string {
	bits := ""
	if t.Bits != 0 {
		bits = strconv.Itoa(t.Bits)
	}
	switch t.Kind {
	case Bool:
		return "bool"
	case Int:
		return "int" + bits
	case Uint:
		return "uint" + bits
	case Float:
		return "float" + bits
	case Complex:
		return "complex" + bits
	case Any:
		return "any"
	}
	return "string"
}

// identity returns a text that stands for the type of st wherever it is stored: geo.Point of example.com as
// example.com/geo.Point.
func (w *writer) identity(st *Struct) string {
	var write func(t *Type) string
	write = func(t *Type) string {
		switch {
		case t.Name != nil:
			path := t.Name.Path
			if path == "" {
				path = w.p.Path
			}
			text := path + "." + t.Name.Name
			if len(t.Name.Args) > 0 {
				args := make([]string, len(t.Name.Args))
				for i, arg := range t.Name.Args {
					args[i] = arg.Full
				}
				text += "[" + strings.Join(args, ",") + "]"
			}
			return text
		case t.Kind == Slice:
			return "[]" + write(t.Elem)
		case t.Kind == Array:
			return "[" + strconv.FormatInt(t.Len, 10) + "]" + write(t.Elem)
		case t.Kind == Map:
			return "map[" + write(t.Key) + "]" + write(t.Elem)
		case t.Kind == Pointer:
			return "*" + write(t.Elem)
		case t.Kind == Bytes:
			return "[]byte"
		case t.Kind == UUID:
			return "[16]byte"
		case t.Go != nil:
			return t.Go.Full
		}
		return basic(t)
	}
	return write(st.Type)
}

// sel returns the field f of the struct in the variable base: it.Base.ID.
func sel(base string, f *Field) *jen.Statement {
	x := jen.Id(base)
	for _, name := range f.Path {
		x.Dot(name)
	}
	return x
}

// document returns *Item.
func (w *writer) document() *jen.Statement { return jen.Op("*").Id(w.e.Name) }

// repo returns the name of the repository's type.
func (w *writer) repo() string { return w.e.Name + "Repo" }

// schema returns the name of the variable with the schema.
func (w *writer) schemaVar() string { return schemaVar(w.e) }

func schemaVar(e *Entity) string { return lowerFirst(e.Name) + "Schema" }

// entriesFunc returns the name of the function that adds the entries of a document.
func (w *writer) entriesFunc() string { return "index" + w.e.Name }

// lowerFirst returns name with its first letters in lower case: Item as item, URLMap as urlMap.
func lowerFirst(name string) string {
	r := []rune(name)
	n := 0
	for n < len(r) && unicode.IsUpper(r[n]) {
		n++
	}
	if n > 1 && n < len(r) {
		n-- // the last capital begins the next word
	}
	return strings.ToLower(string(r[:n])) + string(r[n:])
}

// list is a composite literal or an argument list with one element on each line, in the order given.
func list(items ...jen.Code) *jen.Statement {
	return jen.Custom(jen.Options{Open: "{", Close: "}", Separator: ",", Multi: true}, items...)
}

// entry is a key and its value in a composite literal.
func entry(name string, value jen.Code) jen.Code { return jen.Id(name).Op(":").Add(value) }

// inLine is the body of a function literal with one statement, on one line.
func inLine(stmt jen.Code) *jen.Statement {
	return jen.Custom(jen.Options{Open: "{", Close: "}"}, stmt)
}
