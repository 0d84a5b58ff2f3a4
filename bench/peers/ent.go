package peers

import (
	"context"
	"errors"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"github.com/kixxgen/kixxgen/bench/peers/ent"
	entitem "github.com/kixxgen/kixxgen/bench/peers/ent/item"
)

//go:generate go run entgo.io/ent/cmd/ent generate ./ent/schema

// entStore is ent over SQLite.
type entStore struct {
	driver      sqlDriver
	pool        *sqlPool
	write, read *ent.Client
}

func (p *entStore) Open(dir string, o Options) (err error) {
	if p.pool, err = openSQL(p.driver, dir, o, "PRAGMA foreign_keys = ON"); err != nil {
		return err
	}
	p.write = ent.NewClient(ent.Driver(entsql.OpenDB(dialect.SQLite, p.pool.write)))
	p.read = ent.NewClient(ent.Driver(entsql.OpenDB(dialect.SQLite, p.pool.read)))
	return p.write.Schema.Create(context.Background())
}

func entCreate(c *ent.Client, it *Item) *ent.ItemCreate {
	return c.Item.Create().SetID(it.ID).SetRev(1).SetCategory(it.Category).SetPrice(it.Price).SetVersion(it.Version).SetName(it.Name).
		SetDescription(it.Description).SetTags(it.Tags).SetCreated(it.Created.UnixNano()).SetUpdated(it.Updated.UnixNano())
}

func (p *entStore) Load(n int, item func(i int) *Item) error {
	const each, rows = 10_000, 100
	ctx := context.Background()
	for from := 0; from < n; from += each {
		tx, err := p.write.Tx(ctx)
		if err != nil {
			return err
		}
		for at := from; at < min(n, from+each); at += rows {
			list := make([]*ent.ItemCreate, 0, rows)
			for i := at; i < min(n, at+rows); i++ {
				list = append(list, entCreate(tx.Client(), item(i)))
			}
			if err := tx.Item.CreateBulk(list...).Exec(ctx); err != nil {
				return errors.Join(err, tx.Rollback())
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}

func entItem(r *ent.Item) *Item {
	return &Item{ID: r.ID, Rev: revision(r.Rev), Category: r.Category, Price: r.Price, Version: r.Version, Name: r.Name, Description: r.Description,
		Tags: r.Tags, Created: time.Unix(0, r.Created).UTC(), Updated: time.Unix(0, r.Updated).UTC()}
}

func (p *entStore) Get(id string) (*Item, error) {
	r, err := p.read.Item.Get(context.Background(), id)
	if ent.IsNotFound(err) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return entItem(r), nil
}

func (p *entStore) Set(it *Item) error {
	rev := number(it.Rev)
	if rev == 0 {
		err := entCreate(p.write, it).Exec(context.Background())
		if ent.IsConstraintError(err) {
			return ErrStale
		}
		if err != nil {
			return err
		}
		it.next(0)
		return nil
	}
	n, err := p.write.Item.Update().Where(entitem.ID(it.ID), entitem.Rev(rev)).SetRev(rev + 1).SetCategory(it.Category).SetPrice(it.Price).SetVersion(it.Version).
		SetName(it.Name).SetDescription(it.Description).SetTags(it.Tags).SetCreated(it.Created.UnixNano()).SetUpdated(it.Updated.UnixNano()).Save(context.Background())
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrStale
	}
	it.next(rev)
	return nil
}

func (p *entStore) Update(id string, change func(it *Item)) error {
	return readAndSet(p, id, change)
}

func (p *entStore) Page(category, from string, n int) ([]*Item, string, error) {
	rows, err := p.read.Item.Query().Where(entitem.Category(category), entitem.IDGT(from)).Order(entitem.ByID()).Limit(n).All(context.Background())
	if err != nil {
		return nil, "", err
	}
	items := make([]*Item, len(rows))
	for i, r := range rows {
		items[i] = entItem(r)
	}
	return items, lastID(items, n), nil
}

// Scan reads pages of 1,000: ent has no cursor over rows.
func (p *entStore) Scan(each func(it *Item)) error {
	const n = 1000
	for from := ""; ; {
		rows, err := p.read.Item.Query().Where(entitem.IDGT(from)).Order(entitem.ByID()).Limit(n).All(context.Background())
		if err != nil {
			return err
		}
		for _, r := range rows {
			each(entItem(r))
			from = r.ID
		}
		if len(rows) < n {
			return nil
		}
	}
}

func (p *entStore) Close() error { return errors.Join(p.read.Close(), p.write.Close()) }
