package pgstore

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// ParseURL is what a URL is understood by.
func ParseURL(url string, o store.Options) (*pgxpool.Config, error) {
	config, _, err := parseURL(url, o)
	return config, err
}

// A Dialect is what kind of server there is.
type Dialect = dialect

// Dialects of servers.
const (
	Postgres  = postgres
	Cockroach = cockroach
	Yugabyte  = yugabyte
)

// DialectOf is the dialect of a server that sends parameters.
func DialectOf(parameters map[string]string) dialect {
	return dialectOf(func(name string) string { return parameters[name] })
}

// OpenAs is Open as if the server were of another dialect, with a tracer of its statements.
func OpenAs(ctx context.Context, url string, d dialect, tracer pgx.QueryTracer) (*Store, error) {
	config, asked, err := parseURL(url, store.Options{})
	if err != nil {
		return nil, err
	}
	config.ConnConfig.Tracer = tracer
	return open(ctx, config, asked, store.Options{}, func(*pgx.Conn) dialect { return d })
}

// SentToCockroach are all statements that are sent to CockroachDB, in the order of their text.
var SentToCockroach = func() []string {
	list := []string{
		createMap, createInfo, insertInfo, readInfo, identifySessionSQL, endSessionSQL, sessionSQL,
		beginCommitSQL, endCommitSQL, rollbackSQL, beginSnapshotSQL, nothingSQL,
	}
	for sql := range Statements {
		if sql != changeSQL {
			list = append(list, sql)
		}
	}
	slices.Sort(list)
	return list
}()

// Identify is the statement by which the server behind a connection is known, which is always the real one in tests.
var Identify = identifySQL

// Explain is what an error of the driver is told as.
func Explain(err error) error { return new(Store).explain(context.Background(), "commit", err) }

// ErrBeaten is what Commit tries again.
var ErrBeaten = errBeaten

// Statements are all statements, with arguments of their types.
var Statements = func() map[string]string {
	all := maps.Clone(statementsOfOne)
	for sql, with := range versioned {
		all[with] = all[sql] + ", 'k'"
	}
	return all
}()

// StatementsOfJSON are those that there are with json=on alone.
var StatementsOfJSON = map[string]string{
	putJSONSQL:          `array['k', 'l']::bytea[], array['1', '2']::bytea[], array[7, 8], array['k']::bytea[], 2, array['', null], array['e', null], array['{}', null]`,
	putJSONAndDeleteSQL: `array['k', 'l']::bytea[], array['1', '2']::bytea[], array[7, 8], array['k']::bytea[], 2, array['', null], array['e', null], array['{}', null], array['m', 'n']::bytea[]`,
	lackSQL:             `'a', 200`,
	fillSQL:             `array['k', 'l']::bytea[], array[7, 8], array['', ''], array['e', 'e'], array['{}', null]`,
}

var statementsOfOne = map[string]string{
	getSQL:            `array['k']::bytea[]`,
	getOneSQL:         `'k'`,
	lockOneSQL:        `'k', 'l', 1, 2`,
	pageSQL:           `'a', 'z', 20`,
	pageReverseSQL:    `'a', 'z', 20`,
	keysSQL:           `'a', 'z', 20`,
	keysReverseSQL:    `'a', 'z', 20`,
	derefSQL:          `'a', 'z', 20`,
	derefReverseSQL:   `'a', 'z', 20`,
	lockSQL:           `array['k', 'l']::bytea[]`,
	shareSQL:          `array['k', 'l']::bytea[]`,
	compareSQL:        `array['k', 'l']::bytea[], array[1, 2]`,
	putSQL:            `array['k', 'l']::bytea[], array['1', '2']::bytea[], array[7, 8], array['k']::bytea[], 2`,
	lockAndCompareSQL: `array['k']::bytea[], array['l', 'm']::bytea[], array['k', 'l']::bytea[], array[1, 2]`,
	changeSQL:         `array['k', 'l']::bytea[], array['1', '2']::bytea[], array[7, 8], array['m']::bytea[], array['1']::bytea[], array[7], array['n']::bytea[]`,
	rangeSQL:          `'a', 'z', array['k', 'l']::bytea[], array[1, 2]`,
	deleteSQL:         `array['k', 'l']::bytea[]`,
}

// Sent is how many statements a batch is translated to.
func Sent(b *store.Batch) int {
	var sent pgx.Batch
	new(Store).statements(&sent, []*member{{batch: b}})
	return sent.Len()
}

// ConnectionsMade is how many connections for commits were made.
func (s *Store) ConnectionsMade() int64 { return s.writes.Stat().NewConnsCount() }

// Prune shortens the log.
func (s *Store) Prune() error {
	_, err := s.calls.Exec(context.Background(), pruneSQL, keepLog.Seconds())
	return err
}

// Rung returns a channel that is closed when the bell rings.
func (s *Store) Rung() <-chan struct{} { return s.bell.next() }

// Listening returns when the server knows that somebody listens.
func (s *Store) Listening(t testing.TB) {
	for try := 1; ; try++ {
		var n int
		// The last statement of a connection that listens is that.
		err := s.calls.QueryRow(context.Background(), `select count(*) from pg_stat_activity where query = 'listen "' || $1 || '"' and state = 'idle'`, s.channel()).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
		if err := pause(t.Context(), try); err != nil {
			t.Fatal(err)
		}
	}
}

// ReadToken returns a token as it is understood.
func ReadToken(t store.Token) (store.Token, bool) {
	p, ok := parseToken(t)
	return p.token(), ok
}

// GoTogether reports whether two batches may be one transaction.
func GoTogether(a, b *store.Batch) bool {
	var fp footprint
	fp.add(a)
	return fp.takes(b)
}

// Waiting returns how many commits wait to be sent.
func (s *Store) Waiting() int {
	s.commits.mu.Lock()
	defer s.commits.mu.Unlock()
	return len(s.commits.list)
}

// Lanes returns how many transactions are under way.
func (s *Store) Lanes() int {
	s.commits.mu.Lock()
	defer s.commits.mu.Unlock()
	return s.commits.lanes
}
