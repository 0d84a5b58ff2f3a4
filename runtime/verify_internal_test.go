package kixx

import (
	"context"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Stored returns what the store has under the number of an index of an entity, or of its documents if index is "". For
// the index of keys, index is "key".
func Stored(ctx context.Context, db *DB, entity, index string) ([]store.Item, error) {
	col := db.collections[entity]
	reg := col.reg.Load()
	h := reg.header
	for i, ix := range col.indexes {
		if ix.Name == index {
			h = h.withIndex(reg.indexes[i].number)
		}
	}
	end := newHeader(db.id, collectionOf(h[:]), indexOf(h[:])+1)
	return db.core.st.Page(ctx, store.Page{Lo: h[:], Hi: end[:], Limit: 1000})
}

// CatalogueKey returns a key of the catalogue of db.
func CatalogueKey(db *DB, word string, more ...string) []byte {
	return catalogueKey(db.id, word, more...)
}

// NumberKey returns the key of the catalogue of db that says who took a number.
func NumberKey(db *DB, number uint16) []byte { return numberKey(db.id, number) }

// HeaderLen is the length of what all keys begin with.
const HeaderLen = headerLen
