package pgstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// The statements of a commit, sent together; the server runs them as one transaction (dialect.go). A statement that finds that a
// condition does not hold fails, and with it the transaction: it casts a text to a number, so that the message has the
// key in it. The server logs that as an error.
//
//  1. Lock what there is of the keys of operations and checks, and share what there is of the fences. Rows are locked in the
//     order of their keys, across the statements too, so that no two commits wait for each other. The exception are keys
//     that appear between the statements of one commit, and there the server decides against one of the two.
//  2. Compare the versions of what must be there. It cannot change any more. Nearly always one statement does this and
//     the first step.
//  3. Put, in the order of the keys. What must be absent is put too, also what is only checked: a key that is not there
//     cannot be locked, and the primary key alone keeps others from putting it meanwhile.
//  4. Delete, and what was put for a check. Where nothing was, one statement does this and the third step.
const (
	lockSQL  = `select 1 from kixx_map where key = any ($1::bytea[]) order by key for update`
	shareSQL = `select 1 from kixx_map where key = any ($1::bytea[]) order by key for share`

	compareSQL = `
select ('` + conflictMark + `' || encode(want.key, 'hex'))::integer
from unnest($1::bytea[], $2::bigint[]) as want (key, version)
left join lateral (select version from kixx_map where key = want.key limit 1) as have on true
where have.version is distinct from want.version
limit 1`

	// lockAndCompareSQL is all of these in one, for when what is shared comes first in the order of the keys. Every row of
	// held is counted, and so locked, before anything is compared; and all of shared before that.
	lockAndCompareSQL = `
with shared as materialized (
	select key, version from kixx_map where key = any ($1::bytea[]) order by key for share
), held as materialized (
	select key, version from kixx_map where key = any ($2::bytea[]) and (select count(*) from shared) >= 0 order by key for update
)
select ('` + conflictMark + `' || encode(want.key, 'hex'))::integer
from (select count(*) as n from held) as locked, unnest($3::bytea[], $4::bigint[]) as want (key, version)
left join (select * from shared union all select * from held) as have on have.key = want.key
where locked.n >= 0 and have.version is distinct from want.version
limit 1`

	// lockOneSQL is the same for one fence and one other key: a document that is written.
	lockOneSQL = `
with shared as materialized (
	select version from kixx_map where key = $1 for share
), held as materialized (
	select version from kixx_map where key = $2 and (select count(*) from shared) >= 0 for update
)
select ('` + conflictMark + `' || encode(case when (select version from held) is distinct from $4 then $2 else $1 end, 'hex'))::integer
where (select version from held) is distinct from $4 or (select version from shared) is distinct from $3`

	putSQL     = `with` + putRestSQL
	putRestSQL = ` put as (
	insert into kixx_map as old (key, value, version)
	select new.key, new.value, new.version from unnest($1::bytea[], $2::bytea[], $3::bigint[]) as new (key, value, version) order by new.key
	on conflict (key) do update set value = excluded.value, version = excluded.version
	where old.key <> all ($4::bytea[])
	returning key
)` + refuseSQL

	// refuseSQL follows what puts, and finds what should be absent and was not.
	refuseSQL = `
select ('` + conflictMark + `' || encode(absent.key, 'hex'))::integer
from unnest($4::bytea[]) as absent (key)
where (select count(*) from put) < $5 and not exists (select from put where put.key = absent.key)
limit 1`

	// A range is as the snapshot of the commit saw it if its keys are at the versions that were seen, and there are no
	// others. That nobody puts another one meanwhile is what SERIALIZABLE is for.
	rangeSQL = `
select ('` + conflictMark + `' || encode(coalesce(have.key, want.key), 'hex'))::integer
from (select key, version from kixx_map where key >= $1 and key < $2) as have
full join unnest($3::bytea[], $4::bigint[]) as want (key, version) on have.key = want.key
where have.version is distinct from want.version
limit 1`

	// changeSQL puts and deletes, where no key is put and deleted. What must be absent is inserted, and if it is there
	// after all, that is an error of the primary key.
	changeSQL = `
with gone as (delete from kixx_map where key = any ($7::bytea[])),
added as (insert into kixx_map (key, value, version) select * from unnest($4::bytea[], $5::bytea[], $6::bigint[]))
insert into kixx_map (key, value, version) select * from unnest($1::bytea[], $2::bytea[], $3::bigint[])
on conflict (key) do update set value = excluded.value, version = excluded.version`

	deleteSQL = `delete from kixx_map where key = any ($1::bytea[])`
)

