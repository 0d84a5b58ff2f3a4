package peers

import (
	"bytes"
	"path/filepath"

	"go.etcd.io/bbolt"
)

func init() {
	register(Kind{Name: "bbolt", Module: "go.etcd.io/bbolt", How: "JSON and index keys in three buckets; durable writes by Batch", New: func() Peer { return new(bolt) }})
}

// bolt is bbolt with index buckets that are kept by hand.
type bolt struct {
	db      *bbolt.DB
	durable bool
}

// The buckets.
var (
	docs       = []byte("docs")
	byCategory = []byte("category")
	byPrice    = []byte("price")
)

func (p *bolt) Open(dir string, o Options) (err error) {
	p.durable = o.Durable
	if p.db, err = bbolt.Open(filepath.Join(dir, "db"), 0o600, &bbolt.Options{NoSync: !o.Durable, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType}); err != nil {
		return err
	}
	p.db.MaxBatchSize = 64
	return p.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{docs, byCategory, byPrice} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *bolt) Load(n int, item func(i int) *Item) error {
	const each = 5000
	for from := 0; from < n; from += each {
		err := p.db.Update(func(tx *bbolt.Tx) error {
			for i := from; i < min(n, from+each); i++ {
				it := item(i)
				if err := boltIndex(tx, it); err != nil {
					return err
				}
				if err := boltPut(tx, it, 0); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return p.db.Sync()
}

func boltIndex(tx *bbolt.Tx, it *Item) error {
	if err := tx.Bucket(byCategory).Put(categoryKey(it.Category, it.ID), nil); err != nil {
		return err
	}
	return tx.Bucket(byPrice).Put(priceKey(it.Price, it.ID), nil)
}

func boltReindex(tx *bbolt.Tx, old record, it *Item) error {
	if string(old.category()) != it.Category {
		if err := tx.Bucket(byCategory).Delete(categoryKey(old.category(), it.ID)); err != nil {
			return err
		}
		if err := tx.Bucket(byCategory).Put(categoryKey(it.Category, it.ID), nil); err != nil {
			return err
		}
	}
	if old.price() == it.Price {
		return nil
	}
	if err := tx.Bucket(byPrice).Delete(priceKey(old.price(), it.ID)); err != nil {
		return err
	}
	return tx.Bucket(byPrice).Put(priceKey(it.Price, it.ID), nil)
}

func boltPut(tx *bbolt.Tx, it *Item, rev uint64) error {
	r, err := newRecord(it, rev+1)
	if err != nil {
		return err
	}
	return tx.Bucket(docs).Put([]byte(it.ID), r)
}

func (p *bolt) Get(id string) (it *Item, err error) {
	err = p.db.View(func(tx *bbolt.Tx) error {
		it, err = boltGet(tx.Bucket(docs), []byte(id))
		return err
	})
	return it, err
}

func boltGet(b *bbolt.Bucket, id []byte) (*Item, error) {
	r := record(b.Get(id))
	if r == nil {
		return nil, ErrNotFound
	}
	return r.item()
}

// update runs f in a transaction, together with others if that saves syncs. f may be run more than once.
func (p *bolt) update(f func(tx *bbolt.Tx) error) error {
	if p.durable {
		return p.db.Batch(f)
	}
	return p.db.Update(f)
}

func (p *bolt) Set(it *Item) error {
	rev := number(it.Rev)
	err := p.update(func(tx *bbolt.Tx) error {
		old := record(tx.Bucket(docs).Get([]byte(it.ID)))
		switch {
		case old == nil && rev == 0:
			if err := boltIndex(tx, it); err != nil {
				return err
			}
		case old == nil || old.rev() != rev:
			return ErrStale
		default:
			if err := boltReindex(tx, old, it); err != nil {
				return err
			}
		}
		return boltPut(tx, it, rev)
	})
	if err == nil {
		it.next(rev)
	}
	return err
}

func (p *bolt) Update(id string, change func(it *Item)) error {
	return p.update(func(tx *bbolt.Tx) error {
		old := record(tx.Bucket(docs).Get([]byte(id)))
		if old == nil {
			return ErrNotFound
		}
		it, err := old.item()
		if err != nil {
			return err
		}
		change(it)
		if err := boltReindex(tx, old, it); err != nil {
			return err
		}
		return boltPut(tx, it, number(it.Rev))
	})
}

func (p *bolt) Page(category, from string, n int) (items []*Item, next string, err error) {
	items = make([]*Item, 0, n)
	err = p.db.View(func(tx *bbolt.Tx) error {
		b, c := tx.Bucket(docs), tx.Bucket(byCategory).Cursor()
		begin := categoryKey(category, from)
		lead := begin[:len(begin)-len(from)]
		for k, _ := c.Seek(begin); k != nil && bytes.HasPrefix(k, lead); k, _ = c.Next() {
			id := k[len(lead):]
			if len(items) == n {
				next = string(id)
				return nil
			}
			it, err := boltGet(b, id)
			if err != nil {
				return err
			}
			items = append(items, it)
		}
		return nil
	})
	return items, next, err
}

func (p *bolt) Scan(each func(it *Item)) error {
	return p.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(docs).ForEach(func(_, v []byte) error {
			it, err := record(v).item()
			if err == nil {
				each(it)
			}
			return err
		})
	})
}

func (p *bolt) Close() error { return p.db.Close() }
