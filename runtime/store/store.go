// Package store is the contract between kixx and whatever keeps its bytes: an ordered, transactional map from byte keys
// to byte values. It holds the contract and nothing else; read it from top to bottom.
//
// A store never sees a Go type of an application. Documents, index entries and the catalogue are all keys in one map,
// and one [Batch] changes any number of them in one step, so that every ordered transactional engine can be a store.
//
// Package memstore is the shortest correct store, the one to read after this file. Package storetest tests every clause.
//
// # Bytes
//
// Keys are compared as bytes, memcmp order. A key has 1 to [MaxKey] bytes. A value may be empty, and an empty value is
// not an absent key.
//
// Bytes that go in (keys, bounds, batches) belong to the caller again when the call returns, except that a [Batch] for
// which Commit returned [ErrUnknown] must never be changed afterwards: the store may still be working on it. Bytes that
// come out belong to the store. They must not be changed, and stay as they are for as long as anyone holds them.
//
// # Versions
//
// Every key that is there has a [Version], given by the commit that wrote it. A commit gives one version to all the keys
// it puts, and no later commit gives the same one to the same key again, also not after a deletion. Unless
// [Limits.Ordered] is declared, a version can only be compared for equality.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// MaxKey is the length in bytes of the longest key that any store takes.
const MaxKey = 1024

// A Version is a store's own number for one state of one key. It is opaque: two versions of a key are equal or they are
// not. Zero is the version of a key that is absent; a key that is there never has it. Where [Limits.Ordered] is
// declared, a greater version is a later commit.
type Version uint64

// Absent is the version of a key that is not there.
const Absent Version = 0

// A Token is a position in the history of a store, from which a Watch goes on. It is opaque and names the store, its
// history and the position. A restore, a repair, and an opening that had to cut a torn tail begin a new history. The
// zero Token means "from now": the moment of the call of Watch.
type Token string

// A Compacter is a store whose space can be given back when somebody asks for it. Other stores do that by themselves, if at
// all.
type Compacter interface {
	// Compact gives back the space of what is not needed any more, as much as it can, while reads and commits go on.
	Compact(ctx context.Context) error
}

// A Reader reads.
//
// The methods of a Reader that Snapshot handed out all see the same commits, and it must not be used after the
// function it was handed to has returned, nor by several goroutines at once. The methods of a [Store] each see one
// state of their own, at least as new as every commit that was acknowledged before the call.
type Reader interface {
	// Get returns one item for each key, in the order of keys, all of one snapshot and in one round trip. Where a key
	// is absent, its item has the Version [Absent] and no value. A key may be asked for twice.
	Get(ctx context.Context, keys ...[]byte) ([]Item, error)

	// Page returns the first p.Limit items of the range, all of one snapshot, appended to p.Into. Fewer than p.Limit
	// mean that the range ends here. Nothing is held open between two calls: the next page begins at the key after the
	// last one.
	Page(ctx context.Context, p Page) ([]Item, error)
}

// A SnapshotReader is what Snapshot hands out.
type SnapshotReader interface {
	Reader

	// Token returns the position of this snapshot: a Watch that goes on from it sees exactly the commits that the
	// snapshot does not see. On a store without [Limits.Watch] and [Limits.RangeChecks] it is the zero Token.
	Token() Token
}

