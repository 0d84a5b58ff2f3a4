package kixx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// builds are the builds of a database that run in the background, or ran.
type builds struct {
	running sync.WaitGroup
	mu      sync.Mutex
	closed  bool
	runs    []*buildRun
}

// A buildRun is one build in the background.
type buildRun struct {
	ended chan struct{} // closed
	err   error         // set before
}

// start runs build in the background, and reports false if the database is being closed.
func (b *builds) start(build func() error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	run := &buildRun{ended: make(chan struct{})}
	b.runs = append(b.runs, run)
	b.running.Go(func() {
		defer close(run.ended)
		run.err = build()
	})
	return true
}

// close waits for the builds; their context has ended.
func (b *builds) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.running.Wait()
}

// Ready waits until the indexes are built that repositories of this database have begun to build in the background, those
// of all its namespaces, and returns what went wrong: a [UniqueError] if two documents have one value of a unique index,
// then that index answers no query; [ErrClosed] if the database was closed meanwhile. It returns ctx's error if that ends
// first; the builds go on. See [WithBuild].
func (db *DB) Ready(ctx context.Context) error {
	b := &db.core.builds
	b.mu.Lock()
	runs := slices.Clone(b.runs)
	b.mu.Unlock()
	if db.core.closed.Load() {
		return ErrClosed
	}
	var errs []error
	for _, run := range runs {
		select {
		case <-run.ended:
			errs = append(errs, run.err)
		case <-ctx.Done():
			return fmt.Errorf("kixx: wait for indexes: %w", ctx.Err())
		}
	}
	return errors.Join(errs...)
}

// startBuild builds what is not ready, and returns before that if the database is opened so.
func (c *collection) startBuild(ctx context.Context) error {
	if c.core.options.build == Foreground {
		return c.build(ctx)
	}
	c.builder.set(0, 0)
	started := c.core.builds.start(func() error {
		err := c.build(c.core.life)
		if err == nil {
			return nil
		}
		if c.core.life.Err() != nil {
			return ErrClosed
		}
		c.builder.stop(err)
		c.core.options.store.Logger.Error("kixx: indexes could not be built", "event", "index.failed", "entity", c.name, "err", err)
		return err
	})
	if !started {
		return ErrClosed
	}
	return nil
}

// A builder is the state of the build of a collection in this program.
type builder struct {
	mu          sync.Mutex
	running     bool
	done, total int
	failures    map[int]error // by the place of the index, why the documents do not fit it
	stopped     error         // why the build has ended before its end
}

// set says how far the build is.
func (b *builder) set(done, total int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running, b.done, b.total, b.stopped = true, done, total, nil
}

// stop says why the build has ended before its end.
func (b *builder) stop(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = err
}

// end says that the build has ended.
func (b *builder) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = false
}

// fail says that the documents do not fit an index.
func (b *builder) fail(at int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures == nil {
		b.failures = make(map[int]error)
	}
	b.failures[at] = err
}

// failed returns why the documents do not fit an index, or nil.
func (b *builder) failed(at int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures[at]
}

// failure returns why the documents do not fit the indexes that could not be built.
func (b *builder) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, at := range slices.Sorted(maps.Keys(b.failures)) {
		errs = append(errs, b.failures[at])
	}
	return errors.Join(errs...)
}

// notReady says why an index answers no query.
func (c *collection) notReady(at int, number indexNumber) error {
	e := &BuildingError{Entity: c.name, Index: c.indexes[at].Name}
	b := &c.builder
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.failures[at] != nil:
		e.Reason = fmt.Sprintf("its build ended with %q; put that right, then open the repository again", b.failures[at])
	case b.stopped != nil:
		e.Reason = fmt.Sprintf("its build ended with %q; put that right, then open the repository again", b.stopped)
	case b.running:
		e.Reason, e.Done, e.Total = "its build is under way", b.done, b.total
	case number.kept:
		e.Reason = "its build is under way in another program, or was interrupted; open the repository again to go on with it"
	default:
		e.Reason = "it is stale, since another version of the application writes without it; open the repository again to build it"
	}
	return e
}

// A buildProgress is kept in the catalogue, and changed in the commits of the entries themselves: a build that was
// interrupted goes on from there. It holds for the numbers that it names and for no others.
type buildProgress struct {
	Indexes []uint16 `json:"indexes"`
	After   []byte   `json:"after"` // key, without the header, of the last document whose entries are there
	Done    int      `json:"done"`  // so many documents
}

// readProgress returns how far an earlier build of the same indexes came.
func (c *collection) readProgress(ctx context.Context, reg *registration, todo []int) (buildProgress, error) {
	var mine buildProgress
	for _, at := range todo {
		mine.Indexes = append(mine.Indexes, reg.indexes[at].number)
	}
	items, err := c.core.st.Get(ctx, c.progressKey())
	if err != nil || items[0].Version == store.Absent {
		return mine, err
	}
	var p buildProgress
	if err := json.Unmarshal(items[0].Value, &p); err != nil {
		return mine, fmt.Errorf("%w: the progress of its build in the catalogue: %v", ErrCorrupt, err)
	}
	for _, number := range mine.Indexes {
		if !slices.Contains(p.Indexes, number) {
			return mine, nil
		}
	}
	p.Indexes = mine.Indexes
	return p, nil
}

// putProgress returns what puts how far a build is.
func (c *collection) putProgress(p buildProgress) (store.Op, error) {
	value, err := json.Marshal(p)
	return store.Op{Key: c.progressKey(), Value: value}, err
}

// forgetProgress removes it when the build has ended. It may stay: numbers are never used again.
func (c *collection) forgetProgress(ctx context.Context) error {
	b := &store.Batch{ID: newBatchID(), Ops: []store.Op{{Key: c.progressKey(), Delete: true}}}
	if _, err := c.core.st.Commit(ctx, b); err != nil && !errors.Is(err, ErrUnknown) {
		return fmt.Errorf("kixx: build indexes of %s: %w", c.name, err)
	}
	return nil
}

func (c *collection) progressKey() []byte { return catalogueKey(c.db.id, "build", c.name) }
