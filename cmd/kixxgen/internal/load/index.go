package load

import (
	"go/token"
	"strconv"
	"strings"

	"github.com/kixxgen/kixxgen/internal/hint"
	"github.com/kixxgen/kixxgen/templates"
)

// indexes makes the indexes of e: those of its fields' tags, then those of its directives.
func (b *builder) indexes(e *entity) {
	e.marks = map[string]token.Pos{}
	for _, f := range b.annotated(e) {
		for _, o := range f.tag.options {
			if o.name.text == "index" || o.name.text == "unique" {
				b.tagIndex(e, f, o)
			}
		}
	}
	for _, d := range e.indexes {
		b.directiveIndex(e, d)
	}
}

// tagIndex makes the index of a kixx:"index" or kixx:"unique" option.
func (b *builder) tagIndex(e *entity, f *fieldInfo, o option) {
	at := f.tag.file.pos(o.name.at)
	if f.tag.has("key") && e.model.KeyType == "" {
		b.at(at, "field %s: the key is in order by itself: use RangeByKey", f.v.Name())
		return
	}
	if f.model.Type == nil || f.tag.has("rev") {
		return // reported with the field
	}
	ix := &templates.Index{Name: f.v.Name(), Unique: o.name.text == "unique"}
	desc := false
	for _, a := range o.args {
		if name, ok := strings.CutPrefix(a.text, "name="); ok {
			ix.Name = name
			at = f.tag.file.pos(a.at + len("name="))
		} else {
			desc = true
		}
	}
	field, bad := b.indexField(f, desc)
	if bad != nil {
		b.at(at, "field %s: %s", f.v.Name(), bad.text)
		return
	}
	ix.Fields = []*templates.IndexField{field}
	b.addIndex(e, ix, at, "", o.name.text)
}

// directiveIndex makes the index of a //kixx:index line.
func (b *builder) directiveIndex(e *entity, d directive) {
	f := e.file
	if len(d.args) < 2 {
		b.at(f.pos(d.at), "//kixx:index wants a name and fields: //kixx:index CategoryPrice Category,Price:desc")
		return
	}
	name, list := d.args[0], d.args[1]
	if !exported(name.text) {
		b.at(f.pos(name.at), "index name %q: want an identifier with a capital first letter, since QueryBy%s is made of it", name.text, name.text)
		return
	}
	ix := &templates.Index{Name: name.text}
	version, good := b.indexOptions(f, d.args[2:], ix)
	given := map[string]bool{}
	slice := ""
	offset := list.at
	for _, part := range strings.Split(list.text, ",") {
		at := f.pos(offset)
		offset += len(part) + 1
		fieldName, order, ordered := strings.Cut(part, ":")
		if fieldName == "" {
			b.at(at, "index %s: there is a comma too many", name.text)
			good = false
			continue
		}
		if ordered && order != "desc" {
			b.at(at+token.Pos(len(fieldName)+1), "index %s: unknown order %q of field %s%s", name.text, order, fieldName, hint.Nearest(order, "desc"))
			good = false
		}
		info := b.fieldNamed(e, fieldName)
		switch {
		case info == nil:
			b.at(at, "index %s: %s has no field %s%s", name.text, e.name, fieldName, hint.Nearest(fieldName, b.indexable(e)...))
			good = false
			continue
		case given[fieldName]:
			b.at(at, "index %s: field %s is in it twice", name.text, fieldName)
			good = false
			continue
		case info.tag.has("rev"):
			b.at(at, "index %s: the revision is not stored with the document and cannot be in an index", name.text)
			good = false
			continue
		case info.model.Type == nil:
			good = false // reported with the field
			continue
		}
		given[fieldName] = true
		field, bad := b.indexField(info, order == "desc")
		if bad != nil {
			b.at(at, "index %s: field %s: %s", name.text, fieldName, bad.text)
			good = false
			continue
		}
		if field.Each {
			if slice != "" {
				b.at(at, "index %s: fields %s and %s are both slices; an index has at most one, since it has an entry for each element", name.text, slice, fieldName)
				good = false
			}
			slice = fieldName
		}
		ix.Fields = append(ix.Fields, field)
	}
	if good {
		b.addIndex(e, ix, f.pos(name.at), version, "index")
	}
}

// indexOptions reads what follows the fields in a //kixx:index line.
func (b *builder) indexOptions(f *file, args []word, ix *templates.Index) (version string, good bool) {
	good = true
	for _, w := range args {
		a := w.split()
		switch {
		case w.text == "unique" && ix.Unique, a.name == "version" && version != "":
			b.at(f.pos(w.at), "index %s: option %q is there twice", ix.Name, w.text)
			good = false
		case w.text == "unique":
			ix.Unique = true
		case a.name == "version":
			version = a.value
			good = b.version(f, a, "index "+ix.Name) && good
		default:
			hint := hint.Nearest(firstOf(a.name, w.text), "unique", "version=")
			if exported(w.text) {
				hint = "; fields are separated by commas, without blanks"
			}
			b.at(f.pos(w.at), "index %s: unknown option %q%s", ix.Name, w.text, hint)
			good = false
		}
	}
	return version, good
}