// A Store is an ordered, transactional map from byte keys to byte values. All its methods may be called by any number
// of goroutines. After Close they return [ErrClosed].
type Store interface {
	Reader

	// Limits returns what the store can do. It is the same for the whole life of the store.
	Limits() Limits

	// Snapshot calls f with a Reader of one snapshot, which is taken before, and returns f's error as it is. f may call
	// the store itself, Commit too, also before it reads: the snapshot does not see what it commits. No lock that a commit
	// needs is held while f runs, so f may wait for reads and commits of other goroutines. But a store that is not
	// [Limits.Coherent] may have only so many snapshots at a time, and Snapshot waits for one of them: inside f it could wait
	// for ever. A snapshot that lasts longer than [Limits.Snapshot] may fail with [ErrSnapshotTooOld].
	Snapshot(ctx context.Context, f func(SnapshotReader) error) error

	// Commit applies the batch as a whole or not at all, and returns the version that its puts now have. When it has
	// returned nil, the batch is as durable as the store was opened to make it, and every later read sees it.
	//
	// The batch applies if, at one moment, every guard, check, fence and range check holds. Else it is a
	// [*ConflictError], and nothing is changed. An error of [ErrUnknown] means that the batch was applied, or was not,
	// or may yet be; every other error means that it was not and never will be. The end of ctx ends the wait of the
	// caller, not the commit: if the batch was on its way, the error is ErrUnknown and matches ctx's own.
	//
	// After ErrUnknown the same batch may be committed again. What the second Commit returns is about itself: a conflict
	// may be one with the first, and after ErrUnavailable the first may have been applied. But when the second has returned
	// nil or a conflict, the first is decided too and will not be applied any more, even if all that its guards ask for is
	// that keys are absent, and they are absent again.
	//
	// Before anything is sent the batch is held against the contract and the limits ([Batch.Check]).
	Commit(ctx context.Context, b *Batch) (Version, error)

	// Watch streams the commits after from that touch keys with the prefix: at least once, in order for each key. It
	// ends when ctx does, with ctx's error, or with another error that says why it cannot go on. If from is of another
	// history, or too old, the first event is [EventResync]: the watcher's picture of the keys is out of date and must
	// be read anew, and the events after it go on from there. There is never a gap without one. A slow watcher holds
	// up nobody. On a store without [Limits.Watch] the only element is [ErrNotSupported].
	Watch(ctx context.Context, from Token, prefix []byte) iter.Seq2[Event, error]

	// OnPublish registers a hook, which a coherent store ([Limits.Coherent]) calls once for every commit, in the order
	// in which commits become visible and at the very moment: no read outside the hook sees the commit before the hook
	// has begun, and none begins before it has ended that does not see it. The hook is called under the store's lock.
	// It must be short, must not call the store, and must not keep b. Hooks are registered before the store is used.
	// cancel removes the hook. Other stores never call it.
	OnPublish(hook func(b *Batch, v Version)) (cancel func())

	// Close waits for the commits that are under way, then frees what the store holds. A second Close returns nil.
	Close() error
}

// A Backuper is a [Store] that can copy itself while it is used. Stores of engines that have tools of their own for this leave
// it out.
type Backuper interface {
	// Backup copies the store to the directory dir, which must be empty or not there, and makes all of it durable. The copy is
	// the state behind one commit, and has what was acknowledged before the call. Opening it begins a new history: tokens of
	// the store make a watch of the copy begin with [EventResync]. If there is an error, what was written is removed again.
	Backup(ctx context.Context, dir string) error

	// BackupTo writes the same as one stream. A stream that ends early cannot be taken for a whole one.
	BackupTo(ctx context.Context, w io.Writer) error
}

// A Page says what to read of a range.
type Page struct {
	Lo, Hi  []byte // keys from Lo up to, and without, Hi; nil is open
	Reverse bool   // from the end of the range down to its beginning
	Limit   int    // at most so many items, at least 1

	// Deref says that the values in the range are keys of documents, and that the documents are wanted: Item.Entry is
	// the key in the range, Key, Value and Version are those of the document, of the same snapshot. An entry whose
	// document is absent is an item with the Version Absent.
	Deref bool

	// KeysOnly says that values are not wanted: the items have keys and versions alone. It does not go with Deref.
	KeysOnly bool

	// Cached, if it is not nil, is asked before the value of an item is read, with Deref that of the document, else that
	// of the key in the range: if ok, its decoded form and version are in the caller's cache, and the item carries
	// decoded instead of a value. A coherent store calls it while no commit can be
	// published between the reading of the entry and the call; a snapshot of an ordered store uses the answer only if
	// version is not newer than the snapshot. Other stores never call it. It must be short and must not call the store.
	Cached func(key []byte) (decoded any, version Version, ok bool)

	// Into is where the items are appended, so that a caller can use one slice for many pages. It may be nil.
	Into []Item

	// Room is memory of the caller that the store may use, up to its capacity, for Key and Entry of the items, but not for
	// values: those keys stay as they are until the caller uses it for something else. It may be nil.
	Room []byte
}