// conflictMark stands in the message of an error before the key, in hexadecimal digits, whose condition does not hold.
const conflictMark = "kixx: another commit was first at key "

// beatenTries is how often a commit is tried that the server has ended in favour of another one. In SERIALIZABLE that
// happens to each commit of what others commit at the same time.
const beatenTries = 100

// Commit implements [store.Store]. When ctx ends, the commit goes on: the connection is worth more than the answer.
func (s *Store) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	if err := b.Check(s.limits); err != nil {
		return 0, err
	}
	if err := s.commits.wait(ctx, b.ID); err != nil {
		return 0, unknown(ctx, err)
	}
	if err := s.endLost(ctx, b.ID); err != nil {
		return 0, unknown(ctx, err)
	}
	m := &member{batch: b, done: make(chan struct{})}
	if err := s.enqueue(m); err != nil {
		return 0, s.explain(ctx, "commit", err)
	}
	select {
	case <-m.done:
		return m.version, m.err
	case <-ctx.Done():
	}
	if s.commits.withdraw(m) {
		return 0, s.explain(ctx, "commit", ctx.Err())
	}
	select {
	case <-m.done: // both have come; the answer says more
		return m.version, m.err
	default:
		return 0, unknown(ctx, ctx.Err())
	}
}

// unknown is the error of a batch that may have been applied.
func unknown(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return &store.UnknownError{Err: fmt.Errorf("pgstore: commit: %w", err)}
}

// transaction appends the transaction of members.
func (s *Store) transaction(batch *pgx.Batch, members []*member) {
	if !s.dialect.explicit() {
		s.statements(batch, members)
		return
	}
	batch.Queue(beginCommitSQL)
	s.statements(batch, members)
	batch.Queue(endCommitSQL)
}

// statements appends the statements of the transaction of members.
func (s *Store) statements(batch *pgx.Batch, members []*member) {
	var (
		locks        []lock
		present      [][]byte // what must be there, with its version
		versions     []int64
		absent       [][]byte // what must not be there
		keys, values [][]byte // what is put, sorted, with the version it will have
		puts         []int64
		gone         [][]byte // what is deleted
		both         bool     // there are keys that are put and deleted
		docs         documents
	)
	derive := s.deriver()
	put := func(key, value []byte, m *member) {
		if value == nil {
			value = []byte{} // nil would be null
		}
		keys, values, puts = append(keys, key), append(values, value), append(puts, int64(m.version))
		if derive != nil {
			docs.add(derive, key, value)
		}
	}
	condition := func(c store.Check, shared bool, m *member) {
		if c.Version == store.Absent {
			put(c.Key, nil, m)
			both = true
			absent, gone = append(absent, c.Key), append(gone, c.Key)
			return
		}
		locks = append(locks, lock{c.Key, shared})
		present, versions = append(present, c.Key), append(versions, int64(c.Version))
	}
	for _, m := range members {
		hasGuard := isGuarded(m.batch)
		for i := range m.batch.Ops {
			op := &m.batch.Ops[i]
			at, guarded := op.Guard.Version()
			switch {
			case guarded && at == store.Absent && op.Delete:
				condition(store.Check{Key: op.Key}, false, m)
				continue
			case guarded && at == store.Absent:
				absent = append(absent, op.Key)
			case guarded:
				condition(store.Check{Key: op.Key, Version: at}, false, m)
			case !hasGuard:
				locks = append(locks, lock{op.Key, false})
			}
			if op.Delete {
				gone = append(gone, op.Key)
			} else {
				put(op.Key, op.Value, m)
			}
		}
		for _, c := range m.batch.Checks {
			condition(c, false, m)
		}
		for _, c := range m.batch.Fences {
			condition(c, true, m)
		}
	}

	runs := runsOf(locks)
	if len(present) > 0 && len(runs) <= 2 && (len(runs) < 2 || runs[0].shared) {
		shared, held := [][]byte{}, [][]byte{}
		for _, run := range runs {
			if run.shared {
				shared = run.keys
			} else {
				held = run.keys
			}
		}
		if len(shared) == 1 && len(held) == 1 && len(present) == 2 {
			at := slices.IndexFunc(present, func(key []byte) bool { return bytes.Equal(key, shared[0]) })
			batch.Queue(lockOneSQL, shared[0], held[0], versions[at], versions[1-at])
		} else {
			batch.Queue(lockAndCompareSQL, shared, held, present, versions)
		}
	} else {
		for _, run := range runs {
			batch.Queue(pick(run.shared, lockSQL, shareSQL), run.keys)
		}
		if len(present) > 0 {
			batch.Queue(compareSQL, present, versions)
		}
	}
	for _, m := range members {
		for _, r := range m.batch.Ranges {
			seen, at := make([][]byte, len(r.Seen)), make([]int64, len(r.Seen))
			for i, c := range r.Seen {
				seen[i], at[i] = c.Key, int64(c.Version)
			}
			lo, hi := bounds(r.Lo, r.Hi)
			batch.Queue(rangeSQL, lo, hi, seen, at)
		}
	}
	switch {
	case docs.some && len(gone) > 0 && !both:
		batch.Queue(putJSONAndDeleteSQL, keys, values, puts, notNil(absent), len(keys), docs.namespaces, docs.entities, docs.docs, gone)
		return
	case docs.some:
		batch.Queue(putJSONSQL, keys, values, puts, notNil(absent), len(keys), docs.namespaces, docs.entities, docs.docs)
	case len(keys)+len(gone) > 0 && !both && s.dialect.together():
		whatever, none := split(keys, values, puts, absent)
		batch.Queue(changeSQL, whatever.keys, whatever.values, whatever.versions, none.keys, none.values, none.versions, notNil(gone))
		return
	case len(keys) > 0:
		batch.Queue(putSQL, keys, values, puts, notNil(absent), len(keys))
	}
	if len(gone) > 0 {
		batch.Queue(deleteSQL, gone)
	}
}

