package tikvstore

import (
	"context"

	"github.com/tikv/client-go/v2/tikv"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// New makes a store of a client, which it closes.
func New(ctx context.Context, kv *tikv.KVStore, name string, o store.Options) (*Store, error) {
	redirectLog()
	return newStore(ctx, kv, name, o)
}

// ParseURL returns what a URL names.
func ParseURL(url string) (hosts []string, name string, err error) {
	t, err := parseURL(url)
	if err != nil {
		return nil, "", err
	}
	return t.hosts, t.name, nil
}

// KV returns the client of a store.
func (s *Store) KV() *tikv.KVStore { return s.kv }

// ClusterKey returns the cluster's key of a key of the store.
func (s *Store) ClusterKey(key string) []byte { return s.key([]byte(key)) }

// Lost returns how many transactions are not decided.
func (s *Store) Lost() int {
	s.lost.mu.Lock()
	defer s.lost.mu.Unlock()
	return len(s.lost.list)
}

// Explain says what an error of the client means.
func Explain(err error) error { return explain(context.Background(), "test", err) }

// ShrinkValues makes values and commits smaller until the test ends: each step of the client's own test server on a key costs
// what the large values near it are long.
func ShrinkValues(t interface{ Cleanup(func()) }) {
	was := limits
	limits.Value, limits.Bytes = 64<<10, 1<<20
	t.Cleanup(func() { limits = was })
}
