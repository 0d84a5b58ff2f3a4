package peers

import (
	"database/sql"
	"encoding/json"
	"errors"
)

// jsonSQL is SQLite with documents as JSON in a column.
type jsonSQL struct {
	driver                          sqlDriver
	pool                            *sqlPool
	get, page, scan, insert, update *sql.Stmt
}

func (p *jsonSQL) Open(dir string, o Options) (err error) {
	p.pool, err = openSQL(p.driver, dir, o, `
		CREATE TABLE IF NOT EXISTS items (id TEXT PRIMARY KEY, rev INTEGER NOT NULL, category TEXT NOT NULL, price INTEGER NOT NULL, doc BLOB NOT NULL);
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
		{&p.get, p.pool.read, `SELECT rev, doc FROM items WHERE id = ?`},
		{&p.page, p.pool.read, `SELECT rev, doc FROM items WHERE category = ? AND id > ? ORDER BY id LIMIT ?`},
		{&p.scan, p.pool.read, `SELECT rev, doc FROM items`},
		{&p.insert, p.pool.write, `INSERT INTO items (id, rev, category, price, doc) VALUES (?, 1, ?, ?, ?) ON CONFLICT DO NOTHING`},
		{&p.update, p.pool.write, `UPDATE items SET rev = rev + 1, category = ?, price = ?, doc = ? WHERE id = ? AND rev = ?`},
	} {
		if *s.to, err = s.db.Prepare(s.text); err != nil {
			return err
		}
	}
	return nil
}

func (p *jsonSQL) Load(n int, item func(i int) *Item) error {
	return p.pool.inTransactions(n, func(tx *sql.Tx, i int) error {
		it := item(i)
		doc, err := json.Marshal((*plain)(it))
		if err != nil {
			return err
		}
		return changed(tx.Stmt(p.insert).Exec(it.ID, it.Category, it.Price, doc))
	})
}

// scanJSON reads a document from a row of revision and JSON.
func scanJSON(scan func(...any) error) (*Item, error) {
	var rev uint64
	var doc sql.RawBytes
	if err := scan(&rev, &doc); err != nil {
		return nil, err
	}
	it := new(plain)
	if err := json.Unmarshal(doc, it); err != nil {
		return nil, err
	}
	it.Rev = revision(rev)
	return (*Item)(it), nil
}

func (p *jsonSQL) Get(id string) (*Item, error) {
	rows, err := p.get.Query(id) // and not QueryRow, which allows no RawBytes
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, errors.Join(ErrNotFound, rows.Err())
	}
	return scanJSON(rows.Scan)
}

func (p *jsonSQL) Set(it *Item) error {
	doc, err := json.Marshal((*plain)(it))
	if err != nil {
		return err
	}
	rev := number(it.Rev)
	if rev == 0 {
		err = changed(p.insert.Exec(it.ID, it.Category, it.Price, doc))
	} else {
		err = changed(p.update.Exec(it.Category, it.Price, doc, it.ID, rev))
	}
	if err == nil {
		it.next(rev)
	}
	return err
}

func (p *jsonSQL) Update(id string, change func(it *Item)) error {
	return readAndSet(p, id, change)
}

func (p *jsonSQL) Page(category, from string, n int) ([]*Item, string, error) {
	rows, err := p.page.Query(category, from, n)
	if err != nil {
		return nil, "", err
	}
	return pageOf(rows, n, scanJSON)
}

// pageOf reads a page from rows. The next one begins behind its last document.
func pageOf(rows *sql.Rows, n int, read func(scan func(...any) error) (*Item, error)) ([]*Item, string, error) {
	defer rows.Close()
	items := make([]*Item, 0, n)
	for rows.Next() {
		it, err := read(rows.Scan)
		if err != nil {
			return nil, "", err
		}
		items = append(items, it)
	}
	return items, lastID(items, n), rows.Err()
}

// lastID returns where the next page begins if this one is full.
func lastID(items []*Item, n int) string {
	if len(items) < n {
		return ""
	}
	return items[len(items)-1].ID
}

func (p *jsonSQL) Scan(each func(it *Item)) error {
	rows, err := p.scan.Query()
	if err != nil {
		return err
	}
	return scanOf(rows, each, scanJSON)
}

func scanOf(rows *sql.Rows, each func(it *Item), read func(scan func(...any) error) (*Item, error)) error {
	defer rows.Close()
	for rows.Next() {
		it, err := read(rows.Scan)
		if err != nil {
			return err
		}
		each(it)
	}
	return rows.Err()
}

func (p *jsonSQL) Close() error { return p.pool.close() }
