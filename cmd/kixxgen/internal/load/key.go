package load

import (
	"fmt"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/templates"
)

// keyKinds says what can be a key, or one field of a key of several.
const keyKinds = "text, an integer, a bool, a time.Time, a UUID ([16]byte), a type made of one of these, or one with MarshalText and UnmarshalText"

// canBeKey reports whether values of t can be a key: those that == compares, and that are read back as they were.
func canBeKey(t *templates.Type) bool {
	switch t.Kind {
	case templates.String, templates.Int, templates.Uint, templates.Bool, templates.Time, templates.UUID:
		return true
	case templates.Text:
		return t.Compares
	}
	return false
}

// addKey adds f to the key of e. at is the position of its option.
func (b *builder) addKey(e *entity, f *fieldInfo, at token.Pos) {
	m := e.model
	if slices.ContainsFunc(m.Keys, func(k *templates.IndexField) bool { return k.Field.GoName() == f.model.GoName() }) {
		b.at(at, "field %s: another field of the key of %s has this name; give one of them another", f.v.Name(), e.name)
		return
	}
	m.Keys = append(m.Keys, &templates.IndexField{Field: f.model, Key: f.model.Type})
}

// finishKey settles what depends on how many fields the key has.
func (b *builder) finishKey(e *entity) {
	m := e.model
	several := len(m.Keys) > 1
	if several {
		m.KeyType = e.name + "Key"
	}
	for i, k := range m.Keys {
		k.Field.Options = "key"
		if several {
			k.Field.Options = fmt.Sprintf("key:%d", i+1)
		}
	}
	for _, f := range b.annotated(e) {
		if !f.tag.has("key") || !f.tag.has("auto") || !slices.ContainsFunc(m.Keys, func(k *templates.IndexField) bool { return k.Field == f.model }) {
			continue
		}
		at := f.tag.file.pos(f.tag.find("auto").at)
		switch {
		case several:
			b.at(at, `field %s: a key of several fields is not made on Insert; leave "auto" out, or make the other fields of it an index`, f.v.Name())
		case f.model.Type.Kind != templates.String && f.model.Type.Kind != templates.UUID:
			b.at(at, "field %s: only a key that is text or a UUID ([16]byte) can be made on Insert, this one is %s", f.v.Name(), b.show(f.v.Type()))
		default:
			m.Auto = true
			f.model.Options = "key,auto"
		}
	}
}

// keyNames takes the names that are generated for a key of several fields, and reports those that the user has.
func (b *builder) keyNames(e *entity, n *names) {
	key := e.model.KeyType
	if key == "" {
		return
	}
	for _, name := range []string{key, "append" + key, "read" + key} {
		b.claim(e, name, n)
	}
	if own := b.pkg.methods[e.name]["Key"]; own != nil {
		b.at(own.pos, "method Key of %s is generated, since its key is of several fields; rename it", e.name)
		return
	}
	object, _, _ := types.LookupFieldOrMethod(types.NewPointer(e.fields.typ), true, b.pkg.types, "Key")
	if object == nil {
		return
	}
	at := e.pos()
	for _, f := range b.allFields(e) {
		if f.v == object {
			at = f.outer.Pos()
		}
	}
	b.at(at, "%s has a Key already, but its key is of several fields, so that a method Key is generated for it; rename it", e.name)
}

// keyPlace returns what the options of a line in the schema file say about the key: "" for a field that is not in it,
// "key", or "key:2" for the second field of it.
func keyPlace(options string) string {
	if place, _, _ := strings.Cut(options, ","); strings.HasPrefix(place, "key") {
		return place
	}
	return ""
}
