package kixx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kixxgen/kixxgen/runtime/ordered"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// buildBatch is how many documents a build looks at for one commit; less where the store takes smaller commits.
const buildBatch = 50

// build builds the schema's indexes that are not ready, then removes the entries of those that were given up. Others may
// read and write meanwhile: every writer that knows a building index keeps it, and each commit of the build checks that
// the documents it was computed from are still the stored ones.
//
// An index that the documents do not fit, as a unique one with a duplicate, is set to stale: nobody keeps it, writes go
// on, and it is built anew when the repository is opened again. The other indexes are built all the same.
func (c *collection) build(ctx context.Context) error {
	defer c.builder.end()
	for try := 0; ; try++ {
		reg := c.reg.Load()
		todo := c.unbuilt(reg)
		if len(todo) == 0 {
			break
		}
		if try > 0 {
			if err := c.buildPause(ctx, try, todo); err != nil {
				return err
			}
		}
		done, err := c.buildOnce(ctx, reg, todo)
		if at := c.unfit(err); at >= 0 {
			c.builder.fail(at, err)
			if err := c.giveUp(ctx, at); err != nil {
				return err
			}
			try = -1
			continue
		}
		if err != nil && !c.waitsFor(err) {
			return err
		}
		if err := c.settleBuild(ctx, reg, todo, done); err != nil && !c.waitsFor(err) {
			return err
		}
	}
	if err := c.drop(ctx); err != nil {
		return err
	}
	return c.builder.failure()
}

// unbuilt returns the places of the indexes that are not ready, but those that the documents do not fit.
func (c *collection) unbuilt(reg *registration) []int {
	var todo []int
	for i, n := range reg.indexes {
		if !n.ready && c.builder.failed(i) == nil {
			todo = append(todo, i)
		}
	}
	return todo
}

// unfit returns the place of the index that err says the documents do not fit, or -1.
func (c *collection) unfit(err error) int {
	name := ""
	var unique *UniqueError
	var long *KeyLengthError
	switch {
	case errors.As(err, &unique):
		name = unique.Index
	case errors.As(err, &long):
		name = long.Index
	}
	return slices.IndexFunc(c.indexes, func(ix *Index) bool { return name != "" && ix.Name == name })
}

// waitsFor reports whether a build in the background goes on after err: nobody waits who could be told.
func (c *collection) waitsFor(err error) bool {
	return c.core.options.build == Background && (errors.Is(err, ErrUnavailable) || errors.Is(err, ErrFull))
}

const maxBuildPause = 30 * time.Second

// buildPause waits before a build begins anew, because another version of the application has made the index stale. Who
// waits for the index is told soon; in the background the pauses grow.
func (c *collection) buildPause(ctx context.Context, try int, todo []int) error {
	tries := c.core.options.tries
	if try <= tries {
		return c.core.backoff(ctx, try-1)
	}
	if c.core.options.build == Foreground {
		return &BuildingError{Entity: c.name, Index: c.indexes[todo[0]].Name, Reason: "another version of the application writes without it; stop that one first"}
	}
	c.core.options.store.Logger.Warn("kixx: another version of the application writes without the indexes that are built", "event", "index.wait", "entity", c.name, "indexes", c.names(todo))
	return sleep(ctx, min(maxBackoff<<min(try-tries, 20), maxBuildPause))
}

// settleBuild writes that the indexes are ready, if they still have the numbers under which they were built. What became
// stale meanwhile gets a new number.
func (c *collection) settleBuild(ctx context.Context, reg *registration, todo []int, done bool) error {
	var fit []*Index
	for i, ix := range c.indexes {
		if c.builder.failed(i) == nil {
			fit = append(fit, ix)
		}
	}
	r, version, err := c.db.changeRecord(ctx, c.name, func(r *record, _ bool) (bool, error) {
		changed, err := r.register(&c.own, fit)
		if err != nil {
			return false, err
		}
		for i := range r.Indexes {
			x := &r.Indexes[i]
			built := func(at int) bool { return reg.indexes[at].number == x.Number && x.State == indexBuilding }
			if done && slices.ContainsFunc(todo, built) {
				x.State, changed = indexReady, true
			}
		}
		return changed, nil
	})
	if err != nil {
		return err
	}
	c.take(r, version)
	if done {
		return c.forgetProgress(ctx)
	}
	return nil
}

// giveUp sets an index to stale that the documents do not fit.
func (c *collection) giveUp(ctx context.Context, at int) error {
	fp := c.indexes[at].fingerprint()
	r, version, err := c.db.changeRecord(ctx, c.name, func(r *record, _ bool) (changed bool, _ error) {
		for i := range r.Indexes {
			if x := &r.Indexes[i]; x.Fingerprint == fp && x.State == indexBuilding {
				x.State, changed = indexStale, true
			}
		}
		return changed, nil
	})
	if err == nil {
		c.take(r, version)
	}
	return err
}

