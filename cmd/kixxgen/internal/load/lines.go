package load

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kixxgen/kixxgen/templates"
)

// typeText returns how t is written in kixx.schema.json and in definitions of indexes: stored names and kinds, no Go names,
// so that a type that is only renamed stays the same. A struct that holds itself is written ^n, n structs up.
func typeText(t *templates.Type) string {
	var b strings.Builder
	writeType(&b, t, nil)
	return b.String()
}

func writeType(b *strings.Builder, t *templates.Type, outer []*templates.Struct) {
	switch t.Kind {
	case templates.Bool:
		b.WriteString("bool")
	case templates.Int:
		b.WriteString("int" + size(t.Bits))
	case templates.Uint:
		b.WriteString("uint" + size(t.Bits))
	case templates.Float:
		b.WriteString("float" + size(t.Bits))
	case templates.String:
		b.WriteString("string")
	case templates.Bytes:
		b.WriteString("bytes")
	case templates.Raw:
		b.WriteString("json")
	case templates.Time:
		b.WriteString("time")
	case templates.UUID:
		b.WriteString("uuid")
	case templates.Any:
		b.WriteString("any")
	case templates.Complex:
		b.WriteString("complex" + size(t.Bits))
	case templates.Text:
		b.WriteString("text")
	case templates.Binary:
		b.WriteString("binary")
	case templates.JSON:
		b.WriteString("jsontext")
	case templates.Slice:
		b.WriteString("[]")
		writeType(b, t.Elem, outer)
	case templates.Array:
		fmt.Fprintf(b, "[%d]", t.Len)
		writeType(b, t.Elem, outer)
	case templates.Map:
		b.WriteString("map[")
		writeType(b, t.Key, outer)
		b.WriteString("]")
		writeType(b, t.Elem, outer)
	case templates.Pointer:
		b.WriteString("*")
		writeType(b, t.Elem, outer)
	case templates.StructKind:
		for i := len(outer) - 1; i >= 0; i-- {
			if outer[i] == t.Struct {
				fmt.Fprintf(b, "^%d", len(outer)-i)
				return
			}
		}
		b.WriteString("struct{")
		for i, f := range t.Struct.Fields {
			if i > 0 {
				b.WriteString("; ")
			}
			b.WriteString(storedText(f.Stored) + " ")
			writeType(b, f.Type, append(outer[:len(outer):len(outer)], t.Struct))
		}
		for i, name := range t.Struct.Dropped {
			if i+len(t.Struct.Fields) > 0 {
				b.WriteString("; ")
			}
			b.WriteString(storedText(name) + " " + droppedType)
		}
		b.WriteString("}")
	}
}

// droppedType stands in the place of the type of a field that is not kept any more.
const droppedType = "drop"

// size returns the number of bits as it is part of a type's name.
func size(bits int) string {
	if bits == 0 {
		return ""
	}
	return strconv.Itoa(bits)
}

// storedText returns a stored name, quoted if it could be taken for something else.
func storedText(name string) string {
	for _, r := range name {
		if r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return strconv.Quote(name)
		}
	}
	if name == "" {
		return `""`
	}
	return name
}

// A retype is a difference between two types that old documents would not survive.
type retype struct{ path, was, is string }

// changed compares two texts of typeText. Fields that were added to a struct, and those that are dropped, are no change;
// everything else is. It reports the innermost difference.
func changed(was, is string) (retype, bool) {
	if was == is { // which a text edited by hand might not show below: a struct with two fields of one name
		return retype{}, false
	}
	a, b := typeParser{was}, typeParser{is}
	r, bad := a.compare(&b, "")
	if !bad && a.rest != b.rest {
		return retype{"", was, is}, true
	}
	return r, bad
}

// A typeParser reads a text of typeText from left to right.
type typeParser struct{ rest string }

// compare compares the types at which two parsers stand, and moves both behind them.
func (a *typeParser) compare(b *typeParser, path string) (retype, bool) {
	wholeA, wholeB := a.rest, b.rest
	headA, headB := a.head(), b.head()
	if headA == "struct{" && headB == "struct{" {
		old, now := a.fields(), b.fields()
		for _, f := range old {
			within := strings.TrimPrefix(path+"."+f.name, ".")
			i := slices.IndexFunc(now, func(n textField) bool { return n.name == f.name })
			if i < 0 {
				return retype{within, f.text, ""}, true
			}
			if now[i].text == droppedType {
				continue
			}
			p, q := typeParser{f.text}, typeParser{now[i].text}
			if r, bad := p.compare(&q, within); bad {
				return r, true
			}
		}
		return retype{}, false
	}
	if headA != headB {
		return retype{path, wholeA[:len(wholeA)-len(skipped(wholeA))], wholeB[:len(wholeB)-len(skipped(wholeB))]}, true
	}
	switch {
	case headA == "map[":
		if r, bad := a.compare(b, path); bad {
			return r, true
		}
		a.rest, b.rest = strings.TrimPrefix(a.rest, "]"), strings.TrimPrefix(b.rest, "]")
		return a.compare(b, path)
	case headA == "*" || strings.HasPrefix(headA, "["):
		return a.compare(b, path)
	}
	return retype{}, false
}

// skipped returns what follows the type at the start of text.
func skipped(text string) string {
	p := typeParser{text}
	p.skip()
	return p.rest
}

// skip moves behind one type.
func (a *typeParser) skip() {
	switch head := a.head(); {
	case head == "struct{":
		a.fields()
	case head == "map[":
		a.skip()
		a.rest = strings.TrimPrefix(a.rest, "]")
		a.skip()
	case head == "*" || strings.HasPrefix(head, "["):
		a.skip()
	}
}

// head reads what a type starts with: "struct{", "map[", "*", "[]", "[3]", or a whole word.
func (a *typeParser) head() string {
	n := 0
	switch {
	case strings.HasPrefix(a.rest, "struct{"):
		n = len("struct{")
	case strings.HasPrefix(a.rest, "map["):
		n = len("map[")
	case strings.HasPrefix(a.rest, "*"):
		n = 1
	case strings.HasPrefix(a.rest, "["):
		n = strings.IndexByte(a.rest, ']') + 1
	default:
		n = strings.IndexAny(a.rest, "];} ")
		if n < 0 {
			n = len(a.rest)
		}
	}
	head := a.rest[:n]
	a.rest = a.rest[n:]
	return head
}

// A textField is one field of a struct in a text of typeText.
type textField struct{ name, text string }

// fields reads the fields of a struct behind "struct{", with the brace that closes it.
func (a *typeParser) fields() []textField {
	var fields []textField
	for a.rest != "" && a.rest[0] != '}' {
		var name string
		if quotedName, err := strconv.QuotedPrefix(a.rest); err == nil {
			a.rest = a.rest[len(quotedName):]
			name, _ = strconv.Unquote(quotedName)
		} else {
			name, a.rest, _ = strings.Cut(a.rest, " ")
			a.rest = " " + a.rest
		}
		a.rest = strings.TrimPrefix(a.rest, " ")
		start := a.rest
		a.skip()
		fields = append(fields, textField{name, start[:len(start)-len(a.rest)]})
		if len(a.rest) == len(start) { // not a text of typeText
			a.rest = ""
			return fields
		}
		a.rest = strings.TrimPrefix(a.rest, "; ")
	}
	a.rest = strings.TrimPrefix(a.rest, "}")
	return fields
}
