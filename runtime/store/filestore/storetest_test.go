package filestore_test

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
	"github.com/kixxgen/kixxgen/runtime/store/storetest"
)

// memoryDir returns a directory whose syncs cost nothing, if there is one.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "filestore")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// The contract is kept on the file system of the operating system, in every durability mode, and reopening keeps all.
func TestContract(t *testing.T) {
	for _, c := range []struct {
		name      string
		mode      store.DurabilityMode
		flushKeys int // small: most keys are in runs, whose blocks do not fit into memory
		cache     int64
	}{
		{"Sync", store.Sync, 0, 0}, {"Periodic", store.Periodic, 0, 0}, {"NoSync", store.NoSync, 0, 0}, {"Runs", store.NoSync, 20, 8 << 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			dirs := make(map[store.Store]string)
			open := func(t *testing.T, dir string) store.Store {
				t.Helper()
				o := filestore.Options{SegmentSize: 64 << 10, FlushKeys: c.flushKeys, BlockCache: c.cache}
				o.Durability.Mode = c.mode
				o.Logger = (&quiet{}).logger()
				s, err := filestore.Open(bg, dir, o)
				if err != nil {
					t.Fatal(err)
				}
				dirs[s] = dir
				return s
			}
			s := open(t, memoryDir(t))
			if l := s.Limits(); !l.Coherent || !l.Ordered || !l.RangeChecks || !l.Watch {
				t.Errorf("Limits = %+v; the suite skips what a store does not declare", l)
			}
			s.Close()
			storetest.Run(t, func(t *testing.T) store.Store { return open(t, memoryDir(t)) }, storetest.Options{
				Reopen: func(t *testing.T, s store.Store) store.Store {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					return open(t, dirs[s])
				},
			})
		})
	}
}

// The contract is kept when a power cut stands where others close: what was acknowledged is there. Watchers read from the
// segments here, since next to nothing is kept in memory.
func TestContractWithPowerCuts(t *testing.T) {
	disks := make(map[store.Store]*simfs.FS)
	rng := rand.New(rand.NewPCG(7, 7))
	open := func(t *testing.T, sim *simfs.FS) store.Store {
		t.Helper()
		o := filestore.Options{FS: sim, SegmentSize: 32 << 10, Reserve: 8 << 10}
		o.Logger = (&quiet{}).logger()
		s, err := filestore.Open(bg, "sim", o)
		if err != nil {
			t.Fatal(err)
		}
		filestore.KeepRecent(s, 4<<10)
		disks[s] = sim
		return s
	}
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, simfs.New()) }, storetest.Options{
		Reopen: func(t *testing.T, s store.Store) store.Store {
			after := disks[s].Crash(simfs.Losses[rng.IntN(3)], rng)
			s.Close() // of the one that is no more; what it writes is not in after
			return open(t, after)
		},
	})
}

// The weakest permitted store over files keeps the contract too: nothing in the suite leans on what a file store can do
// beyond it.
func TestContractOfAWeakStoreOverFiles(t *testing.T) {
	seed := uint64(0)
	storetest.Run(t, func(t *testing.T) store.Store {
		o := filestore.Options{SegmentSize: 64 << 10}
		o.Durability.Mode = store.NoSync
		o.Logger = (&quiet{}).logger()
		s, err := filestore.Open(bg, memoryDir(t), o)
		if err != nil {
			t.Fatal(err)
		}
		seed++
		return storetest.Weak(s, seed)
	}, storetest.Options{})
}
