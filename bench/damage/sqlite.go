package damage

import (
	"database/sql"
	"errors"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// sqliteStore is SQLite. Its pages have no checksums; the extension that adds them is not on by default.
type sqliteStore struct{}

func (sqliteStore) Fill(dir string, docs []Document) error {
	db, err := sql.Open("sqlite", filepath.Join(dir, "lite.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE documents (key TEXT PRIMARY KEY, value BLOB NOT NULL)"); err != nil {
		return err
	}
	for _, d := range docs {
		if _, err := db.Exec("INSERT INTO documents (key, value) VALUES (?, ?)", d.Key, d.Value); err != nil {
			return err
		}
	}
	return db.Close()
}

func (sqliteStore) Open(dir string) (Reader, error) {
	db, err := sql.Open("sqlite", filepath.Join(dir, "lite.db"))
	if err != nil {
		return nil, err
	}
	return sqliteReader{db}, nil
}

type sqliteReader struct{ *sql.DB }

func (r sqliteReader) Get(key string) (value []byte, err error) {
	err = r.QueryRow("SELECT value FROM documents WHERE key = ?", key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrMissing
	}
	return value, err
}
