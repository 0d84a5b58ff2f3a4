package tikvstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/tikv/client-go/v2/tikv"
	"github.com/tikv/client-go/v2/tikvrpc"
)

// A transaction is committed at the moment at which its first key, the primary, is, and everything else follows from that.
// So when the answer to a request to commit does not come, the primary is asked: it was committed, or it is told that it
// never will be. A server that has lost the locks of a transaction, or never had them, keeps a note of the latter, and
// refuses what is still on its way. That is what everybody who meets the locks of a dead client does, only that nobody
// waits until they expire.
//
// This is done at once, so that few outcomes stay unknown: those of a moment in which the servers of the primary cannot be
// reached. The batch keeps them until it is committed again.

// A transaction is one that may have been committed.
type transaction struct {
	id      [8]byte // of the batch
	start   uint64
	primary []byte
}

// decideTimeout is how long a commit tries to find out about a transaction before it goes back to its caller.
const decideTimeout = 10 * time.Second

// decide reports whether a transaction was committed. If it was not, it never will be.
func (s *Store) decide(ctx context.Context, t transaction) (committed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, decideTimeout)
	defer cancel()
	bo := tikv.NewBackoffer(ctx, int(decideTimeout.Milliseconds()))
	req := tikvrpc.NewRequest(tikvrpc.CmdCheckTxnStatus, &kvrpcpb.CheckTxnStatusRequest{
		PrimaryKey:         t.primary,
		LockTs:             t.start,
		CallerStartTs:      t.start,
		CurrentTs:          math.MaxUint64, // all locks have expired
		RollbackIfNotExist: true,
	})
	for {
		place, err := s.kv.GetRegionCache().LocateKey(bo, t.primary)
		if err != nil {
			return false, err
		}
		resp, err := s.kv.SendReq(bo, req, place.Region, tikv.ReadTimeoutShort)
		if err != nil {
			return false, err
		}
		moved, err := resp.GetRegionError()
		if err != nil {
			return false, err
		}
		if moved != nil {
			if err := bo.Backoff(tikv.BoRegionMiss(), errors.New(moved.String())); err != nil {
				return false, err
			}
			continue
		}
		status, ok := resp.Resp.(*kvrpcpb.CheckTxnStatusResponse)
		switch {
		case !ok:
			return false, errors.New("the server has answered nothing")
		case status.GetError() != nil:
			return false, fmt.Errorf("the server does not say what has become of the transaction: %v", status.GetError())
		case status.GetLockTtl() > 0:
			return false, errors.New("the server does not give up the locks of the transaction")
		}
		return status.GetCommitVersion() > 0, nil
	}
}

// lost are the transactions that are not decided.
type lost struct {
	mu   sync.Mutex
	list []transaction
}

func (l *lost) add(t transaction) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, t)
}

// of returns the transactions of one batch.
func (l *lost) of(id [8]byte) (list []transaction) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.list {
		if t.id == id {
			list = append(list, t)
		}
	}
	return list
}

func (l *lost) remove(id [8]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = slices.DeleteFunc(l.list, func(t transaction) bool { return t.id == id })
}

// settle returns when all earlier transactions of a batch are decided.
func (s *Store) settle(ctx context.Context, id [8]byte) error {
	list := s.lost.of(id)
	for _, t := range list {
		if _, err := s.decide(ctx, t); err != nil {
			return err
		}
	}
	if len(list) > 0 {
		s.lost.remove(id)
	}
	return nil
}

// attempts are the commits that are under way in this process.
type attempts struct {
	mu    sync.Mutex
	ended map[[8]byte]chan struct{} // by the batch; closed when the attempt has ended
}

// begin enters an attempt. There is no other one of the same batch. end takes it out.
func (a *attempts) begin(id [8]byte) (end func()) {
	ended := make(chan struct{})
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended == nil {
		a.ended = make(map[[8]byte]chan struct{})
	}
	a.ended[id] = ended
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.ended, id)
		close(ended)
	}
}

// wait returns when no attempt of the batch is under way.
func (a *attempts) wait(ctx context.Context, id [8]byte) error {
	a.mu.Lock()
	ended := a.ended[id]
	a.mu.Unlock()
	if ended == nil {
		return nil
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pause waits a little, longer with the first tries, or until ctx ends. Who waits long between tries while others commit
// without a pause is beaten for ever, so it is never long, and sometimes next to nothing.
func pause(ctx context.Context, try int) error {
	t := time.NewTimer(rand.N(time.Millisecond << min(try, 4)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
