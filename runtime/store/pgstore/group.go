package pgstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Commits that come while others are under way go together: what has waited is sent as one transaction, which the server
// writes and syncs once. A commit that comes alone is sent at once, alone. So the time of one commit is what it would be
// anyway, and of many it is shared.
//
// If the transaction fails because a condition of one of its members does not hold, that member alone has failed, and
// the others are sent again. If it fails for another reason, each is sent alone and has its own answer.

const (
	// lanes is how many transactions of commits are under way at once. With one, the server's processors are idle while
	// the client reads answers; with more than two, fewer commits go together.
	lanes = 2

	// commitTimeout is how long a transaction may take until its outcome is said to be unknown.
	commitTimeout = 30 * time.Second

	groupMembers = 64
	groupOps     = 4096
	groupBytes   = 4 << 20
)

// A member is a commit that waits or is under way.
type member struct {
	batch *store.Batch
	stage stage // guarded by queue.mu

	// What Commit returns. Set before done is closed.
	version store.Version
	err     error
	done    chan struct{}
}

type stage int

const (
	waiting   stage = iota
	sent            // the server may have it
	withdrawn       // nobody waits for it any more, and it was not sent
)

// A queue has the commits of a store that are not done.
type queue struct {
	mu      sync.Mutex
	list    []*member           // waiting, in the order in which they came
	members map[[8]byte]*member // those that wait or are under way, by the ID of their batch
	lanes   int                 // under way
	closed  bool
	work    sync.WaitGroup // of the lanes
}

// enqueue has m sent.
func (s *Store) enqueue(m *member) error {
	q := &s.commits
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return store.ErrClosed
	}
	if q.members == nil {
		q.members = make(map[[8]byte]*member)
	}
	q.members[m.batch.ID] = m
	q.list = append(q.list, m)
	if q.lanes < lanes {
		q.lanes++
		q.work.Go(s.lane)
	}
	return nil
}

// wait returns when no commit of the batch is under way.
func (q *queue) wait(ctx context.Context, id [8]byte) error {
	q.mu.Lock()
	m := q.members[id]
	q.mu.Unlock()
	if m == nil {
		return nil
	}
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// withdraw takes back a commit that was not sent, and reports whether that was so.
func (q *queue) withdraw(m *member) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m.stage != waiting {
		return false
	}
	m.stage = withdrawn
	q.end(m)
	return true
}

// end takes m out. q.mu is held.
func (q *queue) end(m *member) {
	if q.members[m.batch.ID] == m {
		delete(q.members, m.batch.ID)
	}
	close(m.done)
}

// settle ends members with what their Commits return; their versions are set.
func (q *queue) settle(err error, members ...*member) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range members {
		if m.err = err; err != nil {
			m.version = 0
		}
		q.end(m)
	}
}

// close refuses new commits and returns when those that wait have been sent and answered.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.work.Wait()
}

// lane sends what waits until nothing does.
func (s *Store) lane() {
	for {
		group := s.commits.take()
		if group == nil {
			return
		}
		s.commitGroup(context.Background(), group)
	}
}

// take takes the members of the next transaction out of the list, or ends the lane.
func (q *queue) take() []*member {
	q.mu.Lock()
	defer q.mu.Unlock()
	var (
		group []*member
		rest  = q.list[:0]
		in    footprint
	)
	for i, m := range q.list {
		if m.stage == withdrawn {
			continue
		}
		if len(group) > 0 && !in.takes(m.batch) {
			rest = append(rest, m)
			continue
		}
		group = append(group, m)
		if i+1 < len(q.list) {
			in.add(m.batch)
		}
	}
	clear(q.list[len(rest):])
	q.list = rest
	if len(group) == 0 {
		q.lanes--
	}
	return group
}

// send marks the members of a group as sent, and returns those that still are members.
func (q *queue) send(group []*member) []*member {
	q.mu.Lock()
	defer q.mu.Unlock()
	group = slices.DeleteFunc(group, func(m *member) bool { return m.stage == withdrawn })
	for _, m := range group {
		m.stage = sent
	}
	return group
}

// A footprint is what the members of a group have to do with keys. A key that one of them changes, or checks to be
// absent, has nothing to do with any other.
type footprint struct {
	members, ops, bytes int
	ranges              bool            // a member checks ranges, in which others may change keys
	keys                map[string]bool // by key, whether it is for one member alone
}

// each calls f with the keys of a batch.
func each(b *store.Batch, f func(key []byte, alone bool) bool) bool {
	for i := range b.Ops {
		if !f(b.Ops[i].Key, true) {
			return false
		}
	}
	for _, list := range [...][]store.Check{b.Checks, b.Fences} {
		for _, c := range list {
			if !f(c.Key, c.Version == store.Absent) {
				return false
			}
		}
	}
	return true
}

func (fp *footprint) add(b *store.Batch) {
	if fp.keys == nil {
		fp.keys = make(map[string]bool)
	}
	fp.members++
	fp.ops += len(b.Ops)
	fp.bytes += size(b)
	fp.ranges = fp.ranges || len(b.Ranges) > 0
	each(b, func(key []byte, alone bool) bool { fp.keys[string(key)] = alone; return true })
}

