package load

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kixxgen/kixxgen/internal/hint"
	"github.com/kixxgen/kixxgen/templates"
)

// drop takes the fields that are not kept any more into info: the one that has the option, or those that it names.
func (b *builder) drop(info *structInfo, f *fieldInfo) {
	for _, o := range f.tag.options {
		if o.name.text != "drop" {
			continue
		}
		stored, at := o.args[0].text, f.tag.file.pos(o.name.at)
		if stored == "" {
			stored = firstOf(f.tag.json, f.v.Name())
		}
		if stored == "_" || f.v.Embedded() && o.args[0].text == "" && f.tag.json == "" {
			b.at(at, "field %s: it has no stored name of its own; say which fields to drop: drop=oldName", f.v.Name())
			continue
		}
		d := *f
		d.model = &templates.Field{Path: []string{f.v.Name()}, Stored: stored}
		info.dropped = append(info.dropped, &d)
	}
}

// dropsOnce makes the dropped fields of info part of its model, unless a field that is kept has the name.
func (b *builder) dropsOnce(info *structInfo) {
	for _, f := range info.dropped {
		name := f.model.Stored
		kept := slices.IndexFunc(info.model.Fields, func(k *templates.Field) bool { return k.Stored == name })
		switch {
		case kept >= 0:
			b.report.at(f.tag.file.pos(f.tag.find("drop").at), "field %s: %q cannot be dropped, field %s is stored under this name", f.v.Name(), name, info.model.Fields[kept].GoName())
		case !slices.Contains(info.model.Dropped, name):
			info.model.Dropped = append(info.model.Dropped, name)
		}
	}
}

// evolution takes the options that say how stored documents become those of e: was, default, and the migrations.
func (b *builder) evolution(e *entity) {
	claimed := map[string]*fieldInfo{}
	for _, f := range b.annotated(e) {
		for _, o := range f.tag.options {
			if f.model.Type == nil || len(o.args) == 0 {
				continue
			}
			value := o.args[0]
			at := f.tag.file.pos(value.at)
			switch o.name.text {
			case "was":
				b.was(e, f, value.text, at, claimed)
			case "default":
				text, bad := defaultText(f.model.Type, value.text)
				switch {
				case bad != "":
					b.at(at, "field %s: default %q: %s", f.v.Name(), value.text, bad)
				case f.tag.has("key"):
					b.at(at, "field %s: every document has a key: it needs no default", f.v.Name())
				default:
					f.model.Default = text
				}
			}
		}
	}
	for i, d := range e.migrates {
		b.migration(e, d, i+1)
	}
}

// was takes a name that a field had before.
func (b *builder) was(e *entity, f *fieldInfo, name string, at token.Pos, claimed map[string]*fieldInfo) {
	live := slices.IndexFunc(e.fields.model.Fields, func(k *templates.Field) bool { return k.Stored == name })
	switch first := claimed[name]; {
	case name == f.model.Stored:
		b.at(at, "field %s: was=%s is the name that it has now", f.v.Name(), name)
	case live >= 0:
		b.at(at, "field %s: was=%s: field %s is stored under this name, so that it was not renamed", f.v.Name(), name, e.fields.model.Fields[live].GoName())
	case slices.Contains(e.fields.model.Dropped, name):
		b.at(at, "field %s: was=%s: the field of this name is dropped", f.v.Name(), name)
	case first != nil:
		b.at(at, "field %s: was=%s: field %s was that one; a field that became two needs //kixx:migrate", f.v.Name(), name, first.v.Name())
	default:
		claimed[name] = f
		f.model.Was = append(f.model.Was, name)
	}
}

// defaultText returns a default as the runtime reads it, or why a field of type t cannot have it.
func defaultText(t *templates.Type, text string) (canonical, bad string) {
	if t.Kind == templates.Pointer {
		t = t.Elem
	}
	duration := t.Name != nil && t.Name.Path == "time" && t.Name.Name == "Duration"
	switch t.Kind {
	case templates.String:
		return text, ""
	case templates.Bool:
		if text != "true" && text != "false" {
			return "", "want true or false"
		}
		return text, ""
	case templates.Int:
		if d, err := time.ParseDuration(text); duration && err == nil {
			return strconv.FormatInt(int64(d), 10), ""
		}
		if v, err := strconv.ParseInt(text, 10, bitsOf(t)); err == nil {
			return strconv.FormatInt(v, 10), ""
		}
		if duration {
			return "", "want a duration, as 1h30m"
		}
		return "", "want an integer that " + typeText(t) + " holds"
	case templates.Uint:
		v, err := strconv.ParseUint(text, 10, bitsOf(t))
		if err != nil {
			return "", "want an integer that " + typeText(t) + " holds"
		}
		return strconv.FormatUint(v, 10), ""
	case templates.Float:
		v, err := strconv.ParseFloat(text, t.Bits)
		if err != nil || v != v {
			return "", "want a number that " + typeText(t) + " holds"
		}
		return strconv.FormatFloat(v, 'g', -1, 64), ""
	case templates.Time:
		v, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return "", "want a time as 2006-01-02T15:04:05Z"
		}
		return v.UTC().Format(time.RFC3339Nano), ""
	}
	return "", "defaults are for bool, numbers, strings and times, and for pointers to them; for others there is //kixx:migrate"
}

