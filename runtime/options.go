package kixx

import (
	"log/slog"
	"time"

	"github.com/go-playground/validator/v10"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// An Option changes how a database is opened.
type Option func(*options)

type options struct {
	store      store.Options
	now        func() time.Time
	namespace  string
	validator  *validator.Validate
	cacheBytes int64
	tries      int
	portable   bool
	cursorKeys [][]byte

	observers []Observer
	slow      time.Duration // negative: nothing is logged

	pointGuards bool
	build       BuildMode
}

func newOptions(opts []Option) options {
	o := options{cacheBytes: 256 << 20, tries: 20, now: time.Now, slow: -1}
	for _, opt := range opts {
		opt(&o)
	}
	if o.store.Logger == nil {
		o.store.Logger = slog.Default()
	}
	return o
}

// WithClock sets the clock behind created and updated fields, generated keys, and the durations that an [Observer] gets. It
// is called by whoever writes, also at the same time. The store measures its own work by the clock of the system all the same.
func WithClock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// WithLogger sets where the database logs. The default is [slog.Default].
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.store.Logger = l } }

// WithObserver lets f be told of each operation when it has ended, for metrics and traces. Given several times, all are told.
// f is called by the goroutine of the operation, so it should be quick, and by several at a time; it may ask [DB.Stats], but
// it should not use the database for more: that is an operation again. If f panics, the operation is not affected, and
// the first panic is logged.
//
// Operations are the methods of a repository that read or write, the reading methods of a query, Tx and Snapshot. What one of
// them does by means of another one is a part of it, except for what a function of the application does: hooks, and the
// functions of Tx and Snapshot. An operation ended by a panic of such a function is not told of; nor is a Watch, see
// [Stats].Watchers. Without an observer it costs nothing.
func WithObserver(f Observer) Option {
	return func(o *options) { o.observers = append(o.observers, f) }
}

// SlowLog logs each operation that takes d or longer, at the level Warn, with the message "kixx: slow operation" and what
// an [Operation] has. 0 logs all. What the body of a loop over [Query.All] takes does not count; what the functions that
// are given to Update, Tx, Snapshot and Load take does.
func SlowLog(d time.Duration) Option { return func(o *options) { o.slow = max(d, 0) } }

// WithValidator uses v, with the application's own rules, instead of a validator with the required-struct rule.
func WithValidator(v *validator.Validate) Option { return func(o *options) { o.validator = v } }

// WithRetry sets how often an update that is beaten by another one is tried, 20 times unless it is set. Less than 1
// means 1. The context of the call ends the tries as well.
func WithRetry(tries int) Option { return func(o *options) { o.tries = max(tries, 1) } }

// WithCacheBytes sets about how much memory decoded documents may take, 256 MiB unless it is set. Zero keeps none.
func WithCacheBytes(n int64) Option { return func(o *options) { o.cacheBytes = max(n, 0) } }

// Durability sets when a write is acknowledged, on stores that let one choose: [Sync], which is the default, [Periodic]
// or [NoSync].
func Durability(d store.Durability) Option { return func(o *options) { o.store.Durability = d } }

// Namespace opens a namespace of the database: keys and a catalogue of its own, as for one of many tenants. The
// default is "".
func Namespace(name string) Option { return func(o *options) { o.namespace = name } }

// Portable refuses what would not fit into every store: see [store.Portable].
func Portable() Option { return func(o *options) { o.portable = true } }

// PointGuards allows transactions that go over a range and write on a store that cannot guard ranges. They are then checked
// by the documents that they have met: one that somebody else puts into the range meanwhile is not noticed. On other
// stores it changes nothing.
func PointGuards() Option { return func(o *options) { o.pointGuards = true } }

// A BuildMode says who waits for the indexes that a new repository has to build.
type BuildMode uint8

const (
	Foreground BuildMode = iota // NewRepo returns when the indexes are ready
	Background                  // NewRepo returns at once; [DB.Ready] waits
)

// WithBuild sets who waits for indexes that are built: NewRepo, unless it is set. Both ways documents can be read and
// written meanwhile, by this program and by others; a query on an index that is not ready is [ErrBuilding].
func WithBuild(mode BuildMode) Option { return func(o *options) { o.build = mode } }

// SignCursors adds to each cursor a code that only a holder of the key can make, so that clients cannot make cursors of
// their own. The first key signs, all of them verify: to change keys, put the new one in front. A key should have 32
// random bytes; fewer than 16 are refused by Open.
func SignCursors(keys ...[]byte) Option {
	return func(o *options) { o.cursorKeys = keys }
}

// Sync acknowledges a write when it is on the disk.
func Sync() store.Durability { return store.Durability{Mode: store.Sync} }

// Periodic acknowledges a write when it is handed to the operating system, which is told every d to write it to the
// disk. A crash of the process loses nothing, a power cut up to d and a little more.
func Periodic(d time.Duration) store.Durability {
	return store.Durability{Mode: store.Periodic, Interval: d}
}

// NoSync acknowledges a write when it is handed to the operating system, which writes it to the disk when it likes. A
// crash of the process loses nothing; a power cut leaves some earlier state, whole.
func NoSync() store.Durability { return store.Durability{Mode: store.NoSync} }
