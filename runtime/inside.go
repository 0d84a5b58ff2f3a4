package kixx

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/kixxgen/kixxgen/internal/inside"
	"github.com/kixxgen/kixxgen/runtime/ordered"
	"github.com/kixxgen/kixxgen/runtime/store"
)

func init() {
	inside.Catalogue = readCatalogue
	inside.Stale = staleIndexes
	inside.LoadAsIs = LoadOption(func(o *loadOptions) { o.asIs = true })
}

// restored returns the revision of a document that is loaded with revision r over old.
func (r Rev) restored(old *cached) Rev {
	switch {
	case old != nil:
		return old.rev.next()
	case r.n == 0:
		return r.next()
	case r.incarnation == 0:
		r.incarnation = newIncarnation()
	}
	return r
}

// readCatalogue implements [inside.Catalogue].
func readCatalogue(ctx context.Context, st store.Reader) (spaces []inside.Namespace, err error) {
	for lo := []byte{keyFormat}; ; {
		items, err := st.Page(ctx, store.Page{Lo: lo, Hi: []byte{keyFormat + 1}, Limit: 1, KeysOnly: true})
		if err != nil || len(items) == 0 {
			slices.SortFunc(spaces, func(a, b inside.Namespace) int { return cmp.Compare(a.Name, b.Name) })
			return spaces, err
		}
		key := items[0].Key
		if len(key) < headerLen {
			return nil, fmt.Errorf("kixx: %w: the store has a key of %d bytes, %x", ErrCorrupt, len(key), key)
		}
		id := [8]byte(key[1:9])
		space, err := readNamespace(ctx, st, id)
		if err != nil {
			return nil, err
		}
		spaces = append(spaces, space)
		if lo = ordered.PrefixEnd(nil, key[:9]); lo == nil {
			return spaces, nil
		}
	}
}

// staleIndexes implements [inside.Stale].
func staleIndexes(ctx context.Context, st store.Store) error {
	spaces, err := readCatalogue(ctx, st)
	if err != nil {
		return err
	}
	for _, space := range spaces {
		for _, e := range space.Entities {
			key := catalogueKey(namespaceID(space.Name), "collection", e.Name)
			r, version, err := readRecord(ctx, st, key)
			if err != nil {
				return err
			}
			for i := range r.Indexes {
				r.Indexes[i].State = indexStale
			}
			value, err := json.Marshal(r)
			if err != nil {
				return err
			}
			batch := &store.Batch{ID: newBatchID(), Ops: []store.Op{{Key: key, Value: value, Guard: store.At(version)}}}
			if _, err := st.Commit(ctx, batch); err != nil {
				return fmt.Errorf("kixx: %s: %w", e.Name, err)
			}
		}
	}
	return nil
}

// readNamespace reads the catalogue of one namespace.
func readNamespace(ctx context.Context, st store.Reader, id [8]byte) (space inside.Namespace, err error) {
	items, err := st.Get(ctx, catalogueKey(id, "namespace"))
	if err != nil {
		return space, err
	}
	if items[0].Version == store.Absent {
		return space, fmt.Errorf("kixx: %w: the catalogue has lost the name of the namespace %x", ErrCorrupt, id)
	}
	space.Name = string(items[0].Value)
	lo := catalogueKey(id, "collection")
	hi := ordered.PrefixEnd(nil, lo)
	for {
		items, err := st.Page(ctx, store.Page{Lo: lo, Hi: hi, Limit: 100})
		if err != nil || len(items) == 0 {
			return space, err
		}
		for i := range items {
			var r record
			if err := json.Unmarshal(items[i].Value, &r); err != nil {
				return space, fmt.Errorf("kixx: %w: the catalogue record %x: %v", ErrCorrupt, items[i].Key, err)
			}
			space.Entities = append(space.Entities, r.inside())
		}
		lo = append(bytes.Clone(items[len(items)-1].Key), 0)
	}
}

// inside returns what the command sees of a record.
func (r *record) inside() inside.Entity {
	e := inside.Entity{Name: r.Name}
	for _, s := range r.Schemas {
		t := inside.Schema{Level: s.Level, Code: s.Code}
		for _, f := range s.Fields {
			t.Fields = append(t.Fields, inside.Field(f))
		}
		e.Schemas = append(e.Schemas, t)
	}
	for _, x := range r.Indexes {
		e.Indexes = append(e.Indexes, inside.Index{Name: x.Name, State: string(x.State), Of: x.Of, Unique: x.Unique, Desc: x.Desc, Each: x.Each, View: x.View})
	}
	return e
}
