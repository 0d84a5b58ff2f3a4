package kixx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/kixxgen/kixxgen/runtime/ordered"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// The catalogue of a namespace is collection 0. Its tuples begin with a word:
//
//	"collection", name     -> a record, as JSON
//	"number", number       -> the name of the collection that took the number
//	"namespace"            -> the name of the namespace
//	"build", name          -> how far a build of the collection's indexes has come, as JSON
//	"receipt", who, slot   -> the id of the last batch of that writer that put no document
//
// Numbers are never used again: not those of collections, nor within one those of indexes and schemas.

// A record is what the catalogue knows of a collection.
type record struct {
	Name    string         `json:"name"`
	Number  uint16         `json:"number"`
	Schemas []schemaRecord `json:"schemas"`
	Indexes []indexRecord  `json:"indexes"`
	Drop    []uint16       `json:"drop,omitempty"` // numbers of indexes whose entries are to be removed
	Taken   uint16         `json:"taken"`          // the highest number that an index ever had
}

// A schemaRecord has the lines of one schema: what a document can hold that was written under its number.
type schemaRecord struct {
	Number      uint64  `json:"number"`
	Fingerprint string  `json:"fingerprint"`
	Level       int     `json:"level,omitempty"` // of its last migration
	Fields      []Field `json:"fields"`

	// Code is what the application runs on documents that it writes. Who writes without it must know.
	Code []string `json:"code,omitempty"`
}

// An indexRecord has the definition of an index beside its fingerprint, so that its entries can be read, and those that no
// view function makes be made, without the program. A record from before there was one has none.
type indexRecord struct {
	Number      uint16     `json:"number"`
	Name        string     `json:"name"`
	Fingerprint string     `json:"fingerprint"`
	State       indexState `json:"state"`
	Of          string     `json:"of,omitempty"`
	Unique      bool       `json:"unique,omitempty"`
	Desc        bool       `json:"desc,omitempty"`
	Each        bool       `json:"each,omitempty"`
	View        bool       `json:"view,omitempty"`
}

// define adds the definition of ix, and reports whether it was not there.
func (x *indexRecord) define(ix *Index) (changed bool) {
	changed = x.Of != ix.Of
	x.Of, x.Unique, x.Desc, x.Each, x.View = ix.Of, ix.Unique, ix.Desc, ix.Each, ix.View
	return changed
}

type indexState string

// A building index is kept by all writers that know it, and answers no query yet. A stale one is kept by nobody: a
// writer that does not know it has set it to stale before its first write.
const (
	indexBuilding indexState = "building"
	indexReady    indexState = "ready"
	indexStale    indexState = "stale"
)

func catalogueKey(namespace [8]byte, word string, more ...string) []byte {
	h := newHeader(namespace, catalogueNum, 0)
	b := ordered.AppendString(h[:], word)
	for _, m := range more {
		b = ordered.AppendString(b, m)
	}
	return b
}

func numberKey(namespace [8]byte, number uint16) []byte {
	return ordered.AppendUint(catalogueKey(namespace, "number"), number)
}

// A registration is what a record says about one schema. It is replaced, never changed.
type registration struct {
	version store.Version // of the record
	header  header        // of the collection's documents
	schema  uint64        // number of the schema
	schemas []schemaRecord
	indexes []indexNumber // of the schema's indexes, in its order
	foreign bool          // the record has indexes that this schema does not keep, and that are not stale yet

	upcasters sync.Map // by the number of a schema, the *upcaster of its documents
	shapes    sync.Map // by the same, the *storedtype.Type of a document; only for a [store.Deriver]
}

type indexNumber struct {
	number uint16
	kept   bool // ready or building
	ready  bool
}

// place returns the place in the schema of the index that a key is in, or -1.
func (reg *registration) place(key []byte) int {
	number := indexOf(key)
	return slices.IndexFunc(reg.indexes, func(n indexNumber) bool { return n.number == number })
}

