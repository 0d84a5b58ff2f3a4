package etcdstore_test

import (
	"context"
	"errors"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/etcdstore"
)

// What is known not to have been applied is told apart from what may have been.
func TestErrorsAreJudged(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
		kind error
	}{
		// A server gives up waiting, and what it has proposed goes its way.
		{rpctypes.ErrTimeout, "maybe", nil},
		{rpctypes.ErrTimeoutDueToLeaderFail, "maybe", nil},
		{rpctypes.ErrTimeoutDueToConnectionLost, "maybe", nil},
		{rpctypes.ErrLeaderChanged, "maybe", nil},
		{rpctypes.ErrStopped, "maybe", nil},
		{status.Error(codes.Unavailable, "error reading from server: EOF"), "maybe", nil},
		{status.Error(codes.Unavailable, "transport is closing"), "maybe", nil},
		{status.Error(codes.DeadlineExceeded, "context deadline exceeded"), "maybe", nil},
		{status.Error(codes.Canceled, "context canceled"), "maybe", nil},
		{status.Error(codes.Internal, "stream terminated by RST_STREAM"), "maybe", nil},
		{status.Error(codes.Unknown, "something new"), "maybe", nil},
		{context.DeadlineExceeded, "maybe", nil},
		{rpctypes.ErrNoSpace, "maybe", nil},

		{rpctypes.ErrTooManyRequests, "again", nil},
		{rpctypes.ErrNoLeader, "again", nil},
		{rpctypes.ErrInvalidAuthToken, "again", nil},
		{status.Error(codes.Unknown, "raft proposal dropped"), "again", nil},

		{rpctypes.ErrTooManyOps, "refused", store.ErrTooLarge},
		{rpctypes.ErrRequestTooLarge, "refused", store.ErrTooLarge},
		{status.Error(codes.ResourceExhausted, "grpc: received message larger than max (3 vs. 2)"), "refused", store.ErrTooLarge},
		{rpctypes.ErrCompacted, "refused", store.ErrSnapshotTooOld},
		{rpctypes.ErrPermissionDenied, "refused", nil},
		{rpctypes.ErrUserEmpty, "refused", nil},
		{rpctypes.ErrDuplicateKey, "refused", nil},
		{status.Error(codes.Unimplemented, "unknown method"), "refused", nil},
	} {
		if got, kind := etcdstore.Judge(c.err); got != c.want || !errors.Is(kind, c.kind) {
			t.Errorf("%v: %s, %v, want %s, %v", c.err, got, kind, c.want, c.kind)
		}
	}
}