// version checks the value of a version= option.
func (l *loader) version(f *file, a argument, whose string) bool {
	if n, err := strconv.ParseUint(a.value, 10, 31); err != nil || n == 0 {
		l.at(f.pos(a.valueAt), "%s: version %q: want a number from 1 on", whose, a.value)
		return false
	}
	return true
}

// fieldNamed returns the field of e with this Go name, of several the least embedded one, or nil.
func (b *builder) fieldNamed(e *entity, name string) *fieldInfo {
	var found *fieldInfo
	for _, f := range b.allFields(e) {
		if f.v.Name() == name && (found == nil || f.depth < found.depth) {
			found = f
		}
	}
	return found
}

// indexable returns the Go names of the fields that an index may have.
func (b *builder) indexable(e *entity) []string {
	var names []string
	for _, f := range b.allFields(e) {
		if f.model.Type != nil {
			names = append(names, f.v.Name())
		}
	}
	return names
}

// indexField returns f as a field of an index, or why it has no order.
func (b *builder) indexField(f *fieldInfo, desc bool) (*templates.IndexField, *refusal) {
	x := &templates.IndexField{Field: f.model, Key: f.model.Type, Desc: desc}
	if x.Key.Kind == templates.Slice {
		x.Each, x.Key = true, x.Key.Elem
	}
	if x.Key.Kind == templates.Pointer {
		x.Deref, x.Key = true, x.Key.Elem
	}
	if !hasOrder(x.Key) || x.Deref && x.Key.Kind == templates.Bytes {
		return nil, refuse("type %s has no order that an index could have; it takes bool, numbers, strings, []byte, time.Time, "+
			"UUIDs, types with MarshalText and UnmarshalText, pointers to these and slices of these", b.show(f.v.Type()))
	}
	return x, nil
}

// hasOrder reports whether values of t have an order as keys.
func hasOrder(t *templates.Type) bool {
	switch t.Kind {
	case templates.Bool, templates.Int, templates.Uint, templates.Float, templates.String, templates.Bytes, templates.Time, templates.UUID, templates.Text:
		return true
	}
	return false
}

// addIndex adds ix to e, unless its name is taken. Indexes and views share one table of names.
func (b *builder) addIndex(e *entity, ix *templates.Index, at token.Pos, version, option string) {
	if !b.takeName(e, ix.Name, "index "+ix.Name, at, `kixx:"`+option+`:name=…"`) {
		return
	}
	var parts []string
	var fields []*templates.Field
	for _, x := range ix.Fields {
		fields = append(fields, x.Field)
		text := storedText(x.Field.Stored) + " " + typeText(x.Key)
		text += b.textSource(x.Field.Type)
		if x.Each {
			text += " each"
		}
		if x.Deref {
			text += " optional"
		}
		if x.Desc {
			text += " desc"
		}
		parts = append(parts, text)
	}
	ix.Of = strings.Join(parts, ", ")
	if ix.Unique {
		ix.Of += "; unique"
	}
	if version != "" {
		ix.Of += "; version " + version
	}
	ix.Of += b.evolved(e, fields, version != "")
	e.model.Indexes = append(e.model.Indexes, ix)
}

// textSource returns a hash of how values of t, or elements of it, make their text, where that is code of the user's module:
// the index is built anew when it changes.
func (b *builder) textSource(t *templates.Type) string {
	for t.Kind == templates.Slice || t.Kind == templates.Pointer {
		t = t.Elem
	}
	if t.Kind != templates.Text {
		return ""
	}
	p := b.pkg
	if t.Name.Path != "" {
		p = b.packages[t.Name.Path]
	}
	if p == nil || !b.mine(p) {
		return ""
	}
	return " source " + b.fingerprint(p, t.Name.Name)
}

// takeName notes that QueryBy<name> is declared, or reports that it was before.
func (b *builder) takeName(e *entity, name, whose string, at token.Pos, way string) bool {
	if name == "Key" {
		b.at(at, "%s: RangeByKey is the range over the keys of %s; give it another name: %s", whose, e.name, strings.Replace(way, "…", "KeyText", 1))
		return false
	}
	if first, taken := e.marks[name]; taken {
		b.at(at, "%s: QueryBy%s is already declared in %s; give it another name: %s", whose, name, b.where(first), way)
		return false
	}
	e.marks[name] = at
	return true
}