// isGuarded reports whether a batch has a guard of a key that must be there. Its other keys are changed by whoever has
// that one locked, nearly always: entries of indexes, by the writer of their document. To lock them first as well costs a
// fifth of a commit. If others change them after all, the server may have to decide between two commits.
func isGuarded(b *store.Batch) bool {
	return slices.ContainsFunc(b.Ops, func(op store.Op) bool {
		at, guarded := op.Guard.Version()
		return guarded && at != store.Absent
	})
}

// A lock is a row to be locked.
type lock struct {
	key    []byte
	shared bool
}

// A run are rows that one statement locks.
type run struct {
	keys   [][]byte
	shared bool
}

// runsOf returns the statements that lock each of locks once, in the order of their keys.
func runsOf(locks []lock) (runs []run) {
	slices.SortFunc(locks, func(a, b lock) int {
		if c := bytes.Compare(a.key, b.key); c != 0 || a.shared == b.shared {
			return c
		}
		if b.shared {
			return -1 // of a key that is wanted in both ways, the stronger
		}
		return 1
	})
	for i, l := range locks {
		if i > 0 && bytes.Equal(l.key, locks[i-1].key) {
			continue
		}
		if len(runs) == 0 || runs[len(runs)-1].shared != l.shared {
			runs = append(runs, run{shared: l.shared})
		}
		last := &runs[len(runs)-1]
		last.keys = append(last.keys, l.key)
	}
	return runs
}

// rows are what is put.
type rows struct {
	keys, values [][]byte
	versions     []int64
}

// split returns what is put whatever is there, and what is put where nothing is, both in the order of their keys.
func split(keys, values [][]byte, versions []int64, absent [][]byte) (whatever, none rows) {
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return bytes.Compare(keys[i], keys[j]) })
	slices.SortFunc(absent, bytes.Compare)
	whatever, none = rows{[][]byte{}, [][]byte{}, []int64{}}, rows{[][]byte{}, [][]byte{}, []int64{}}
	for _, i := range order {
		to := &whatever
		if _, found := slices.BinarySearchFunc(absent, keys[i], bytes.Compare); found {
			to = &none
		}
		to.keys, to.values, to.versions = append(to.keys, keys[i]), append(to.values, values[i]), append(to.versions, versions[i])
	}
	return whatever, none
}
