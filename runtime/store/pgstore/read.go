package pgstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// The statements of reads. Each is one snapshot. In the ones that follow entries to documents the limit stands inside,
// so that there is one plan whatever is known of the table: walk the keys, and look up each document.
const (
	getSQL    = `select key, value, version from kixx_map where key = any ($1::bytea[])`
	getOneSQL = `select value, version from kixx_map where key = $1`

	pageSQL        = `select key, value, version from kixx_map where key >= $1 and key < $2 order by key limit $3`
	pageReverseSQL = `select key, value, version from kixx_map where key >= $1 and key < $2 order by key desc limit $3`
	keysSQL        = `select key, null::bytea as value, version from kixx_map where key >= $1 and key < $2 order by key limit $3`
	keysReverseSQL = `select key, null::bytea as value, version from kixx_map where key >= $1 and key < $2 order by key desc limit $3`

	derefSQL = `
select e.key, e.value as document, d.value, coalesce(d.version, 0) as version
from (select key, value from kixx_map where key >= $1 and key < $2 order by key limit $3) as e
left join kixx_map as d on d.key = e.value
order by e.key`
	derefReverseSQL = `
select e.key, e.value as document, d.value, coalesce(d.version, 0) as version
from (select key, value from kixx_map where key >= $1 and key < $2 order by key desc limit $3) as e
left join kixx_map as d on d.key = e.value
order by e.key desc`

	// Around a page, these add the version of a key to each row, and make a row without a page if it is empty.
	versionedSQL = `select (select version from kixx_map where key = $4) as of, page.* from (select 1) as one left join (`
	forwardSQL   = `) as page on true order by page.key`
	backwardSQL  = `) as page on true order by page.key desc`

	nothingSQL = `select 1`
)

// beyond is a bound that is greater than every key.
var beyond = bytes.Repeat([]byte{0xff}, store.MaxKey+1)

// readTries is how often a read is tried whose connection ends: once on each of the connections that a restart of the
// server has left in a small pool, and once more.
const readTries = 6

var errEnded = errors.New("pgstore: a snapshot was used after its function had returned")

// A querier is a pool or a connection.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Get implements [store.Reader].
func (s *Store) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	var items []store.Item
	err := s.read(ctx, "get", func() (err error) {
		items, err = get(ctx, s.calls, keys)
		return err
	})
	return items, err
}

// Page implements [store.Reader].
func (s *Store) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	if err := checkPage(p); err != nil {
		return nil, err
	}
	var items []store.Item
	err := s.read(ctx, "page", func() (err error) {
		items, err = page(ctx, s.calls, p)
		return err
	})
	return items, err
}

// PageAndVersion implements [store.PageVersioner], in one statement.
func (s *Store) PageAndVersion(ctx context.Context, p store.Page, key []byte) (items []store.Item, version store.Version, err error) {
	if err := checkPage(p); err != nil {
		return nil, 0, err
	}
	err = s.read(ctx, "page", func() (err error) {
		items, version, err = pageAndVersion(ctx, s.calls, p, key)
		return err
	})
	return items, version, err
}

// read calls f, and again while connections end under it.
func (s *Store) read(ctx context.Context, what string, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if err == nil {
			return nil
		}
		again := !answered(err) && try < readTries
		err = s.explain(ctx, what, err)
		if !again || !errors.Is(err, store.ErrUnavailable) || pause(ctx, try) != nil {
			return err
		}
	}
}

// Snapshot implements [store.Store]. It is a transaction of the level REPEATABLE READ, on a connection that is for
// snapshots alone; if all of them are in use, it waits. So f may call the store and wait for other goroutines that do, but a
// Snapshot inside f can wait for ever, until ctx ends. A long one keeps the server from removing what was overwritten or
// deleted meanwhile.
func (s *Store) Snapshot(ctx context.Context, f func(store.SnapshotReader) error) error {
	r := &reader{s: s}
	err := s.read(ctx, "snapshot", func() error {
		conn, err := s.snapshots.Acquire(ctx)
		if err != nil {
			return err
		}
		if r.token, err = s.begin(ctx, conn.Conn()); err != nil {
			conn.Release()
			return err
		}
		r.conn = conn.Conn()
		r.release = conn.Release
		return nil
	})
	if err != nil {
		return err
	}
	defer r.end()
	return f(r)
}

// begin begins the transaction of a snapshot, and returns its position if the store has a use for positions. A transaction
// has its snapshot from its first statement on, not from begin.
func (s *Store) begin(ctx context.Context, conn *pgx.Conn) (store.Token, error) {
	batch := new(pgx.Batch)
	batch.Queue(s.dialect.beginSnapshot())
	batch.Queue(pick(s.limits.Watch, nothingSQL, positionSQL))
	results := conn.SendBatch(ctx, batch)
	_, err := results.Exec()
	token := store.Token("")
	if s.limits.RangeChecks {
		token = "snapshot" // of one that watches there is a better one
	}
	if err == nil && s.limits.Watch {
		var p position
		p, err = scanPosition(results.QueryRow())
		token = p.token()
	}
	if closeErr := results.Close(); err == nil {
		err = closeErr
	}
	return token, err
}

// A reader is what Snapshot hands out.
type reader struct {
	s       *Store
	conn    *pgx.Conn
	release func()
	token   store.Token
	ended   bool
}

// end ends the transaction. A connection on which that cannot be done is closed by the pool.
func (r *reader) end() {
	r.ended = true
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if !r.conn.IsClosed() {
		r.conn.PgConn().Exec(ctx, rollbackSQL).Close()
	}
	r.release()
}

