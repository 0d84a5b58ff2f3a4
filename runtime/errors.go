package kixx

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// What a caller decides on, for errors.Is. Those that carry facts are found by errors.As as the type that is named. What
// follows on "What to do" is for docs/errors.md, which a test makes of these comments.
var (
	// ErrNotFound says that there is no such document: *KeyError. What to do: tell who asked; Upsert makes a missing one.
	ErrNotFound = errors.New("not found")

	// ErrExists says that Insert met a document with this key: *KeyError. What to do: use Update, or Upsert if either is fine.
	ErrExists = errors.New("already there")

	// ErrInvalid says that a validator tag, Validate, a hook or the runtime itself refused the document: *InvalidError. What
	// to do: put the fields right that it names.
	ErrInvalid = errors.New("invalid document")

	// ErrUnique says that another document has this value of a unique index: *UniqueError. What to do: take another value,
	// or change the document that holds it.
	ErrUnique = errors.New("not unique")

	// ErrBadCursor is not a cursor of this query, or was changed by somebody. What to do: begin with the first page.
	ErrBadCursor = errors.New("bad cursor")

	// ErrBadKey is a key that cannot be stored, or that a change must not touch: *KeyError. What to do: use another key; it
	// says why.
	ErrBadKey = errors.New("bad key")

	// ErrBuilding says that an index is stale or being built: *BuildingError. What to do: wait with DB.Ready, or open the
	// repository again if it says so.
	ErrBuilding = errors.New("index not ready")

	// ErrSchema says that the struct, or the program, does not fit what is stored. What to do: see which field or collection
	// it names; run the version of the program that wrote it, or declare the change.
	ErrSchema = errors.New("schema does not fit the database")

	// ErrConflict says that the stored revision is not the caller's: *ConflictError; that others were faster in every try:
	// *BusyError; or that a merge could not be settled: *MergeError. What to do: read the document again, or use Update.
	ErrConflict = store.ErrConflict

	// ErrTooLarge is a key, value or commit over a limit of the store. It may hold a *LimitError or a *KeyLengthError. What
	// to do: write less at once; it says which limit.
	ErrTooLarge = store.ErrTooLarge

	// ErrUnknown is a write that was applied, or was not: it could not be settled. If the end of a context ended the
	// wait, the error matches the context's too. What to do: read the document to see, or write it again with its old
	// revision.
	ErrUnknown = store.ErrUnknown

	// ErrTxScope says that a repository was used in the function of a transaction or snapshot without being bound to it,
	// after its end, or with that of another database. What to do: use its With in the function, and not outside.
	ErrTxScope = errors.New("wrong scope")

	// ErrReadOnly is a write in a snapshot. What to do: write in a DB.Tx.
	ErrReadOnly = errors.New("read only")

	// ErrSnapshotTooOld says that the store keeps a snapshot only for so long. What to do: begin anew.
	ErrSnapshotTooOld = store.ErrSnapshotTooOld

	// ErrNotSupported is something that this store cannot do. What to do: open another store, or do without.
	ErrNotSupported = store.ErrNotSupported

	// ErrFull says that the disk is full; nothing was written. What to do: make room, or delete; writes go on by themselves.
	ErrFull = store.ErrFull

	// ErrFailed says that an earlier write or sync failed; reads go on, writes do not. What to do: find the cause in the log,
	// then open the database again.
	ErrFailed = store.ErrFailed

	// ErrCorrupt is stored data that is damaged: *CorruptError. What to do: restore the file that it names from a backup.
	ErrCorrupt = store.ErrCorrupt

	// ErrLocked says that another process has the database open: *LockedError. What to do: end that one; it is named.
	ErrLocked = store.ErrLocked

	// ErrUnavailable says that the server of the store cannot be reached; nothing was written. What to do: try again later.
	ErrUnavailable = store.ErrUnavailable

	// ErrClosed says that the database was closed. What to do: end the work that is left before Close.
	ErrClosed = store.ErrClosed
)

// Facts that come from the store, with the names that an application knows.
type (
	CorruptError = store.CorruptError // the file, the offset, and what was expected there
	LockedError  = store.LockedError  // pid and host of the process that has the database open
	LimitError   = store.LimitError   // which limit, how much there was
)

