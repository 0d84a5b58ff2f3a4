package load

import (
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/internal/hint"
	"github.com/kixxgen/kixxgen/templates"
)

// mergePolicies are the values of a merge= option.
var mergePolicies = []string{"ours", "theirs", "max", "min", "sum", "union"}

// mergeOption reads a merge=… option into t.
func (l *loader) mergeOption(f *file, t *fieldTag, o option) {
	name, value, _ := strings.Cut(o.name.text, "=")
	at := o.name.at + len(name) + 1
	switch {
	case len(o.args) > 0:
		l.at(f.pos(o.args[0].at), "option %q takes nothing after a colon", o.name.text)
	case t.merge.text != "":
		l.at(f.pos(o.name.at), "option merge is there twice")
	case value == "":
		l.at(f.pos(o.name.at), "option merge wants to know what is made of a value that was changed on both sides: merge=%s", strings.Join(mergePolicies, ", merge="))
	case !slices.Contains(mergePolicies, value):
		l.at(f.pos(at), "unknown merge policy %q%s", value, hint.Nearest(value, mergePolicies...))
	default:
		t.merge = word{value, at}
	}
}

// mergePolicy sets what the tag of f says about merging, if that makes sense for its type.
func (b *builder) mergePolicy(f *fieldInfo) {
	policy := f.tag.merge.text
	if policy == "" {
		return
	}
	if fit := policiesOf(f.model.Type); !slices.Contains(fit, policy) {
		b.at(f.tag.file.pos(f.tag.merge.at), "field %s: merge=%s makes no sense for %s; it can have %s", f.v.Name(), policy, b.show(f.v.Type()), orList(fit))
		return
	}
	f.model.Merge = policy
}

// unmerged reports policies of fields that are not merged.
func (b *builder) unmerged(e *entity) {
	for _, f := range b.annotated(e) {
		if f.tag.merge.text == "" {
			continue
		}
		at := f.tag.file.pos(f.tag.merge.at)
		switch {
		case f.tag.has("key"):
			b.at(at, "field %s: the key is the same on both sides of a merge; leave merge=%s out", f.v.Name(), f.tag.merge.text)
		case f.tag.has("rev"), f.tag.has("created"), f.tag.has("updated"):
			b.at(at, "field %s: it is set by the runtime, not merged; leave merge=%s out", f.v.Name(), f.tag.merge.text)
		}
	}
}

// idlePolicies notes policies in structs that are never merged by their fields: they are only elements of slices or maps,
// or a policy makes one value of them.
func (b *builder) idlePolicies(entities []*templates.Entity) {
	byField := map[*templates.Struct]bool{}
	var walk func(s *templates.Struct)
	walk = func(s *templates.Struct) {
		byField[s] = true
		for _, f := range s.Fields {
			t := f.Type
			if t.Kind == templates.Pointer && t.Name == nil {
				t = t.Elem
			}
			if f.Merge == "" && t.Kind == templates.StructKind && !byField[t.Struct] {
				walk(t.Struct)
			}
		}
	}
	for _, e := range entities {
		walk(e.Struct)
	}
	for _, s := range b.order {
		for _, f := range s.fields {
			if f.model.Merge != "" && !byField[s.model] && f.at.pkg == b.pkg {
				b.note(f.tag.file.pos(f.tag.merge.at), "field %s: merge=%s has no effect: %s is nowhere merged field by field",
					f.v.Name(), f.model.Merge, b.show(s.typ))
			}
		}
	}
}

// policiesOf returns the policies that make sense for values of t.
func policiesOf(t *templates.Type) []string {
	fit := []string{"ours", "theirs"}
	ordered := func(t *templates.Type) bool {
		switch t.Kind {
		case templates.Int, templates.Uint, templates.Float, templates.String, templates.Time:
			return true
		}
		return false
	}
	switch {
	case t.Kind == templates.Int, t.Kind == templates.Uint, t.Kind == templates.Float:
		return append(fit, "max", "min", "sum")
	case ordered(t), t.Kind == templates.Pointer && t.Name == nil && ordered(t.Elem):
		return append(fit, "max", "min")
	case t.Kind == templates.Map, t.Kind == templates.Slice && sameByOperator(t.Elem):
		return append(fit, "union")
	}
	return fit
}

// sameByOperator reports whether == says of values of t whether they are stored as the same: they have no floats, whose NaN is
// not equal to itself, no times, whose locations count for ==, and nothing that is not stored.
func sameByOperator(t *templates.Type) bool {
	switch t.Kind {
	case templates.Bool, templates.Int, templates.Uint, templates.String, templates.UUID:
		return true
	case templates.Array:
		return sameByOperator(t.Elem)
	case templates.StructKind:
		return !t.Struct.Partial && !t.Struct.Carries &&
			!slices.ContainsFunc(t.Struct.Fields, func(f *templates.Field) bool { return !sameByOperator(f.Type) })
	}
	return false
}

// orList returns "a, b or c".
func orList(words []string) string {
	n := len(words) - 1
	return strings.Join(words[:n], ", ") + " or " + words[n]
}
