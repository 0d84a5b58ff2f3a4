package tikvstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tikv/client-go/v2/tikv"
	pd "github.com/tikv/pd/client"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// openTimeout is how long PD is looked for.
const openTimeout = 30 * time.Second

// connect makes a client. The one of package txnkv takes its certificates from a configuration that is global, and the safe
// point from where TiDB puts it; this one does neither.
func connect(ctx context.Context, t *target) (*tikv.KVStore, error) {
	type answer struct {
		client pd.Client
		err    error
	}
	// The context of PD's client is that of its whole life, so the end of ctx ends only the wait.
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	found := make(chan answer, 1)
	go func() {
		client, err := pd.NewClientWithContext(life, t.hosts, pd.SecurityOption{
			CAPath: t.security.ClusterSSLCA, CertPath: t.security.ClusterSSLCert, KeyPath: t.security.ClusterSSLKey,
		}, pd.WithMaxErrorRetry(int(openTimeout/time.Second)))
		found <- answer{client, err}
	}()
	var a answer
	select {
	case a = <-found:
	case <-ctx.Done():
		stop()
		go func() {
			if a := <-found; a.err == nil {
				a.client.Close()
			}
		}()
		return nil, ctx.Err()
	}
	if a.err != nil {
		stop()
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, a.err)
	}
	codec := tikv.NewCodecPDClient(tikv.ModeTxn, a.client)
	rpc := tikv.NewRPCClient(tikv.WithSecurity(t.security), tikv.WithCodec(codec.GetCodec()))
	kv, err := tikv.NewKVStore("kixx", codec, &safePoint{a.client, stop}, rpc)
	if err != nil {
		a.client.Close()
		stop()
		return nil, err
	}
	return kv, nil
}

// A safePoint tells the client of the timestamp before which the cluster may have removed old versions. PD knows it,
// whoever has moved it on.
type safePoint struct {
	pd   pd.Client
	stop context.CancelFunc // of PD's client
}

// safePointTimeout is how long PD is asked for the safe point, which the client does from time to time.
const safePointTimeout = 5 * time.Second

var errSafePoint = errors.New("tikvstore: the client asked for something else than the safe point")

func (s *safePoint) Get(k string) (string, error) {
	if k != tikv.GcSavedSafePoint {
		return "", errSafePoint
	}
	ctx, cancel := context.WithTimeout(context.Background(), safePointTimeout)
	defer cancel()
	ts, err := s.pd.UpdateGCSafePoint(ctx, 0) // it never goes back, so this asks
	if err != nil {
		return "", err
	}
	return strconv.FormatUint(ts, 10), nil
}

func (s *safePoint) Put(string, string) error                         { return errSafePoint }
func (s *safePoint) GetWithPrefix(string) ([]*mvccpb.KeyValue, error) { return nil, errSafePoint }
func (s *safePoint) Close() error                                     { s.stop(); return nil }
