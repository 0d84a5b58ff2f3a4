package peers

import (
	"bytes"
	"errors"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

func init() {
	register(Kind{Name: "badger", Module: "github.com/dgraph-io/badger/v4", How: "JSON and index keys in one key space; a transaction for each write, done again after a conflict", New: func() Peer { return new(badgerStore) }})
}

// badgerStore is badger with index keys that are kept by hand.
type badgerStore struct{ db *badger.DB }

func (p *badgerStore) Open(dir string, o Options) (err error) {
	options := badger.DefaultOptions(filepath.Join(dir, "db")).WithLogger(nil).WithSyncWrites(o.Durable)
	if o.CacheBytes > 0 {
		options = options.WithBlockCacheSize(o.CacheBytes)
	}
	p.db, err = badger.Open(options)
	return err
}

func (p *badgerStore) Load(n int, item func(i int) *Item) error {
	b := p.db.NewWriteBatch()
	defer b.Cancel()
	for i := range n {
		it := item(i)
		r, err := newRecord(it, 1)
		if err != nil {
			return err
		}
		if err := errors.Join(b.Set(docKey(it.ID), r), b.Set(categoryKey(it.Category, it.ID), nil), b.Set(priceKey(it.Price, it.ID), nil)); err != nil {
			return err
		}
	}
	if err := b.Flush(); err != nil {
		return err
	}
	return p.db.Sync()
}

// badgerRecord calls with with the record of a document.
func badgerRecord(tx *badger.Txn, key []byte, with func(record) error) error {
	v, err := tx.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	return v.Value(func(b []byte) error {
		if err := record(b).check(); err != nil {
			return err
		}
		return with(b)
	})
}

func badgerGet(tx *badger.Txn, key []byte) (it *Item, err error) {
	err = badgerRecord(tx, key, func(r record) error {
		it, err = r.item()
		return err
	})
	return it, err
}

func (p *badgerStore) Get(id string) (it *Item, err error) {
	err = p.db.View(func(tx *badger.Txn) error {
		it, err = badgerGet(tx, docKey(id))
		return err
	})
	return it, err
}

// update runs f in a transaction until no other write is in its way.
func (p *badgerStore) update(f func(tx *badger.Txn) error) error {
	for {
		if err := p.db.Update(f); !errors.Is(err, badger.ErrConflict) {
			return err
		}
	}
}

func badgerReindex(tx *badger.Txn, category string, price int64, it *Item) error {
	if category != it.Category {
		if err := errors.Join(tx.Delete(categoryKey(category, it.ID)), tx.Set(categoryKey(it.Category, it.ID), nil)); err != nil {
			return err
		}
	}
	if price == it.Price {
		return nil
	}
	return errors.Join(tx.Delete(priceKey(price, it.ID)), tx.Set(priceKey(it.Price, it.ID), nil))
}

func (p *badgerStore) Set(it *Item) error {
	rev := number(it.Rev)
	err := p.update(func(tx *badger.Txn) error {
		err := badgerRecord(tx, docKey(it.ID), func(old record) error {
			if old.rev() != rev {
				return ErrStale
			}
			return badgerReindex(tx, string(old.category()), old.price(), it)
		})
		switch {
		case errors.Is(err, ErrNotFound) && rev == 0:
			err = errors.Join(tx.Set(categoryKey(it.Category, it.ID), nil), tx.Set(priceKey(it.Price, it.ID), nil))
		case errors.Is(err, ErrNotFound):
			return ErrStale
		}
		if err != nil {
			return err
		}
		r, err := newRecord(it, rev+1)
		if err != nil {
			return err
		}
		return tx.Set(docKey(it.ID), r)
	})
	if err == nil {
		it.next(rev)
	}
	return err
}

func (p *badgerStore) Update(id string, change func(it *Item)) error {
	return p.update(func(tx *badger.Txn) error {
		it, err := badgerGet(tx, docKey(id))
		if err != nil {
			return err
		}
		category, price := it.Category, it.Price
		change(it)
		if err := badgerReindex(tx, category, price, it); err != nil {
			return err
		}
		r, err := newRecord(it, number(it.Rev)+1)
		if err != nil {
			return err
		}
		return tx.Set(docKey(id), r)
	})
}

func (p *badgerStore) Page(category, from string, n int) (items []*Item, next string, err error) {
	items = make([]*Item, 0, n)
	begin := categoryKey(category, from)
	lead := begin[:len(begin)-len(from)]
	err = p.db.View(func(tx *badger.Txn) error {
		iter := tx.NewIterator(badger.IteratorOptions{Prefix: bytes.Clone(lead)})
		defer iter.Close()
		for iter.Seek(begin); iter.Valid(); iter.Next() {
			id := string(iter.Item().Key()[len(lead):])
			if len(items) == n {
				next = id
				return nil
			}
			it, err := badgerGet(tx, docKey(id))
			if err != nil {
				return err
			}
			items = append(items, it)
		}
		return nil
	})
	return items, next, err
}

func (p *badgerStore) Scan(each func(it *Item)) error {
	return p.db.View(func(tx *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix = []byte("d")
		iter := tx.NewIterator(o)
		defer iter.Close()
		for iter.Rewind(); iter.Valid(); iter.Next() {
			err := iter.Item().Value(func(b []byte) error {
				it, err := record(b).item()
				if err == nil {
					each(it)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *badgerStore) Close() error { return p.db.Close() }