// buildOnce computes the entries of every document, from where an earlier build of the same indexes was interrupted. done
// is false if the catalogue was changed meanwhile.
func (c *collection) buildOnce(ctx context.Context, reg *registration, todo []int) (done bool, err error) {
	wrap := func(err error) error { return fmt.Errorf("kixx: build indexes of %s: %w", c.name, err) }
	lo := slices.Clone(reg.header[:])
	hi := ordered.PrefixEnd(nil, lo)
	total, err := c.countDocuments(ctx, lo, hi)
	if err != nil {
		return false, wrap(err)
	}
	progress, err := c.readProgress(ctx, reg, todo)
	if err != nil {
		return false, wrap(err)
	}
	if progress.After != nil {
		lo = append(append(lo, progress.After...), 0)
	}
	log := c.core.options.store.Logger
	log.Info("kixx: build indexes", "event", "index.build", "entity", c.name, "indexes", c.names(todo), "documents", total, "done", progress.Done)
	limits := c.core.limits
	size := buildBatch
	if limits.Ops > 0 {
		size = min(size, max(1, limits.Ops/(2+4*len(todo))))
	}
	logged := progress.Done
	for {
		c.builder.set(progress.Done, total)
		items, err := c.core.st.Page(ctx, store.Page{Lo: lo, Hi: hi, Limit: size})
		if err != nil {
			return false, wrap(err)
		}
		if len(items) == 0 {
			break
		}
		last := items[len(items)-1].Key
		next := buildProgress{Indexes: progress.Indexes, After: last[headerLen:], Done: progress.Done + len(items)}
		again, moved, err := c.buildSome(ctx, reg, todo, items, next)
		if err != nil || moved {
			return false, err
		}
		if again {
			continue // a document was changed meanwhile: read them again
		}
		progress = next
		lo = append(append(lo[:0], last...), 0)
		if progress.Done-logged >= max(total/10, 1000) {
			logged = progress.Done
			log.Info("kixx: indexes are being built", "event", "index.progress", "entity", c.name, "indexes", c.names(todo), "done", progress.Done, "documents", total)
		}
	}
	log.Info("kixx: indexes are built", "event", "index.built", "entity", c.name, "indexes", c.names(todo), "documents", progress.Done)
	return true, nil
}

// countDocuments counts the documents from lo up to hi.
func (c *collection) countDocuments(ctx context.Context, lo, hi []byte) (n int, err error) {
	const most = 1000
	lo = slices.Clone(lo)
	for {
		items, err := c.core.st.Page(ctx, store.Page{Lo: lo, Hi: hi, Limit: most, KeysOnly: true})
		if err != nil {
			return 0, err
		}
		n += len(items)
		if len(items) < most {
			return n, nil
		}
		lo = append(append(lo[:0], items[most-1].Key...), 0)
	}
}

func (c *collection) names(todo []int) []string {
	names := make([]string, len(todo))
	for i, at := range todo {
		names[i] = c.indexes[at].Name
	}
	return names
}