// A KeyError is about one document: ErrNotFound, ErrExists or ErrBadKey, which it unwraps to.
type KeyError struct {
	Entity string // "item"
	Key    any    // the key, of the repository's key type
	Reason string // of ErrBadKey
	Err    error

	Deleted bool // there is a document with the key, marked as deleted: see Restore, Purge and WithDeleted
}

func (e *KeyError) Error() string {
	switch {
	case e.Err == ErrNotFound && e.Deleted:
		return fmt.Sprintf("kixx: %s %s: it is marked as deleted", e.Entity, showKey(e.Key))
	case e.Err == ErrExists && e.Deleted:
		return fmt.Sprintf("kixx: %s %s: already there, marked as deleted; Restore or Purge it first, or use Overwrite", e.Entity, showKey(e.Key))
	case e.Err == ErrNotFound:
		return fmt.Sprintf("kixx: %s %s: there is no such document", e.Entity, showKey(e.Key))
	case e.Err == ErrExists:
		return fmt.Sprintf("kixx: %s %s: already there; use Update, or Upsert if either is fine", e.Entity, showKey(e.Key))
	}
	return fmt.Sprintf("kixx: %s %s: %s", e.Entity, showKey(e.Key), e.Reason)
}

func (e *KeyError) Unwrap() error { return e.Err }

// A ConflictError says that the stored revision is not the one the caller gave. It matches [ErrConflict].
type ConflictError struct {
	Entity string
	Key    any
	Given  Rev // what the caller had; unstored: it took the document for a new one
	Stored Rev // what is stored; unstored: there is no such document
}

func (e *ConflictError) Error() string {
	switch {
	case e.Given.IsZero():
		return fmt.Sprintf("kixx: %s %s: stored revision is %v, yours says that it is new; read it and use its Rev, or use Update", e.Entity, showKey(e.Key), e.Stored)
	case e.Stored.IsZero():
		return fmt.Sprintf("kixx: %s %s: it is not stored any more, yours is revision %v", e.Entity, showKey(e.Key), e.Given)
	case e.Given.n == e.Stored.n:
		return fmt.Sprintf("kixx: %s %s: revision %v is of a document that was deleted; another one was made with this key", e.Entity, showKey(e.Key), e.Given)
	}
	return fmt.Sprintf("kixx: %s %s: stored revision is %v, yours is %v; read it again or use Update", e.Entity, showKey(e.Key), e.Stored, e.Given)
}

// Is reports whether target is [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// A BusyError says that an update or a transaction was beaten by others until its tries ran out. It matches [ErrConflict].
type BusyError struct {
	Entity string // "" if it was a transaction
	Key    any
	Tries  int
}

func (e *BusyError) Error() string {
	if e.Entity == "" {
		return fmt.Sprintf("kixx: transaction: what it had read was changed by others during each of %d tries; try again later, or raise WithRetry", e.Tries)
	}
	return fmt.Sprintf("kixx: %s %s: changed by others during each of %d tries; try again later, or raise WithRetry", e.Entity, showKey(e.Key), e.Tries)
}

// Is reports whether target is [ErrConflict].
func (e *BusyError) Is(target error) bool { return target == ErrConflict }

// A UniqueError says which document holds a value that must be unique. It matches [ErrUnique].
type UniqueError struct {
	Entity string
	Key    any    // of the document that was refused
	Index  string // "SKU"
	Holder any    // key of the document that has the value

	Deleted bool // the holder is marked as deleted: its values stay taken until it is purged
}

func (e *UniqueError) Error() string {
	if e.Deleted {
		return fmt.Sprintf("kixx: %s %s: its %s is taken by %s, which is marked as deleted; purge that one to free it", e.Entity, showKey(e.Key), e.Index, showKey(e.Holder))
	}
	return fmt.Sprintf("kixx: %s %s: its %s is taken by %s", e.Entity, showKey(e.Key), e.Index, showKey(e.Holder))
}