// An Item is one key with what is stored under it.
type Item struct {
	Entry   []byte  // the key in the range; only with Page.Deref
	Key     []byte  // the key; with Page.Deref, of the document
	Value   []byte  // nil if the key is absent, Decoded is set, or only keys were asked for
	Version Version // Absent if the key is not there
	Decoded any     // what Page.Cached answered, instead of a value
}

// A Batch is a set of changes that happen together, or not at all.
type Batch struct {
	// ID names the batch among all batches that are ever committed to the store. A batch that is committed again
	// because its outcome was unknown keeps its ID. Stores that can take two batches for one do so by nothing else.
	ID [8]byte

	Ops    []Op         // sorted by key, one for each key
	Checks []Check      // keys that were only read; sorted by key, none of them among Ops
	Fences []Check      // as Checks, but shared: two commits with the same fence never wait for each other because of it
	Ranges []RangeCheck // only where Limits.RangeChecks is declared
}

// An Op puts or deletes one key.
type Op struct {
	Key    []byte
	Value  []byte // of a put; nil is the empty value
	Delete bool   // deleting a key that is absent is no error
	Guard  Guard

	// Decoded is handed on to the publish hook. The store itself does not look at it.
	Decoded any
}

// A Guard is a condition on the key of an Op. The zero Guard always holds.
type Guard struct {
	set bool
	at  Version
}

// At returns the guard that holds if the key is at version v. At(Absent) holds if the key is not there.
func At(v Version) Guard { return Guard{set: true, at: v} }

// Version returns the version that the key must be at, and whether there is a condition at all.
func (g Guard) Version() (v Version, ok bool) { return g.at, g.set }

// A Check holds if Key is at Version; Absent if it is not there.
type Check struct {
	Key     []byte
	Version Version
}

// A RangeCheck holds if nothing in [Lo, Hi) was put or deleted since the snapshot that had the Token. Seen are the
// keys of the range that the snapshot returned, with their versions, sorted by key, for stores that read the range again
// instead of remembering what was written; a coherent store remembers, and Seen may be left out for it. The check of a
// snapshot that is too old does not hold.
type RangeCheck struct {
	Lo, Hi []byte
	Token  Token
	Seen   []Check
}

// An Event is one change that a watcher is told of.
type Event struct {
	Kind    EventKind
	Key     []byte  // of EventPut and EventDelete
	Value   []byte  // of EventPut
	Version Version // of EventPut; of EventDelete, what the deleting commit gave its puts, or Absent
	Token   Token   // go on from here to see what comes after this event
}

// An EventKind says what happened to the key of an [Event].
type EventKind uint8

// The kinds of events. EventResync is not about one key: it says that events may be missing, see [Store].Watch.
const (
	EventPut EventKind = iota + 1
	EventDelete
	EventResync
)

// Limits says how much a store takes, and what it can do beyond the least.
type Limits struct {
	Ops      int           // operations, checks, fences and range checks in one commit; 0: as many as fit into Bytes
	Bytes    int           // bytes of keys and values in one commit
	Value    int           // bytes of one value
	Snapshot time.Duration // how long a snapshot can be read; 0: as long as one likes

	Coherent    bool // calls publish hooks and Page.Cached; nobody else writes to the same keys
	Ordered     bool // a greater version is a later commit
	RangeChecks bool // takes Batch.Ranges
	Watch       bool // has Watch
	Settles     bool // ErrUnknown can be settled by reading: the batch's effects, if it had any, become visible
}