// bitsOf returns the size of an integer type; int and uint are taken to have 64 bits.
func bitsOf(t *templates.Type) int {
	if t.Bits == 0 {
		return 64
	}
	return t.Bits
}

// migration takes the //kixx:migrate line that is to be the one of this level.
func (b *builder) migration(e *entity, d directive, level int) {
	f := e.file
	want := "func(*kixx.Fields) error"
	if len(d.args) == 0 {
		b.at(f.pos(d.at), "//kixx:migrate wants a level and a function: //kixx:migrate %d func=%s", level, migrationName(e, level))
		return
	}
	given, err := strconv.Atoi(d.args[0].text)
	if err != nil {
		b.at(f.pos(d.args[0].at), "migration level %q: want a number; the levels of an entity are 1, 2, 3 and so on, in this order", d.args[0].text)
		return
	}
	if given != level {
		hint := ""
		if given < level {
			hint = "; if two branches each added a level, one of them must count on"
		}
		b.at(f.pos(d.args[0].at), "migration level %d: want %d here; the levels of an entity are 1, 2, 3 and so on, in this order%s", given, level, hint)
		return
	}
	name, at, good := "", f.pos(d.at), true
	for _, w := range d.args[1:] {
		a := w.split()
		switch {
		case a.name == "func" && name == "":
			name, at = a.value, f.pos(a.valueAt)
		case a.name == "func":
			b.at(f.pos(w.at), "migration %d: option %q is there twice", level, a.name)
			good = false
		default:
			b.at(f.pos(w.at), "migration %d: unknown option %q%s", level, w.text, hint.Nearest(firstOf(a.name, w.text), "func="))
			good = false
		}
	}
	if name == "" {
		b.at(at, "migration %d: no function; add func=… with the name of a %s", level, want)
		return
	}
	if good && b.migrationFunc(level, name, at, want) {
		e.model.Migrations = append(e.model.Migrations, &templates.Migration{Level: level, Func: name})
	}
}

// migrationName returns what the function of a migration could be called.
func migrationName(e *entity, level int) string {
	return fmt.Sprintf("%sToV%d", lowerCapitals(e.name), level)
}

// migrationFunc reports whether the function of a migration is one, and what is wrong with it.
func (b *builder) migrationFunc(level int, name string, at token.Pos, want string) bool {
	d := b.pkg.decls[name]
	if d == nil {
		b.at(at, "migration %d: there is no function %s in package %s; want %s", level, name, b.pkg.name, want)
		return false
	}
	node, isFunc := d.node.(*ast.FuncDecl)
	fn, isTyped := b.pkg.types.Scope().Lookup(name).(*types.Func)
	if !isFunc || !isTyped {
		b.at(at, "migration %d: %s is no function (%s); want %s", level, name, b.where(d.pos), want)
		return false
	}
	sig := fn.Signature()
	if sig.TypeParams() == nil && sig.Params().Len() == 1 && sig.Results().Len() == 1 && !sig.Variadic() {
		fields, isPointer := types.Unalias(sig.Params().At(0).Type()).(*types.Pointer)
		if isPointer && isRuntime(fields.Elem(), "Fields") && types.Identical(sig.Results().At(0).Type(), types.Universe.Lookup("error").Type()) {
			return true
		}
	}
	if msg := b.pkg.complaint(d.file, node.Type); msg != "" {
		b.at(node.Name.Pos(), "migration %d: %s: %s; want %s", level, name, msg, want)
		return false
	}
	b.at(at, "migration %d: %s is a %s (%s); want %s", level, name, b.show(sig), b.where(d.pos), want)
	return false
}

// evolved returns what of an index's definition says how an old document decodes, for the fields that it is made of: an
// entry that was computed from another reading of the same document must not stay. With a version= of its own, an index
// does not follow the source of migrations.
func (b *builder) evolved(e *entity, fields []*templates.Field, versioned bool) string {
	var text strings.Builder
	for _, f := range fields {
		if len(f.Was) == 0 && f.Default == "" {
			continue
		}
		text.WriteString("; " + storedText(f.Stored))
		for _, was := range f.Was {
			text.WriteString(" was " + storedText(was))
		}
		if f.Default != "" {
			text.WriteString(" default " + strconv.Quote(f.Default))
		}
	}
	if f := e.model.Deleted; f != nil { // which half a document's entries are in
		text.WriteString("; deleted " + storedText(f.Stored))
	}
	for _, m := range e.model.Migrations {
		fmt.Fprintf(&text, "; migrate %d", m.Level)
		if !versioned {
			text.WriteString(" source " + b.fingerprint(b.pkg, m.Func))
		}
	}
	return text.String()
}
