package peers

import (
	"errors"

	"github.com/maypok86/otter/v2"
)

func init() {
	register(Kind{Name: "pebble+otter", Module: "github.com/maypok86/otter/v2", How: "pebble under a cache of decoded documents, which are copied", New: func() Peer { return new(cachedStore) }, Delays: true})
}

// cachedStore is a pebbleStore under a cache of decoded documents: the best that a person writes by hand. What is in the
// cache is never changed.
type cachedStore struct {
	pebbleStore
	cache *otter.Cache[string, *Item]
}

func (p *cachedStore) Open(dir string, o Options) error {
	options := &otter.Options[string, *Item]{}
	if o.CacheBytes > 0 {
		// Room for the decoded documents, by what one of them takes; the cache's own part of it is not counted.
		options.MaximumWeight = uint64(o.CacheBytes)
		options.Weigher = func(string, *Item) uint32 { return itemBytes }
	}
	var err error
	if p.cache, err = otter.New(options); err != nil {
		return err
	}
	return p.pebbleStore.Open(dir, o)
}

// itemBytes is about what a decoded document takes.
const itemBytes = 400

func (p *cachedStore) Load(n int, item func(i int) *Item) error {
	return p.pebbleStore.Load(n, func(i int) *Item {
		it := item(i)
		c := it.clone()
		c.next(0)
		p.cache.Set(c.ID, c)
		return it
	})
}

// shared returns the document that is in the cache, after it was put there if need be.
func (p *cachedStore) shared(id string) (*Item, error) {
	if it, ok := p.cache.GetIfPresent(id); ok {
		return it, nil
	}
	defer p.ids.lock(id).Unlock() // or an older one could be put in behind a write
	it, err := p.pebbleStore.Get(id)
	if err == nil {
		p.cache.Set(id, it)
	}
	return it, err
}

func (p *cachedStore) Get(id string) (*Item, error) {
	it, err := p.shared(id)
	if err != nil {
		return nil, err
	}
	return it.clone(), nil
}

func (p *cachedStore) Set(it *Item) error {
	defer p.ids.lock(it.ID).Unlock()
	rev := number(it.Rev)
	b := p.db.NewBatch()
	defer b.Close()
	old, cached := p.cache.GetIfPresent(it.ID)
	if cached {
		if old.Rev != it.Rev {
			return ErrStale
		}
		if err := reindex(b, old.Category, old.Price, it); err != nil {
			return err
		}
	} else {
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
	}
	if err := p.put(b, it, rev); err != nil {
		return err
	}
	p.cache.Set(it.ID, it.clone())
	return nil
}

func (p *cachedStore) Update(id string, change func(it *Item)) error {
	defer p.ids.lock(id).Unlock()
	old, ok := p.cache.GetIfPresent(id)
	if !ok {
		var err error
		if old, err = p.pebbleStore.Get(id); err != nil {
			return err
		}
	}
	it := old.clone()
	change(it)
	b := p.db.NewBatch()
	defer b.Close()
	if err := reindex(b, old.Category, old.Price, it); err != nil {
		return err
	}
	if err := p.put(b, it, number(it.Rev)); err != nil {
		return err
	}
	p.cache.Set(id, it)
	return nil
}

func (p *cachedStore) Page(category, from string, n int) ([]*Item, string, error) {
	items := make([]*Item, 0, n)
	next, err := p.page(category, from, n, func(id []byte) error {
		it, err := p.shared(string(id))
		if err == nil && it.Category == category { // it may be newer than the entry
			items = append(items, it.clone())
		}
		return err
	})
	return items, next, err
}

func (p *cachedStore) Scan(each func(it *Item)) error {
	return p.scan(func(id []byte, r record) error {
		if it, ok := p.cache.GetIfPresent(string(id)); ok && number(it.Rev) == r.rev() {
			each(it.clone())
			return nil
		}
		it, err := r.item()
		if err == nil {
			each(it)
		}
		return err
	})
}
