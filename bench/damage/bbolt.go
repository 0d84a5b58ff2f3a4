package damage

import (
	"bytes"
	"errors"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// boltStore is bbolt. Its pages have no checksums, only the two that say where the newest tree begins.
type boltStore struct{}

var boltBucket = []byte("documents")

func (boltStore) Fill(dir string, docs []Document) error {
	db, err := bolt.Open(filepath.Join(dir, "bolt.db"), 0o600, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, d := range docs {
		err := db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(boltBucket)
			if err != nil {
				return err
			}
			return b.Put([]byte(d.Key), d.Value)
		})
		if err != nil {
			return err
		}
	}
	return db.Close()
}

func (boltStore) Open(dir string) (Reader, error) {
	db, err := bolt.Open(filepath.Join(dir, "bolt.db"), 0o600, nil)
	if err != nil {
		return nil, err
	}
	return boltReader{db}, nil
}

type boltReader struct{ *bolt.DB }

func (r boltReader) Get(key string) (value []byte, err error) {
	err = r.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(boltBucket)
		if b == nil {
			return errors.New("the bucket is not there") // an application notices
		}
		v := b.Get([]byte(key))
		if v == nil {
			return ErrMissing
		}
		value = bytes.Clone(v)
		return nil
	})
	return value, err
}
