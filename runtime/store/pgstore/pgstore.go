// Package pgstore keeps a [store.Store] in a PostgreSQL database, so that any number of processes on any number of
// machines share it. Importing the package registers the URL schemes "postgres" and "postgresql":
//
//	import _ "github.com/kixxgen/kixxgen/runtime/store/pgstore"
//
//	db, err := kixx.Open(ctx, "postgres://app:secret@db.example.org/shop?sslmode=verify-full")
//
// The URL is that of the driver, [github.com/jackc/pgx/v5], which also reads the PG… environment variables and the
// password file; pool_max_conns limits the connections. [Open] says what is refused.
//
// The map is one table, kixx_map, with a row for each key; kixx_info says how it is to be read. Both are made when the
// store is opened for the first time, in the first schema of the search_path. Each read and each commit is one round
// trip. A commit is one implicit transaction of pipelined statements in READ COMMITTED: it locks what it depends on in
// the order of the keys, so that commits do not deadlock, compares the versions, and writes. Versions are random. Commits
// that come while others are under way go together in one transaction, each with its own answer.
//
// With standbys, let the server wait for one of them (synchronous_standby_names): then nothing that was acknowledged is lost
// when the server is. Name all of them in the URL with target_session_attrs=read-write, and the store finds the one that has
// been promoted. Who promotes must see to it that the old one does not come back as a second primary: reads would be of the
// past there. Connections whose machine has gone are given up after ten seconds, a commit that is not answered after thirty.
//
// Connections must reach the server itself, or through a pooler that keeps one server connection for each of them: one
// that hands them on after each transaction loses settings and prepared statements.
//
// # CockroachDB and YugabyteDB
//
// Both speak the protocol, and the store knows them by what they say when a connection is made. It was never run on either:
// that CockroachDB's own parser takes every statement is tested, how the servers behave is not. Try yours with
// [github.com/kixxgen/kixxgen/runtime/store/storetest] before you trust it.
//
//   - On CockroachDB commits are SERIALIZABLE, whether the URL asks for that or not, and a URL that asks for "read committed"
//     is refused. So range checks are there.
//   - On YugabyteDB a connection that ends before its commit was answered cannot be surely ended on the server, since each
//     node sees its own alone. Its commit may be applied late; that is logged, and [store.Limits].Settles is false there.
//   - watch=on is refused on both: the log of changes is read by numbers of transactions that they do not have. So is
//     json=on: it needs a function in PL/pgSQL that outlives errors.
//
// Read schema.go for the tables, commit.go for the statements of a commit, group.go for which commits go together, lost.go
// for what happens when a connection ends before its commit was answered, watch.go for the log of changes, and dialect.go for
// what differs between servers.
package pgstore

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// most is what every store can do. [Store.Limits] has what its database was made for beside it.
var most = store.Limits{
	Ops: 10_000, Bytes: 32 << 20, Value: 16 << 20,
	Snapshot: time.Hour,
	Settles:  true,
}

// A Store is a [store.Store] in a PostgreSQL database. Make one with [Open]. It is safe for concurrent use.
//
// What it keeps true:
//
//  1. A connection of calls is never held while something else is waited for: the functions of snapshots, which may call
//     the store, have connections of their own in snapshots, and commits have theirs in writes.
//  2. A batch is on its way once at a time: commits has those that are under way, also when nobody waits for them any
//     more, and Commit of the same batch waits for them.
//  3. When a connection ends before a commit was answered, its backend, the process of the server that may still be
//     working on it, is in lost until it is known to have ended. The same batch is not sent again before that.
type Store struct {
	calls     *pgxpool.Pool
	writes    *pgxpool.Pool
	snapshots *pgxpool.Pool
	dialect   dialect
	limits    store.Limits
	made      made
	log       *slog.Logger
	closed    atomic.Bool
	derive    atomic.Pointer[derive]
	commits   queue
	lost      lost
	bell      *bell
}

