package tikvstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/kv"
	"github.com/tikv/client-go/v2/tikv"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A commit is beaten when another transaction has written or locked something of it first. Nothing was applied, and its
// conditions may hold all the same: it is tried again at a new timestamp, at which they are compared again.
const (
	beatenTries = 500
	sharedTries = 3 // so often with shared fences; after that they are locked, see fence.go
)

// A beatenError says that another commit was first. Key is nil if it is not known where.
type beatenError struct{ Key []byte }

func (e *beatenError) Error() string { return "another commit was first" }

// Commit implements [store.Store]. When ctx ends, the commit goes on.
func (s *Store) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	if err := b.Check(limits); err != nil {
		return 0, err
	}
	end, err := s.begin()
	if err != nil {
		return 0, err
	}
	if err := s.attempts.wait(ctx, b.ID); err != nil {
		end()
		return 0, unknown(ctx, err)
	}
	if err := ctx.Err(); err != nil {
		end()
		return 0, fmt.Errorf("tikvstore: commit: %w", err)
	}
	if ctx.Done() == nil {
		defer end()
		return s.commit(ctx, b)
	}
	type result struct {
		version store.Version
		err     error
	}
	answer := make(chan result, 1)
	over := s.attempts.begin(b.ID)
	go func() {
		defer end()
		defer over()
		version, err := s.commit(context.WithoutCancel(ctx), b)
		answer <- result{version, err}
	}()
	select {
	case r := <-answer:
		return r.version, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-answer: // both have come; the answer says more
		return r.version, r.err
	default:
		return 0, unknown(ctx, ctx.Err())
	}
}

// commit decides about earlier attempts of the batch, and commits it.
func (s *Store) commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	if err := s.settle(ctx, b.ID); err != nil {
		return 0, unknown(ctx, err)
	}
	for try := 1; ; try++ {
		version, err := s.attempt(ctx, b.ID, s.plan(b, try > sharedTries), try > 1)
		var beaten *beatenError
		if !errors.As(err, &beaten) {
			return version, err
		}
		if try == beatenTries {
			return 0, &store.ConflictError{Key: beaten.Key}
		}
		if err := pause(ctx, try); err != nil {
			return 0, explain(ctx, "commit", err)
		}
	}
}

// unknown is the error of a batch that may have been applied.
func unknown(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return &store.UnknownError{Err: fmt.Errorf("tikvstore: commit: %w", err)}
}

// A plan is a batch in the words of the cluster.
type plan struct {
	ops        []store.Op
	conditions []store.Check // to compare before anything is locked; keys of the store
	fences     []store.Check // to compare at the timestamp of the commit
	locks      [][]byte      // keys of the cluster that are locked and not changed
	primary    []byte        // the key of the cluster that decides; nil if nothing is locked
}

// plan translates a batch. With exclusive its fences are locked as checks are.
func (s *Store) plan(b *store.Batch, exclusive bool) *plan {
	p := &plan{ops: b.Ops, conditions: slices.Clone(b.Checks)}
	for i := range b.Ops {
		if at, guarded := b.Ops[i].Guard.Version(); guarded {
			p.conditions = append(p.conditions, store.Check{Key: b.Ops[i].Key, Version: at})
		}
	}
	for _, c := range b.Checks {
		p.locks = append(p.locks, s.key(c.Key))
	}
	if exclusive {
		for _, c := range b.Fences {
			p.locks = append(p.locks, s.key(c.Key))
		}
	} else {
		p.fences = b.Fences
	}
	// A fence that does not hold is met before anything is locked, where that costs no round trip of its own.
	if exclusive || len(p.conditions) > 0 || len(p.ops)+len(p.locks) == 0 {
		p.conditions = append(p.conditions, b.Fences...)
	}
	// The client takes the first of all.
	if len(p.ops) > 0 {
		p.primary = s.key(p.ops[0].Key)
	}
	for _, key := range p.locks {
		if p.primary == nil || bytes.Compare(key, p.primary) < 0 {
			p.primary = key
		}
	}
	return p
}

// attempt runs one transaction. With still, readers that meet it wait for it.
func (s *Store) attempt(ctx context.Context, id [8]byte, p *plan, still bool) (store.Version, error) {
	start, err := s.timestamp(ctx)
	if err != nil {
		return 0, explain(ctx, "commit", err)
	}
	version := store.Version(start)
	if err := s.compare(ctx, start, p.conditions); err != nil {
		return 0, explain(ctx, "commit", err)
	}
	if p.primary == nil {
		return version, nil // nothing but fences, which hold at one moment
	}
	txn, err := s.kv.Begin(tikv.WithStartTS(start))
	if err != nil {
		return 0, explain(ctx, "commit", err)
	}
	for i := range p.ops {
		op := &p.ops[i]
		if op.Delete {
			err = txn.Delete(s.key(op.Key))
		} else {
			err = txn.Set(s.key(op.Key), encodeValue(version, op.Value))
		}
		if err != nil {
			return 0, explain(ctx, "commit", err)
		}
	}
	if len(p.locks) > 0 {
		if err := txn.LockKeysWithWaitTime(ctx, kv.LockNoWait, p.locks...); err != nil {
			return 0, explain(ctx, "commit", err)
		}
	}
	// In both of these the servers choose the timestamp of the commit, and fences could not be read at it.
	txn.SetEnableAsyncCommit(false)
	txn.SetEnable1PC(false)
	g := &gate{s: s, ctx: ctx, fences: p.fences, still: still}
	txn.SetRPCInterceptor(g.intercept)
	err = txn.Commit(ctx)
	if err == nil {
		return version, nil
	}
	if g.sent() {
		// The client knows of some outcomes that they are unknown, and of others it is only likely. All are looked up.
		t := transaction{id: id, start: start, primary: p.primary}
		committed, cause := s.decide(ctx, t)
		if cause != nil {
			s.lost.add(t)
			return 0, unknown(ctx, errors.Join(err, cause))
		}
		if committed {
			return version, nil
		}
	}
	if refused := g.refused(); refused != nil {
		err = refused
	}
	return 0, s.notApplied(ctx, err)
}

// compare returns a conflict if a condition does not hold at a timestamp.
func (s *Store) compare(ctx context.Context, ts uint64, conditions []store.Check) error {
	if len(conditions) == 0 {
		return nil
	}
	keys := make([][]byte, len(conditions))
	for i, c := range conditions {
		keys[i] = c.Key
	}
	items, err := s.get(ctx, ts, keys)
	if err != nil {
		return err
	}
	for i, it := range items {
		if it.Version != conditions[i].Version {
			return &store.ConflictError{Key: it.Key}
		}
	}
	return nil
}

// notApplied says what the error of a transaction means that was not committed.
func (s *Store) notApplied(ctx context.Context, err error) error {
	var (
		conflict *tikverr.ErrWriteConflict
		again    *tikverr.ErrRetryable
		beaten   *beatenError
	)
	switch {
	case errors.As(err, &beaten):
		return beaten
	case errors.As(err, &conflict):
		if key, ok := bytes.CutPrefix(conflict.GetKey(), s.prefix); ok {
			return &beatenError{Key: bytes.Clone(key)}
		}
		return &beatenError{}
	case errors.As(err, &again): // its locks have expired, and others have removed them
		return &beatenError{}
	}
	return explain(ctx, "commit", err)
}
