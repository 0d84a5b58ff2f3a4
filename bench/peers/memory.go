package peers

import (
	"strings"
	"sync"

	"github.com/google/btree"
)

func init() {
	register(Kind{Name: "memory", Module: "github.com/google/btree", How: "floor: a map, two trees and a copy under one lock; nothing on the disk", New: func() Peer { return new(memory) }, InMemory: true, Floor: true})
}

// memory is a typed cache with two indexes, as one writes it by hand.
type memory struct {
	mu              sync.RWMutex
	items           map[string]*Item
	category, price *btree.BTreeG[*Item]
}

func (p *memory) Open(string, Options) error {
	p.items = map[string]*Item{}
	p.category = btree.NewG(32, func(a, b *Item) bool {
		if c := strings.Compare(a.Category, b.Category); c != 0 {
			return c < 0
		}
		return a.ID < b.ID
	})
	p.price = btree.NewG(32, func(a, b *Item) bool {
		if a.Price != b.Price {
			return a.Price < b.Price
		}
		return a.ID < b.ID
	})
	return nil
}

func (p *memory) Load(n int, item func(i int) *Item) error {
	for i := range n {
		if err := p.Set(item(i)); err != nil {
			return err
		}
	}
	return nil
}

func (p *memory) Get(id string) (*Item, error) {
	p.mu.RLock()
	it := p.items[id]
	p.mu.RUnlock()
	if it == nil {
		return nil, ErrNotFound
	}
	return it.clone(), nil
}

func (p *memory) Set(it *Item) error {
	c := it.clone()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.put(c); err != nil {
		return err
	}
	it.Rev = c.Rev
	return nil
}

// put puts in c, which becomes p's.
func (p *memory) put(c *Item) error {
	old := p.items[c.ID]
	switch {
	case old == nil && number(c.Rev) != 0, old != nil && old.Rev != c.Rev:
		return ErrStale
	case old != nil:
		p.category.Delete(old)
		p.price.Delete(old)
	}
	c.next(number(c.Rev))
	p.items[c.ID] = c
	p.category.ReplaceOrInsert(c)
	p.price.ReplaceOrInsert(c)
	return nil
}

func (p *memory) Update(id string, change func(it *Item)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.items[id]
	if old == nil {
		return ErrNotFound
	}
	c := old.clone()
	change(c)
	return p.put(c)
}

func (p *memory) Page(category, from string, n int) ([]*Item, string, error) {
	out := make([]*Item, 0, n)
	next := ""
	p.mu.RLock()
	defer p.mu.RUnlock()
	p.category.AscendGreaterOrEqual(&Item{Category: category, ID: from}, func(it *Item) bool {
		switch {
		case it.Category != category:
			return false
		case len(out) == n:
			next = it.ID
			return false
		}
		out = append(out, it.clone())
		return true
	})
	return out, next, nil
}

func (p *memory) Scan(each func(it *Item)) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, it := range p.items {
		each(it.clone())
	}
	return nil
}

func (p *memory) Close() error { return nil }
