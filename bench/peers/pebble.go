package peers

import (
	"bytes"
	"errors"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func init() {
	register(Kind{Name: "pebble", Module: "github.com/cockroachdb/pebble/v2", How: "JSON and index keys in one key space; batches, 64 MiB memtable", New: func() Peer { return new(pebbleStore) }, Delays: true})
}

// pebbleStore is pebble with index keys that are kept by hand.
type pebbleStore struct {
	db    *pebble.DB
	write *pebble.WriteOptions
	ids   *stripes // of what is being written
}

func (p *pebbleStore) Open(dir string, o Options) (err error) {
	p.ids = newStripes()
	p.write = pebble.NoSync
	if o.Durable {
		p.write = pebble.Sync
	}
	size := int64(256 << 20)
	if o.CacheBytes > 0 {
		size = o.CacheBytes
	}
	cache := pebble.NewCache(size)
	defer cache.Unref()
	options := &pebble.Options{Cache: cache, MemTableSize: 64 << 20, FormatMajorVersion: pebble.FormatNewest, Logger: silent{}}
	if o.SyncDelay > 0 {
		options.FS = slowVFS{vfs.Default, o.SyncDelay}
	}
	p.db, err = pebble.Open(filepath.Join(dir, "db"), options)
	return err
}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	pebble.DefaultLogger.Fatalf(format, args...)
}

func (p *pebbleStore) Load(n int, item func(i int) *Item) error {
	b := p.db.NewBatch()
	for i := range n {
		it := item(i)
		r, err := newRecord(it, 1)
		if err != nil {
			return err
		}
		if err := errors.Join(b.Set(docKey(it.ID), r, nil), index(b, it)); err != nil {
			return err
		}
		if i%1000 == 999 || i == n-1 {
			how := pebble.NoSync
			if i == n-1 {
				how = pebble.Sync
			}
			if err := b.Commit(how); err != nil {
				return err
			}
			b = p.db.NewBatch()
		}
	}
	return b.Close()
}

// record calls with with the record of a document, which is only there meanwhile.
func (p *pebbleStore) record(r pebble.Reader, id string, with func(record) error) error {
	v, closer, err := r.Get(docKey(id))
	if errors.Is(err, pebble.ErrNotFound) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	if err := record(v).check(); err != nil {
		return err
	}
	return with(v)
}

func (p *pebbleStore) Get(id string) (it *Item, err error) {
	err = p.record(p.db, id, func(r record) error {
		it, err = r.item()
		return err
	})
	return it, err
}

func (p *pebbleStore) Set(it *Item) error {
	defer p.ids.lock(it.ID).Unlock()
	b := p.db.NewBatch()
	defer b.Close()
	rev := number(it.Rev)
	err := p.record(p.db, it.ID, func(old record) error {
		if old.rev() != rev {
			return ErrStale
		}
		return reindex(b, string(old.category()), old.price(), it)
	})
	switch {
	case errors.Is(err, ErrNotFound) && rev == 0:
		err = index(b, it)
	case errors.Is(err, ErrNotFound):
		return ErrStale
	}
	if err != nil {
		return err
	}
	return p.put(b, it, rev)
}

// index puts it into the indexes.
func index(b *pebble.Batch, it *Item) error {
	if err := b.Set(categoryKey(it.Category, it.ID), nil, nil); err != nil {
		return err
	}
	return b.Set(priceKey(it.Price, it.ID), nil, nil)
}

// reindex does so where it differs from the old document, whose entries go.
func reindex(b *pebble.Batch, category string, price int64, it *Item) error {
	if category != it.Category {
		if err := b.Delete(categoryKey(category, it.ID), nil); err != nil {
			return err
		}
		if err := b.Set(categoryKey(it.Category, it.ID), nil, nil); err != nil {
			return err
		}
	}
	if price == it.Price {
		return nil
	}
	if err := b.Delete(priceKey(price, it.ID), nil); err != nil {
		return err
	}
	return b.Set(priceKey(it.Price, it.ID), nil, nil)
}

// put commits b with it, of which revision rev is stored.
func (p *pebbleStore) put(b *pebble.Batch, it *Item, rev uint64) error {
	r, err := newRecord(it, rev+1)
	if err != nil {
		return err
	}
	if err := b.Set(docKey(it.ID), r, nil); err != nil {
		return err
	}
	if err := b.Commit(p.write); err != nil {
		return err
	}
	it.next(rev)
	return nil
}

func (p *pebbleStore) Update(id string, change func(it *Item)) error {
	defer p.ids.lock(id).Unlock()
	b := p.db.NewBatch()
	defer b.Close()
	var it *Item
	err := p.record(p.db, id, func(old record) (err error) {
		if it, err = old.item(); err != nil {
			return err
		}
		change(it)
		return reindex(b, string(old.category()), old.price(), it)
	})
	if err != nil {
		return err
	}
	return p.put(b, it, number(it.Rev))
}

func (p *pebbleStore) Page(category, from string, n int) ([]*Item, string, error) {
	items := make([]*Item, 0, n)
	next, err := p.page(category, from, n, func(id []byte) error {
		it, err := p.Get(string(id))
		if err == nil {
			items = append(items, it)
		}
		return err
	})
	return items, next, err
}

// page calls each with the IDs of a page.
func (p *pebbleStore) page(category, from string, n int, each func(id []byte) error) (next string, err error) {
	lower := categoryKey(category, from)
	lead := len(lower) - len(from)
	upper := append(bytes.Clone(lower[:lead-1]), 1)
	iter, err := p.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return "", err
	}
	defer iter.Close()
	count := 0
	for ok := iter.First(); ok; ok = iter.Next() {
		id := iter.Key()[lead:]
		if count == n {
			next = string(id)
			break
		}
		count++
		if err := each(id); err != nil {
			return "", err
		}
	}
	return next, iter.Error()
}

func (p *pebbleStore) Scan(each func(it *Item)) error {
	return p.scan(func(_ []byte, r record) error {
		it, err := r.item()
		if err == nil {
			each(it)
		}
		return err
	})
}

// scan calls each with the IDs and records of all documents.
func (p *pebbleStore) scan(each func(id []byte, r record) error) error {
	iter, err := p.db.NewIter(&pebble.IterOptions{LowerBound: []byte("d"), UpperBound: []byte("e")})
	if err != nil {
		return err
	}
	defer iter.Close()
	for ok := iter.First(); ok; ok = iter.Next() {
		v, err := iter.ValueAndErr()
		if err != nil {
			return err
		}
		if err := record(v).check(); err != nil {
			return err
		}
		if err := each(iter.Key()[1:], v); err != nil {
			return err
		}
	}
	return iter.Error()
}

func (p *pebbleStore) Close() error { return p.db.Close() }
