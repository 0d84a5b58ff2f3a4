// Package inside is how the command kixxgen reaches what package kixx does not show. The runtime sets its variables when a
// program starts.
package inside

import (
	"context"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Catalogue reads what a database says of itself: its namespaces by their names, with the entities in them by theirs.
var Catalogue func(ctx context.Context, r store.Reader) ([]Namespace, error)

// Stale sets all indexes of a database that nobody has open to stale, so that applications build them anew.
var Stale func(ctx context.Context, st store.Store) error

// LoadAsIs is a kixx.LoadOption: documents are stored as they are, also their times and the mark that one is deleted, and
// nothing checks them. One that is new keeps the revision that it has; one that is written over counts up.
var LoadAsIs any

// CopyKey is the key that a store has while a copy into it is not finished. It sorts before all keys of the runtime, which
// opens no store that has it.
const CopyKey = "\x00copy"

// A Namespace is one namespace of a database.
type Namespace struct {
	Name     string
	Entities []Entity
}

// An Entity is what the catalogue knows of one.
type Entity struct {
	Name    string
	Schemas []Schema // the one that was registered last at the end
	Indexes []Index
}

// A Schema is one of the schemas that documents of an entity were written with.
type Schema struct {
	Level  int // of its last migration
	Fields []Field
	Code   []string // what the application runs on documents that it writes
}

// A Field is one stored field, as a kixx.Field.
type Field struct {
	Name    string
	Type    string
	Options string
	Was     []string
	Default string
}

// An Index is an index or a view. Of is "" if the catalogue does not know more of it than its name.
type Index struct {
	Name  string
	State string // "ready", "building" or "stale"

	Of                       string
	Unique, Desc, Each, View bool
}
