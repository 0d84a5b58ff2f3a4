package pgstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// errBeaten says that the server has ended a commit in favour of another one. Nothing was applied.
var errBeaten = errors.New("ended in favour of another commit")

// codes says what the SQLSTATEs mean that a caller can do something about. What is not here is told as it is.
var codes = map[string]error{
	"40001": errBeaten, // serialization_failure
	"40P01": errBeaten, // deadlock_detected
	"53100": store.ErrFull,
	"53200": store.ErrUnavailable, // out_of_memory
	"53300": store.ErrUnavailable, // too_many_connections
	"55P03": store.ErrUnavailable, // lock_not_available, by a lock_timeout
	"57014": store.ErrUnavailable, // query_canceled, by a statement_timeout or an administrator
	"57P01": store.ErrUnavailable, // admin_shutdown
	"57P02": store.ErrUnavailable, // crash_shutdown
	"57P03": store.ErrUnavailable, // cannot_connect_now
	"25006": store.ErrUnavailable, // read_only_sql_transaction: a standby
	"25P03": store.ErrSnapshotTooOld,
	"25P04": store.ErrSnapshotTooOld, // transaction_timeout
	"72000": store.ErrSnapshotTooOld,
	"XX001": store.ErrCorrupt,
	"XX002": store.ErrCorrupt,
	"54000": store.ErrTooLarge, // program_limit_exceeded
}

// The message says in the language of the server that the text is no number, and quotes the text.
var conflictKey = regexp.MustCompile(conflictMark + `([0-9a-f]+)`)

// The detail says, in the language of the server, "Key (key)=(\x6b) already exists."
var violatedKey = regexp.MustCompile(`\(\\x([0-9a-f]+)\)`)

const (
	invalidText     = "22P02"
	uniqueViolation = "23505"
	// unknownCompletion is how CockroachDB says that it does not know itself whether a commit was applied.
	unknownCompletion = "40003"
)

// answered reports whether err is the server's answer to what it was asked, so that nothing was applied. Errors of other
// severities are the last thing that a backend says: one that is told to end can say so after it has committed.
func answered(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.SeverityUnlocalized == "ERROR" && pe.Code != unknownCompletion
}

// explain says in the words of the contract what an error of the driver means, of a call in which nothing was applied.
func (s *Store) explain(ctx context.Context, what string, err error) error {
	var pe *pgconn.PgError
	switch {
	case errors.As(err, &pe):
		if m := conflictKey.FindStringSubmatch(pe.Message); m != nil && pe.Code == invalidText {
			key, err := hex.DecodeString(m[1])
			if err != nil {
				key = nil // a message that was cut
			}
			return &store.ConflictError{Key: key}
		}
		if pe.Code == uniqueViolation && pe.TableName == "kixx_map" {
			var key []byte // nil in what was cut, or is not told
			if m := violatedKey.FindStringSubmatch(pe.Detail); m != nil {
				key, _ = hex.DecodeString(m[1])
			}
			return &store.ConflictError{Key: key}
		}
		if kind := codes[pe.Code]; kind != nil {
			return fmt.Errorf("pgstore: %s: %w: %w", what, kind, err)
		}
		return fmt.Errorf("pgstore: %s: %w", what, err)
	case s.closed.Load():
		return fmt.Errorf("pgstore: %s: %w", what, store.ErrClosed)
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		return fmt.Errorf("pgstore: %s: %w: %w", what, ctx.Err(), err)
	case ctx.Err() != nil:
		return fmt.Errorf("pgstore: %s: %w", what, err)
	}
	return fmt.Errorf("pgstore: %s: %w: %w", what, store.ErrUnavailable, err)
}
