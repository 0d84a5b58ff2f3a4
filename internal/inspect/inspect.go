// Package inspect reads and loads the documents of a database without the code of the application that wrote them: what
// the command kixxgen data shows.
//
// The catalogue of a database says what the fields of its documents are, and the parts of its keys and indexes. With that an
// [Entity] is a schema like those that are generated, whose documents are of the type [Doc] whatever their struct was: all
// that is done with them is done by the runtime.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"github.com/kixxgen/kixxgen/internal/hint"
	"github.com/kixxgen/kixxgen/internal/inside"
	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// ErrAsked is matched by errors about what was asked for, and not about the database: an entity that there is not.
var ErrAsked = errors.New("what was asked for")

// An askedError matches [ErrAsked].
type askedError struct{ error }

func (e askedError) Is(target error) bool { return target == ErrAsked }
func (e askedError) Unwrap() error        { return e.error }

func asked(format string, args ...any) error { return askedError{fmt.Errorf(format, args...)} }

// A Database is the database in a directory.
type Database struct {
	st       *filestore.Store
	db       *kixx.DB
	entities []inside.Entity
	opened   map[string]*openEntity
}

// Options say how a database is opened.
type Options struct {
	Namespace string // "": that of this name, or the only one that there is
	Write     bool   // without it, the files stay as they are, and what is written is gone in the end
	Logger    *slog.Logger
}

// Open opens the database in the directory dir, which must be there.
func Open(ctx context.Context, dir string, o Options) (_ *Database, err error) {
	st, err := filestore.Open(ctx, dir, filestore.Options{
		Options:  store.Options{Logger: o.Logger},
		Existing: true,
		Scratch:  !o.Write,
	})
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = noDatabase(dir, err)
		}
		return nil, err
	}
	d := &Database{st: st, opened: make(map[string]*openEntity)}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	spaces, err := inside.Catalogue(ctx, st)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range spaces {
		names = append(names, s.Name)
	}
	at := slices.Index(names, o.Namespace)
	switch {
	case len(spaces) == 0:
		return nil, asked("the database in %s is empty", dir)
	case at < 0 && o.Namespace == "" && len(spaces) == 1:
		at = 0
	case at < 0 && o.Namespace == "":
		return nil, asked("the database in %s has %d namespaces; say which one with --namespace%s", dir, len(spaces), hint.Nearest("", names...))
	case at < 0:
		return nil, asked("there is no namespace %q%s", o.Namespace, hint.Nearest(o.Namespace, names...))
	}
	d.entities = spaces[at].Entities
	build, logger := kixx.Foreground, o.Logger
	if !o.Write {
		// Of what the catalogue wants built or removed nothing is waited for, and nothing of what is tried is to be told.
		build, logger = kixx.Background, slog.New(slog.DiscardHandler)
	}
	d.db, err = kixx.OpenStore(ctx, st, kixx.Namespace(spaces[at].Name), kixx.WithLogger(logger), kixx.WithBuild(build), kixx.WithCacheBytes(8<<20))
	return d, err
}

// Close closes the database.
func (d *Database) Close() error {
	if d.db != nil {
		return d.db.Close()
	}
	return d.st.Close()
}

// Names returns the names of the entities.
func (d *Database) Names() (names []string) {
	for i := range d.entities {
		names = append(names, d.entities[i].Name)
	}
	return names
}

// Entity returns the entity of a name.
func (d *Database) Entity(name string) (*Entity, error) {
	for i := range d.entities {
		if d.entities[i].Name == name {
			return newEntity(&d.entities[i])
		}
	}
	if len(d.entities) == 0 {
		return nil, asked("there is no entity %q, and no other one", name)
	}
	return nil, asked("there is no entity %q%s", name, hint.Nearest(name, d.Names()...))
}

// read returns an entity for reading. It sees documents that are marked as deleted if deleted says so.
func (d *Database) read(ctx context.Context, name string, deleted bool) (*openEntity, error) {
	o := d.opened[name]
	if o == nil {
		e, err := d.Entity(name)
		if err != nil {
			return nil, err
		}
		if o, err = e.open(ctx, d.db, false, markLevel); err != nil {
			return nil, err
		}
		d.opened[name] = o
	}
	if deleted && o.deleted != "" {
		all := kixx.WithDeleted(o.repo)
		return &openEntity{Entity: o.Entity, repo: &all}, nil
	}
	return o, nil
}

// markLevel stands for the migrations of the application: it notes at which level the document was written.
func markLevel(level int, f *kixx.Fields) error {
	if !f.Has(levelMark) {
		f.Set(levelMark, level-1)
	}
	return nil
}
