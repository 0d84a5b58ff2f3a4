package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A dialect is what kind of server speaks the protocol of PostgreSQL at the other end. All of them run the same
// statements but for those in this file.
//
// Neither CockroachDB nor YugabyteDB was ever run with this package. What is said of them is from their documentation;
// that CockroachDB's parser takes the statements is tested, what they do there is not.
type dialect int

const (
	postgres  dialect = iota
	cockroach         // CockroachDB
	yugabyte          // YugabyteDB
)

// dialectOf returns the dialect of a server by the parameters that it sends to each new connection.
func dialectOf(parameter func(name string) string) dialect {
	switch {
	case parameter("crdb_version") != "":
		return cockroach
	case strings.Contains(parameter("server_version"), "-YB-"):
		return yugabyte
	}
	return postgres
}

func (d dialect) String() string {
	return [...]string{postgres: "PostgreSQL", cockroach: "CockroachDB", yugabyte: "YugabyteDB"}[d]
}

// check refuses what is asked of a server that does not have it.
func (d dialect) check(a asked) error {
	switch {
	case d != postgres && a.watch == on:
		return fmt.Errorf("pgstore: the URL asks for watch=on, and %v has no numbers of transactions by which a log could be read without gaps; leave the parameter out", d)
	case d != postgres && a.json == on:
		return fmt.Errorf("pgstore: the URL asks for json=on, which needs a function in PL/pgSQL that outlives errors, and was not tried on %v; leave the parameter out", d)
	case d == cockroach && a.isolation == readCommitted:
		return errors.New("pgstore: the URL asks for isolation=read committed, and on CockroachDB all commits are serializable; leave the parameter out")
	}
	return nil
}

// isolation returns the isolation of a store for which the URL asks for none.
func (d dialect) isolation() string {
	if d == cockroach {
		return serializable
	}
	return readCommitted
}

// explicit reports whether a commit needs words around its statements. PostgreSQL takes what is sent together for one
// transaction.
func (d dialect) explicit() bool { return d == cockroach }

// together reports whether one statement may change the table in two ways. CockroachDB refuses that.
func (d dialect) together() bool { return d != cockroach }

// Statements around those of a commit, and of a snapshot.
const (
	beginCommitSQL   = `begin isolation level serializable`
	endCommitSQL     = `commit`
	rollbackSQL      = `rollback`
	beginSQL         = `begin isolation level repeatable read read only`
	beginSnapshotSQL = `begin isolation level serializable read only` // what CockroachDB has in its place
)

func (d dialect) beginSnapshot() string { return pick(d == cockroach, beginSQL, beginSnapshotSQL) }

// A primary key of YugabyteDB is in no order unless it is told to be.
const createOrderedMap = `
create table if not exists kixx_map (
	key     bytea  not null,
	value   bytea  not null,
	version bigint not null,
	primary key (key asc)
)`

// createTables makes the tables. On PostgreSQL the statements are one transaction under a lock. The others have no such
// lock, or not in all versions, and need none: they know when two do the same, and one of them tries again. YugabyteDB
// makes each table in a transaction of its own, so a store is not made before kixx_info has its rows.
func (s *Store) createTables(ctx context.Context, isolation string) error {
	if s.dialect == postgres {
		return pgx.BeginFunc(ctx, s.calls, func(tx pgx.Tx) error {
			for _, sql := range []string{lockTablesSQL, createMap, createInfo} {
				if _, err := tx.Exec(ctx, sql); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, insertInfo, isolation)
			return err
		})
	}
	for _, c := range []struct {
		sql  string
		args []any
	}{{pick(s.dialect == yugabyte, createMap, createOrderedMap), nil}, {createInfo, nil}, {insertInfo, []any{isolation}}} {
		for try := 1; ; try++ {
			_, err := s.calls.Exec(ctx, c.sql, c.args...)
			if err == nil {
				break
			}
			if !answered(err) || try == readTries || pause(ctx, try+4) != nil {
				return err
			}
		}
	}
	return nil
}

// A backend is what works in the server for one connection: a process of PostgreSQL, a session of CockroachDB.
type backend struct {
	dialect dialect
	pid     int32
	began   time.Time // the number of a process comes again, so when it began belongs to it
	session string    // of CockroachDB
}

const (
	identifySQL = `select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()`
	// A backend that waits for standbys has committed, and everybody sees it when the wait is over. To end the wait would
	// show it at once, and it could be read, and be lost with the server.
	endSQL = `
select case when wait_event is distinct from 'SyncRep' then pg_terminate_backend(pid) end
from pg_stat_activity where pid = $1 and backend_start = $2`

	identifySessionSQL = `show session_id`
	endSessionSQL      = `cancel session if exists $1`
	sessionSQL         = `select 1 from [show cluster sessions] where session_id = $1`
)

const backendKey = "kixx backend"

// identify asks a new connection for its backend.
func identify(ctx context.Context, conn *pgx.Conn) (err error) {
	b := backend{dialect: dialectOf(conn.PgConn().ParameterStatus)}
	if b.dialect == cockroach {
		err = conn.QueryRow(ctx, identifySessionSQL).Scan(&b.session)
	} else {
		err = conn.QueryRow(ctx, identifySQL).Scan(&b.pid, &b.began)
	}
	if err != nil {
		return fmt.Errorf("ask the server for its process: %w", err)
	}
	conn.PgConn().CustomData()[backendKey] = b
	return nil
}

func backendOf(conn *pgx.Conn) backend {
	return conn.PgConn().CustomData()[backendKey].(backend)
}

// tellToEnd tells a backend to end, and reports whether it has, as far as can be seen.
func (s *Store) tellToEnd(ctx context.Context, b backend) (ended bool, err error) {
	var tag pgconn.CommandTag
	if b.dialect == cockroach {
		if _, err = s.calls.Exec(ctx, endSessionSQL, b.session); err == nil {
			tag, err = s.calls.Exec(ctx, sessionSQL, b.session)
		}
	} else {
		tag, err = s.calls.Exec(ctx, endSQL, b.pid, b.began)
	}
	return tag.RowsAffected() == 0, err
}