// Is reports whether target is [ErrUnique].
func (e *UniqueError) Is(target error) bool { return target == ErrUnique }

// An InvalidError lists every field that was refused, with the rule it broke; values are left out. It matches
// [ErrInvalid], and unwraps to what the validator, Validate or a hook returned.
type InvalidError struct {
	Entity string
	Key    any
	Fields []FieldError
	Err    error
}

// A FieldError is one broken rule.
type FieldError struct {
	Field string // "Price", "Dims.W"
	Rule  string // "gte=0"
}

func (e *InvalidError) Error() string {
	if len(e.Fields) == 0 {
		return fmt.Sprintf("kixx: %s %s: invalid: %v", e.Entity, showKey(e.Key), e.Err)
	}
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + " breaks " + f.Rule
	}
	return fmt.Sprintf("kixx: %s %s: invalid: %s", e.Entity, showKey(e.Key), strings.Join(parts, ", "))
}

// Is reports whether target is [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

func (e *InvalidError) Unwrap() error { return e.Err }

// A KeyLengthError says which key, or which entry of an index, is longer than [store.MaxKey] bytes. It matches
// [ErrTooLarge].
type KeyLengthError struct {
	Entity string
	Key    any    // of the document
	Index  string // "" if it is the document's own key
	Length int
}

func (e *KeyLengthError) Error() string {
	what := "its key"
	if e.Index != "" {
		what = "its entry in the index " + e.Index
	}
	return fmt.Sprintf("kixx: %s %s: %s takes %d bytes, the most is %d", e.Entity, showKey(e.Key), what, e.Length, store.MaxKey)
}

// Is reports whether target is [ErrTooLarge].
func (e *KeyLengthError) Is(target error) bool { return target == ErrTooLarge }

// A BuildingError says that an index answers no query now, and how far its build has come. It matches [ErrBuilding].
type BuildingError struct {
	Entity string
	Index  string
	Reason string
	Done   int // documents that the build of this program is through with
	Total  int // there were so many when it began; 0 if none runs here
}

func (e *BuildingError) Error() string {
	if e.Total > 0 {
		return fmt.Sprintf("kixx: index %s of %s is not ready: %s, %d of %d documents are done", e.Index, e.Entity, e.Reason, e.Done, e.Total)
	}
	return fmt.Sprintf("kixx: index %s of %s is not ready: %s", e.Index, e.Entity, e.Reason)
}

// Is reports whether target is [ErrBuilding].
func (e *BuildingError) Is(target error) bool { return target == ErrBuilding }

// codes has the stable name of each sentinel, the more specific first.
var codes = []struct {
	err  error
	code string
}{
	{ErrUnknown, "UNKNOWN_OUTCOME"},
	{ErrNotFound, "NOT_FOUND"},
	{ErrExists, "ALREADY_EXISTS"},
	{ErrUnique, "NOT_UNIQUE"},
	{ErrConflict, "CONFLICT_ERROR"},
	{ErrInvalid, "INVALID_DOCUMENT"},
	{ErrBadCursor, "BAD_CURSOR"},
	{ErrBadKey, "BAD_KEY"},
	{ErrTooLarge, "TOO_LARGE"},
	{ErrClosed, "CLOSED"},
	{ErrLocked, "LOCKED"},
	{ErrCorrupt, "CORRUPT_DATA"},
	{ErrFull, "DISK_FULL"},
	{ErrFailed, "WRITE_FAILED"},
	{ErrBuilding, "INDEX_NOT_READY"},
	{ErrSchema, "SCHEMA_MISMATCH"},
	{ErrUnavailable, "UNAVAILABLE"},
	{ErrTxScope, "WRONG_SCOPE"},
	{ErrReadOnly, "READ_ONLY"},
	{ErrSnapshotTooOld, "SNAPSHOT_TOO_OLD"},
	{ErrNotSupported, "NOT_SUPPORTED"},
}

// Code returns the stable name of what went wrong, for logs and for clients: "NOT_FOUND", "CONFLICT_ERROR", … An error
// that is not one of this package's is "OTHER", nil is "".
func Code(err error) string {
	if err == nil {
		return ""
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return "OTHER"
}
