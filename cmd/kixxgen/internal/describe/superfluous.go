package describe

import (
	"fmt"
	"strings"
)

// superfluous marks the indexes of e that another one makes superfluous, or the key.
//
// QueryByA(all fields of A) finds what RangeByB(the same fields).Everything() finds if the fields of A, with their
// directions, are all but the last of B: a range method takes all fields but the last, and so nothing shorter. If they are
// all of B, QueryByB or GetByB does. It holds only if B has exactly one entry for each entry of A:
//
//   - A is not unique: else it keeps two documents from having the same values, which B does not.
//   - No field of A is a slice, and the field that B has more is neither a slice nor a pointer: an empty slice or a nil has
//     no entry in B, and a slice may have many.
//
// Of two indexes that are the same, the later one is marked.
func superfluous(e *Entity) {
	key := &Index{Name: "key", Unique: true, Fields: e.Key.Fields, Methods: []string{"", e.Key.Methods[1]}}
	for i, a := range e.Indexes {
		for j, b := range append(e.Indexes[:len(e.Indexes):len(e.Indexes)], key) {
			if i == j || a.Unique || !begins(a.Fields, b.Fields) || len(a.Fields) == len(b.Fields) && i < j && !b.Unique {
				continue
			}
			a.Superfluous = &Superfluous{By: b.Name, Why: why(a, b)}
			break
		}
	}
}

// begins reports whether b has one entry for each entry of a, and a method that takes the fields of a.
func begins(a, b []*IndexField) bool {
	if len(b) != len(a) && len(b) != len(a)+1 {
		return false
	}
	for i, f := range b {
		if i == len(a) {
			return !f.Each && !f.Optional
		}
		if f.Each || f.Name != a[i].Name || f.Descending != a[i].Descending {
			return false
		}
	}
	return true
}

// why returns what to use in the place of a, and what would be missed.
func why(a, b *Index) string {
	given := arguments(a.Fields)
	query := fmt.Sprintf("QueryBy%s(%s)", a.Name, given)
	if len(a.Fields) == len(b.Fields) {
		instead := fmt.Sprintf("%s and RangeBy%s find", strings.ReplaceAll(b.Methods[0], "("+params(b.Fields)+")", "("+given+")"), b.Name)
		if b.Name == "key" {
			instead = "RangeByKey finds"
		}
		return fmt.Sprintf("it has the fields of %s: %s the same documents", b.Name, instead)
	}
	if b.Name == "key" {
		return fmt.Sprintf("its fields begin the key: RangeByKey(%s).Everything() finds what %s finds, in the same order; only RangeBy%s would be missed",
			given, query, a.Name)
	}
	last := b.Fields[len(b.Fields)-1]
	order := last.Name
	if last.Descending {
		order += ", descending"
	}
	return fmt.Sprintf("its fields begin those of %s: RangeBy%s(%s).Everything() finds what %s finds, in the order of %s; only the order of keys and RangeBy%s would be missed",
		b.Name, b.Name, given, query, order, a.Name)
}

// arguments returns the fields as they are passed on: category, price.
func arguments(fields []*IndexField) string {
	var list []string
	for _, f := range fields {
		list = append(list, f.param)
	}
	return strings.Join(list, ", ")
}
