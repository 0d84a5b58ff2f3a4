package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/etcdstore/e2e/etcdtest"
)

// A cluster that is full refuses commits and says so, loses none that it has acknowledged, goes on reading, and takes
// commits again when there is room.
func TestFullClusterIsErrFull(t *testing.T) {
	t.Parallel()
	c, err := etcdtest.Start(1, etcdtest.Options{Quota: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	s := open(t, c.New())
	if err := s.Health(bg); err != nil {
		t.Errorf("Health = %v", err)
	}
	value := strings.Repeat("v", 200_000)
	acknowledged, unknown := make(map[string]store.Version), ""
	for i := 0; ; i++ {
		key := fmt.Sprint("k", i)
		v, err := s.Commit(bg, batchOf(put(key, value, store.At(store.Absent))))
		if err == nil {
			acknowledged[key] = v
			continue
		}
		if errors.Is(err, store.ErrFull) {
			break
		}
		// A server that finds out that it is full may have applied what it found it out by.
		if !errors.Is(err, store.ErrUnknown) || unknown != "" || i > 100 {
			t.Fatalf("commit %d of 200 kB = %v", i, err)
		}
		unknown = key
	}
	t.Logf("full after %d commits; unknown: %q", len(acknowledged), unknown)
	for key, v := range acknowledged {
		if it := get(t, s, key); it.Version != v || string(it.Value) != value {
			t.Errorf("%s was acknowledged at version %d and is at %d", key, v, it.Version)
		}
	}
	if err := s.Health(bg); !errors.Is(err, store.ErrFull) {
		t.Errorf("Health of a full cluster = %v, want ErrFull", err)
	}
	if s.Stats().LastError == "" {
		t.Error("Stats of a full cluster has no error")
	}
	for key := range acknowledged { // makes room
		if v := mustCommit(t, s, remove(key)); v != store.Absent {
			t.Errorf("a commit that puts nothing has the version %d", v)
		}
	}
	client := c.Client(t)
	status, err := client.Status(bg, client.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(bg, status.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Defragment(bg, client.Endpoints()[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := client.AlarmDisarm(bg, &clientv3.AlarmMember{}); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, s, put("after", "", store.Guard{}))
	if err := s.Health(bg); err != nil {
		t.Errorf("Health when there is room again = %v", err)
	}
}