func (fp *footprint) takes(b *store.Batch) bool {
	if fp.members == groupMembers || fp.ops+len(b.Ops) > groupOps || fp.bytes+size(b) > groupBytes || fp.ranges || len(b.Ranges) > 0 {
		return false
	}
	return each(b, func(key []byte, alone bool) bool {
		taken, ok := fp.keys[string(key)]
		return !ok || !taken && !alone
	})
}

func size(b *store.Batch) (n int) {
	for i := range b.Ops {
		n += len(b.Ops[i].Key) + len(b.Ops[i].Value)
	}
	return n
}

// commitGroup commits members in one transaction, and what is left of them in further ones until each is settled.
func (s *Store) commitGroup(ctx context.Context, group []*member) {
	for try := 1; ; try++ {
		conn, err := s.writes.Acquire(ctx)
		if err != nil && !pgconn.Timeout(err) && try < readTries && !s.closed.Load() {
			pause(ctx, try) // nothing was sent
			continue
		}
		if err != nil {
			s.commits.settle(s.explain(ctx, "commit", err), group...)
			return
		}
		if group = s.commits.send(group); len(group) == 0 {
			conn.Release()
			return
		}
		for _, m := range group {
			// Random, since a counter would be one row, or one sequence, that all commits of a distributed database want.
			m.version = store.Version(rand.Uint64() | 1)
		}
		err = s.send(ctx, conn, group)
		if err == nil {
			s.commits.settle(nil, group...)
			s.committed()
			return
		}
		var conflict *store.ConflictError
		switch {
		case errors.As(err, &conflict):
			guilty, others := depending(group, conflict.Key)
			if guilty == nil && len(group) > 1 {
				s.commitEach(ctx, group)
				return
			}
			if guilty == nil {
				guilty, others = group, nil
			}
			s.commits.settle(err, guilty...)
			group = others
		case errors.Is(err, errNotSent) && try < readTries:
		case errors.Is(err, store.ErrUnknown), errors.Is(err, errNotSent):
			s.commits.settle(err, group...)
			return
		case len(group) > 1:
			s.commitEach(ctx, group)
			return
		case !errors.Is(err, errBeaten):
			s.commits.settle(err, group...)
			return
		case try == beatenTries:
			s.commits.settle(&store.ConflictError{}, group...)
			return
		}
		if len(group) == 0 {
			return
		}
		if !errors.As(err, &conflict) {
			pause(ctx, try)
		}
	}
}

// commitEach commits members one by one.
func (s *Store) commitEach(ctx context.Context, group []*member) {
	for _, m := range group {
		s.commitGroup(ctx, []*member{m})
	}
}

// depending returns the members with the condition on key that does not hold, and the others. guilty is nil if that cannot
// be said.
func depending(group []*member, key []byte) (guilty, others []*member) {
	if key == nil {
		return nil, group
	}
	var at store.Version
	for _, m := range group {
		v, ok := condition(m.batch, key)
		if !ok {
			others = append(others, m)
			continue
		}
		if guilty != nil && v != at {
			return nil, group // one of them is right
		}
		guilty, at = append(guilty, m), v
	}
	return guilty, others
}

// condition returns the version that a batch wants key to be at, and whether there is one.
func condition(b *store.Batch, key []byte) (v store.Version, ok bool) {
	for i := range b.Ops {
		if string(b.Ops[i].Key) == string(key) {
			return b.Ops[i].Guard.Version()
		}
	}
	for _, list := range [...][]store.Check{b.Checks, b.Fences} {
		for _, c := range list {
			if string(c.Key) == string(key) {
				return c.Version, true
			}
		}
	}
	return 0, len(b.Ranges) > 0 // it is in one of the ranges
}

// errNotSent says that the connection had ended before anything was sent.
var errNotSent = errors.New("the connection had ended")

// send sends the transaction of a group on conn, which it gives back.
func (s *Store) send(ctx context.Context, conn *pgxpool.Conn, group []*member) error {
	server := backendOf(conn.Conn())
	batch := new(pgx.Batch)
	s.transaction(batch, group)
	sending, cancel := context.WithTimeout(ctx, commitTimeout)
	err := conn.Conn().SendBatch(sending, batch).Close()
	if err != nil && !conn.Conn().IsClosed() && conn.Conn().PgConn().TxStatus() != 'I' {
		// The pool would close a connection whose transaction has failed; so it does if this fails.
		conn.Conn().PgConn().Exec(sending, rollbackSQL).Close()
	}
	cancel()
	conn.Release()
	switch {
	case err == nil:
		return nil
	case pgconn.SafeToRetry(err):
		return errors.Join(errNotSent, s.explain(ctx, "commit", err))
	case answered(err):
		return s.explain(ctx, "commit", err)
	}
	for _, m := range group {
		s.lost.add(attempt{m.batch.ID, server})
	}
	// If the server cannot be reached now, the next Commit of the batches tries again.
	_ = s.endLost(ctx, group[0].batch.ID)
	return unknown(ctx, err)
}
