package kixx

import (
	"bytes"
	"slices"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Entries collects the index and view entries of one document. Generated code adds to it.
type Entries struct {
	state *registration // numbers of the indexes
	list  []*Index      // of the schema; an index is found by its place in it
	id    []byte        // the document's key without the header
	half  byte          // of the entries: 1 if the document is marked as deleted

	keys   []byte
	values []byte
	found  []entry
	long   int    // place of the index with the first entry that is longer than a key may be, or -1
	length int    // of that entry
	many   *Index // the first view that emitted one key too often
}

// An entry is one key in Entries.keys, with the value of a view in Entries.values.
type entry struct {
	at, end   int
	vat, vend int
	index     int // its place in Entries.list
	ordinal   int // of a view: how often the key was emitted before
}

// reset makes e ready for a document whose key, without the header, is id; deleted says that it is marked as deleted.
func (e *Entries) reset(state *registration, list []*Index, id []byte, deleted bool) {
	e.state, e.list, e.id, e.half = state, list, id, 0
	if deleted {
		e.half = 1
	}
	e.keys, e.values, e.found = e.keys[:0], e.values[:0], e.found[:0]
	e.long, e.length, e.many = -1, 0, nil
}

// Key returns where to append the values of the next entry.
func (e *Entries) Key() []byte {
	var room header
	return append(e.keys, room[:]...)
}

// Value returns where to append the emitted value of the next entry of a view.
func (e *Entries) Value() []byte { return e.values }

// Add adds an entry of ix. key is what Key returned, with the indexed values appended.
func (e *Entries) Add(ix *Index, key []byte) { e.AddValue(ix, key, e.values) }

// AddValue adds an entry of a view. key and value are what Key and Value returned, with the emitted ones appended.
func (e *Entries) AddValue(ix *Index, key, value []byte) {
	pos := e.position(ix)
	state := &e.state.indexes[pos]
	if !state.kept {
		return
	}
	en := entry{at: len(e.keys), vat: len(e.values), vend: len(value), index: pos}
	h := e.state.header.withIndex(state.number)
	h[headerLen-1] |= e.half
	copy(key[en.at:], h[:])
	if !ix.Unique && !ix.keys {
		key = append(key, e.id...)
	}
	if ix.View {
		key = append(key, 0) // the ordinal, see sort
	}
	en.end = len(key)
	e.keys, e.values = key, value
	e.found = append(e.found, en)
	if en.end-en.at > store.MaxKey && e.long < 0 {
		e.long, e.length = pos, en.end-en.at
	}
}

// position returns the place of ix in the schema. The list is short, and generated code adds in its order.
func (e *Entries) position(ix *Index) int {
	for i, x := range e.list {
		if x == ix {
			return i
		}
	}
	panic("kixx: generated code adds to an index that its schema does not list")
}

func (e *Entries) key(en *entry) []byte   { return e.keys[en.at:en.end] }
func (e *Entries) value(en *entry) []byte { return e.values[en.vat:en.vend] }

// sort brings the entries into the order of their keys. Equal ones of an index become one; of a view they get ordinals in
// the order in which they were emitted.
func (e *Entries) sort() {
	slices.SortStableFunc(e.found, func(a, b entry) int { return bytes.Compare(e.key(&a), e.key(&b)) })
	kept := e.found[:0]
	var last entry
	ordinal := 0
	for i, en := range e.found {
		same := i > 0 && bytes.Equal(e.key(&en), e.key(&last))
		last = en
		switch {
		case !same:
			ordinal = 0
		case !e.list[en.index].View:
			continue
		default:
			if ordinal++; ordinal > 255 && e.many == nil {
				e.many = e.list[en.index]
			}
		}
		en.ordinal = ordinal
		kept = append(kept, en)
	}
	e.found = kept
	for i := range kept {
		if en := &kept[i]; e.list[en.index].View {
			e.keys[en.end-1] = byte(en.ordinal)
		}
	}
}