// readRecord reads the record of a collection; nil if there is none yet.
func readRecord(ctx context.Context, st store.Reader, key []byte) (*record, store.Version, error) {
	items, err := st.Get(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	if items[0].Version == store.Absent {
		return nil, 0, nil
	}
	r := new(record)
	if err := json.Unmarshal(items[0].Value, r); err != nil {
		return nil, 0, fmt.Errorf("%w: the catalogue record %x: %v", ErrCorrupt, key, err)
	}
	return r, items[0].Version, nil
}

// register enters a schema into the record: its fields, and numbers for the indexes that have none. It reports whether
// the record was changed. A schema that contradicts another one of its level is refused.
func (r *record) register(own *schemaRecord, indexes []*Index) (changed bool, err error) {
	for i := range r.Schemas {
		if mine, theirs, bad := own.contradicts(&r.Schemas[i]); bad {
			return false, fmt.Errorf("kixx: %w: field %q of %s is of type %s here, documents were written with it as %s", ErrSchema, mine.Name, r.Name, mine.Type, theirs.Type)
		}
	}
	switch at := slices.IndexFunc(r.Schemas, func(s schemaRecord) bool { return s.Fingerprint == own.Fingerprint }); {
	case at < 0:
		s := *own
		s.Number = uint64(len(r.Schemas)) + 1
		r.Schemas = append(r.Schemas, s)
		changed = true
	case !slices.Equal(r.Schemas[at].Code, own.Code):
		r.Schemas[at].Code = own.Code
		changed = true
	}
	for _, ix := range indexes {
		fp := ix.fingerprint()
		at := slices.IndexFunc(r.Indexes, func(x indexRecord) bool { return x.Fingerprint == fp })
		if at >= 0 && r.Indexes[at].State != indexStale {
			changed = r.Indexes[at].define(ix) || changed
			continue
		}
		if r.Taken == maxIndex {
			return false, fmt.Errorf("kixx: %w: %s has used up its %d index numbers", ErrSchema, r.Name, maxIndex)
		}
		r.Taken++
		changed = true
		if at < 0 {
			r.Indexes = append(r.Indexes, indexRecord{Name: ix.Name, Fingerprint: fp})
			at = len(r.Indexes) - 1
		} else {
			r.Drop = append(r.Drop, r.Indexes[at].Number)
		}
		r.Indexes[at].Number, r.Indexes[at].State = r.Taken, indexBuilding
		r.Indexes[at].define(ix)
	}
	return changed, nil
}

// retire sets to stale what the schema does not keep. Another definition of an index of its own goes away at once.
func (r *record) retire(indexes []*Index) {
	kept := r.Indexes[:0]
	for _, x := range r.Indexes {
		mine, renewed := false, false
		for _, ix := range indexes {
			mine = mine || ix.fingerprint() == x.Fingerprint
			renewed = renewed || ix.Name == x.Name
		}
		switch {
		case mine:
		case renewed:
			r.Drop = append(r.Drop, x.Number)
			continue
		default:
			x.State = indexStale
		}
		kept = append(kept, x)
	}
	r.Indexes = kept
}

// registration returns what the record says about the schema. Only what was registered is in it.
func (r *record) registration(namespace [8]byte, version store.Version, own *schemaRecord, indexes []*Index) *registration {
	reg := &registration{version: version, header: newHeader(namespace, r.Number, 0), schemas: r.Schemas, indexes: make([]indexNumber, len(indexes))}
	for _, s := range r.Schemas {
		if s.Fingerprint == own.Fingerprint {
			reg.schema = s.Number
		}
	}
	for _, x := range r.Indexes {
		at := slices.IndexFunc(indexes, func(ix *Index) bool { return ix.fingerprint() == x.Fingerprint })
		if at < 0 {
			reg.foreign = reg.foreign || x.State != indexStale
			continue
		}
		reg.indexes[at] = indexNumber{number: x.Number, kept: x.State != indexStale, ready: x.State == indexReady}
	}
	return reg
}

// changeRecord reads the record of a collection, lets change work on it, and writes it if change says so, again until
// nobody else changed it meanwhile. A record that is not there yet is made, with a number of its own.
func (db *DB) changeRecord(ctx context.Context, name string, change func(r *record, fresh bool) (changed bool, err error)) (*record, store.Version, error) {
	key := catalogueKey(db.id, "collection", name)
	for try := 0; ; try++ {
		r, version, err := readRecord(ctx, db.core.st, key)
		if err != nil {
			return nil, 0, err
		}
		batch := &store.Batch{ID: newBatchID()}
		fresh := r == nil
		if fresh {
			number, err := db.freeNumber(ctx)
			if err != nil {
				return nil, 0, err
			}
			r = &record{Name: name, Number: number}
			batch.Ops = append(batch.Ops, store.Op{Key: numberKey(db.id, number), Value: []byte(name), Guard: store.At(store.Absent)})
		}
		changed, err := change(r, fresh)
		if err != nil || !changed && !fresh {
			return r, version, err
		}
		value, err := json.Marshal(r)
		if err != nil {
			return nil, 0, err
		}
		batch.Ops = append(batch.Ops, store.Op{Key: key, Value: value, Guard: store.At(version)})
		slices.SortFunc(batch.Ops, func(a, b store.Op) int { return slices.Compare(a.Key, b.Key) })
		written, err := db.core.st.Commit(ctx, batch)
		if err == nil {
			return r, written, nil
		}
		// An unknown outcome is settled by reading the record again: the change is made anew if it is not there.
		if again := errors.Is(err, store.ErrConflict) || db.core.limits.Settles && errors.Is(err, ErrUnknown) && ctx.Err() == nil; !again {
			return nil, 0, err
		}
		if err := db.core.backoff(ctx, try); err != nil {
			return nil, 0, err
		}
	}
}

// freeNumber returns a number that no collection of the namespace has taken.
func (db *DB) freeNumber(ctx context.Context) (uint16, error) {
	lo := catalogueKey(db.id, "number")
	items, err := db.core.st.Page(ctx, store.Page{Lo: lo, Hi: ordered.PrefixEnd(nil, lo), Reverse: true, Limit: 1})
	if err != nil {
		return 0, err
	}
	if len(items) == 0 {
		return 1, nil
	}
	last, _, err := ordered.ReadUint[uint64](items[0].Key[len(lo):])
	if err != nil {
		return 0, fmt.Errorf("%w: the catalogue key %x", ErrCorrupt, items[0].Key)
	}
	if last >= maxNumber {
		return 0, fmt.Errorf("kixx: %w: the namespace has used up its %d collection numbers", ErrSchema, maxNumber)
	}
	return uint16(last) + 1, nil
}
