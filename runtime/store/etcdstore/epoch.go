package etcdstore

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A transaction of which a client does not hear any more may be applied much later: it may be in the socket of a server
// that stands still, and be handed on to the new leader when that server goes on. So it could be applied after the same
// batch was committed again, and after that was undone by others, if all that it asks for is that keys are absent.
//
// Therefore every transaction compares the revision of one key, which nobody changes as long as all goes well: all that is
// committed between two changes of it is one epoch. Before a batch is committed again, its epoch is ended: the key is put
// again, with the value that it has. Nothing that was sent in the old epoch, by whatever client, is applied after that.
// Transactions of others that were on their way are refused because of the epoch, and their clients send them in the new
// one. It costs a commit nothing, and leaves nothing behind in the cluster, as a receipt for each batch would.

// maxLost is how many batches may be lost, of which nobody seems to want to know, before the epoch is ended for them.
const maxLost = 10_000

// state returns what a transaction is sent under: the epoch, and whether the cluster is known to take no more.
func (s *Store) state() (epoch int64, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch, s.full
}

// setEpoch notes that there is a newer epoch. What was lost in earlier ones is decided.
func (s *Store) setEpoch(epoch int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch > s.epoch {
		s.epoch = epoch
		clear(s.lost)
	}
}

// lose notes that a batch was sent in an epoch and not answered.
func (s *Store) lose(id [8]byte, epoch int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch == s.epoch {
		s.lost[id] = struct{}{}
	}
}

// settle returns when nothing that was sent for the batch can be applied any more.
func (s *Store) settle(ctx context.Context, id [8]byte) error {
	s.mu.Lock()
	epoch := s.epoch
	_, lost := s.lost[id]
	lost = lost || len(s.lost) > maxLost
	s.mu.Unlock()
	if !lost {
		return nil
	}
	until := s.patience()
	for try := 1; ; try++ {
		now, err := s.endEpoch(ctx, epoch)
		if err == nil {
			s.setEpoch(now)
			return nil
		}
		if ctx.Err() != nil || !canPass(err) || time.Now().After(until) || pause(ctx, try) != nil {
			return err
		}
	}
}

// endEpoch ends an epoch, if it has not ended, and returns the one of now. It may be tried again.
func (s *Store) endEpoch(ctx context.Context, epoch int64) (now int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	resp, err := s.txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{at(s.layout.info, store.Version(epoch))},
		Success: []*pb.RequestOp{put(s.layout.info, []byte(s.info))},
		Failure: []*pb.RequestOp{get(&pb.RangeRequest{Key: s.layout.info})},
	})
	switch {
	case err != nil:
		return 0, err
	case resp.Succeeded:
		return resp.Header.Revision, nil
	}
	return s.epochOf(resp.Responses[0], epoch)
}

// epochOf returns the epoch of an answer that has the key layout.info. There has been one before: epochs go up.
func (s *Store) epochOf(resp *pb.ResponseOp, before int64) (int64, error) {
	kvs := resp.GetResponseRange().Kvs
	switch {
	case len(kvs) == 0 || string(kvs[0].Value) != s.info:
		return 0, errGone
	case kvs[0].ModRevision < before:
		return 0, errOther
	}
	return kvs[0].ModRevision, nil
}
