package kixx

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"

	"github.com/kixxgen/kixxgen/runtime/ordered"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// collectionOf returns the number of the collection that key is in.
func collectionOf(key []byte) uint16 { return binary.BigEndian.Uint16(key[9:]) }

// catalogue reads the catalogue of a namespace and returns its collections by their numbers. Problems are reported the
// first time, when v has not moved into the documents yet.
func (v *verifier) catalogue(ctx context.Context, r store.Reader, db *DB) (map[uint16]*verified, error) {
	c := &catalogueCheck{v: v, db: db, found: make(map[uint16]*verified), taken: make(map[uint16]string)}
	db.mu.Lock()
	c.cols = maps.Clone(db.collections)
	db.mu.Unlock()

	lo := newHeader(db.id, catalogueNum, 0)
	documents := newHeader(db.id, catalogueNum+1, 0)
	problems := len(v.problems)
	for at := lo[:]; ; {
		items, err := r.Page(ctx, store.Page{Lo: at, Hi: documents[:], Limit: verifyBatch})
		if err != nil {
			return nil, err
		}
		if len(items) == 0 {
			break
		}
		for i := range items {
			c.key(&items[i])
		}
		at = following(items[len(items)-1].Key)
	}
	c.compare()
	if slices.Compare(v.at, documents[:]) >= 0 {
		v.problems = v.problems[:problems] // they were told before
		return c.found, nil
	}
	v.at = documents[:]
	return c.found, nil
}

// A catalogueCheck collects what the keys of a catalogue say.
type catalogueCheck struct {
	v     *verifier
	db    *DB
	cols  map[string]*collection // of this program
	found map[uint16]*verified
	taken map[uint16]string // the name of the collection that took a number
	named bool              // the name of the namespace is there
}

// key takes one key. Words that this version does not know are of a newer one.
func (c *catalogueCheck) key(it *store.Item) {
	if len(it.Key) <= headerLen {
		c.bad("has a key of %d bytes: %x", len(it.Key), it.Key)
		return
	}
	word, rest, err := ordered.ReadString[string](it.Key[headerLen:])
	if err != nil {
		c.bad("has a key that cannot be read: %x", it.Key)
		return
	}
	switch word {
	case "namespace":
		c.named = true
		if name := string(it.Value); name != c.db.namespace {
			c.bad("is that of the namespace %q, not of %q", name, c.db.namespace)
		}
	case "number":
		number, _, err := ordered.ReadUint[uint16](rest)
		if err != nil {
			c.bad("has the key of a number that cannot be read: %x", it.Key)
			return
		}
		c.taken[number] = string(it.Value)
	case "collection":
		name, _, err := ordered.ReadString[string](rest)
		if err != nil {
			c.bad("has the key of a collection that cannot be read: %x", it.Key)
			return
		}
		c.record(name, it)
	}
}

// record takes the record of a collection.
func (c *catalogueCheck) record(name string, it *store.Item) {
	rec := new(record)
	if err := json.Unmarshal(it.Value, rec); err != nil {
		c.bad("has a record of %s that cannot be read: %v", name, err)
		delete(c.cols, name) // it was told
		return
	}
	if rec.Name != name {
		c.bad("has the record of %s under the name %s", rec.Name, name)
	}
	if other := c.found[rec.Number]; other != nil {
		c.bad("has the number %d for both %s and %s", rec.Number, other.rec.Name, rec.Name)
		delete(c.cols, name)
		return
	}
	in := &verified{rec: rec, col: c.cols[name]}
	if in.col != nil {
		in.reg = rec.registration(c.db.id, it.Version, &in.col.own, in.col.indexes)
	}
	delete(c.cols, name)
	c.found[rec.Number] = in
	c.indexes(rec)
}

// indexes looks at the numbers of indexes and schemas in a record.
func (c *catalogueCheck) indexes(rec *record) {
	numbers := make(map[uint16]string)
	take := func(number uint16, name string) {
		if number == 0 || number > rec.Taken {
			c.bad("has the number %d for %s of %s, whose highest is %d", number, name, rec.Name, rec.Taken)
		}
		if other, taken := numbers[number]; taken {
			c.bad("has the number %d of %s for both %s and %s", number, rec.Name, other, name)
		}
		numbers[number] = name
	}
	for _, x := range rec.Indexes {
		take(x.Number, "the index "+x.Name)
		switch x.State {
		case indexBuilding, indexReady, indexStale:
		default:
			c.bad("has the index %s of %s in the state %q, which there is not", x.Name, rec.Name, x.State)
		}
	}
	for _, number := range rec.Drop {
		take(number, "an index that was given up")
	}
	schemas := make(map[uint64]bool)
	for _, s := range rec.Schemas {
		if s.Number == 0 || schemas[s.Number] {
			c.bad("has the number %d of %s for two schemas, or for none", s.Number, rec.Name)
		}
		schemas[s.Number] = true
	}
}

// compare compares the keys with each other, and with what this program has registered.
func (c *catalogueCheck) compare() {
	if !c.named {
		c.bad("has lost the name of the namespace %q", c.db.namespace)
	}
	for _, number := range slices.Sorted(maps.Keys(c.found)) {
		in := c.found[number]
		if name := c.taken[number]; name != in.rec.Name {
			c.bad("has the number %d in the record of %s, but not the key that says so", number, in.rec.Name)
		}
		delete(c.taken, number)
		if in.col != nil && in.reg.schema == 0 {
			c.bad("has lost the schema that this program has of %s", in.rec.Name)
		}
	}
	for _, number := range slices.Sorted(maps.Keys(c.taken)) {
		c.bad("says that %s took the number %d, but has no record of it", c.taken[number], number)
	}
	for _, name := range slices.Sorted(maps.Keys(c.cols)) {
		c.bad("has lost the collection %s", name)
	}
}

func (c *catalogueCheck) bad(format string, args ...any) {
	c.v.report(nil, nil, "", nil, "the catalogue "+format, args...)
}
