package peers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// A sqlDriver says how SQLite is opened through a driver of database/sql.
type sqlDriver struct {
	name string
	dsn  func(path string, pragmas [][2]string) string
}

// pureGo is SQLite without cgo.
var pureGo = sqlDriver{"sqlite", func(path string, pragmas [][2]string) string {
	q := url.Values{"_txlock": {"immediate"}}
	for _, p := range pragmas {
		q.Add("_pragma", fmt.Sprintf("%s(%s)", p[0], p[1]))
	}
	return "file:" + path + "?" + q.Encode()
}}

// A sqlPool is SQLite with one connection that writes, and four that read.
type sqlPool struct{ write, read *sql.DB }

// openSQL opens the database of a directory and runs schema.
func openSQL(d sqlDriver, dir string, o Options, schema string) (*sqlPool, error) {
	dsn := d.dsn(filepath.Join(dir, "db"), pragmas(o))
	p := new(sqlPool)
	for _, one := range []struct {
		db          **sql.DB
		connections int
	}{{&p.write, 1}, {&p.read, 4}} {
		db, err := sql.Open(d.name, dsn)
		if err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(one.connections)
		db.SetMaxIdleConns(one.connections)
		*one.db = db
		if one.connections == 1 {
			if _, err := db.Exec(schema); err != nil {
				return nil, fmt.Errorf("schema: %w", err)
			}
		}
	}
	return p, nil
}

// pragmas are the settings of SQLite: a write-ahead log, which is synced by each write if it is to be durable, and room.
func pragmas(o Options) [][2]string {
	synchronous := "NORMAL"
	if o.Durable {
		synchronous = "FULL"
	}
	size := int64(64 << 20)
	if o.CacheBytes > 0 {
		size = o.CacheBytes
	}
	return [][2]string{{"busy_timeout", "10000"}, {"journal_mode", "WAL"}, {"synchronous", synchronous}, {"cache_size", fmt.Sprint(-size >> 10)}, {"mmap_size", fmt.Sprint(1 << 30)}}
}

func (p *sqlPool) close() error { return errors.Join(p.read.Close(), p.write.Close()) }

// inTransactions calls put for the numbers below n, many of them in a transaction.
func (p *sqlPool) inTransactions(n int, put func(tx *sql.Tx, i int) error) error {
	const each = 10_000
	for from := 0; from < n; from += each {
		tx, err := p.write.BeginTx(context.Background(), nil)
		if err != nil {
			return err
		}
		for i := from; i < min(n, from+each); i++ {
			if err := put(tx, i); err != nil {
				return errors.Join(err, tx.Rollback())
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}

// changed returns ErrStale unless a statement has changed a row.
func changed(r sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err == nil && n == 0 {
		err = ErrStale
	}
	return err
}

// readAndSet is Update by Get and Set, again if another write came between.
func readAndSet(p Peer, id string, change func(it *Item)) error {
	for {
		it, err := p.Get(id)
		if err != nil {
			return err
		}
		change(it)
		if err := p.Set(it); !errors.Is(err, ErrStale) {
			return err
		}
	}
}
