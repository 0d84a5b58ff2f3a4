package damage

import (
	"errors"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// badgerStore is badger. Its tables have checksums, which are not verified by default; verify turns that on. In v4.9.6 what
// is found then ends the process: Table.VerifyChecksum dereferences the block that could not be read, in a goroutine of Open.
type badgerStore struct{ verify bool }

func (b badgerStore) open(dir string) (*badger.DB, error) {
	o := badger.DefaultOptions(dir).WithLogger(nil)
	if b.verify {
		o = o.WithChecksumVerificationMode(options.OnTableAndBlockRead)
	}
	return badger.Open(o)
}

func (b badgerStore) Fill(dir string, docs []Document) error {
	db, err := b.open(dir)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, d := range docs {
		if err := db.Update(func(tx *badger.Txn) error { return tx.Set([]byte(d.Key), d.Value) }); err != nil {
			return err
		}
	}
	return db.Close()
}

func (b badgerStore) Open(dir string) (Reader, error) {
	db, err := b.open(dir)
	if err != nil {
		return nil, err
	}
	return badgerReader{db}, nil
}

type badgerReader struct{ *badger.DB }

func (r badgerReader) Get(key string) (value []byte, err error) {
	err = r.View(func(tx *badger.Txn) error {
		item, err := tx.Get([]byte(key))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return ErrMissing
		}
		if err != nil {
			return err
		}
		value, err = item.ValueCopy(nil)
		return err
	})
	return value, err
}
