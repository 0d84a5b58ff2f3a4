package kixx

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kixxgen/kixxgen/runtime/ordered"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// MigrateOptions say how [Repo.Migrate] goes about it. The zero value is a good one.
type MigrateOptions struct {
	DryRun   bool                  // report what would be done, and write nothing
	Progress func(MigrateProgress) // called after each batch, by the goroutine that called Migrate; nil: nobody is told
}

// MigrateProgress counts the documents that a migration has looked at.
type MigrateProgress struct{ Total, Migrated, Unchanged, Failed int }

// A Report says what a migration did: Total is the sum of the other three.
type Report[K comparable] struct {
	Total     int // documents that it looked at
	Migrated  int // it rewrote them, or would have
	Unchanged int // they were written by the present schema before, or by somebody else meanwhile
	Failed    []MigrateFailure[K]
}

// A MigrateFailure is a document that could not be migrated. It is still stored as it was.
type MigrateFailure[K comparable] struct {
	Key K
	Err error
}

// migrateBatch is how many documents a migration rewrites in one commit; less where the store takes smaller commits.
const migrateBatch = 50

// Migrate rewrites all documents that other schemas wrote, older ones mostly, as this schema writes them. They are read
// right without it; Migrate is for getting rid of the old forms. Others may read and write meanwhile: a document that is
// written by somebody else is left to him.
//
// A document that cannot be migrated is in the report and stays as it is, and the others go on. If Migrate is
// interrupted, its error says why and the report how far it came; call it again, and it goes on with what is left.
//
// A rewrite counts the revision up, as every write does. It runs no hooks, no validator and no Validate, and leaves
// created and updated times as they are. Run it in the newest version of an application: an older one would bring newer
// documents into its own form, and lose nothing, but win nothing either. It is not for a transaction or a snapshot.
func (r *Repo[D, K]) Migrate(ctx context.Context, o MigrateOptions) (Report[K], error) {
	report := Report[K]{}
	if err := r.col.core.unbound(ctx, r.schema.Name); err != nil {
		return report, err
	}
	if r.in != nil {
		return report, fmt.Errorf("kixx: migrate %s: %w: the repository is bound to a %s, and a migration takes commits of its own", r.schema.Name, ErrTxScope, r.in.kind())
	}
	ctx, op := r.col.core.begin(ctx, "Migrate", r.col.name, "")
	err := r.col.migrateAll(ctx, o, func(id []byte, err error) error {
		key, _, kerr := r.schema.ReadKey(id)
		if kerr != nil {
			return fmt.Errorf("kixx: migrate %s: %w: a document has the key %x: %w", r.schema.Name, ErrCorrupt, id, kerr)
		}
		report.Failed = append(report.Failed, MigrateFailure[K]{key, err})
		return nil
	}, func(p MigrateProgress) {
		report.Total, report.Migrated, report.Unchanged = p.Total, p.Migrated, p.Unchanged
	})
	op.end(report.Migrated, err)
	return report, err
}

// migrateAll is Migrate for any type: failed is told of each document that cannot be migrated, and tell of each batch.
func (c *collection) migrateAll(ctx context.Context, o MigrateOptions, failed func(id []byte, err error) error, tell func(MigrateProgress)) error {
	if c.core.closed.Load() {
		return ErrClosed
	}
	size := migrateBatch
	if limit := c.core.limits.Ops; limit > 0 {
		size = min(size, max(1, limit/2))
	}
	lo := slices.Clone(c.reg.Load().header[:])
	hi := ordered.PrefixEnd(nil, lo)
	m := migration{c: c, dry: o.DryRun, failed: failed}
	for {
		items, err := c.core.st.Page(ctx, store.Page{Lo: lo, Hi: hi, Limit: size})
		c.core.countItems(ctx, items)
		if err == nil && len(items) > 0 {
			err = m.batch(ctx, items)
		}
		tell(m.progress)
		if err != nil {
			return fmt.Errorf("kixx: migrate %s: %w", c.name, err)
		}
		if len(items) == 0 {
			return nil
		}
		if o.Progress != nil {
			o.Progress(m.progress)
		}
		lo = append(append(lo[:0], items[len(items)-1].Key...), 0)
	}
}

