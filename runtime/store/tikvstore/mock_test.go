package tikvstore_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tikv/client-go/v2/testutils"
	"github.com/tikv/client-go/v2/tikv"
	"github.com/tikv/client-go/v2/tikvrpc"
	pd "github.com/tikv/pd/client"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/tikvstore"
)

// name is that of the store in a cluster.
const name = "test"

// A cluster is the server of the client's own tests, in this process: four regions on one machine. What a store has
// written is there for the next one.
type cluster struct {
	client *testutils.MockClient
	pd     pd.Client
	fault  atomic.Pointer[fault]
}

// A fault stands in the place of the connection. send carries the request out.
type fault func(ctx context.Context, req *tikvrpc.Request, send func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error)

func newCluster(t testing.TB) *cluster {
	t.Helper()
	client, regions, pdClient, err := testutils.NewMockTiKV("", nil)
	if err != nil {
		t.Fatal(err)
	}
	prefix := "kixx/" + name + "/m"
	testutils.BootstrapWithMultiRegions(regions, []byte(prefix+"b"), []byte(prefix+"k"), []byte(prefix+"s"))
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return &cluster{client: client, pd: pdClient}
}

// open opens the store that is in the cluster, and closes it when the test ends.
func (c *cluster) open(t testing.TB) *tikvstore.Store {
	t.Helper()
	s, err := tikvstore.New(bg, c.kv(t), name, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// kv returns a client of the cluster, for a store to close.
func (c *cluster) kv(t testing.TB) *tikv.KVStore {
	t.Helper()
	kv, err := tikv.NewTestTiKVStore(connection{c.client, c}, c.pd, nil, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

// inject puts f in the place of the connections, until the test ends or nil is injected.
func (c *cluster) inject(t testing.TB, f fault) {
	if f == nil {
		c.fault.Store(nil)
		return
	}
	c.fault.Store(&f)
	t.Cleanup(func() { c.fault.Store(nil) })
}

// A connection is one client's way to the cluster. Closing it leaves the cluster as it is.
type connection struct {
	*testutils.MockClient
	c *cluster
}

func (c connection) Close() error { return nil }

func (c connection) SendRequest(ctx context.Context, addr string, req *tikvrpc.Request, timeout time.Duration) (*tikvrpc.Response, error) {
	send := func() (*tikvrpc.Response, error) { return c.MockClient.SendRequest(ctx, addr, req, timeout) }
	if f := c.c.fault.Load(); f != nil {
		return (*f)(ctx, req, send)
	}
	return send()
}
