package peers

import (
	"context"
	"errors"
	"path/filepath"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

func init() {
	register(Kind{Name: "kixx", Module: "github.com/kixxgen/kixxgen", How: "repositories over the file store", New: func() Peer { return new(repository) }, Delays: true})
}

// A repository is this project over its file store.
type repository struct {
	db    *kixx.DB
	items *ItemRepo
}

func (p *repository) Open(dir string, o Options) (err error) {
	cache := o.CacheBytes
	if cache == 0 {
		cache = 2 << 30
	}
	durability := kixx.NoSync()
	if o.Durable {
		durability = kixx.Sync()
	}
	ctx := context.Background()
	if p.db, err = openDelayed(ctx, filepath.Join(dir, "db"), o.SyncDelay, kixx.WithCacheBytes(cache), kixx.Durability(durability)); err != nil {
		return err
	}
	p.items, err = NewItemRepo(ctx, p.db)
	return err
}

func (p *repository) Load(n int, item func(i int) *Item) error {
	_, err := p.items.Load(context.Background(), func(yield func(*Item) bool) {
		for i := range n {
			if !yield(item(i)) {
				return
			}
		}
	})
	return err
}

func (p *repository) Get(id string) (*Item, error) {
	it, err := p.items.Get(context.Background(), id)
	return it, outcome(err)
}

func (p *repository) Peek(id string) (version int64, err error) {
	it, err := p.items.Peek(context.Background(), id)
	if err != nil {
		return 0, outcome(err)
	}
	return it.Version(), nil
}

func (p *repository) Set(it *Item) error {
	stored, err := p.items.Set(context.Background(), it)
	if err != nil {
		return outcome(err)
	}
	it.Rev = stored.Rev
	return nil
}

func (p *repository) Update(id string, change func(it *Item)) error {
	_, err := p.items.Update(context.Background(), id, func(it *Item) error {
		change(it)
		return nil
	})
	return outcome(err)
}

func (p *repository) Page(category, from string, n int) ([]*Item, string, error) {
	page, err := p.items.QueryByCategory(category).Limit(n).After(kixx.Cursor(from)).Page(context.Background())
	return page.Items, string(page.Next), err
}

func (p *repository) Scan(each func(it *Item)) error {
	for it, err := range p.items.All(context.Background()) {
		if err != nil {
			return err
		}
		each(it)
	}
	return nil
}

func (p *repository) Compact() error { return p.db.Compact(context.Background()) }

func (p *repository) Cached() int64 {
	s := p.db.Stats()
	return s.Cache.Bytes + s.Store.BlockCache.Bytes
}

func (p *repository) Close() error { return p.db.Close() }

func outcome(err error) error {
	switch {
	case errors.Is(err, kixx.ErrConflict):
		return ErrStale
	case errors.Is(err, kixx.ErrNotFound):
		return ErrNotFound
	}
	return err
}
