// Package etcdstore keeps a [store.Store] in an etcd cluster, so that what was acknowledged is on the disks of most of its
// servers, and any number of processes share it. Importing the package registers the URL schemes "etcd" and "etcds":
//
//	import _ "github.com/kixxgen/kixxgen/runtime/store/etcdstore"
//
//	db, err := kixx.Open(ctx, "etcds://app:secret@etcd1:2379,etcd2:2379,etcd3:2379/shop?ca=/etc/shop/ca.pem")
//
// The hosts are servers of one cluster; which of them lead does not matter. The path is where in the cluster the keys are,
// here below /shop/, and /kixx/ without one, so that stores share a cluster. With etcds the servers must prove who they
// are: by a certificate of the file ca, or of the system. The parameters cert and key name the files of a certificate of
// the client's own. The parameter timeout is how long one request may take, 3s by default: a server that does not answer
// for so long is passed over. [Open] says what is refused.
//
// etcd is for data that is small and must not be lost. All of it is in one group of servers that each hold all keys in
// memory, and the recommended limit of a database is 8 GiB; a commit waits until most servers have it on their disks. It
// has at most 127 operations and conditions, and about 1 MiB. For each page a server counts the keys from there to the end
// of the range, and for one that is read backwards it sorts them: that takes a millisecond, and ten, with 20,000 of them. An
// index that is read from its end is better declared desc.
//
// A key of the store is a key of etcd, and its version is the revision that etcd gave it last. Guards, checks, fences and
// range checks are compares of one etcd transaction, and a commit is one such transaction: one round trip. So is a read; a
// page that follows entries to documents is one more, and one that is read backwards too, all of one revision. A snapshot is
// a revision, which can be read until etcd is told to compact it. A watch is one of etcd's own; the server keeps for a slow
// one what it has not taken, until that is compacted.
//
// An etcd that is restored from a backup repeats revisions, and so versions and tokens, unless it is told not to: give
// etcdutl snapshot restore the options --bump-revision and --mark-compacted.
//
// The tests run with etcd 3.7. Watches need 3.5.18 or later: before that, one that goes on at the very revision that etcd was
// compacted to misses what was deleted there (https://github.com/etcd-io/etcd/issues/18089 and 19179).
//
// Read layout.go for the keys, commit.go for the compares, and epoch.go for what happens when the answer to a commit is
// lost.
package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// limits keep a commit within what a server takes by default: 128 compares and as many operations (--max-txn-ops), of
// which one compare is the store's own, and a request of 1.5 MiB (--max-request-bytes) that has each key up to three times.
//
// Who compacts an etcd does not ask who reads. A snapshot is therefore promised for no longer than every store promises it.
var limits = store.Limits{
	Ops: 127, Bytes: 1<<20 + 64<<10, Value: 1 << 20,
	Snapshot: store.Portable.Snapshot,
	Ordered:  true, RangeChecks: true, Watch: true, Settles: true,
}

// maxRequest is how long a request may be, with room for what etcd adds to it.
const maxRequest = 3<<19 - 4<<10

// A Store is a [store.Store] in an etcd cluster. Make one with [Open]. It is safe for concurrent use.
//
// What it keeps true:
//
//  1. Every transaction that writes compares the epoch, so that none that was sent in an earlier epoch is applied any more.
//  2. A batch is in lost if it was sent in this epoch and may yet be applied. It is not sent again in the same epoch.
//  3. The client sends nothing twice by itself: what is tried again is tried here.
type Store struct {
	client  *clientv3.Client
	kv      pb.KVClient // of the same connection
	watches pb.WatchClient
	layout  layout
	timeout time.Duration // of one request
	log     *slog.Logger

	info    string // what the key layout.info has
	id      string // of the store, from info
	cluster uint64 // its number

	life  context.Context // ends with Close
	end   context.CancelFunc
	calls calls

	mu     sync.Mutex
	epoch  int64 // revision of layout.info, see epoch.go
	lost   map[[8]byte]struct{}
	full   bool  // the servers have said that they take no more, and not that they do again
	failed error // the last error of a commit, but conflicts
}

// Open opens the store below the path of url, and makes it if it is not there.
//
// A password is sent to another host only with TLS: write etcds, or the parameter tls=disable if that is meant. A URL with
// a parameter that is not known is refused, and one without TLS that names certificates. Of the options Logger is used.
// Durability means nothing here: etcd acknowledges what is on the disks of most servers, and nothing else.
func Open(ctx context.Context, url string, o store.Options) (*Store, error) {
	c, err := parseURL(url)
	if err != nil {
		return nil, fmt.Errorf("etcdstore: %w", err)
	}
	s := &Store{layout: c.layout, timeout: c.timeout, log: o.Logger, lost: make(map[[8]byte]struct{})}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.life, s.end = context.WithCancel(context.Background())
	// Asking for a token of the user is a request too, which the context of the client alone can end.
	stop := context.AfterFunc(ctx, s.end)
	s.client, err = clientv3.New(c.client(s.life))
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		if s.client != nil {
			s.client.Close()
		} else if ctx.Err() == nil && canPass(err) {
			err = c.reason(s.life, err)
		}
		s.end()
		return nil, s.explain(ctx, "open", err)
	}
	s.kv, s.watches = pb.NewKVClient(s.client.ActiveConnection()), pb.NewWatchClient(s.client.ActiveConnection())
	if err := s.prepare(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Limits returns what the store can do: commits of at most 127 operations and 1 MiB, snapshots of 5 seconds or more.
// Of a range check each key that was seen counts as an operation.
func (s *Store) Limits() store.Limits { return limits }

// OnPublish implements [store.Store]. The hook is never called: others write to the same keys.
func (s *Store) OnPublish(func(*store.Batch, store.Version)) (cancel func()) { return func() {} }

// Stats implements [store.StatsReporter]. Sizes are for the tools of etcd to tell.
func (s *Store) Stats() (st store.Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		st.LastError = s.failed.Error()
	}
	return st
}

// Health implements [store.HealthReporter]. It asks for a read that most servers have to agree to, and for the alarms of
// the cluster: one that is full takes no commits.
func (s *Store) Health(ctx context.Context) error {
	if _, err := s.revision(ctx); err != nil {
		return err
	}
	var resp *clientv3.AlarmResponse
	err := s.request(ctx, "health", func(ctx context.Context) (err error) {
		resp, err = s.client.AlarmList(ctx)
		return err
	})
	if err != nil {
		return err
	}
	for _, a := range resp.Alarms {
		switch a.Alarm {
		case pb.AlarmType_NOSPACE:
			return fmt.Errorf("etcdstore: health: %w: the cluster has raised its NOSPACE alarm; compact and defragment it, then disarm the alarm", store.ErrFull)
		case pb.AlarmType_CORRUPT:
			return fmt.Errorf("etcdstore: health: %w: the cluster has raised its CORRUPT alarm", store.ErrCorrupt)
		}
	}
	return nil
}

// Close ends the watches, waits for the calls that are under way, and closes the connections. A second Close returns nil.
func (s *Store) Close() error {
	if s.calls.close() {
		s.end()
		s.client.Close() // its error is that its context has ended
	}
	return nil
}

// calls are the calls that are under way.
type calls struct {
	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup
}

// begin enters a call, if there may be new ones.
func (c *calls) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.work.Add(1)
	}
	return !c.closed
}

func (c *calls) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// close refuses new calls and waits for the others. It reports whether it is the first to do so.
func (c *calls) close() bool {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	c.work.Wait()
	return first
}
