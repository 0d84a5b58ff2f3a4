package load

import (
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/templates"
)

// hide remembers a field that is not stored because it is not exported.
func (b *builder) hide(info *structInfo, f *fieldInfo) { info.hidden = append(info.hidden, f) }

// hiddenFields notes the fields that are not stored because they are not exported: where they are, if that is the user's
// code, else at the field by which he reaches them.
func (b *builder) hiddenFields() {
	byModel := map[*templates.Struct]*structInfo{}
	for _, s := range b.order {
		byModel[s.model] = s
	}
	noted := map[*structInfo]bool{}
	for _, s := range b.order {
		if !b.mineStruct(s) {
			continue
		}
		for _, f := range s.hidden {
			if b.mine(f.at.pkg) {
				b.note(f.pos(), "field %s is not exported, so it is not stored; kixx:\"-\" says that this is meant", f.v.Name())
			} else {
				b.note(f.outer.Pos(), "field %s: %s.%s is not exported, so it is not stored", f.outer.Name(), b.show(f.owner), f.v.Name())
			}
		}
		for _, f := range s.fields {
			var names []string
			for _, inner := range b.foreign(f.model.Type, byModel, noted) {
				for _, h := range inner.hidden {
					names = append(names, b.show(h.owner)+"."+h.v.Name())
				}
			}
			if len(names) > 0 && b.mine(f.at.pkg) {
				b.note(f.pos(), "field %s: not stored, since not exported: %s", f.v.Name(), strings.Join(names, ", "))
			}
		}
	}
}

// mineStruct reports whether a struct is declared in the user's code.
func (b *builder) mineStruct(s *structInfo) bool {
	return slices.ContainsFunc(slices.Concat(s.fields, s.hidden), func(f *fieldInfo) bool { return b.mine(f.at.pkg) })
}

// foreign returns the structs of others that t leads to by way of such structs alone, those that are not noted yet.
func (b *builder) foreign(t *templates.Type, byModel map[*templates.Struct]*structInfo, noted map[*structInfo]bool) []*structInfo {
	var found []*structInfo
	for ; t != nil; t = t.Elem {
		s := byModel[t.Struct]
		if t.Struct == nil || s == nil || noted[s] || b.mineStruct(s) {
			continue
		}
		noted[s] = true
		found = append(found, s)
		for _, f := range s.fields {
			found = append(found, b.foreign(f.model.Type, byModel, noted)...)
		}
	}
	return found
}