// A migration is a call of Migrate under way.
type migration struct {
	c        *collection
	dry      bool
	failed   func(id []byte, err error) error
	progress MigrateProgress
}

// batch migrates some documents, in one commit if nothing is in the way.
func (m *migration) batch(ctx context.Context, items []store.Item) error {
	if _, err := m.c.writable(ctx); err != nil {
		return err
	}
	var old []store.Item
	for _, item := range items {
		current, err := m.c.current(item.Value)
		switch {
		case current:
			m.progress.Total++
			m.progress.Unchanged++
		case err != nil:
			if err := m.fail(item.Key, err); err != nil {
				return err
			}
		default:
			old = append(old, item)
		}
	}
	if m.dry {
		for _, item := range old {
			_, err := m.c.decode(item.Key, item.Value, item.Version)
			if err := m.count(ctx, item.Key, err); err != nil {
				return err
			}
		}
		return nil
	}
	if len(old) == 0 {
		return nil
	}
	err := m.c.rewrite(ctx, old)
	if err == nil {
		m.progress.Total += len(old)
		m.progress.Migrated += len(old)
		return nil
	}
	if stops(ctx, err) {
		return err
	}
	for _, item := range old { // one of them is in the way: the others must not suffer
		if err := m.one(ctx, item.Key); err != nil {
			return err
		}
	}
	return nil
}

// one migrates one document as it is stored now.
func (m *migration) one(ctx context.Context, key []byte) error {
	for try := 0; ; try++ {
		items, err := m.c.core.st.Get(ctx, key)
		if err != nil {
			return err
		}
		if items[0].Version == store.Absent {
			return nil // somebody has deleted it: there is nothing to count
		}
		current, err := m.c.current(items[0].Value)
		if current {
			m.progress.Total++
			m.progress.Unchanged++
			return nil
		}
		if err == nil {
			err = m.c.rewrite(ctx, items)
		}
		if !errors.Is(err, errBeaten) || try == m.c.core.options.tries {
			return m.count(ctx, key, err)
		}
		if err := m.c.core.backoff(ctx, try); err != nil {
			return err
		}
	}
}

// count counts a document that was migrated, or was not because of err.
func (m *migration) count(ctx context.Context, key []byte, err error) error {
	if err != nil {
		if stops(ctx, err) {
			return err
		}
		return m.fail(key, err)
	}
	m.progress.Total++
	m.progress.Migrated++
	return nil
}

func (m *migration) fail(key []byte, err error) error {
	m.progress.Total++
	m.progress.Failed++
	return m.failed(key[headerLen:], err)
}

// stops reports whether err is about more than one document, so that a migration cannot go on.
func stops(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return true
	}
	for _, e := range []error{ErrClosed, ErrFailed, ErrFull, ErrUnavailable} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// current reports whether the value of a document was written by this schema.
func (c *collection) current(value []byte) (bool, error) {
	env, _, err := parseEnvelope(value)
	return err == nil && env.schema == c.reg.Load().schema, err
}

// errBeaten says that a document was written by somebody else, or the catalogue was, while it was rewritten.
var errBeaten = fmt.Errorf("%w: it was changed by others during each try", ErrConflict)

// rewrite writes documents as this schema does, each if it is still the one that was read.
func (c *collection) rewrite(ctx context.Context, items []store.Item) (err error) {
	reg, err := c.writable(ctx)
	if err != nil {
		return err
	}
	w := writers.Get().(*writer)
	defer func() { w.release(err) }()
	w.reset(c.db)
	for i := range items {
		old, err := c.decode(items[i].Key, items[i].Value, items[i].Version)
		if err != nil {
			return err
		}
		doc := c.codec.clone(old.doc)
		*c.codec.rev(doc) = old.rev.next()
		if err := w.change(c, reg, items[i].Key, old, doc); err != nil {
			return err
		}
	}
	if err = w.commit(ctx); err == nil {
		return nil
	}
	if _, err := w.conflict(ctx, err); err != nil {
		return err
	}
	return errBeaten
}
