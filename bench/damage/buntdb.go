package damage

import (
	"errors"
	"path/filepath"

	"github.com/tidwall/buntdb"
)

// buntStore is buntdb: a log of commands as text, without checksums.
type buntStore struct{}

func (buntStore) Fill(dir string, docs []Document) error {
	db, err := buntdb.Open(filepath.Join(dir, "bunt.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	for _, d := range docs {
		err := db.Update(func(tx *buntdb.Tx) error {
			_, _, err := tx.Set(d.Key, string(d.Value), nil)
			return err
		})
		if err != nil {
			return err
		}
	}
	return db.Close()
}

func (buntStore) Open(dir string) (Reader, error) {
	db, err := buntdb.Open(filepath.Join(dir, "bunt.db"))
	if err != nil {
		return nil, err
	}
	return buntReader{db}, nil
}

type buntReader struct{ *buntdb.DB }

func (r buntReader) Get(key string) (value []byte, err error) {
	err = r.View(func(tx *buntdb.Tx) error {
		v, err := tx.Get(key)
		if errors.Is(err, buntdb.ErrNotFound) {
			return ErrMissing
		}
		value = []byte(v)
		return err
	})
	return value, err
}
