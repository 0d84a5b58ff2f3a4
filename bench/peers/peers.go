// Package peers does the work of a document repository with this project and with what people would pick instead, and
// measures it. Each peer is one file behind one small interface.
//
// The work: documents of about 300 bytes of JSON, put in in random order, in 100 categories. Every write checks the revision
// that is stored, makes it one more, and keeps an index of categories and one of prices in step; the price changes with
// every write. Every read returns a document with memory of its own. A peer that keeps documents as bytes keeps JSON, as
// encoding/json writes it.
package peers

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// A Peer is something that keeps documents. Its methods but Open, Load, Reset and Close are called by any number of
// goroutines.
type Peer interface {
	// Open opens the documents in a directory, which is there and at first empty.
	Open(dir string, o Options) error
	// Load puts in n documents, which are not there yet, in the order that item gives them. They are on the disk when it
	// returns.
	Load(n int, item func(i int) *Item) error
	// Get returns the document, which is the caller's, or ErrNotFound.
	Get(id string) (*Item, error)
	// Set stores it if its revision is the one that is stored, or none is stored and it has none. It then sets the
	// revision of it to the one that it was stored with. Else it returns ErrStale. It does not keep it.
	Set(it *Item) error
	// Update reads a document, gives it to change, and stores it, so that no other write is lost.
	Update(id string, change func(it *Item)) error
	// Page returns the first n documents of a category in the order of their IDs, or those that come next: from is "", or
	// what the page before has returned.
	Page(category, from string, n int) (items []*Item, next string, err error)
	// Scan calls each with every document.
	Scan(each func(it *Item)) error
	Close() error
}

// A Peeker can read a document without a copy, and returns a field of it.
type Peeker interface {
	Peek(id string) (version int64, err error)
}

// A Compacter can give back all the space that there is to gain.
type Compacter interface {
	Compact() error
}

// A Cacher tells how many bytes its caches hold, which have budgets.
type Cacher interface {
	Cached() int64
}

// Options say how a peer is opened.
type Options struct {
	Durable    bool          // a write is on the disk when it returns; else it may be lost with the power
	CacheBytes int64         // of decoded documents, and of those blocks that a peer caches itself; 0: enough for all
	SyncDelay  time.Duration // of every sync, for peers that can say so: see Kind.Delays
}

// ErrStale is that of a write whose revision is not the one that is stored; ErrNotFound that of a document that is not
// there.
var (
	ErrStale    = errors.New("the revision is not the one that is stored")
	ErrNotFound = errors.New("not found")
)

// A Kind is a kind of peer.
type Kind struct {
	Name     string
	Module   string      // whose version is shown
	How      string      // it is used, in a few words
	New      func() Peer // nil: the program was built without what it needs
	InMemory bool        // there is nothing on the disk
	Floor    bool        // it is not a store, but what nobody can be faster than who does the same for the caller
	Delays   bool        // it honours Options.SyncDelay
	Slow     bool        // its writes take milliseconds: left out at a million documents
	Only     string      // the one operation that it does; "" is all
	Empty    bool        // it keeps nothing, and so is not checked
}

var kinds = map[string]Kind{}

// register adds a kind; the files of this package do so when the program starts.
func register(k Kind) {
	if _, twice := kinds[k.Name]; twice {
		panic("peers: " + k.Name + " is registered twice")
	}
	kinds[k.Name] = k
}

// shown is the order in which peers are shown.
var shown = []string{"kixx", "memory", "pebble+otter", "pebble", "bbolt", "badger", "buntdb", "sqlite", "sqlite-go", "sqlc", "gorm", "ent", "ent-go", "bolthold", "badgerhold", "append", "harness"}

// Kinds returns all kinds that can be made, in the order in which they are shown.
func Kinds() []Kind {
	return slices.DeleteFunc(known(), func(k Kind) bool { return k.New == nil })
}

// known returns all kinds, in the order in which they are shown.
func known() (list []Kind) {
	for _, name := range shown {
		if k, ok := kinds[name]; ok {
			list = append(list, k)
		}
	}
	return list
}

// Select returns the kinds with these names.
func Select(names []string) ([]Kind, error) {
	var list []Kind
	for _, name := range names {
		k, ok := kinds[name]
		if !ok {
			return nil, fmt.Errorf("there is no peer %q; there are %q", name, slices.Sorted(maps.Keys(kinds)))
		}
		if k.New == nil {
			return nil, fmt.Errorf("the peer %s needs cgo", name)
		}
		list = append(list, k)
	}
	return list, nil
}
