package kixx

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/runtime/ordered"
)

// An Explanation says how a query is answered: see [Query.Explain]. Its String is one line for people. Bounds hold values of
// the query, which are values of documents: it is made for who asked, and goes into no log by itself.
type Explanation struct {
	Entity string // "item"
	Index  string // index or view that is read: "CategoryPrice"; "" is the documents, in the order of their keys
	Fields string // of the index, or of the key, with their types: "category string, price float64 desc"

	// Lower and Upper are the bounds, in the order of the index: `>= ("toys", 10)`. "" is open. Where a field is descending,
	// what is greater comes first, and so stands in Lower. Of text that was asked for by its beginning: `("toy"…)`.
	Lower, Upper string

	Reverse bool // it is read from Upper down
	After   bool // it goes on behind a cursor, or where that is outside the bounds at their beginning
	Offset  int  // so many entries are read and skipped
	Limit   int  // of a page; of All and Collect if one was set

	// Documents says where the documents come from:
	//
	//	"range"    the range holds them
	//	"entries"  each entry names its document, which the store hands out with it
	//	"lookup"   those of a page of a view are read in a second step
	//	"none"     an entry of a view has all that is wanted
	Documents string

	Halves int    // 2 if documents marked as deleted are read as well, and merged in; else 1
	State  string // of the index, as far as this program knows: "ready", "building", "stale"
}

// Explain says how the query is answered, without answering it: it does no I/O and costs little.
//
//go:noinline
func (q Query[E, K]) Explain() Explanation { return q.p.explain() }

// Explain says how a query of all values of the range is answered, see [Query.Explain].
//
//go:noinline
func (r *Range[E, K, V]) Explain() Explanation { return r.q.p.explain() }

func (e Explanation) String() string {
	var b strings.Builder
	b.WriteString(e.Entity)
	if e.Index == "" {
		b.WriteString(" by key")
	} else {
		b.WriteString(" by index " + e.Index)
	}
	fmt.Fprintf(&b, " (%s)", e.Fields)
	switch lower, isLower := strings.CutPrefix(e.Lower, ">= "); {
	case isLower && e.Upper == "<= "+lower:
		b.WriteString(", " + lower)
	case e.Lower == "" && e.Upper == "":
		b.WriteString(", everything")
	default:
		b.WriteString(", " + strings.TrimSpace(e.Lower+" "+e.Upper))
	}
	if e.Reverse {
		b.WriteString(", backwards")
	}
	if e.After {
		b.WriteString(", behind a cursor")
	}
	if e.Offset > 0 {
		fmt.Fprintf(&b, ", %d are skipped", e.Offset)
	}
	fmt.Fprintf(&b, ", at most %d a page, documents: %s", e.Limit, e.Documents)
	if e.Halves > 1 {
		b.WriteString(", deleted ones too")
	}
	return b.String() + ", " + e.State
}

// explain is Explain of any query.
func (p *plan) explain() Explanation {
	e := Explanation{Limit: pageSize(p.limit), Offset: p.offset, Reverse: p.reverse, After: p.after != "", Documents: "range", Halves: 1, State: "ready"}
	if p.col == nil {
		e.Entity = "a fake"
		return e
	}
	c := p.col
	e.Entity = c.name
	fields := c.keyFields()
	if p.ix != documents {
		ix := c.indexes[p.ix]
		if !ix.keys {
			e.Index = ix.Name
			fields = ix.fields()
		}
		switch {
		case p.derefs():
			e.Documents = "entries"
		case p.docs:
			e.Documents = "lookup"
		default:
			e.Documents = "none"
		}
		switch n := c.reg.Load().indexes[p.ix]; {
		case n.ready:
		case n.kept:
			e.State = string(indexBuilding)
		default:
			e.State = string(indexStale)
		}
	}
	if p.halves() {
		e.Halves = 2
	}
	e.Fields = strings.Join(fields, ", ")
	kinds := make([]ordered.Kind, len(fields))
	for i, f := range fields {
		kinds[i] = kindOf(f)
	}
	if len(p.lo) > 0 {
		e.Lower = map[bool]string{false: ">= ", true: "> "}[p.loAfter] + showTuple(p.lo, kinds)
	}
	if len(p.hi) > 0 {
		e.Upper = map[bool]string{false: "< ", true: "<= "}[p.hiAfter] + showTuple(p.hi, kinds)
	}
	return e
}

// keyFields returns the fields of the key, in its order, as the definition of an index has them.
func (c *collection) keyFields() []string {
	var keys []Field
	for _, f := range c.own.Fields {
		if option, _, _ := strings.Cut(f.Options, ","); option == "key" || strings.HasPrefix(option, "key:") {
			keys = append(keys, f)
		}
	}
	slices.SortFunc(keys, func(a, b Field) int { return strings.Compare(a.Options, b.Options) })
	out := make([]string, len(keys))
	for i, f := range keys {
		out[i] = f.Name + " " + f.Type
	}
	return out
}

// fields returns the fields that an index sorts by, from its definition; of a view the type of its key.
func (ix *Index) fields() []string {
	of, _, _ := strings.Cut(ix.Of, "; ")
	if ix.View {
		key, _, _ := strings.Cut(of, " ")
		return []string{"key " + key}
	}
	return strings.Split(of, ", ")
}

// kindOf returns how a field is encoded in keys, by its definition: "price float64 desc". Zero is one that is not known.
func kindOf(field string) (k ordered.Kind) {
	words := strings.Fields(field)
	for len(words) > 1 {
		last := words[len(words)-1]
		words = words[:len(words)-1]
		switch strings.TrimRight(last, "0123456789") {
		case "desc":
			k = ordered.Desc
			continue
		case "optional", "each":
			continue
		case "string":
			return k | ordered.String
		case "bytes":
			return k | ordered.Bytes
		case "int":
			return k | ordered.Int
		case "uint":
			return k | ordered.Uint
		case "float":
			if last == "float32" {
				return k | ordered.Float32
			}
			return k | ordered.Float64
		case "bool":
			return k | ordered.Bool
		case "time":
			return k | ordered.Time
		case "uuid":
			return k | ordered.UUID
		}
		return 0
	}
	return 0
}

// showTuple prints a bound. The last field may be the beginning of a text.
func showTuple(tuple []byte, kinds []ordered.Kind) string {
	text := ordered.Format(tuple, kinds...)
	at := strings.LastIndex(text, "0x")
	if at < 0 {
		return text
	}
	for _, end := range []string{"\x00\x01", "\xff\xfe"} { // of a text, ascending and descending
		whole := ordered.Format(append(slices.Clip(tuple), end...), kinds...)
		if strings.HasSuffix(whole, `")`) && !strings.HasSuffix(text, `")`) {
			return strings.TrimSuffix(whole, ")") + "…)"
		}
	}
	return text
}
