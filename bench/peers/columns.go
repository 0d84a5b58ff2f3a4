package peers

import (
	"database/sql"
	"encoding/json"
	"errors"
	"time"
)

// columns is SQLite with a column for each field, as sqlc makes it of statements: the fields of a row are scanned one by one.
type columns struct {
	driver                           sqlDriver
	pool                             *sqlPool
	get, page, scan, insert, replace *sql.Stmt
}

const columnNames = `id, rev, category, price, version, name, description, tags, created, updated`

func (p *columns) Open(dir string, o Options) (err error) {
	p.pool, err = openSQL(p.driver, dir, o, `
		CREATE TABLE IF NOT EXISTS items (id TEXT PRIMARY KEY, rev INTEGER NOT NULL, category TEXT NOT NULL, price INTEGER NOT NULL,
			version INTEGER NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL, tags TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL);
		CREATE INDEX IF NOT EXISTS items_category ON items (category, id);
		CREATE INDEX IF NOT EXISTS items_price ON items (price);`)
	if err != nil {
		return err
	}
	for _, s := range []struct {
		to   **sql.Stmt
		db   *sql.DB
		text string
	}{
		{&p.get, p.pool.read, `SELECT ` + columnNames + ` FROM items WHERE id = ?`},
		{&p.page, p.pool.read, `SELECT ` + columnNames + ` FROM items WHERE category = ? AND id > ? ORDER BY id LIMIT ?`},
		{&p.scan, p.pool.read, `SELECT ` + columnNames + ` FROM items`},
		{&p.insert, p.pool.write, `INSERT INTO items (` + columnNames + `) VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`},
		{&p.replace, p.pool.write, `UPDATE items SET rev = rev + 1, category = ?, price = ?, version = ?, name = ?, description = ?, tags = ?, created = ?, updated = ? WHERE id = ? AND rev = ?`},
	} {
		if *s.to, err = s.db.Prepare(s.text); err != nil {
			return err
		}
	}
	return nil
}

func (p *columns) insertWith(s *sql.Stmt, it *Item) error {
	tags, err := json.Marshal(it.Tags)
	if err != nil {
		return err
	}
	return changed(s.Exec(it.ID, it.Category, it.Price, it.Version, it.Name, it.Description, tags, it.Created.UnixNano(), it.Updated.UnixNano()))
}

func (p *columns) Load(n int, item func(i int) *Item) error {
	return p.pool.inTransactions(n, func(tx *sql.Tx, i int) error { return p.insertWith(tx.Stmt(p.insert), item(i)) })
}

// scanColumns reads a document from a row of columnNames.
func scanColumns(scan func(...any) error) (*Item, error) {
	var (
		it               Item
		rev              uint64
		tags             []byte
		created, updated int64
	)
	if err := scan(&it.ID, &rev, &it.Category, &it.Price, &it.Version, &it.Name, &it.Description, &tags, &created, &updated); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(tags, &it.Tags); err != nil {
		return nil, err
	}
	it.Rev, it.Created, it.Updated = revision(rev), time.Unix(0, created).UTC(), time.Unix(0, updated).UTC()
	return &it, nil
}

func (p *columns) Get(id string) (*Item, error) {
	it, err := scanColumns(p.get.QueryRow(id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	return it, err
}

func (p *columns) Set(it *Item) error {
	rev := number(it.Rev)
	var err error
	if rev == 0 {
		err = p.insertWith(p.insert, it)
	} else {
		var tags []byte
		if tags, err = json.Marshal(it.Tags); err != nil {
			return err
		}
		err = changed(p.replace.Exec(it.Category, it.Price, it.Version, it.Name, it.Description, tags, it.Created.UnixNano(), it.Updated.UnixNano(), it.ID, rev))
	}
	if err == nil {
		it.next(rev)
	}
	return err
}

func (p *columns) Update(id string, change func(it *Item)) error {
	return readAndSet(p, id, change)
}

func (p *columns) Page(category, from string, n int) ([]*Item, string, error) {
	rows, err := p.page.Query(category, from, n)
	if err != nil {
		return nil, "", err
	}
	return pageOf(rows, n, scanColumns)
}

func (p *columns) Scan(each func(it *Item)) error {
	rows, err := p.scan.Query()
	if err != nil {
		return err
	}
	return scanOf(rows, each, scanColumns)
}

func (p *columns) Close() error { return p.pool.close() }
