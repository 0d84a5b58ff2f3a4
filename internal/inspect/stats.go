package inspect

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/kixxgen/kixxgen/internal/inside"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// EntityStats say what there is of an entity.
type EntityStats struct {
	Name    string
	Live    int
	Deleted int      // marked as deleted
	Level   int      // of its last migration
	Indexes []string // with what is to be said about them: "Category", "SKU (unique)", "ByDate (view, stale)"
}

// Stats counts the documents of an entity.
func (d *Database) Stats(ctx context.Context, name string) (*EntityStats, error) {
	e, err := d.read(ctx, name, false)
	if err != nil {
		return nil, err
	}
	s := &EntityStats{Name: name, Level: e.level}
	if s.Live, err = e.repo.Count(ctx); err != nil {
		return nil, err
	}
	all, err := d.read(ctx, name, true)
	if err != nil {
		return nil, err
	}
	if s.Deleted, err = all.repo.Count(ctx); err != nil {
		return nil, err
	}
	s.Deleted -= s.Live
	for _, ix := range e.indexes {
		text := ""
		for _, about := range []struct {
			is   bool
			what string
		}{{ix.Unique, "unique"}, {ix.View, "view"}, {ix.state != "ready", ix.state}} {
			switch {
			case !about.is:
			case text == "":
				text = about.what
			default:
				text += ", " + about.what
			}
		}
		if text != "" {
			text = " (" + text + ")"
		}
		s.Indexes = append(s.Indexes, ix.Name+text)
	}
	return s, nil
}

// Files says what the files hold.
func (d *Database) Files() store.Stats { return d.st.Stats() }

// Compact gives back the space of what is not needed in the database of a directory.
func Compact(ctx context.Context, dir string, logger *slog.Logger) error {
	return withStore(ctx, dir, logger, func(st *filestore.Store) error { return st.Compact(ctx) })
}

// Stale sets all indexes of the database of a directory to stale: they answer no query until applications have built them
// anew.
func Stale(ctx context.Context, dir string, logger *slog.Logger) error {
	return withStore(ctx, dir, logger, func(st *filestore.Store) error { return inside.Stale(ctx, st) })
}

func withStore(ctx context.Context, dir string, logger *slog.Logger, f func(st *filestore.Store) error) error {
	st, err := filestore.Open(ctx, dir, filestore.Options{Options: store.Options{Logger: logger}, Existing: true})
	if errors.Is(err, os.ErrNotExist) {
		return noDatabase(dir, err)
	}
	if err != nil {
		return err
	}
	return errors.Join(f(st), st.Close())
}

func noDatabase(dir string, err error) error {
	return asked("there is no database in %s: %w", dir, err)
}
