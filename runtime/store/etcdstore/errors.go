package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// What an error says about the request that it answers.
type verdict uint8

const (
	maybe   verdict = iota // it may have been applied, or may yet be
	again                  // it was not applied, and the next attempt may be more lucky
	refused                // it was not applied, and an attempt makes no difference
)

// answers are the errors that say that a request was not applied: servers give them before they propose it to the others,
// or instead of applying it. ErrNoSpace is not among them, see [Store.isFull].
var answers = []struct {
	err     error
	verdict verdict
	kind    error // what it is in the words of the contract; nil: it is told as it is
}{
	{rpctypes.ErrTooManyRequests, again, nil},
	{rpctypes.ErrNoLeader, again, nil},
	// The client has a new token of its user when it returns these.
	{rpctypes.ErrInvalidAuthToken, again, nil},
	{rpctypes.ErrAuthOldRevision, again, nil},

	{rpctypes.ErrTooManyOps, refused, store.ErrTooLarge},
	{rpctypes.ErrRequestTooLarge, refused, store.ErrTooLarge},
	{rpctypes.ErrCorrupt, refused, store.ErrCorrupt},
	{rpctypes.ErrCompacted, refused, store.ErrSnapshotTooOld},
	{errGone, refused, nil},
	{errOther, refused, nil},
}

// Texts of errors that have no better mark.
const (
	dropped = "raft proposal dropped"   // by a server that knows of no leader
	tooLong = "message larger than max" // by gRPC, which has not handed the request to the server
)

// judge says what err means for a request, of which sent says whether it left this process, and in the words of the
// contract.
func judge(err error, sent bool) (verdict, error) {
	for _, a := range answers {
		if errors.Is(err, a.err) {
			return a.verdict, a.kind
		}
	}
	switch text := err.Error(); {
	case strings.Contains(text, tooLong):
		return refused, store.ErrTooLarge
	case !sent, strings.Contains(text, dropped):
		return again, nil
	}
	switch codeOf(err) {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return refused, nil // these are about the request, and it is looked at before it is proposed
	}
	return maybe, nil
}

func codeOf(err error) codes.Code {
	var e rpctypes.EtcdError
	if errors.As(err, &e) {
		return e.Code()
	}
	return status.Code(err)
}

// canPass reports whether an error of a read may be over when it is tried again: a server was not there, or had no leader,
// or took too long.
func canPass(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, rpctypes.ErrFutureRev) {
		return true
	}
	if v, _ := judge(err, true); v != maybe {
		return v == again
	}
	switch codeOf(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return true
	}
	return false
}

// explain says in the words of the contract what an error means, of a call in which nothing was applied.
func (s *Store) explain(ctx context.Context, what string, err error) error {
	_, kind := judge(err, true)
	switch {
	case kind != nil:
		return fmt.Errorf("etcdstore: %s: %w: %w", what, kind, err)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("etcdstore: %s: %w: %w", what, store.ErrFull, err)
	case s.calls.isClosed():
		return fmt.Errorf("etcdstore: %s: %w", what, store.ErrClosed)
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		return fmt.Errorf("etcdstore: %s: %w: %w", what, ctx.Err(), err)
	case ctx.Err() != nil, !canPass(err):
		return fmt.Errorf("etcdstore: %s: %w", what, err)
	}
	return fmt.Errorf("etcdstore: %s: %w: %w", what, store.ErrUnavailable, plain{err})
}

// plain hides that an error is about a deadline: that of one attempt, of which the caller does not know.
type plain struct{ error }

// unknown is the error of a batch that may have been applied.
func unknown(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	} else if ctx.Err() == nil {
		err = plain{err}
	}
	return &store.UnknownError{Err: fmt.Errorf("etcdstore: commit: %w", err)}
}

// patience returns until when something is tried again that can pass: long enough for another leader to be elected.
func (s *Store) patience() time.Time { return time.Now().Add(3 * s.timeout) }

// request makes a request that does not change anything if it is made twice, and makes it again while servers fail.
func (s *Store) request(ctx context.Context, what string, f func(ctx context.Context) error) error {
	if !s.calls.begin() {
		return fmt.Errorf("etcdstore: %s: %w", what, store.ErrClosed)
	}
	defer s.calls.work.Done()
	until := s.patience()
	for try := 1; ; try++ {
		attempt, cancel := context.WithTimeout(ctx, s.timeout)
		err := f(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || !canPass(err) || time.Now().After(until) || pause(ctx, try) != nil {
			return s.explain(ctx, what, err)
		}
	}
}

// pause waits a little, longer with every try, or until ctx ends.
func pause(ctx context.Context, try int) error {
	t := time.NewTimer(time.Millisecond << min(try, 7))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// withSent returns a context for one request, and what says afterwards whether the request left this process. gRPC tells
// that to its handlers of statistics alone.
func withSent(ctx context.Context) (context.Context, *atomic.Bool) {
	sent := new(atomic.Bool)
	return context.WithValue(ctx, sentKey{}, sent), sent
}

type sentKey struct{}

type sentHandler struct{}

func (sentHandler) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (sentHandler) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if _, ok := event.(*stats.OutHeader); !ok {
		return
	}
	if sent, ok := ctx.Value(sentKey{}).(*atomic.Bool); ok {
		sent.Store(true)
	}
}

func (sentHandler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (sentHandler) HandleConn(context.Context, stats.ConnStats) {}