// Portable is the smallest set of limits that every store keeps. What fits into it fits everywhere.
var Portable = Limits{Ops: 100, Bytes: 1 << 20, Value: 64 << 10, Snapshot: 5 * time.Second}

// Errors that a store returns, alone or inside a typed one, for errors.Is.
var (
	ErrConflict       = errors.New("conflict")                             // a guard, check, fence or range check does not hold: *ConflictError
	ErrUnknown        = errors.New("the outcome of the commit is unknown") // see Store.Commit: *UnknownError
	ErrTooLarge       = errors.New("too large")                            // over a limit: *LimitError
	ErrFull           = errors.New("no space left")                        // nothing was written; may be tried again
	ErrFailed         = errors.New("an earlier write failed")              // reads go on, writes do not until the store is opened again
	ErrCorrupt        = errors.New("stored data is damaged")               // *CorruptError
	ErrLocked         = errors.New("in use by another process")            // *LockedError
	ErrUnavailable    = errors.New("the store cannot be reached")          // nothing was applied; may be tried again
	ErrClosed         = errors.New("the store is closed")
	ErrSnapshotTooOld = errors.New("the snapshot is too old") // it may be tried again from its beginning
	ErrNotSupported   = errors.New("not supported by this store")
	ErrBadBatch       = errors.New("batch breaks the contract") // a mistake of the caller, not of the application
)

// A ConflictError names the first key found whose guard, check or fence did not hold, or that was changed in a checked
// range. Key is nil if the store cannot tell. It matches [ErrConflict].
type ConflictError struct{ Key []byte }

func (e *ConflictError) Error() string {
	if e.Key == nil {
		return "conflict: something that the commit depends on was changed"
	}
	return fmt.Sprintf("conflict: key %x is not at the version that the commit depends on", e.Key)
}

// Is reports whether target is [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// An UnknownError is an [ErrUnknown] with its cause, which it unwraps to.
type UnknownError struct{ Err error }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("the outcome of the commit is unknown: %v", e.Err)
}

// Is reports whether target is [ErrUnknown].
func (e *UnknownError) Is(target error) bool { return target == ErrUnknown }

func (e *UnknownError) Unwrap() error { return e.Err }

// A LimitError says which limit was passed. It matches [ErrTooLarge].
type LimitError struct {
	What string // "operations", "bytes in one commit", "bytes in one value", "bytes in one key"
	Have int
	Max  int
	Key  []byte // of a key or value that is too long
}

func (e *LimitError) Error() string {
	if e.Key != nil {
		return fmt.Sprintf("too large: %d %s, this store takes %d (key %.40x…)", e.Have, e.What, e.Max, e.Key)
	}
	return fmt.Sprintf("too large: %d %s, this store takes %d", e.Have, e.What, e.Max)
}

// Is reports whether target is [ErrTooLarge].
func (e *LimitError) Is(target error) bool { return target == ErrTooLarge }

// A CorruptError says which bytes are damaged. It matches [ErrCorrupt].
type CorruptError struct {
	File   string // as the store names it
	Offset int64  // of the damaged record; -1 if the whole file is meant
	What   string // what was expected there, and what was found
}

func (e *CorruptError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("%s: %s", e.File, e.What)
	}
	return fmt.Sprintf("%s at offset %d: %s", e.File, e.Offset, e.What)
}

// Is reports whether target is [ErrCorrupt].
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// A LockedError says who holds the lock, as far as it is known. It matches [ErrLocked].
type LockedError struct {
	Path string
	PID  int // 0 if it is not known
	Host string
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is in use by another process", e.Path)
	}
	return fmt.Sprintf("%s is in use by process %d on %s", e.Path, e.PID, e.Host)
}

// Is reports whether target is [ErrLocked].
func (e *LockedError) Is(target error) bool { return target == ErrLocked }
