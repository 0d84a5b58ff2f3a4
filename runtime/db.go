package kixx

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-playground/validator/v10"
	"github.com/kixxgen/kixxgen/internal/inside"
	"github.com/kixxgen/kixxgen/runtime/store"

	_ "github.com/kixxgen/kixxgen/runtime/store/filestore" // file:
	_ "github.com/kixxgen/kixxgen/runtime/store/memstore"  // mem:
)

// A DB is an open database, or one namespace of it. It is safe for concurrent use.
type DB struct {
	core      *core
	namespace string
	id        [8]byte // of the namespace

	mu          sync.Mutex
	collections map[string]*collection
}

// A core is what all namespaces of an open database share.
type core struct {
	st       store.Store
	limits   store.Limits
	options  options
	validate *validator.Validate
	cache    *cache
	keys     sync.Pool // of *keyBuffer
	// cachedFunc is lookup, made once: a method value would be made anew for each page.
	cachedFunc func(key []byte) (any, store.Version, bool)

	ids      idSource
	now      func() time.Time
	unhook   func()
	closed   atomic.Bool
	receipts receipts
	turns    turns
	counts   counts
	observer *observer       // nil: nobody wants to know
	scopes   atomic.Int32    // transactions and snapshots that are open
	name     string          // of the store, for errors
	life     context.Context // ends when the database is closed
	endLife  context.CancelFunc
	builds   builds

	mu         sync.Mutex
	namespaces map[string]*DB

	catalogueMu sync.RWMutex
	catalogued  map[string]*collection // by the key of the record

	derived sync.Map // by the start of the keys of its documents, the *collection; only for a [store.Deriver]
}

// Open opens the database that url names:
//
//	mem:             in memory, gone when it is closed
//	file:./data      files in a directory, which is made if it is not there; one process at a time ([ErrLocked])
//
// Packages of other stores make their own schemes known when they are imported. Close the database when it is no longer
// used.
func Open(ctx context.Context, url string, opts ...Option) (*DB, error) {
	o := newOptions(opts)
	if err := o.check(); err != nil {
		return nil, err
	}
	st, err := store.Open(ctx, url, o.store)
	if err != nil {
		return nil, fmt.Errorf("kixx: open %s: %w", schemeOf(url), err)
	}
	db, err := openStore(ctx, st, strings.TrimSuffix(url[:strings.IndexByte(url, ':')+1], ":"), o)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return db, nil
}

// OpenStore is [Open] for a store that the application has made itself. Closing the database closes the store.
func OpenStore(ctx context.Context, st store.Store, opts ...Option) (*DB, error) {
	o := newOptions(opts)
	if err := o.check(); err != nil {
		return nil, err
	}
	return openStore(ctx, st, fmt.Sprintf("%T", st), o)
}

func openStore(ctx context.Context, st store.Store, name string, o options) (*DB, error) {
	c := &core{
		st:         st,
		name:       name,
		limits:     st.Limits(),
		options:    o,
		validate:   o.validator,
		cache:      newCache(o.cacheBytes),
		now:        o.now,
		receipts:   receipts{owner: newBatchID()},
		namespaces: make(map[string]*DB),
		catalogued: make(map[string]*collection),
		keys:       sync.Pool{New: newKeyBuffer},
		observer:   newObserver(&o),
	}
	c.life, c.endLife = context.WithCancel(context.Background())
	if c.validate == nil {
		c.validate = validator.New(validator.WithRequiredStructEnabled())
	}
	if o.portable {
		c.limits = smaller(c.limits, store.Portable)
	}
	c.cachedFunc = c.lookup
	c.unhook = st.OnPublish(c.published)
	if d, ok := st.(store.Deriver); ok {
		d.Derive(c.derive)
	}
	db, err := c.namespace(ctx, o.namespace)
	if err != nil {
		c.endLife()
		c.unhook()
		return nil, err
	}
	return db, nil
}

// check refuses options that cannot be meant.
func (o *options) check() error {
	for i, key := range o.cursorKeys {
		if len(key) < 16 {
			return fmt.Errorf("kixx: SignCursors: key %d has %d bytes; use at least 16, better 32 random ones", i, len(key))
		}
	}
	return nil
}

// schemeOf returns what of a URL may be shown: it can hold a password.
func schemeOf(url string) string {
	for i, r := range url {
		if r == ':' {
			if url[:i] == "file" || url[:i] == "mem" {
				return url
			}
			return url[:i+1]
		}
	}
	return fmt.Sprintf("%q", url)
}