// buildSome writes the entries of some documents. Entries that do not fit into one commit are written in several: each
// checks the documents, and the last one puts how far the build is then.
func (c *collection) buildSome(ctx context.Context, reg *registration, todo []int, items []store.Item, next buildProgress) (again, moved bool, err error) {
	var ops []store.Op
	checks := make([]store.Check, len(items))
	for i := range items {
		doc, err := c.decode(items[i].Key, items[i].Value, items[i].Version)
		if err != nil {
			return false, false, fmt.Errorf("kixx: build indexes of %s: %w; opened with WithBuild(Background), Migrate with DryRun lists all documents like that", c.name, err)
		}
		checks[i] = store.Check{Key: items[i].Key, Version: items[i].Version}
		var e Entries
		e.reset(reg, c.indexes, items[i].Key[headerLen:], doc.deleted)
		if err := c.index(&e, items[i].Key, doc.doc); err != nil {
			return false, false, err
		}
		if e.long >= 0 {
			return false, false, &KeyLengthError{Entity: c.name, Key: c.keyOf(items[i].Key), Index: c.indexes[e.long].Name, Length: e.length}
		}
		for j := range e.found {
			en := &e.found[j]
			if !slices.Contains(todo, en.index) {
				continue
			}
			op := store.Op{Key: e.key(en), Value: items[i].Key}
			if c.indexes[en.index].View {
				op.Value = e.value(en)
			}
			ops = append(ops, op)
		}
	}
	slices.SortFunc(ops, func(a, b store.Op) int { return slices.Compare(a.Key, b.Key) })
	for i := 1; i < len(ops); i++ {
		if slices.Equal(ops[i].Key, ops[i-1].Key) {
			return false, false, c.duplicate(reg, ops[i], ops[i-1].Value)
		}
	}
	// A unique entry may be there from an earlier build of the same document, and may not be another one's, in either half.
	var halves []store.Check
	for i := range ops {
		if unique := c.uniqueAt(reg, ops[i].Key); !unique {
			continue
		}
		have, err := c.core.st.Get(ctx, ops[i].Key, ops[i].Value)
		if err != nil {
			return false, false, err
		}
		if v := have[0].Version; v == store.Absent || slices.Equal(have[0].Value, ops[i].Value) {
			ops[i].Guard = store.At(v)
			if c.soft {
				other := otherHalf(ops[i].Key)
				if at, found := slices.BinarySearchFunc(ops, other, func(op store.Op, key []byte) int { return slices.Compare(op.Key, key) }); found {
					return false, false, c.duplicate(reg, ops[i], ops[at].Value)
				}
				taken, err := c.core.st.Get(ctx, other)
				if err != nil {
					return false, false, err
				}
				if taken[0].Version == store.Absent {
					halves = append(halves, store.Check{Key: other})
				} else if have = taken; !slices.Equal(have[0].Value, ops[i].Value) {
					return false, false, c.duplicate(reg, ops[i], have[0].Value)
				}
			}
			continue
		}
		// The document may have given the value up since it was read.
		read := slices.IndexFunc(checks, func(ch store.Check) bool { return slices.Equal(ch.Key, ops[i].Value) })
		if have[1].Version != checks[read].Version {
			return true, false, nil
		}
		return false, false, c.duplicate(reg, ops[i], have[0].Value)
	}
	slices.SortFunc(halves, func(a, b store.Check) int { return slices.Compare(a.Key, b.Key) })
	for len(ops) > 0 {
		n := c.fitting(ops, len(checks)+len(halves)+2) // beside the checks, the fence and the progress
		b := &store.Batch{ID: newBatchID(), Ops: slices.Clone(ops[:n]), Checks: append(slices.Clip(checks), halves...), Fences: []store.Check{{Key: c.key, Version: reg.version}}}
		if n == len(ops) {
			op, err := c.putProgress(next)
			if err != nil {
				return false, false, err
			}
			b.Ops = slices.Insert(b.Ops, 0, op) // the catalogue sorts before every collection
		}
		_, err := c.core.st.Commit(ctx, b)
		var ce *store.ConflictError
		switch {
		case err == nil:
			ops = ops[n:]
		case c.core.limits.Settles && errors.Is(err, ErrUnknown) && ctx.Err() == nil:
			return true, false, nil // the same entries again do no harm
		case errors.As(err, &ce):
			changed, err := c.changed(ctx, reg)
			return true, changed, err
		default:
			return false, false, fmt.Errorf("kixx: build indexes of %s: %w", c.name, err)
		}
	}
	return false, false, nil
}

// fitting returns how many of ops go into one commit beside so many other operations, at least one.
func (c *collection) fitting(ops []store.Op, others int) int {
	most, room := len(ops), c.core.limits.Bytes/2 // half: checks and the store's own framing take some too
	if limit := c.core.limits.Ops; limit > 0 {
		most = min(most, max(1, limit-others))
	}
	n, bytes := 0, 0
	for n < most {
		bytes += len(ops[n].Key) + len(ops[n].Value)
		if n > 0 && room > 0 && bytes > room {
			break
		}
		n++
	}
	return n
}

// uniqueAt reports whether an entry is of a unique index.
func (c *collection) uniqueAt(reg *registration, key []byte) bool {
	i := reg.place(key)
	return i >= 0 && c.indexes[i].Unique
}

// duplicate says that two stored documents have one value of a unique index, so that it cannot be built.
func (c *collection) duplicate(reg *registration, op store.Op, holder []byte) error {
	e := &UniqueError{Entity: c.name, Key: c.keyOf(op.Value), Holder: c.keyOf(holder)}
	if i := reg.place(op.Key); i >= 0 {
		e.Index = c.indexes[i].Name
	}
	return e
}

// drop removes the entries of indexes that were given up.
func (c *collection) drop(ctx context.Context) error {
	for {
		r, _, err := readRecord(ctx, c.core.st, c.key)
		if err != nil || len(r.Drop) == 0 {
			return err
		}
		number := r.Drop[0]
		h := newHeader(c.db.id, r.Number, number)
		hi := newHeader(c.db.id, r.Number, number+1)
		for {
			items, err := c.core.st.Page(ctx, store.Page{Lo: h[:], Hi: hi[:], Limit: buildBatch})
			if err != nil {
				return err
			}
			if len(items) == 0 {
				break
			}
			b := &store.Batch{ID: newBatchID()}
			for i := range items {
				b.Ops = append(b.Ops, store.Op{Key: items[i].Key, Delete: true})
			}
			if _, err := c.core.st.Commit(ctx, b); err != nil && !(c.core.limits.Settles && errors.Is(err, ErrUnknown) && ctx.Err() == nil) {
				return err
			}
		}
		r, version, err := c.db.changeRecord(ctx, c.name, func(r *record, _ bool) (bool, error) {
			i := slices.Index(r.Drop, number)
			if i < 0 {
				return false, nil
			}
			r.Drop = slices.Delete(r.Drop, i, i+1)
			return true, nil
		})
		if err != nil {
			return err
		}
		c.take(r, version)
	}
}