// Open opens the store in the database that url names, and makes its tables if they are not there.
//
// Without an sslmode in the URL a server on another host must speak TLS if there is a password to send: write
// sslmode=verify-full, to know the server by its certificate too, or sslmode=disable. Parameters that would weaken the
// store without a word are refused.
//
// Three parameters are about the store. All are properties of the database, kept in it:
//
//   - isolation=serializable, when the store is made, has the server run commits in SERIALIZABLE, and transactions that
//     went over ranges are possible ([store.Limits].RangeChecks). Commits cost more, and are tried again more often.
//   - watch=on makes a log of changes, which Watch reads. Commits write twice as much. It can be asked for at any time;
//     processes that opened the store before write the log as well, but cannot watch.
//   - json=on keeps documents as JSON too, for SQL to read in the view kixx_documents; "kixxgen describe --format views" makes
//     views with typed columns of it. Commits write the document twice. It can be asked for at any time, by a role that owns
//     the tables; the first time makes an index, and holds up commits while the server reads the table for it. Documents that
//     were there before are not in the view until they are written again, or [Store.FillJSON] is called; those that a process
//     writes that had opened the store before have null in it, never an older document.
//
// Of the options Logger and Durability are used: Periodic and NoSync both stand for synchronous_commit=off, with which a
// crash of the server may lose the last moments; a synchronous_commit in the URL wins.
func Open(ctx context.Context, url string, o store.Options) (*Store, error) {
	config, asked, err := parseURL(url, o)
	if err != nil {
		return nil, fmt.Errorf("pgstore: %w", err)
	}
	return open(ctx, config, asked, o, func(c *pgx.Conn) dialect { return backendOf(c).dialect })
}

// open is Open for a URL that was parsed. of says to what dialect the server behind a connection belongs.
func open(ctx context.Context, config *pgxpool.Config, asked asked, o store.Options, of func(*pgx.Conn) dialect) (_ *Store, err error) {
	s := &Store{log: o.Logger, limits: most, bell: newBell()}
	if s.log == nil {
		s.log = slog.Default()
	}
	config.AfterConnect = identify
	if s.calls, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("pgstore: %w", err)
	}
	if err := s.connect(ctx, config, asked, of); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// connect does what needs the database.
func (s *Store) connect(ctx context.Context, config *pgxpool.Config, asked asked, of func(*pgx.Conn) dialect) (err error) {
	conn, err := s.calls.Acquire(ctx)
	if err != nil {
		return s.explain(ctx, "open", err)
	}
	s.dialect = of(conn.Conn())
	conn.Release()
	if s.made, err = s.prepareTables(ctx, asked); err != nil {
		return err
	}
	s.limits.RangeChecks = s.made.isolation == serializable
	s.limits.Watch = s.made.watch == on
	s.limits.Settles = s.dialect != yugabyte
	if s.snapshots, err = pgxpool.NewWithConfig(ctx, config.Copy()); err != nil {
		return fmt.Errorf("pgstore: %w", err)
	}
	writes := config.Copy()
	writes.MaxConns = lanes
	writes.ConnConfig.RuntimeParams["default_transaction_isolation"] = s.made.isolation
	if s.writes, err = pgxpool.NewWithConfig(ctx, writes); err != nil {
		return fmt.Errorf("pgstore: %w", err)
	}
	if s.limits.Watch {
		s.bell.work.Go(s.prune)
	}
	return nil
}

// Limits returns what the store can do: values of at most 16 MiB, commits of at most 10,000 operations and 32 MiB,
// snapshots of an hour; range checks and watches if the database was made for them.
func (s *Store) Limits() store.Limits { return s.limits }

// OnPublish implements [store.Store]. The hook is never called: others write to the same tables.
func (s *Store) OnPublish(func(*store.Batch, store.Version)) (cancel func()) { return func() {} }

// Close waits for the calls that are under way, the functions of snapshots among them, and closes all connections. A
// second Close returns nil.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.commits.close()
	s.bell.close()
	for _, pool := range []*pgxpool.Pool{s.writes, s.snapshots, s.calls} {
		if pool != nil {
			pool.Close()
		}
	}
	return nil
}
