package tikvstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/tikv"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// The keys of the cluster, of the store with the name "shop":
//
//	kixx/shop/i         the format of the store, "1": a program that finds another one leaves the store alone
//	kixx/shop/m + key   each key of the store, with its version and value
//
// A name has no '/', so no store has keys among those of another one.
//
//	value  version u64 big-endian, never 0 | value
const (
	root        = "kixx/"
	format      = "1"
	versionSize = 8
)

func formatKey(name string) []byte { return []byte(root + name + "/i") }

// mapRange returns the prefix of the keys of the map, and the first key beyond them.
func mapRange(name string) (prefix, end []byte) {
	return []byte(root + name + "/m"), []byte(root + name + "/n")
}

// key returns the cluster's key of a key of the store.
func (s *Store) key(key []byte) []byte {
	out := make([]byte, 0, len(s.prefix)+len(key))
	return append(append(out, s.prefix...), key...)
}

func encodeValue(version store.Version, value []byte) []byte {
	out := make([]byte, 0, versionSize+len(value))
	return append(binary.BigEndian.AppendUint64(out, uint64(version)), value...)
}

// decodeValue takes apart what is stored under key, a key of the cluster.
func decodeValue(key, stored []byte) (store.Version, []byte, error) {
	if len(stored) < versionSize {
		return 0, nil, &store.CorruptError{File: fmt.Sprintf("tikvstore: key %x of the cluster", key), Offset: -1,
			What: fmt.Sprintf("%d bytes are too short for a version and a value; something else has written here", len(stored))}
	}
	version := store.Version(binary.BigEndian.Uint64(stored))
	return version, stored[versionSize:len(stored):len(stored)], nil
}

// prepareTries is how often the note of the format is tried to be written, while others do the same.
const prepareTries = 10

// prepare leaves the note of the format if there is none, and refuses that of another format.
func (s *Store) prepare(ctx context.Context, name string) error {
	key := formatKey(name)
	for try := 1; ; try++ {
		ts, err := s.timestamp(ctx)
		if err != nil {
			return explain(ctx, "open", err)
		}
		found, err := s.kv.GetSnapshot(ts).Get(ctx, key)
		switch {
		case err == nil && string(found) == format:
			return nil
		case err == nil:
			return fmt.Errorf("tikvstore: the cluster holds a store %q of format %q, which this version does not know", name, found)
		case !tikverr.IsErrNotFound(err):
			return explain(ctx, "open", err)
		}
		txn, err := s.kv.Begin(tikv.WithStartTS(ts))
		if err == nil {
			err = txn.Set(key, []byte(format))
		}
		if err == nil {
			err = txn.Commit(ctx)
		}
		// Whatever has come of it is read.
		if err != nil && try == prepareTries {
			return explain(ctx, "open", err)
		}
		if err != nil {
			if waited := pause(ctx, try); waited != nil {
				return explain(ctx, "open", errors.Join(waited, err))
			}
		}
	}
}
