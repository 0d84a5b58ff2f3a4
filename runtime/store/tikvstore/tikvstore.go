// Package tikvstore keeps a [store.Store] in a TiKV cluster, which spreads ordered keys over any number of machines.
// Importing the package registers the URL scheme "tikv":
//
//	import _ "github.com/kixxgen/kixxgen/runtime/store/tikvstore"
//
//	db, err := kixx.Open(ctx, "tikv://pd1:2379,pd2:2379,pd3:2379/shop?ca=/etc/shop/ca.pem")
//
// The hosts are those of the placement driver (PD), which knows the rest of the cluster. [Open] says what else a URL has.
//
// No real cluster has ever run with this package. Its tests run the client, [github.com/tikv/client-go/v2], with its
// two-phase commits against the server that the client's own tests have, in one process: that shows what the store means,
// not how fast it is, nor what it does when machines are lost. Run the conformance suite and your own load on a cluster
// of yours before you trust it with data.
//
// # How it maps
//
// Each key of the store is one key of the cluster, behind a prefix. A value is 8 bytes of version, the timestamp at which
// the transaction that wrote it began, and then the value itself. Reads are of one timestamp; a read of one key is one
// round trip, of several one more, for the timestamp. A page of keys alone reads the values too, since the versions are in
// them.
//
// A commit is one optimistic transaction of two phases: it reads what its guards are about, compares, and locks what it
// writes and checks, which fails if anything of that was written since. Then it asks for the timestamp of its commit, reads
// its fences at exactly that, and only then commits: fence.go says why that is sound, and what it costs. So there is
// neither one-phase nor asynchronous commit, in which the servers choose the timestamp. There are no range checks, which
// would need that for whole ranges, and no Watch, which TiKV does not have for clients.
//
// # What the cluster needs
//
// Somebody must move the cluster's safe point on, or the versions of long ago are kept for ever: TiDB does, where there is
// one. It must stay at least 10 minutes behind, which is the usual setting: snapshots may last 5. A client that dies in the
// middle of a commit leaves locks, for which others wait until they expire, a few seconds.
//
// The client has one logger, of the package [github.com/pingcap/log], for the whole process. Opening a store for the first
// time makes it write to [slog.Default], almost all of it at the level Debug; a process that sets that logger itself does so
// after the first opening. Nothing else that is global is changed: neither the client's configuration nor the registry of
// metrics.
//
// Read layout.go for the keys, commit.go for a commit, fence.go for fences, and lost.go for what happens when it is not
// known whether a commit was applied.
package tikvstore

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/tikv/client-go/v2/oracle"
	"github.com/tikv/client-go/v2/tikv"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// The servers take 8 MiB in one write of their log, a little of which is theirs.
var limits = store.Limits{
	Ops: 10_000, Bytes: 16 << 20, Value: 4 << 20,
	Snapshot: 5 * time.Minute,
	Settles:  true,
}

// A Store is a [store.Store] in a TiKV cluster. Make one with [Open]. It is safe for concurrent use.
//
// What it keeps true:
//
//  1. A transaction is committed only at a timestamp at which its fences were read and held (fence.go).
//  2. A batch is on its way once at a time: attempts has those that are under way, also when nobody waits for them any
//     more, and Commit of the same batch waits for them.
//  3. A transaction of which it is not known whether it was committed is in lost. The same batch is not tried again before
//     that one is decided (lost.go).
type Store struct {
	kv       *tikv.KVStore
	prefix   []byte // of the keys of the map
	end      []byte // the first key of the cluster beyond them
	log      *slog.Logger
	attempts attempts
	lost     lost

	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup // under way
}

// Open opens the store that url names in a cluster, and leaves a note of its format there if there is none. The URL is
//
//	tikv://host:port,host:port/name?ca=file&cert=file&key=file
//
// with the hosts of PD, the name of the store, of letters, digits, '.', '_' and '-' ("kixx" if it is left out), and for TLS
// files in PEM: the authority that has signed the servers' certificates, and this client's certificate and key, where the
// servers ask for one. Several stores of different names can be in one cluster. They are no protection from each other.
//
// Of the options Logger is used. What is acknowledged is as durable as the cluster is set up to make it.
func Open(ctx context.Context, url string, o store.Options) (*Store, error) {
	target, err := parseURL(url)
	if err != nil {
		return nil, fmt.Errorf("tikvstore: %w", err)
	}
	redirectLog()
	kv, err := connect(ctx, target)
	if err != nil {
		return nil, explain(ctx, "open", err)
	}
	return newStore(ctx, kv, target.name, o)
}

// newStore makes a store of a client, which it closes.
func newStore(ctx context.Context, kv *tikv.KVStore, name string, o store.Options) (*Store, error) {
	s := &Store{kv: kv, log: o.Logger}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.prefix, s.end = mapRange(name)
	if err := s.prepare(ctx, name); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// begin enters a call. Close waits until end is called.
func (s *Store) begin() (end func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("tikvstore: %w", store.ErrClosed)
	}
	s.calls.Add(1)
	return s.calls.Done, nil
}

// timestampWait is how long PD is asked for a timestamp, in milliseconds of waiting between tries.
const timestampWait = 10_000

// timestamp returns one that is greater than those of all commits that were acknowledged.
func (s *Store) timestamp(ctx context.Context) (uint64, error) {
	return s.kv.GetTimestampWithRetry(tikv.NewBackoffer(ctx, timestampWait), oracle.GlobalTxnScope)
}

// Limits returns what the store can do: values of at most 4 MiB, commits of at most 10,000 operations and 16 MiB,
// snapshots of 5 minutes.
func (s *Store) Limits() store.Limits { return limits }

// OnPublish implements [store.Store]. The hook is never called: others write to the same keys.
func (s *Store) OnPublish(func(*store.Batch, store.Version)) (cancel func()) { return func() {} }

// Watch implements [store.Store]. It is not supported.
func (s *Store) Watch(context.Context, store.Token, []byte) iter.Seq2[store.Event, error] {
	return func(yield func(store.Event, error) bool) {
		yield(store.Event{}, fmt.Errorf("tikvstore: watch: %w", store.ErrNotSupported))
	}
}

// Close waits for the reads and commits that are under way, and closes all connections. A second Close returns nil.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.calls.Wait()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.calls.Wait()
	if err := s.kv.Close(); err != nil {
		return fmt.Errorf("tikvstore: close: %w", err)
	}
	return nil
}