// smaller returns the limits that satisfy both.
func smaller(a, b store.Limits) store.Limits {
	least := func(x, y int) int {
		if x == 0 || y > 0 && y < x {
			return y
		}
		return x
	}
	a.Ops, a.Bytes, a.Value = least(a.Ops, b.Ops), least(a.Bytes, b.Bytes), least(a.Value, b.Value)
	return a
}

// Namespace returns a namespace of the same database: documents, indexes and a catalogue of its own, over the same
// store and cache. Closing either closes both.
func (db *DB) Namespace(ctx context.Context, name string) (*DB, error) {
	return db.core.namespace(ctx, name)
}

func (c *core) namespace(ctx context.Context, name string) (*DB, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if db := c.namespaces[name]; db != nil {
		return db, nil
	}
	db := &DB{core: c, namespace: name, id: namespaceID(name), collections: make(map[string]*collection)}
	if err := db.claim(ctx); err != nil {
		return nil, err
	}
	c.namespaces[name] = db
	return db, nil
}

// claim writes the name of the namespace into its catalogue, or checks that it is there: two names could share the start
// of their hash.
func (db *DB) claim(ctx context.Context) error {
	key := catalogueKey(db.id, "namespace")
	for try := 0; ; try++ {
		items, err := db.core.st.Get(ctx, key, []byte(inside.CopyKey))
		if err != nil {
			return fmt.Errorf("kixx: read the catalogue: %w", err)
		}
		if items[1].Version != store.Absent {
			return fmt.Errorf("kixx: %w: a copy into this store is not finished; run kixxgen data copy again", ErrLocked)
		}
		if items[0].Version != store.Absent {
			if have := string(items[0].Value); have != db.namespace {
				return fmt.Errorf("kixx: %w: the namespaces %q and %q have the same hash; rename one", ErrSchema, have, db.namespace)
			}
			return nil
		}
		b := &store.Batch{
			ID:     newBatchID(),
			Ops:    []store.Op{{Key: key, Value: []byte(db.namespace), Guard: store.At(store.Absent)}},
			Checks: []store.Check{{Key: []byte(inside.CopyKey)}},
		}
		if _, err := db.core.st.Commit(ctx, b); err == nil {
			return nil
		} else if !errors.Is(err, store.ErrConflict) && !(db.core.limits.Settles && errors.Is(err, ErrUnknown)) {
			return fmt.Errorf("kixx: write the catalogue: %w", err)
		}
		if err := db.core.backoff(ctx, try); err != nil {
			return err
		}
	}
}

// Compact gives back the space that overwritten and deleted documents take, of all namespaces, as much as it can. Reads and
// writes go on meanwhile. It reads and writes about as much as there is, and is not needed for the space to stay within
// bounds: the file store compacts by itself when much is to be gained. On stores that manage their space by themselves it
// does nothing.
//
// The error is ctx's, [ErrClosed], [ErrFull], or a [*CorruptError] for a file that stays because it is damaged; what can be
// compacted beside it is.
func (db *DB) Compact(ctx context.Context) error {
	if db.core.closed.Load() {
		return ErrClosed
	}
	if c, ok := db.core.st.(store.Compacter); ok {
		if err := c.Compact(ctx); err != nil {
			return fmt.Errorf("kixx: %w", err)
		}
	}
	return nil
}

// Close closes the database with all its namespaces. It waits for the writes that are under way, and ends builds in the
// background, which go on where they were when the database is opened again. Afterwards every call is [ErrClosed]. A
// second Close returns nil.
func (db *DB) Close() error {
	c := db.core
	if c.closed.Swap(true) {
		return nil
	}
	c.endLife()
	c.builds.close()
	err := c.st.Close()
	c.unhook()
	return err
}

// published is the hook of the store: it keeps the cache right, and tells collections that their catalogue record is
// another one.
func (c *core) published(b *store.Batch, v store.Version) {
	c.cache.published(b, v, func(e *cached) bool { return e.col.db.core == c })
	for i := range b.Ops {
		if key := b.Ops[i].Key; isCatalogue(key) {
			c.catalogueMu.RLock()
			col := c.catalogued[string(key)]
			c.catalogueMu.RUnlock()
			if col != nil {
				col.recordVersion.Store(uint64(v))
			}
		}
	}
}

// lookup answers a store's Page.Cached.
func (c *core) lookup(key []byte) (decoded any, version store.Version, ok bool) {
	e := c.cache.get(key)
	if e == nil {
		return nil, 0, false
	}
	return e, e.version, true
}

// time returns the time for created and updated fields: UTC, without a monotonic part, as it will be read back.
func (c *core) time() time.Time { return c.now().Round(0).UTC() }
