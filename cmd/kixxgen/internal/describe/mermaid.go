package describe

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/kixxgen/kixxgen/templates"
)

// Mermaid writes the description as an entity relationship diagram, as GitHub and many others draw it from Markdown: a box
// for each entity, each struct inside of one, and the entries of each view.
func (d *Description) Mermaid(w io.Writer) error {
	m := mermaid{names: map[string]int{}, drawn: map[string]bool{}}
	for _, e := range d.Entities {
		m.names[e.Name]++
	}
	m.line("erDiagram")
	for _, e := range d.Entities {
		m.entity(e)
	}
	_, err := io.WriteString(w, m.boxes.String()+m.lines.String())
	return err
}

type mermaid struct {
	boxes, lines strings.Builder
	names        map[string]int // how many entities have a name
	drawn        map[string]bool
}

func (m *mermaid) line(format string, args ...any) { fmt.Fprintf(&m.boxes, format+"\n", args...) }

// entity draws e, what is inside of it, and its views.
func (m *mermaid) entity(e *Entity) {
	box := word(e.Name)
	if m.names[e.Name] > 1 {
		box = word(e.Package[strings.LastIndexByte(e.Package, '/')+1:] + "_" + e.Name)
	}
	marks := map[string][]string{}
	unique := map[string]bool{}
	for _, k := range e.Key.Fields {
		marks[k.Name] = append(marks[k.Name], "key")
	}
	for _, ix := range e.Indexes {
		for _, f := range ix.Fields {
			unique[f.Name] = unique[f.Name] || ix.Unique && len(ix.Fields) == 1
			marks[f.Name] = append(marks[f.Name], ix.Name)
		}
	}
	m.line("    %s {", boxName(box))
	for _, f := range e.Fields {
		var kinds, notes []string
		for _, mark := range marks[f.Name] {
			if mark == "key" {
				kinds = append(kinds, "PK")
			} else {
				notes = append(notes, mark)
			}
		}
		if unique[f.Name] {
			kinds = append(kinds, "UK")
		}
		note := strings.Join(notes, ", ")
		if note != "" {
			note = "index " + note
		}
		m.attribute(f.GoType, f.Stored, kinds, note)
	}
	m.line("    }")
	m.inside(box, box, e.Fields)
	for _, v := range e.Views {
		view := box + word(v.Name)
		m.line("    %s {", boxName(view))
		m.attribute(v.Key, "key", nil, "")
		m.attribute(v.Value, "value", nil, "")
		m.line("    }")
		fmt.Fprintf(&m.lines, "    %s ||--o{ %s : \"view %s\"\n", boxName(box), boxName(view), v.Name)
	}
}

// inside draws the structs that are fields of box, which is in the document of entity, and how many there are of them.
func (m *mermaid) inside(entity, box string, fields []*Field) {
	for _, f := range fields {
		if f.inner == "" {
			continue
		}
		many := "||"
		for t := f.is; t.Struct == nil; t = t.Elem {
			if t.Kind != templates.Pointer {
				many = "o{"
				break
			}
			many = "o|"
		}
		name := entity + "_" + word(f.inner)
		fmt.Fprintf(&m.lines, "    %s ||--%s %s : \"%s\"\n", boxName(box), many, boxName(name), text(f.Stored))
		if m.drawn[name] || f.Fields == nil {
			continue
		}
		m.drawn[name] = true
		m.line("    %s {", boxName(name))
		for _, g := range f.Fields {
			m.attribute(g.GoType, g.Stored, nil, "")
		}
		m.line("    }")
		m.inside(entity, name, f.Fields)
	}
}

// keywords are the words of the language, in which case does not count.
var keywords = []string{"accdescr", "acctitle", "class", "classdef", "direction", "erdiagram", "many", "one", "only", "optionally", "style", "title", "to", "u", "zero"}

// boxName returns the name of a box, in quotes if it would be taken for a word of the language.
func boxName(name string) string {
	if slices.Contains(keywords, strings.ToLower(name)) {
		return `"` + name + `"`
	}
	return name
}

// attribute draws a line of a box.
func (m *mermaid) attribute(goType, name string, kinds []string, note string) {
	line := typeWord(goType) + " " + word(name)
	if len(kinds) > 0 {
		line += " " + strings.Join(kinds, ", ")
	}
	if note != "" {
		line += ` "` + text(note) + `"`
	}
	m.line("        %s", line)
}

// typeWord returns a Go type as the diagram can have it, which begins with a letter: *time.Time as time_Time, []string as
// string[].
func typeWord(goType string) string {
	behind := ""
	for {
		switch {
		case strings.HasPrefix(goType, "*"):
			goType = goType[1:]
		case strings.HasPrefix(goType, "["):
			length, rest, _ := strings.Cut(goType, "]")
			behind, goType = behind+length+"]", rest
		default:
			return word(goType) + behind
		}
	}
}

// word returns a name as the diagram can have it: of letters, digits, _ and -, and not beginning with a digit.
func word(name string) string {
	var b strings.Builder
	for i, r := range name {
		switch {
		case r == '_', unicode.IsLetter(r), i > 0 && (r >= '0' && r <= '9' || r == '-'):
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	return cmp.Or(b.String(), "_")
}

// text returns a text as it can stand between quotes in the diagram.
func text(s string) string { return strings.NewReplacer(`"`, "'", "\n", " ", "--", "- -").Replace(s) }
