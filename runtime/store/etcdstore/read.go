package etcdstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/kixxgen/kixxgen/runtime/store"
)

const (
	// flat is how many operations a server takes in a transaction. Of transactions in a transaction it takes nested, of
	// nested operations each.
	flat   = 128
	nested = 64
	// getBytes is how many bytes of keys are asked for in one request.
	getBytes = 1 << 19
	// pageItems is how many items of a range are asked for in one request, so that no answer is too long.
	pageItems = 500
	// pageTries is how often a page is read whose revision is compacted meanwhile.
	pageTries = 3
)

var (
	errEnded = errors.New("etcdstore: a snapshot was used after its function had returned")

	// anyLength takes answers that are as long as what was asked for.
	anyLength = grpc.MaxCallRecvMsgSize(math.MaxInt32)
)

// newest, as a revision, is that of the moment.
const newest = 0

// Get implements [store.Reader]. Up to 4096 keys are one request.
func (s *Store) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	return s.get(ctx, keys, newest)
}

// Page implements [store.Reader]. Each 500 items are one request more, all of one revision.
func (s *Store) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	items, _, err := s.PageAndVersion(ctx, p, nil)
	return items, err
}

// PageAndVersion implements [store.PageVersioner]. The version is of the revision of the page. It comes with the documents
// of entries, or with the first items; only a page that is read backwards without documents, and one of entries that is
// empty, take a request more.
func (s *Store) PageAndVersion(ctx context.Context, p store.Page, key []byte) ([]store.Item, store.Version, error) {
	for try := 1; ; try++ {
		items, version, err := s.page(ctx, p, newest, key)
		if errors.Is(err, store.ErrSnapshotTooOld) && try < pageTries {
			continue
		}
		return items, version, err
	}
}

// Snapshot implements [store.Store]. It is a revision, and holds up nothing and nobody. It can be read until etcd is
// compacted beyond it, by whoever does that.
func (s *Store) Snapshot(ctx context.Context, f func(store.SnapshotReader) error) error {
	revision, err := s.revision(ctx)
	if err != nil {
		return err
	}
	r := &reader{s: s, revision: revision}
	defer func() { r.ended = true }()
	return f(r)
}

// A reader is what Snapshot hands out.
type reader struct {
	s        *Store
	revision int64
	ended    bool
}

func (r *reader) Token() store.Token { return r.s.token(r.revision) }

func (r *reader) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	if r.ended {
		return nil, errEnded
	}
	return r.s.get(ctx, keys, r.revision)
}

func (r *reader) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	if r.ended {
		return nil, errEnded
	}
	items, _, err := r.s.page(ctx, p, r.revision, nil)
	return items, err
}

// revision returns the newest revision, after every commit that was acknowledged before.
func (s *Store) revision(ctx context.Context) (int64, error) {
	resp, err := s.find(ctx, &pb.RangeRequest{Key: s.layout.info})
	switch {
	case err != nil:
		return 0, err
	case resp.Header.ClusterId != s.cluster:
		return 0, s.explain(ctx, "read", errOther)
	case len(resp.Kvs) == 0 || string(resp.Kvs[0].Value) != s.info:
		return 0, s.explain(ctx, "read", errGone)
	}
	return resp.Header.Revision, nil
}

func (s *Store) get(ctx context.Context, keys [][]byte, revision int64) ([]store.Item, error) {
	items := make([]store.Item, 0, len(keys))
	for first := true; first || len(keys) > 0; first = false {
		n, size := 0, 0
		for n < len(keys) && n < nested*nested && size < getBytes {
			size += len(s.layout.keys) + len(keys[n])
			n++
		}
		found, at, err := s.getSome(ctx, keys[:n], revision)
		if err != nil {
			return nil, err
		}
		items, keys, revision = append(items, found...), keys[n:], at
	}
	return items, nil
}

// getSome gets as many keys as fit into one request, and returns the revision at which they were read.
func (s *Store) getSome(ctx context.Context, keys [][]byte, revision int64) ([]store.Item, int64, error) {
	serializable := revision != newest
	var resp *pb.TxnResponse
	err := s.request(ctx, "get", func(ctx context.Context) (err error) {
		ops := make([]*pb.RequestOp, len(keys))
		for i, key := range keys {
			ops[i] = get(&pb.RangeRequest{Key: s.layout.key(key), Revision: revision, Serializable: serializable})
		}
		if len(ops) > flat {
			var groups []*pb.RequestOp
			for group := range slices.Chunk(ops, nested) {
				groups = append(groups, &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Success: group}}})
			}
			ops = groups
		}
		resp, err = s.txn(ctx, &pb.TxnRequest{Success: ops})
		serializable = false
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	if revision == newest {
		revision = resp.Header.Revision
	}
	items := make([]store.Item, 0, len(keys))
	var add func(list []*pb.ResponseOp)
	add = func(list []*pb.ResponseOp) {
		for _, op := range list {
			if group := op.GetResponseTxn(); group != nil {
				add(group.Responses)
				continue
			}
			if kvs := op.GetResponseRange().Kvs; len(kvs) > 0 {
				items = append(items, s.item(kvs[0], false))
			} else {
				items = append(items, store.Item{Key: append([]byte{}, keys[len(items)]...)})
			}
		}
	}
	add(resp.Responses)
	return items, revision, nil
}

