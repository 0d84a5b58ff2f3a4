package kixx

import (
	"context"
	"fmt"
	"io"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Backup copies the database, with all its namespaces, to the directory dir, which is made if it is not there, and must be
// empty. Reads and writes go on meanwhile. The copy is the state at one moment, with all that was written before the call,
// and is on the disk when Backup has returned nil: Open opens it as "file:" and dir. If there is an error, or ctx ends, what
// was written is removed again.
//
// The copy begins a history of its own: a Watch with a token of this database begins with a resync there.
//
// A store that has no backup is [ErrNotSupported]: "mem:", and servers, which have tools of their own.
func (db *DB) Backup(ctx context.Context, dir string) error {
	b, err := db.core.backuper()
	if err != nil {
		return err
	}
	if err := b.Backup(ctx, dir); err != nil {
		return fmt.Errorf("kixx: %w", err)
	}
	return nil
}

// BackupTo is [DB.Backup] to a stream, as a tar archive, in constant memory. The function Restore of package filestore makes
// a database of it again, and refuses one that is damaged or not whole.
func (db *DB) BackupTo(ctx context.Context, w io.Writer) error {
	b, err := db.core.backuper()
	if err != nil {
		return err
	}
	if err := b.BackupTo(ctx, w); err != nil {
		return fmt.Errorf("kixx: %w", err)
	}
	return nil
}

func (c *core) backuper() (store.Backuper, error) {
	if c.closed.Load() {
		return nil, ErrClosed
	}
	b, ok := c.st.(store.Backuper)
	if !ok {
		return nil, fmt.Errorf("kixx: backup: %w: the store %s has none; use what its engine has for it", ErrNotSupported, c.name)
	}
	return b, nil
}
