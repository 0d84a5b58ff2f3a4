package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

func init() {
	register(Kind{Name: "sqlite-go", Module: "zombiezen.com/go/sqlite", How: "SQLite without cgo; JSON in a column, prepared statements, WAL, one writer and four readers", New: func() Peer { return new(sqliteGo) }})
	register(Kind{Name: "ent-go", Module: "entgo.io/ent", How: "over modernc.org/sqlite, without cgo; its generated client", New: func() Peer { return &entStore{driver: pureGo} }})
}

// sqliteGo is SQLite that was translated to Go, without database/sql.
type sqliteGo struct {
	readers *sqlitex.Pool
	mu      sync.Mutex
	writer  *sqlite.Conn
}

func (p *sqliteGo) Open(dir string, o Options) (err error) {
	path := filepath.Join(dir, "db")
	prepare := func(c *sqlite.Conn) error {
		for _, s := range pragmas(o) {
			if err := sqlitex.ExecuteTransient(c, fmt.Sprintf("PRAGMA %s = %s", s[0], s[1]), nil); err != nil {
				return err
			}
		}
		return nil
	}
	if p.writer, err = sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate|sqlite.OpenURI); err != nil {
		return err
	}
	if err := prepare(p.writer); err != nil {
		return err
	}
	err = sqlitex.ExecuteScript(p.writer, `
		CREATE TABLE IF NOT EXISTS items (id TEXT PRIMARY KEY, rev INTEGER NOT NULL, category TEXT NOT NULL, price INTEGER NOT NULL, doc BLOB NOT NULL);
		CREATE INDEX IF NOT EXISTS items_category ON items (category, id);
		CREATE INDEX IF NOT EXISTS items_price ON items (price);`, nil)
	if err != nil {
		return err
	}
	p.readers, err = sqlitex.NewPool(path, sqlitex.PoolOptions{PoolSize: 4, PrepareConn: prepare, Flags: sqlite.OpenReadWrite | sqlite.OpenURI})
	return err
}

// insert puts in a document that is not there.
func (p *sqliteGo) insert(it *Item) error {
	doc, err := json.Marshal((*plain)(it))
	if err != nil {
		return err
	}
	s := p.writer.Prep(`INSERT INTO items (id, rev, category, price, doc) VALUES ($id, 1, $category, $price, $doc) ON CONFLICT DO NOTHING`)
	s.SetText("$id", it.ID)
	return p.write(s, it, doc)
}

// write runs s, which must change a row.
func (p *sqliteGo) write(s *sqlite.Stmt, it *Item, doc []byte) error {
	s.SetText("$category", it.Category)
	s.SetInt64("$price", it.Price)
	s.SetBytes("$doc", doc)
	if _, err := s.Step(); err != nil {
		return errors.Join(err, s.Reset())
	}
	if p.writer.Changes() == 0 {
		return ErrStale
	}
	return nil
}

func (p *sqliteGo) Load(n int, item func(i int) *Item) (err error) {
	const each = 10_000
	for from := 0; from < n; from += each {
		end, err := sqlitex.ImmediateTransaction(p.writer)
		if err != nil {
			return err
		}
		for i := from; i < min(n, from+each) && err == nil; i++ {
			err = p.insert(item(i))
		}
		if end(&err); err != nil {
			return err
		}
	}
	return nil
}

// scanDocument reads a document from a row of revision and JSON. buf is scratch, and is returned as it is then.
func scanDocument(s *sqlite.Stmt, buf []byte) (*Item, []byte, error) {
	n := s.ColumnLen(1)
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	s.ColumnBytes(1, buf)
	it := new(plain)
	if err := json.Unmarshal(buf, it); err != nil {
		return nil, buf, err
	}
	it.Rev = revision(uint64(s.ColumnInt64(0)))
	return (*Item)(it), buf, nil
}

func (p *sqliteGo) Get(id string) (it *Item, err error) {
	err = p.query(`SELECT rev, doc FROM items WHERE id = $id`, func(s *sqlite.Stmt) { s.SetText("$id", id) }, func(found *Item) { it = found })
	if err == nil && it == nil {
		err = ErrNotFound
	}
	return it, err
}

// query calls each with the documents of a query.
func (p *sqliteGo) query(text string, bind func(s *sqlite.Stmt), each func(it *Item)) error {
	c, err := p.readers.Take(context.Background())
	if err != nil {
		return err
	}
	defer p.readers.Put(c)
	s := c.Prep(text)
	bind(s)
	buf := make([]byte, 0, 512)
	for {
		row, err := s.Step()
		if err != nil || !row {
			return err
		}
		var it *Item
		if it, buf, err = scanDocument(s, buf); err != nil {
			return errors.Join(err, s.Reset())
		}
		each(it)
	}
}

func (p *sqliteGo) Set(it *Item) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	rev := number(it.Rev)
	var err error
	if rev == 0 {
		err = p.insert(it)
	} else {
		var doc []byte
		if doc, err = json.Marshal((*plain)(it)); err != nil {
			return err
		}
		s := p.writer.Prep(`UPDATE items SET rev = rev + 1, category = $category, price = $price, doc = $doc WHERE id = $id AND rev = $rev`)
		s.SetText("$id", it.ID)
		s.SetInt64("$rev", int64(rev))
		err = p.write(s, it, doc)
	}
	if err == nil {
		it.next(rev)
	}
	return err
}

func (p *sqliteGo) Update(id string, change func(it *Item)) error {
	return readAndSet(p, id, change)
}

func (p *sqliteGo) Page(category, from string, n int) ([]*Item, string, error) {
	items := make([]*Item, 0, n)
	err := p.query(`SELECT rev, doc FROM items WHERE category = $category AND id > $from ORDER BY id LIMIT $n`, func(s *sqlite.Stmt) {
		s.SetText("$category", category)
		s.SetText("$from", from)
		s.SetInt64("$n", int64(n))
	}, func(it *Item) { items = append(items, it) })
	return items, lastID(items, n), err
}

func (p *sqliteGo) Scan(each func(it *Item)) error {
	return p.query(`SELECT rev, doc FROM items`, func(*sqlite.Stmt) {}, each)
}

func (p *sqliteGo) Close() error { return errors.Join(p.readers.Close(), p.writer.Close()) }