// Token implements [store.SnapshotReader].
func (r *reader) Token() store.Token { return r.token }

func (r *reader) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	if r.ended {
		return nil, errEnded
	}
	items, err := get(ctx, r.conn, keys)
	if err != nil {
		return nil, r.explain(ctx, "get", err)
	}
	return items, nil
}

func (r *reader) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	if r.ended {
		return nil, errEnded
	}
	if err := checkPage(p); err != nil {
		return nil, err
	}
	items, err := page(ctx, r.conn, p)
	if err != nil {
		return nil, r.explain(ctx, "page", err)
	}
	return items, nil
}

// explain is that of the store. A snapshot that the server has ended, in favour of the log that a standby follows or of a
// commit, is one to be taken anew.
func (r *reader) explain(ctx context.Context, what string, err error) error {
	err = r.s.explain(ctx, what, err)
	if errors.Is(err, errBeaten) {
		return fmt.Errorf("%w: %w", err, store.ErrSnapshotTooOld)
	}
	return err
}

func get(ctx context.Context, q querier, keys [][]byte) ([]store.Item, error) {
	if len(keys) == 1 {
		return getOne(ctx, q, keys[0])
	}
	rows, err := q.Query(ctx, getSQL, notNil(keys))
	if err != nil {
		return nil, err
	}
	found := make(map[string]store.Item, len(keys))
	var it store.Item
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&it.Key, &it.Value, &version}, func() error {
		it.Version = store.Version(version)
		found[string(it.Key)] = it
		return nil
	})
	if err != nil {
		return nil, err
	}
	items := make([]store.Item, len(keys))
	for i, key := range keys {
		if it, ok := found[string(key)]; ok {
			items[i] = it
		} else {
			items[i].Key = append([]byte{}, key...)
		}
	}
	return items, nil
}

func getOne(ctx context.Context, q querier, key []byte) ([]store.Item, error) {
	if key == nil {
		key = []byte{}
	}
	items := []store.Item{{Key: slices.Clone(key)}}
	var version int64
	switch err := q.QueryRow(ctx, getOneSQL, key).Scan(&items[0].Value, &version); {
	case errors.Is(err, pgx.ErrNoRows):
		return items, nil
	case err != nil:
		return nil, err
	}
	items[0].Version = store.Version(version)
	return items, nil
}

func checkPage(p store.Page) error {
	if p.Limit < 1 {
		return fmt.Errorf("pgstore: a page of %d items was asked for; the limit is at least 1", p.Limit)
	}
	return nil
}

// pageStatement returns the statement of a page and where its columns go; version is a pointer to what is scanned into.
func pageStatement(p store.Page, it *store.Item, version any) (sql string, into []any) {
	sql = pick(p.Reverse, pageSQL, pageReverseSQL)
	into = []any{&it.Key, &it.Value, version}
	switch {
	case p.Deref:
		sql = pick(p.Reverse, derefSQL, derefReverseSQL)
		into = []any{&it.Entry, &it.Key, &it.Value, version}
	case p.KeysOnly:
		sql = pick(p.Reverse, keysSQL, keysReverseSQL)
	}
	return sql, into
}

func page(ctx context.Context, q querier, p store.Page) ([]store.Item, error) {
	var it store.Item
	var version int64
	sql, into := pageStatement(p, &it, &version)
	lo, hi := bounds(p.Lo, p.Hi)
	rows, err := q.Query(ctx, sql, lo, hi, p.Limit)
	if err != nil {
		return nil, err
	}
	items := p.Into
	_, err = pgx.ForEachRow(rows, into, func() error {
		it.Version = store.Version(version)
		items = append(items, it)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

func pageAndVersion(ctx context.Context, q querier, p store.Page, key []byte) (items []store.Item, of store.Version, err error) {
	var it store.Item
	var version, record *int64
	sql, into := pageStatement(p, &it, &version)
	lo, hi := bounds(p.Lo, p.Hi)
	rows, err := q.Query(ctx, versioned[sql], lo, hi, p.Limit, key)
	if err != nil {
		return nil, 0, err
	}
	items = p.Into
	_, err = pgx.ForEachRow(rows, append([]any{&record}, into...), func() error {
		if record != nil {
			of = store.Version(*record)
		}
		if version != nil {
			it.Version = store.Version(*version)
			items = append(items, it)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return items, of, nil
}

// versioned has the statements of pages with the version of a key.
var versioned = map[string]string{
	pageSQL:         versionedSQL + pageSQL + forwardSQL,
	pageReverseSQL:  versionedSQL + pageReverseSQL + backwardSQL,
	keysSQL:         versionedSQL + keysSQL + forwardSQL,
	keysReverseSQL:  versionedSQL + keysReverseSQL + backwardSQL,
	derefSQL:        versionedSQL + derefSQL + forwardSQL,
	derefReverseSQL: versionedSQL + derefReverseSQL + backwardSQL,
}

// bounds returns the bounds of a range, of which nil is open, for a statement, for which it would be null.
func bounds(lo, hi []byte) (_, _ []byte) {
	if lo == nil {
		lo = []byte{}
	}
	if hi == nil {
		hi = beyond
	}
	return lo, hi
}

// pick returns one of two statements.
func pick(second bool, one, two string) string {
	if second {
		return two
	}
	return one
}

// notNil returns list with empty slices where it has nil ones, which the driver would send as null.
func notNil(list [][]byte) [][]byte {
	out := make([][]byte, len(list))
	for i, b := range list {
		if out[i] = b; b == nil {
			out[i] = []byte{}
		}
	}
	return out
}
