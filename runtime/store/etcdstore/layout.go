package etcdstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A layout says which keys of etcd are the store's. Below the path of the URL, here /shop:
//
//	/shop/:K     the key K of the store
//	/shop/+info  "kixx etcdstore 1 ID": the format, and the name of this store in tokens; its revision is the epoch
//
// A path has neither ':' nor '+', so no key of a store at /shop/… is among those of one at /shop.
type layout struct {
	keys []byte // what the keys of the map begin with
	end  []byte // the first key after them
	info []byte
}

func newLayout(path string) layout {
	return layout{keys: []byte(path + "/:"), end: []byte(path + "/;"), info: []byte(path + "/+info")}
}

// key returns the key of etcd for one of the store.
func (l layout) key(k []byte) []byte { return append(l.keys[:len(l.keys):len(l.keys)], k...) }

// name returns the key of the store for one of etcd.
func (l layout) name(key []byte) []byte { return key[len(l.keys):] }

// bounds returns the range of etcd for one of the store, in which nil is open.
func (l layout) bounds(lo, hi []byte) (from, to []byte) {
	if hi == nil {
		return l.key(lo), l.end
	}
	return l.key(lo), l.key(hi)
}

// within returns the range of the keys with a prefix.
func (l layout) within(prefix []byte) (from, to []byte) {
	from = l.key(prefix)
	return from, []byte(clientv3.GetPrefixRangeEnd(string(from))) // there is one: keys does not end with 0xff
}

// format is what info begins with.
const format = "kixx etcdstore 1 "

// errGone says that somebody has deleted more than he should.
var errGone = errors.New("the key that describes the store is gone from the cluster, or another one: was its path deleted? open the store anew")

// errOther says that the addresses lead to something else than before.
var errOther = errors.New("the servers are of another cluster than when the store was opened, or were restored from a backup; open it anew")

// prepare reads the key that describes the store, and puts it if it is not there.
func (s *Store) prepare(ctx context.Context) error {
	mine := format + rand.Text()
	var resp *pb.TxnResponse
	err := s.request(ctx, "open", func(ctx context.Context) (err error) {
		// If this is applied and the answer is lost, the next attempt finds what was put.
		resp, err = s.txn(ctx, &pb.TxnRequest{
			Compare: []*pb.Compare{at(s.layout.info, store.Absent)},
			Success: []*pb.RequestOp{put(s.layout.info, []byte(mine))},
			Failure: []*pb.RequestOp{get(&pb.RangeRequest{Key: s.layout.info})},
		})
		return err
	})
	if err != nil {
		return err
	}
	s.info, s.epoch, s.cluster = mine, resp.Header.Revision, resp.Header.ClusterId
	if !resp.Succeeded {
		kv := resp.Responses[0].GetResponseRange().Kvs[0]
		s.info, s.epoch = string(kv.Value), kv.ModRevision
	}
	if _, err := fmt.Sscanf(s.info, format+"%s", &s.id); err != nil {
		return fmt.Errorf("etcdstore: open: the key %s is %.40q, which this version does not understand; it needs one that begins with %q", s.layout.info, s.info, format)
	}
	return nil
}
