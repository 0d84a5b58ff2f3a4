package tikvstore

import (
	"context"
	"sync"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/tikv/client-go/v2/tikvrpc"
	"github.com/tikv/client-go/v2/tikvrpc/interceptor"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Fences are shared: any number of commits with the same fence go on side by side. But TiKV's transactions have no shared
// lock, and under snapshot isolation a key that was only read may change before the commit. So a fence is read once more,
// at the very timestamp at which the transaction then commits, after all its keys are locked.
//
// Why that is sound. Call the transaction T, its timestamp of commit c, and W another one that changes the fenced key at w.
//
//   - w < c: the read at c sees W, or meets W's lock and waits for it or lets it commit only later than c. T does not commit.
//   - w > c: the read does not see W, and W is after T. Every reader of a timestamp beyond c meets T's locks, and sees T
//     committed or not at all. So once W is acknowledged nothing of T can still appear that was not there: what W's author
//     reads after it is what T has left.
//
// So T and its fences happen at one moment, which is c, whatever comes in between. It is essential that T commits at c and
// nowhere else. A reader that meets T's locks moves the earliest timestamp at which T may commit beyond its own, and reads
// on; T's request to commit at c is then refused, and the client asks for a new timestamp and sends it again. It would not
// ask again about the fences. Therefore they stand in front of the request itself: a gate looks at every request to commit
// that the client sends, and reads the fences anew when its timestamp is one at which they were not read.
//
// What it costs: one round trip of reading for each commit, and that the timestamp must be known before the commit, so that
// one-phase and asynchronous commit, which would save a round trip, cannot be used. Nothing is written for a fence, so the
// servers of a key that everybody fences only answer reads.
//
// Readers that come without a pause can move a commit on again and again. After pushedTries the transaction gives up, and the
// next one has locks that say of no timestamp that it may be moved on: readers wait for it. After sharedTries the fences are
// locked as checks are, which excludes others for one commit, and needs no second read.

// pushedTries is how many timestamps one transaction tries to commit at.
const pushedTries = 10

// A gate lets a transaction's requests to commit through while its fences hold.
type gate struct {
	s      *Store
	ctx    context.Context
	fences []store.Check
	still  bool // readers wait

	mu     sync.Mutex
	open   uint64 // the timestamp at which the fences hold
	tries  int
	passed bool  // a request went through
	err    error // why one did not
}

// intercept stands between the client and its connections.
func (g *gate) intercept(next interceptor.RPCInterceptorFunc) interceptor.RPCInterceptorFunc {
	return func(target string, req *tikvrpc.Request) (*tikvrpc.Response, error) {
		if req.Type == tikvrpc.CmdPrewrite && g.still {
			req.Prewrite().MinCommitTs = 0 // of which the servers do not move the lock on
		}
		if req.Type == tikvrpc.CmdCommit && !g.let(req.Commit().GetCommitVersion()) {
			// As a server answers that does not find the locks: the client removes them.
			return &tikvrpc.Response{Resp: &kvrpcpb.CommitResponse{Error: &kvrpcpb.KeyError{Retryable: "kixx: a fence does not hold"}}}, nil
		}
		return next(target, req)
	}
}

// let reports whether the transaction may commit at a timestamp.
func (g *gate) let(ts uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return false
	}
	if ts != g.open {
		if g.tries++; g.tries > pushedTries {
			g.err = &beatenError{}
			return false
		}
		if len(g.fences) > 0 {
			if g.err = g.s.compare(g.ctx, ts, g.fences); g.err != nil {
				return false
			}
		}
		g.open = ts
	}
	g.passed = true
	return true
}

// sent reports whether a server may have been told to commit.
func (g *gate) sent() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.passed
}

// refused returns why the gate did not let the transaction commit; nil if it did.
func (g *gate) refused() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}
