package pgstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// The statements of a commit, sent together; the server runs them as one transaction. A statement that finds that a
// condition does not hold fails, and with it the transaction: it casts a text to a number, so that the message has the
// key in it. The server logs that as an error.
//
//  1. Lock what there is of the keys of operations and checks, and share what there is of the fences. Rows are locked in the
//     order of their keys, across the statements too, so that no two commits wait for each other. The exception are keys
//     that appear between the statements of one commit, and there the server decides against one of the two.
//  2. Compare the versions of what must be there. It cannot change any more.
//  3. Put, in the order of the keys. What must be absent is put too, also what is only checked: a key that is not there
//     cannot be locked, and the primary key alone keeps others from putting it meanwhile.
//  4. Delete, and what was put for a check.
const (
	lockSQL  = `select 1 from kixx_map where key = any ($1::bytea[]) order by key for update`
	shareSQL = `select 1 from kixx_map where key = any ($1::bytea[]) order by key for share`

	compareSQL = `
select ('` + conflictMark + `' || encode(want.key, 'hex'))::integer
from unnest($1::bytea[], $2::bigint[]) as want (key, version)
left join lateral (select version from kixx_map where key = want.key limit 1) as have on true
where have.version is distinct from want.version
limit 1`

	putSQL = `
with put as (
	insert into kixx_map as old (key, value, version)
	select new.key, new.value, $3 from unnest($1::bytea[], $2::bytea[]) as new (key, value) order by new.key
	on conflict (key) do update set value = excluded.value, version = excluded.version
	where old.key <> all ($4::bytea[])
	returning key
)
select ('` + conflictMark + `' || encode(absent.key, 'hex'))::integer
from unnest($4::bytea[]) as absent (key)
where (select count(*) from put) < $5 and not exists (select from put where put.key = absent.key)
limit 1`

	deleteSQL = `delete from kixx_map where key = any ($1::bytea[])`
)

// conflictMark stands in the message of an error before the key, in hexadecimal digits, whose condition does not hold.
const conflictMark = "kixx: another commit was first at key "

// beatenTries is how often a commit is tried that the server has ended in favour of another one.
const beatenTries = 10

// Commit implements [store.Store]. When ctx ends, the commit goes on: the connection is worth more than the answer.
func (s *Store) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	if err := b.Check(limits); err != nil {
		return 0, err
	}
	for try := 1; ; try++ {
		// Random, since a counter would be one row, or one sequence, that all commits of a distributed database want.
		version := store.Version(rand.Uint64() | 1)
		err := s.commit(ctx, b.ID, statements(b, version))
		if err == nil {
			return version, nil
		}
		if !errors.Is(err, errBeaten) {
			return 0, err
		}
		if try == beatenTries {
			return 0, &store.ConflictError{}
		}
		if err := pause(ctx, try); err != nil {
			return 0, s.explain(ctx, "commit", err)
		}
	}
}

// commit sends one transaction, after what was sent for the same batch has come to its end.
func (s *Store) commit(ctx context.Context, id [8]byte, batch *pgx.Batch) error {
	if err := s.attempts.wait(ctx, id); err != nil {
		return unknown(ctx, err)
	}
	if err := s.endLost(ctx, id); err != nil {
		return unknown(ctx, err)
	}
	conn, err := s.calls.Acquire(ctx)
	if err != nil {
		return s.explain(ctx, "commit", err)
	}
	if ctx.Done() == nil {
		return s.send(ctx, id, batch, conn)
	}
	answer := make(chan error, 1)
	end := s.attempts.begin(id)
	go func() {
		defer end()
		answer <- s.send(context.WithoutCancel(ctx), id, batch, conn)
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-answer: // both have come; the answer says more
		return err
	default:
		return unknown(ctx, ctx.Err())
	}
}

// send sends one transaction on conn, which it gives back.
func (s *Store) send(ctx context.Context, id [8]byte, batch *pgx.Batch, conn *pgxpool.Conn) error {
	server := backendOf(conn.Conn())
	err := conn.Conn().SendBatch(ctx, batch).Close()
	conn.Release()
	if err == nil {
		return nil
	}
	if answered(err) || pgconn.SafeToRetry(err) {
		return s.explain(ctx, "commit", err)
	}
	s.lost.add(attempt{id, server})
	// If the server cannot be reached now, the next Commit of the batch tries again.
	_ = s.endLost(ctx, id)
	return unknown(ctx, err)
}

// unknown is the error of a batch that may have been applied.
func unknown(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return &store.UnknownError{Err: fmt.Errorf("pgstore: commit: %w", err)}
}

// statements translates a batch.
func statements(b *store.Batch, version store.Version) *pgx.Batch {
	var (
		locks        []lock
		present      [][]byte // what must be there, with its version
		versions     []int64
		absent       [][]byte // what must not be there
		keys, values [][]byte // what is put
		gone         [][]byte // what is deleted
	)
	condition := func(c store.Check, shared bool) {
		if c.Version == store.Absent {
			absent, keys, values, gone = append(absent, c.Key), append(keys, c.Key), append(values, []byte{}), append(gone, c.Key)
			return
		}
		locks = append(locks, lock{c.Key, shared})
		present, versions = append(present, c.Key), append(versions, int64(c.Version))
	}
	for i := range b.Ops {
		op := &b.Ops[i]
		at, guarded := op.Guard.Version()
		switch {
		case guarded && at == store.Absent && op.Delete:
			condition(store.Check{Key: op.Key}, false)
			continue
		case guarded && at == store.Absent:
			absent = append(absent, op.Key)
		case guarded:
			condition(store.Check{Key: op.Key, Version: at}, false)
		default:
			locks = append(locks, lock{op.Key, false})
		}
		if op.Delete {
			gone = append(gone, op.Key)
		} else {
			keys, values = append(keys, op.Key), append(values, op.Value)
		}
	}
	for _, c := range b.Checks {
		condition(c, false)
	}
	for _, c := range b.Fences {
		condition(c, true)
	}

	batch := new(pgx.Batch)
	slices.SortFunc(locks, func(a, b lock) int { return bytes.Compare(a.key, b.key) })
	for len(locks) > 0 {
		n := slices.IndexFunc(locks, func(l lock) bool { return l.shared != locks[0].shared })
		if n < 0 {
			n = len(locks)
		}
		run := make([][]byte, n)
		for i := range run {
			run[i] = locks[i].key
		}
		batch.Queue(pick(locks[0].shared, lockSQL, shareSQL), run)
		locks = locks[n:]
	}
	if len(present) > 0 {
		batch.Queue(compareSQL, present, versions)
	}
	if len(keys) > 0 {
		batch.Queue(putSQL, keys, notNil(values), int64(version), notNil(absent), len(keys))
	}
	if len(gone) > 0 {
		batch.Queue(deleteSQL, gone)
	}
	return batch
}

// A lock is a row to be locked.
type lock struct {
	key    []byte
	shared bool
}
