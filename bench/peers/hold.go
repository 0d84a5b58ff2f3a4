package peers

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strconv"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"
	"github.com/timshannon/badgerhold/v4"
	"github.com/timshannon/bolthold"
	"go.etcd.io/bbolt"
)

func init() {
	register(Kind{Name: "bolthold", Module: "github.com/timshannon/bolthold", How: "a typed layer over bbolt, with JSON; durable writes by Batch", New: func() Peer { return new(boltHold) }, Slow: true})
	register(Kind{Name: "badgerhold", Module: "github.com/timshannon/badgerhold/v4", How: "a typed layer over badger, with JSON", New: func() Peer { return new(badgerHold) }, Slow: true})
}

// A heldItem is Item with a revision of a type that JSON knows, and with tags for indexes.
type heldItem struct {
	ID          string    `json:"id"`
	Revision    uint64    `json:"_rev"`
	Category    string    `json:"category" boltholdIndex:"Category" badgerholdIndex:"Category"`
	Price       int64     `json:"price" boltholdIndex:"Price" badgerholdIndex:"Price"`
	Version     int64     `json:"version"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Tags        []string  `json:"tags"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
}

func newHeldItem(it *Item, rev uint64) *heldItem {
	return &heldItem{it.ID, rev, it.Category, it.Price, it.Version, it.Name, it.Description, it.Tags, it.Created, it.Updated}
}

func (h *heldItem) item() *Item {
	return &Item{h.ID, revision(h.Revision), h.Category, h.Price, h.Version, h.Name, h.Description, h.Tags, h.Created, h.Updated}
}

// heldItems returns a page, and where the next one begins: they know no other place than a number of documents.
func heldItems(held []heldItem, skip, n int) (items []*Item, next string) {
	items = make([]*Item, len(held))
	for i := range held {
		items[i] = held[i].item()
	}
	if len(held) == n {
		next = strconv.Itoa(skip + n)
	}
	return items, next
}

// skipped returns the number that heldItems has returned.
func skipped(from string) (int, error) {
	if from == "" {
		return 0, nil
	}
	return strconv.Atoi(from)
}

// boltHold is bolthold.
type boltHold struct {
	s       *bolthold.Store
	durable bool
}

func (p *boltHold) Open(dir string, o Options) (err error) {
	p.durable = o.Durable
	p.s, err = bolthold.Open(filepath.Join(dir, "db"), 0o600, &bolthold.Options{Encoder: json.Marshal, Decoder: json.Unmarshal,
		Options: &bbolt.Options{NoSync: !o.Durable, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType}})
	if err == nil {
		p.s.Bolt().MaxBatchSize = 64
	}
	return err
}

