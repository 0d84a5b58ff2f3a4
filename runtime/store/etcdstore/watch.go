package etcdstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// token returns the token of a revision. It names the cluster, and the store in it.
func (s *Store) token(revision int64) store.Token {
	return store.Token(fmt.Sprintf("etcd/%016x/%s/%d", s.cluster, s.id, revision))
}

// position returns the revision of a token, and false if it is not of this store.
func (s *Store) position(t store.Token) (revision int64, ok bool) {
	digits, ok := strings.CutPrefix(string(t), fmt.Sprintf("etcd/%016x/%s/", s.cluster, s.id))
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 62)
	return int64(n), err == nil
}

// Watch implements [store.Store]. It is a watch of etcd on a stream of its own, which the caller's goroutine reads: if that
// is slow, the server waits for it and reads its history later. What was compacted until then yields a resync. While
// servers fail, the watch looks for another one for as long as ctx lets it.
func (s *Store) Watch(ctx context.Context, from store.Token, prefix []byte) iter.Seq2[store.Event, error] {
	w := watcher{s: s}
	w.from, w.to = s.layout.within(prefix)
	var err error
	if from == "" {
		w.revision, err = s.revision(ctx)
		w.valid = true
	} else {
		w.revision, w.valid = s.position(from)
	}
	return func(yield func(store.Event, error) bool) {
		w := w // each use of the iterator begins at from
		w.yield = yield
		if err != nil {
			yield(store.Event{}, err)
			return
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(s.life, func() { cancel(store.ErrClosed) })()
		err := w.run(ctx)
		switch {
		case errors.Is(err, errEnough):
			return
		case s.calls.isClosed():
			err = fmt.Errorf("etcdstore: watch: %w", store.ErrClosed)
		case ctx.Err() != nil:
			err = fmt.Errorf("etcdstore: watch: %w", ctx.Err())
		}
		yield(store.Event{}, err)
	}
}

// errEnough says that the watcher wants no more.
var errEnough = errors.New("enough")

// A watcher is how far one use of a watch has come.
type watcher struct {
	s        *Store
	from, to []byte
	yield    func(store.Event, error) bool
	revision int64 // all up to here was told
	valid    bool  // revision is one of this history
}

// tell tells an event.
func (w *watcher) tell(e store.Event) error {
	if !w.yield(e, nil) {
		return errEnough
	}
	return nil
}

// run tells events until there is an error that does not pass.
func (w *watcher) run(ctx context.Context) error {
	for try := 1; ; try++ {
		// A cluster whose newest revision is less than what was told is not the one that told it.
		now, err := w.s.revision(ctx)
		if err == nil && (!w.valid || w.revision > now) {
			w.revision, w.valid = now, true
			if err := w.tell(store.Event{Kind: store.EventResync, Token: w.s.token(now)}); err != nil {
				return err
			}
		}
		if err == nil {
			before := w.revision
			if err = w.follow(ctx); w.revision > before {
				try = 1
			}
		}
		switch {
		case errors.Is(err, errEnough), ctx.Err() != nil:
			return err
		case errors.Is(err, rpctypes.ErrCompacted):
			w.valid = false
		case !errors.Is(err, store.ErrUnavailable) && !canPass(err):
			return fmt.Errorf("etcdstore: watch: %w", err)
		default:
			w.s.log.Debug("etcdstore: a watch goes on with another server", "event", "watch.moved", "err", err)
			pause(ctx, try) // the end of ctx is met by what comes next
		}
	}
}

// follow tells what one stream has to tell, up to its end.
func (w *watcher) follow(ctx context.Context) error {
	// A server that has lost the others must say so, instead of nothing.
	ctx, cancel := context.WithCancelCause(clientv3.WithRequireLeader(ctx))
	defer cancel(nil)
	slow := time.AfterFunc(w.s.timeout, func() { cancel(errSilent) })
	defer slow.Stop()
	stream, err := w.s.watches.Watch(ctx, anyLength)
	if err == nil {
		err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
			Key: w.from, RangeEnd: w.to, StartRevision: w.revision + 1, ProgressNotify: true, Fragment: true,
		}}})
	}
	for err == nil {
		var resp *pb.WatchResponse
		if resp, err = stream.Recv(); err != nil {
			break
		}
		slow.Stop()
		switch {
		case resp.CompactRevision != 0:
			return rpctypes.ErrCompacted
		case resp.Canceled:
			_, reason, _ := strings.Cut(resp.CancelReason, " desc = ")
			return rpctypes.Error(errors.New(cmp.Or(reason, resp.CancelReason)))
		case len(resp.Events) == 0 && !resp.Created && !resp.Fragment:
			w.revision = max(w.revision, resp.Header.Revision) // there was nothing to be told up to here
		}
		if err := w.events(ctx, resp); err != nil {
			return err
		}
	}
	if context.Cause(ctx) == errSilent {
		return rpctypes.ErrTimeout
	}
	return rpctypes.Error(err)
}

// errSilent says that a server has not begun a watch in time.
var errSilent = errors.New("the server is silent")

// events tells the events of one message. Those of one revision may be in several messages.
func (w *watcher) events(ctx context.Context, resp *pb.WatchResponse) error {
	for i, e := range resp.Events {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		out := store.Event{Kind: store.EventDelete, Key: w.s.layout.name(e.Kv.Key), Version: store.Version(e.Kv.ModRevision)}
		if e.Type == mvccpb.Event_PUT {
			it := w.s.item(e.Kv, false)
			out.Kind, out.Value = store.EventPut, it.Value
		}
		// A token is a revision, so it leads to what comes after this event only if the event is the last one of its
		// revision. Else it leads to the first one, and some are told again.
		told := e.Kv.ModRevision - 1
		if i+1 < len(resp.Events) && resp.Events[i+1].Kv.ModRevision > e.Kv.ModRevision || i+1 == len(resp.Events) && !resp.Fragment {
			told = e.Kv.ModRevision
		}
		out.Token = w.s.token(told)
		if err := w.tell(out); err != nil {
			return err
		}
		w.revision = told
	}
	return nil
}
