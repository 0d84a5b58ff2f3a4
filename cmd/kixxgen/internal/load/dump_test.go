package load

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/kixxgen/kixxgen/templates"
)

// dump prints a model with all that an emitter can see, for golden files.
func dump(p *templates.Package) string {
	d := dumper{seen: map[*templates.Struct]bool{}}
	d.line("package %s %s", p.Name, p.Path)
	for _, e := range p.Entities {
		d.entity(e)
	}
	for at, alias := range p.Aliases {
		d.line("alias %s %s", alias, at)
	}
	return d.b.String()
}

type dumper struct {
	b     strings.Builder
	seen  map[*templates.Struct]bool
	depth int
}

func (d *dumper) line(format string, args ...any) {
	d.b.WriteString(strings.Repeat("\t", d.depth))
	d.b.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " "))
	d.b.WriteByte('\n')
}

func (d *dumper) entity(e *templates.Entity) {
	d.line("entity %s: var %s, plural %q, collection %s, file %s", e.Name, e.Var, e.Plural, e.Collection, e.File)
	d.depth++
	defer func() { d.depth-- }()
	if e.Constraint != "" {
		d.line("constraint %s", e.Constraint)
	}
	for _, k := range e.Keys {
		param := ""
		if k.Param != "" {
			param = " param " + k.Param
		}
		d.line("key %s%s", strings.Join(k.Field.Path, "."), param)
	}
	if e.Peek != "" {
		d.line("peek %s", e.Peek)
	}
	if e.KeyType != "" {
		d.line("key type %s", e.KeyType)
	}
	for _, r := range []struct {
		name  string
		field *templates.Field
	}{{"rev", e.Rev}, {"created", e.Created}, {"updated", e.Updated}, {"deleted", e.Deleted}} {
		if r.field != nil {
			d.line("%s %s", r.name, strings.Join(r.field.Path, "."))
		}
	}
	if e.Auto {
		d.line("auto")
	}
	if e.Tagged {
		d.line("tagged")
	}
	if e.Hooks != (templates.Hooks{}) {
		d.line("hooks %+v", e.Hooks)
	}
	d.structure(e.Struct)
	for _, ix := range e.Indexes {
		d.line("index %s: var %s, unique %v, of %q", ix.Name, ix.Var, ix.Unique, withoutSources(ix.Of))
		d.depth++
		for _, f := range ix.Fields {
			d.line("%s: key %s, param %s, each %v, deref %v, desc %v", strings.Join(f.Field.Path, "."), d.typ(f.Key), f.Param, f.Each, f.Deref, f.Desc)
		}
		d.depth--
	}
	for _, m := range e.Migrations {
		d.line("migrate %d: func %s", m.Level, m.Func)
	}
	for _, v := range e.Views {
		d.line("view %s: query %s, type %s, var %s, func %s, key %s, value %s", v.Name, v.Query, v.Type, v.Var, v.Func, d.typ(v.Key), d.typ(v.Value))
		d.line("\tof %q", withoutSources(v.Of))
	}
	d.inside(e.Struct)
	for _, v := range e.Views {
		d.reached(v.Value)
	}
}

// withoutSources returns a definition without the hashes in it, which change with every edit.
func withoutSources(of string) string {
	return regexp.MustCompile(` source [0-9a-f]+`).ReplaceAllString(of, " source …")
}

func (d *dumper) structure(s *templates.Struct) {
	d.seen[s] = true
	flags := ""
	if s.Partial {
		flags += " partial"
	}
	if s.Carries {
		flags += " carries"
	}
	d.line("struct %s: func %s%s", d.typ(s.Type), s.Func, flags)
	d.depth++
	for _, f := range s.Fields {
		merge := ""
		if f.Merge != "" {
			merge = " merge " + f.Merge
		}
		d.line("%s %q %s = %s %s%s", strings.Join(f.Path, "."), f.Stored, d.typ(f.Type), f.Lines, f.Options, merge)
		if len(f.Was) > 0 || f.Default != "" {
			d.line("\twas %q, default %q", f.Was, f.Default)
		}
	}
	if len(s.Dropped) > 0 {
		d.line("dropped %q", s.Dropped)
	}
	switch {
	case s.Literal == nil:
		d.line("no literal")
	default:
		text := ""
		for _, f := range s.Literal {
			text += f.Name + " "
			for _, p := range f.Type.Parts {
				if p.Path != "" {
					text += "{" + p.Path + "}."
				}
				text += p.Name
			}
			text += "; "
		}
		d.line("literal %s", text)
	}
	d.depth--
}

func (d *dumper) inside(s *templates.Struct) {
	for _, f := range s.Fields {
		d.reached(f.Type)
	}
}

func (d *dumper) reached(t *templates.Type) {
	for ; t != nil; t = t.Elem {
		if t.Struct != nil && !d.seen[t.Struct] {
			d.structure(t.Struct)
			d.inside(t.Struct)
		}
	}
}

func (d *dumper) typ(t *templates.Type) string {
	if t == nil {
		return "<nil>"
	}
	kind := map[templates.Kind]string{templates.Bool: "bool", templates.Int: "int", templates.Uint: "uint", templates.Float: "float",
		templates.String: "string", templates.Bytes: "bytes", templates.Raw: "raw", templates.Time: "time", templates.Slice: "slice",
		templates.Array: "array", templates.Map: "map", templates.Pointer: "pointer", templates.StructKind: "struct", templates.UUID: "uuid", templates.Any: "any", templates.Complex: "complex", templates.Text: "text", templates.Binary: "binary", templates.JSON: "json"}[t.Kind]
	if t.Bits > 0 {
		kind += fmt.Sprint(t.Bits)
	}
	switch t.Kind {
	case templates.Slice, templates.Pointer:
		kind += " of " + d.typ(t.Elem)
	case templates.Array:
		kind += fmt.Sprintf(" of %d %s", t.Len, d.typ(t.Elem))
	case templates.Map:
		kind += " of " + d.typ(t.Key) + " to " + d.typ(t.Elem)
	}
	if t.Name != nil {
		name := t.Name.Name
		if t.Name.Path != "" {
			name = t.Name.Path + "." + name
		}
		var args []string
		for _, a := range t.Name.Args {
			args = append(args, a.Full)
		}
		if args != nil {
			name += "[" + strings.Join(args, ", ") + "]"
		}
		if t.Kind == templates.StructKind || t.Kind == templates.Time || t.Kind == templates.Raw {
			return name
		}
		return name + "(" + kind + ")"
	}
	return kind
}