func (p *boltHold) Load(n int, item func(i int) *Item) error {
	const each = 5000
	for from := 0; from < n; from += each {
		err := p.s.Bolt().Update(func(tx *bbolt.Tx) error {
			for i := from; i < min(n, from+each); i++ {
				it := item(i)
				if err := p.s.TxInsert(tx, it.ID, newHeldItem(it, 1)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return p.s.Bolt().Sync()
}

func boltHoldGet(id string, get func(key, result any) error) (*heldItem, error) {
	h := new(heldItem)
	err := get(id, h)
	if errors.Is(err, bolthold.ErrNotFound) {
		return nil, ErrNotFound
	}
	return h, err
}

func (p *boltHold) Get(id string) (*Item, error) {
	h, err := boltHoldGet(id, p.s.Get)
	if err != nil {
		return nil, err
	}
	return h.item(), nil
}

func (p *boltHold) update(f func(tx *bbolt.Tx) error) error {
	if p.durable {
		return p.s.Bolt().Batch(f)
	}
	return p.s.Bolt().Update(f)
}

func (p *boltHold) Set(it *Item) error {
	rev := number(it.Rev)
	err := p.update(func(tx *bbolt.Tx) error {
		if rev == 0 {
			err := p.s.TxInsert(tx, it.ID, newHeldItem(it, 1))
			if errors.Is(err, bolthold.ErrKeyExists) {
				return ErrStale
			}
			return err
		}
		old, err := boltHoldGet(it.ID, func(key, result any) error { return p.s.TxGet(tx, key, result) })
		if errors.Is(err, ErrNotFound) || err == nil && old.Revision != rev {
			return ErrStale
		}
		if err != nil {
			return err
		}
		return p.s.TxUpdate(tx, it.ID, newHeldItem(it, rev+1))
	})
	if err == nil {
		it.next(rev)
	}
	return err
}

func (p *boltHold) Update(id string, change func(it *Item)) error {
	return p.update(func(tx *bbolt.Tx) error {
		old, err := boltHoldGet(id, func(key, result any) error { return p.s.TxGet(tx, key, result) })
		if err != nil {
			return err
		}
		it := old.item()
		change(it)
		return p.s.TxUpdate(tx, id, newHeldItem(it, old.Revision+1))
	})
}

func (p *boltHold) Page(category, from string, n int) ([]*Item, string, error) {
	skip, err := skipped(from)
	if err != nil {
		return nil, "", err
	}
	var held []heldItem
	if err := p.s.Find(&held, bolthold.Where("Category").Eq(category).Index("Category").Skip(skip).Limit(n)); err != nil {
		return nil, "", err
	}
	items, next := heldItems(held, skip, n)
	return items, next, nil
}

func (p *boltHold) Scan(each func(it *Item)) error {
	return p.s.ForEach(nil, func(h *heldItem) error {
		each(h.item())
		return nil
	})
}

func (p *boltHold) Close() error { return p.s.Close() }

// badgerHold is badgerhold.
type badgerHold struct{ s *badgerhold.Store }

func (p *badgerHold) Open(dir string, o Options) (err error) {
	options := badgerhold.DefaultOptions
	options.Encoder, options.Decoder = json.Marshal, json.Unmarshal
	options.Options = badgerdb.DefaultOptions(filepath.Join(dir, "db")).WithLogger(nil).WithSyncWrites(o.Durable)
	p.s, err = badgerhold.Open(options)
	return err
}

func (p *badgerHold) Load(n int, item func(i int) *Item) error {
	const each = 100 // more do not fit into a transaction: it writes the lists of a whole index anew
	for from := 0; from < n; from += each {
		err := p.update(func(tx *badgerdb.Txn) error {
			for i := from; i < min(n, from+each); i++ {
				it := item(i)
				if err := p.s.TxInsert(tx, it.ID, newHeldItem(it, 1)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return p.s.Badger().Sync()
}

func badgerHoldGet(id string, get func(key, result any) error) (*heldItem, error) {
	h := new(heldItem)
	err := get(id, h)
	if errors.Is(err, badgerhold.ErrNotFound) {
		return nil, ErrNotFound
	}
	return h, err
}

func (p *badgerHold) Get(id string) (*Item, error) {
	h, err := badgerHoldGet(id, p.s.Get)
	if err != nil {
		return nil, err
	}
	return h.item(), nil
}

// update runs f in a transaction until no other write is in its way.
func (p *badgerHold) update(f func(tx *badgerdb.Txn) error) error {
	for {
		if err := p.s.Badger().Update(f); !errors.Is(err, badgerdb.ErrConflict) {
			return err
		}
	}
}

func (p *badgerHold) Set(it *Item) error {
	rev := number(it.Rev)
	err := p.update(func(tx *badgerdb.Txn) error {
		if rev == 0 {
			err := p.s.TxInsert(tx, it.ID, newHeldItem(it, 1))
			if errors.Is(err, badgerhold.ErrKeyExists) {
				return ErrStale
			}
			return err
		}
		old, err := badgerHoldGet(it.ID, func(key, result any) error { return p.s.TxGet(tx, key, result) })
		if errors.Is(err, ErrNotFound) || err == nil && old.Revision != rev {
			return ErrStale
		}
		if err != nil {
			return err
		}
		return p.s.TxUpdate(tx, it.ID, newHeldItem(it, rev+1))
	})
	if err == nil {
		it.next(rev)
	}
	return err
}

func (p *badgerHold) Update(id string, change func(it *Item)) error {
	return p.update(func(tx *badgerdb.Txn) error {
		old, err := badgerHoldGet(id, func(key, result any) error { return p.s.TxGet(tx, key, result) })
		if err != nil {
			return err
		}
		it := old.item()
		change(it)
		return p.s.TxUpdate(tx, id, newHeldItem(it, old.Revision+1))
	})
}

func (p *badgerHold) Page(category, from string, n int) ([]*Item, string, error) {
	skip, err := skipped(from)
	if err != nil {
		return nil, "", err
	}
	var held []heldItem
	if err := p.s.Find(&held, badgerhold.Where("Category").Eq(category).Index("Category").Skip(skip).Limit(n)); err != nil {
		return nil, "", err
	}
	items, next := heldItems(held, skip, n)
	return items, next, nil
}

func (p *badgerHold) Scan(each func(it *Item)) error {
	return p.s.ForEach(nil, func(h *heldItem) error {
		each(h.item())
		return nil
	})
}

func (p *badgerHold) Close() error { return p.s.Close() }
