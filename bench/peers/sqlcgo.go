//go:build cgo

package peers

import (
	"database/sql"
	"fmt"
	"net/url"

	"github.com/mattn/go-sqlite3"
)

// withCgo is SQLite in C.
var withCgo = sqlDriver{"sqlite3-mmap", func(path string, pragmas [][2]string) string {
	q := url.Values{"_txlock": {"immediate"}}
	for _, p := range pragmas {
		if p[0] != "mmap_size" { // the driver has no name for it: see init
			q.Set("_"+p[0], p[1])
		}
	}
	return "file:" + path + "?" + q.Encode()
}}

func init() {
	sql.Register(withCgo.name, &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
		_, err := c.Exec(fmt.Sprintf("PRAGMA mmap_size = %d", 1<<30), nil)
		return err
	}})
}
