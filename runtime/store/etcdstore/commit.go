package etcdstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A transaction is a batch in the words of etcd.
//
// It compares the epoch, and for each condition the revision of a key, which is 0 for one that is not there. If all of them
// hold it puts and deletes. Else it reads what it has compared, without values, in the same order, and that says which
// condition does not hold.
//
// A range [Lo, Hi) that was read at revision R, and had the keys K, is as it was if
//
//  1. no key that is in it now was put after R: one compare, mod < R+1, that all keys of the range must pass; and
//  2. each of K is there: a compare mod > 0 each. With 1 it has not been put since, so it was not deleted either.
//
// A key that was put after R and deleted again is not noticed: the range is as it was.
type transaction struct {
	pb.TxnRequest
	keys [][]byte // of the store, for each compare; nil: a range
	puts bool
	size int // in bytes, or a little less
}

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	if err := b.Check(limits); err != nil {
		return 0, err
	}
	t, err := s.translate(b)
	if err != nil {
		return 0, err
	}
	if !s.calls.begin() {
		return 0, fmt.Errorf("etcdstore: commit: %w", store.ErrClosed)
	}
	defer s.calls.work.Done()
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("etcdstore: commit: %w", err)
	}
	v, err := s.commit(ctx, b.ID, t)
	if err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrConflict) {
		s.mu.Lock()
		s.failed = err
		s.mu.Unlock()
	}
	return v, err
}

// commit sends a transaction, and sends it again for as long as it is known not to have been applied.
func (s *Store) commit(ctx context.Context, id [8]byte, t *transaction) (store.Version, error) {
	if err := s.settle(ctx, id); err != nil {
		return 0, unknown(ctx, err)
	}
	until := s.patience()
	for try := 1; ; try++ {
		epoch, full := s.state()
		t.Compare[0] = at(s.layout.info, store.Version(epoch))
		attempt, cancel := context.WithTimeout(ctx, s.timeout)
		attempt, sent := withSent(attempt)
		resp, err := s.txn(attempt, &t.TxnRequest)
		cancel()
		switch {
		case err == nil && resp.Succeeded:
			if !t.puts {
				return store.Absent, nil // nothing has this version, and etcd gives none to what changes nothing
			}
			s.setFull(false)
			return store.Version(resp.Header.Revision), nil
		case err == nil:
			now, err := s.epochOf(resp.Responses[0], epoch)
			if err != nil {
				return 0, s.explain(ctx, "commit", err)
			}
			if now == epoch {
				return 0, &store.ConflictError{Key: s.beaten(t, resp)}
			}
			s.setEpoch(now)
			continue
		case errors.Is(err, rpctypes.ErrNoSpace):
			return 0, s.isFull(ctx, full, err)
		}
		verdict, _ := judge(err, sent.Load())
		if verdict == maybe {
			s.lose(id, epoch)
			return 0, unknown(ctx, err)
		}
		if verdict == refused || ctx.Err() != nil || time.Now().After(until) || pause(ctx, try) != nil {
			return 0, s.explain(ctx, "commit", err)
		}
	}
}

// isFull says what it means that the servers take no more. A server that has not known so before may say it of a
// transaction that it has applied, the last one, and raises the alarm; after that it is said of what was not applied.
func (s *Store) isFull(ctx context.Context, known bool, err error) error {
	if known {
		return s.explain(ctx, "commit", err)
	}
	attempt, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if alarms, err := s.client.AlarmList(attempt); err == nil {
		for _, a := range alarms.Alarms {
			if a.Alarm == pb.AlarmType_NOSPACE {
				s.setFull(true)
			}
		}
	}
	return unknown(ctx, s.explain(ctx, "commit", err))
}

func (s *Store) setFull(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
}

// translate translates a batch. The first compare is for the epoch.
func (s *Store) translate(b *store.Batch) (*transaction, error) {
	t := &transaction{keys: [][]byte{nil}}
	t.Compare, t.Failure = []*pb.Compare{nil}, []*pb.RequestOp{get(&pb.RangeRequest{Key: s.layout.info})}
	for i := range b.Ops {
		op := &b.Ops[i]
		key := s.layout.key(op.Key)
		if v, guarded := op.Guard.Version(); guarded {
			t.condition(at(key, v), op.Key)
		}
		t.size += len(key) + len(op.Value)
		if op.Delete {
			t.Success = append(t.Success, remove(key))
		} else {
			t.Success, t.puts = append(t.Success, put(key, op.Value)), true
		}
	}
	for _, list := range [][]store.Check{b.Checks, b.Fences} {
		for _, c := range list {
			t.condition(at(s.layout.key(c.Key), c.Version), c.Key)
		}
	}
	for i := range b.Ranges {
		r := &b.Ranges[i]
		revision, ok := s.position(r.Token)
		if !ok {
			return nil, &store.ConflictError{}
		}
		if from, to := s.layout.bounds(r.Lo, r.Hi); bytes.Compare(from, to) < 0 {
			c := compare(from, pb.Compare_LESS, revision+1)
			c.RangeEnd = to
			t.condition(c, nil)
		}
		for _, seen := range r.Seen {
			t.condition(compare(s.layout.key(seen.Key), pb.Compare_GREATER, 0), seen.Key)
		}
	}
	// What a range was read to have is not among what the batch was held against the limits for.
	if n := len(t.Compare) - 1; n > limits.Ops {
		return nil, &store.LimitError{What: "operations", Have: n, Max: limits.Ops}
	}
	if t.size > maxRequest {
		return nil, &store.LimitError{What: "bytes in one commit", Have: t.size, Max: maxRequest}
	}
	return t, nil
}

// condition adds a condition on a key of the store, or on something else.
func (t *transaction) condition(c *pb.Compare, key []byte) {
	r := &pb.RangeRequest{Key: c.Key, RangeEnd: c.RangeEnd, KeysOnly: true}
	if len(c.RangeEnd) > 0 {
		r.MinModRevision, r.Limit = c.GetModRevision(), 1 // the first that does not pass
	}
	t.Compare, t.keys, t.Failure = append(t.Compare, c), append(t.keys, key), append(t.Failure, get(r))
	t.size += 2 * (len(c.Key) + len(c.RangeEnd) + 32)
}

// beaten returns the key of the first condition that does not hold, as the answer to the transaction says.
func (s *Store) beaten(t *transaction, resp *pb.TxnResponse) []byte {
	for i, c := range t.Compare[1:] {
		revision := int64(0)
		kvs := resp.Responses[i+1].GetResponseRange().Kvs
		if len(kvs) > 0 {
			revision = kvs[0].ModRevision
		}
		switch {
		case c.Result == pb.Compare_EQUAL && revision != c.GetModRevision(), c.Result == pb.Compare_GREATER && revision == 0:
			return append([]byte{}, t.keys[i+1]...)
		case c.Result == pb.Compare_LESS && len(kvs) > 0:
			return s.layout.name(kvs[0].Key)
		}
	}
	return nil
}

// at is the condition that a key is at a version.
func at(key []byte, v store.Version) *pb.Compare {
	return compare(key, pb.Compare_EQUAL, int64(v))
}

func compare(key []byte, result pb.Compare_CompareResult, revision int64) *pb.Compare {
	return &pb.Compare{Key: key, Target: pb.Compare_MOD, Result: result, TargetUnion: &pb.Compare_ModRevision{ModRevision: revision}}
}
