// Package damage measures what stores say when a bit of their files has changed.
//
// [Run] lets a store fill a directory and close it. Then it flips one bit at a time, opens a copy with that bit, and
// reads every document by its key. What the store answers is one of five outcomes, see [Outcome].
//
// A store is one small file here, behind the interface [Store]; bbolt.go is the one to imitate.
package damage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A Peer is a store with what the table says about it.
type Peer struct {
	Name    string // in the table, and for the command line
	Module  string // the module that it is from; its version is that of the build
	Options string // how it was written and what differs from the defaults
	Store   Store
}

// A Store keeps documents in the files of a directory.
type Store interface {
	// Fill makes a database in the empty directory dir, with one commit for each document, and closes it.
	Fill(dir string, docs []Document) error

	// Open opens the database in dir.
	Open(dir string) (Reader, error)
}

// A Reader is an open database.
type Reader interface {
	// Get returns the document with the key. The error is [ErrMissing] if the store says that there is none.
	Get(key string) ([]byte, error)

	Close() error
}

// ErrMissing is the answer of a store that has no such document.
var ErrMissing = errors.New("no such document")

// A Document is one document.
type Document struct {
	Key   string
	Value []byte
}

// Documents returns n documents of about 300 bytes, always the same ones.
func Documents(n int) []Document {
	rng := rand.New(rand.NewPCG(1, 300))
	docs := make([]Document, n)
	for i := range docs {
		docs[i] = Document{
			Key: fmt.Sprintf("item:%06d", i),
			Value: fmt.Appendf(nil, `{"id":"item:%06d","title":"%016x %016x","category":"c%02d","price":%d,"text":"%016x%016x%016x%016x%016x%016x%016x%016x%016x%016x%016x"}`,
				i, rng.Uint64(), rng.Uint64(), i%20, rng.IntN(10_000), rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64(),
				rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64()),
		}
	}
	return docs
}

// Peers returns the stores of the table.
func Peers() []Peer {
	return []Peer{
		{Name: "kixx", Module: "github.com/kixxgen/kixxgen", Options: "a log", Store: fileStore{}},
		{Name: "kixx-runs", Module: "github.com/kixxgen/kixxgen", Options: "every document written twice, small segments, runs, compacted", Store: fileStore{compacted: true}},
		{Name: "bbolt", Module: "go.etcd.io/bbolt", Store: boltStore{}},
		{Name: "sqlite", Module: "modernc.org/sqlite", Store: sqliteStore{}},
		{Name: "buntdb", Module: "github.com/tidwall/buntdb", Store: buntStore{}},
		{Name: "badger", Module: "github.com/dgraph-io/badger/v4", Store: badgerStore{}},
		{Name: "badger-verify", Module: "github.com/dgraph-io/badger/v4", Options: "ChecksumVerificationMode OnTableAndBlockRead", Store: badgerStore{verify: true}},
		{Name: "pebble", Module: "github.com/cockroachdb/pebble/v2", Options: "as it is after Close: a log", Store: pebbleStore{}},
		{Name: "pebble-flushed", Module: "github.com/cockroachdb/pebble/v2", Options: "Flush before Close: a table", Store: pebbleStore{flush: true}},
	}
}

// Select returns the peers with these names, in the order of names.
func Select(peers []Peer, names []string) ([]Peer, error) {
	var selected []Peer
	for _, name := range names {
		i := slices.IndexFunc(peers, func(p Peer) bool { return p.Name == name })
		if i < 0 {
			all := make([]string, len(peers))
			for i, p := range peers {
				all[i] = p.Name
			}
			return nil, fmt.Errorf("unknown store %q; there are %s", name, strings.Join(all, ", "))
		}
		selected = append(selected, peers[i])
	}
	return selected, nil
}
