package damage

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// pebbleStore is Pebble. Close leaves the newest documents in the log; flush writes them to a table first. What it takes
// for a damaged table ends the process, by design: its Logger.Fatalf exits.
type pebbleStore struct{ flush bool }

func (p pebbleStore) Fill(dir string, docs []Document) error {
	db, err := pebble.Open(dir, &pebble.Options{})
	if err != nil {
		return err
	}
	for _, d := range docs {
		if err := db.Set([]byte(d.Key), d.Value, pebble.Sync); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	if p.flush {
		if err := db.Flush(); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	return db.Close() // it must not be closed twice
}

func (pebbleStore) Open(dir string) (Reader, error) {
	db, err := pebble.Open(dir, &pebble.Options{})
	if err != nil {
		return nil, err
	}
	return pebbleReader{db}, nil
}

type pebbleReader struct{ *pebble.DB }

func (r pebbleReader) Get(key string) ([]byte, error) {
	v, closer, err := r.DB.Get([]byte(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, err
	}
	value := bytes.Clone(v)
	return value, closer.Close()
}