// page reads a page, and the version of a key if there is one.
func (s *Store) page(ctx context.Context, p store.Page, revision int64, key []byte) ([]store.Item, store.Version, error) {
	if p.Limit < 1 {
		return nil, 0, fmt.Errorf("etcdstore: a page of %d items was asked for; the limit is at least 1", p.Limit)
	}
	items, first := p.Into, len(p.Into)
	from, to := s.layout.bounds(p.Lo, p.Hi)
	if bytes.Compare(from, to) >= 0 { // asks all the same, since that says whether it could be read
		found, err := s.get(ctx, [][]byte{key}, revision)
		if err != nil {
			return nil, 0, err
		}
		return items, found[0].Version, nil
	}
	var version store.Version
	for end := first + p.Limit; len(items) < end && bytes.Compare(from, to) < 0; {
		n := min(pageItems, end-len(items))
		req := &pb.RangeRequest{Key: from, RangeEnd: to, Limit: int64(n), Revision: revision, KeysOnly: p.KeysOnly}
		var resp *pb.RangeResponse
		var err error
		switch {
		case p.Reverse:
			resp, err = s.lastPart(ctx, req)
		case key != nil && !p.Deref:
			resp, version, err = s.findAndVersion(ctx, req, key)
			key = nil
		default:
			resp, err = s.find(ctx, req)
		}
		if err != nil {
			return nil, 0, err
		}
		if revision == newest {
			revision = resp.Header.Revision
		}
		for _, kv := range resp.Kvs {
			items = append(items, s.item(kv, p.KeysOnly))
		}
		if len(resp.Kvs) < n {
			break
		}
		if last := resp.Kvs[n-1].Key; p.Reverse {
			to = last
		} else {
			from = append(last[:len(last):len(last)], 0)
		}
	}
	var keys [][]byte
	if p.Deref {
		for _, it := range items[first:] {
			keys = append(keys, it.Value)
		}
	}
	if key != nil {
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return items, version, nil
	}
	found, err := s.get(ctx, keys, revision)
	if err != nil {
		return nil, 0, err
	}
	if key != nil {
		version = found[len(found)-1].Version
	}
	if p.Deref {
		for i := range items[first:] {
			found[i].Entry = items[first+i].Key
			items[first+i] = found[i]
		}
	}
	return items, version, nil
}

// findAndVersion is find, and reads the version of a key with it.
func (s *Store) findAndVersion(ctx context.Context, req *pb.RangeRequest, key []byte) (*pb.RangeResponse, store.Version, error) {
	var resp *pb.TxnResponse
	err := s.request(ctx, "read", func(ctx context.Context) (err error) {
		resp, err = s.txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{
			get(req), get(&pb.RangeRequest{Key: s.layout.key(key), Revision: req.Revision, KeysOnly: true}),
		}})
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	var version store.Version
	if kvs := resp.Responses[1].GetResponseRange().Kvs; len(kvs) > 0 {
		version = store.Version(kvs[0].ModRevision)
	}
	found := resp.Responses[0].GetResponseRange()
	found.Header = resp.Header
	return found, version, nil
}

// lastPart reads the last items of a range, backwards. A server that is asked for them reads the whole range, sorts it, and
// sends the first; so it is asked for keys alone, which it has in memory, and then for what these have.
func (s *Store) lastPart(ctx context.Context, req *pb.RangeRequest) (*pb.RangeResponse, error) {
	back := &pb.RangeRequest{Key: req.Key, RangeEnd: req.RangeEnd, Limit: req.Limit, Revision: req.Revision, KeysOnly: true, SortOrder: pb.RangeRequest_DESCEND}
	resp, err := s.find(ctx, back)
	if err != nil || req.KeysOnly || len(resp.Kvs) == 0 {
		return resp, err
	}
	if req.Revision == newest {
		req.Revision = resp.Header.Revision
	}
	req.Key = resp.Kvs[len(resp.Kvs)-1].Key
	if resp, err = s.find(ctx, req); err == nil {
		slices.Reverse(resp.Kvs)
		resp.Header.Revision = req.Revision // and not the newest, which this one names
	}
	return resp, err
}

// item returns what a page has of a key. A value that is empty is not sent, and one that was not asked for neither.
func (s *Store) item(kv *mvccpb.KeyValue, keysOnly bool) store.Item {
	it := store.Item{Key: s.layout.name(kv.Key), Value: kv.Value, Version: store.Version(kv.ModRevision)}
	if it.Value == nil && !keysOnly {
		it.Value = []byte{}
	}
	return it
}

// find reads a range. A revision that is known to be there is read from any one server; if that one does not have it yet,
// the next attempt asks the others too.
func (s *Store) find(ctx context.Context, req *pb.RangeRequest) (resp *pb.RangeResponse, err error) {
	req.Serializable = req.Revision != newest
	err = s.request(ctx, "read", func(ctx context.Context) (err error) {
		resp, err = s.kv.Range(ctx, req, anyLength)
		req.Serializable = false
		return rpctypes.Error(err)
	})
	return resp, err
}

// txn sends a transaction, once.
func (s *Store) txn(ctx context.Context, req *pb.TxnRequest) (*pb.TxnResponse, error) {
	resp, err := s.kv.Txn(ctx, req, anyLength)
	return resp, rpctypes.Error(err)
}

func get(r *pb.RangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r}}
}

func put(key, value []byte) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key, Value: value}}}
}

func remove(key []byte) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: key}}}
}
