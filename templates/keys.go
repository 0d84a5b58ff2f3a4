package templates

import (
	"strconv"
	"strings"

	"github.com/dave/jennifer/jen"
)

// orderedName returns what the functions of package ordered are called for keys of type t: Float64.
func orderedName(t *Type) string {
	switch t.Kind {
	case Bool:
		return "Bool"
	case Int:
		return "Int"
	case Uint:
		return "Uint"
	case Float:
		return "Float" + strconv.Itoa(t.Bits)
	case Bytes:
		return "Bytes"
	case Time:
		return "Time"
	case UUID:
		return "UUID"
	}
	return "String"
}

// appendKeyFunc returns ordered.AppendString[string], or another one for t.
func (w *writer) appendKeyFunc(t *Type, desc bool) *jen.Statement {
	name := "Append" + orderedName(t)
	if desc {
		name += "Desc"
	}
	return w.instance(name, t)
}

// readKeyFunc returns ordered.ReadString[string], or another one for t.
func (w *writer) readKeyFunc(t *Type) *jen.Statement { return w.instance("Read"+orderedName(t), t) }

func (w *writer) instance(name string, t *Type) *jen.Statement {
	if t.Kind == Text { // its text stands for it
		return jen.Qual(genPath, textKey(name)).Types(w.typ(t))
	}
	f := jen.Qual(orderedPath, name)
	if t.Kind != Time {
		f.Types(w.typ(t))
	}
	return f
}

// appendKey returns ordered.AppendString(to, x), or another one for t.
func (w *writer) appendKey(to jen.Code, t *Type, desc bool, x jen.Code) *jen.Statement {
	name := "Append" + orderedName(t)
	if desc {
		name += "Desc"
	}
	if t.Kind == Text {
		return jen.Qual(genPath, textKey(name)).Call(to, x)
	}
	return jen.Qual(orderedPath, name).Call(to, x)
}

// textKey returns the function of package gen that stands for one of package ordered for texts: AppendTextKey.
func textKey(name string) string { return strings.Replace(name, "String", "TextKey", 1) }

// appendEntry is appendKey for an entry that is stored: it refuses what has no text.
func (w *writer) appendEntry(to jen.Code, t *Type, desc bool, x jen.Code) *jen.Statement {
	if t.Kind != Text {
		return w.appendKey(to, t, desc, x)
	}
	name := "AppendString"
	if desc {
		name += "Desc"
	}
	return jen.Qual(orderedPath, name).Call(to, jen.Qual(genPath, "Text").Call(x))
}

// appendParams returns the encoding of the parameters that stand for fields, or nil if there are none.
func (w *writer) appendParams(fields []*IndexField) *jen.Statement {
	var b *jen.Statement
	switch {
	case len(fields) == 0:
		return jen.Nil()
	case len(fields) == 1:
		b = jen.Nil()
	default:
		b = jen.Make(jen.Index().Byte(), jen.Lit(0), jen.Lit(64))
	}
	for _, f := range fields {
		b = w.appendKey(b, f.Key, f.Desc, jen.Id(f.Param))
	}
	return b
}

// params returns the parameters that stand for fields.
func (w *writer) params(fields []*IndexField) []jen.Code {
	var params []jen.Code
	for _, f := range fields {
		params = append(params, jen.Id(f.Param).Add(w.typ(f.Key)))
	}
	return params
}

// rangePrefix returns the prefix of the type and functions of a range over values of t: Text for those that have prefixes.
func rangePrefix(t *Type) string {
	if t.Kind == String {
		return "Text"
	}
	return ""
}
