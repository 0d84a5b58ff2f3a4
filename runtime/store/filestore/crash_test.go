package filestore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// A history is what a script committed: the state after every commit. A crash leaves one of them.
type history struct {
	states []map[string]string
	acked  atomic.Int64 // so many commits were acknowledged
}

func (h *history) now() map[string]string { return h.states[len(h.states)-1] }

// next adds the state that the next commit makes.
func (h *history) next(sets []set) {
	m := make(map[string]string, len(h.now())+1)
	for k, v := range h.now() {
		m[k] = v
	}
	for _, s := range sets {
		if s.del {
			delete(m, s.key)
		} else {
			m[s.key] = s.value
		}
	}
	h.states = append(h.states, m)
}

// find returns which state got is, not before from; -1 if none.
func (h *history) find(got map[string]string, from int) int {
	for i := len(h.states) - 1; i >= from; i-- {
		if equal(got, h.states[i]) {
			return i
		}
	}
	return -1
}

// script commits documents with index entries, reopens now and then, and lets time pass, until the file system has
// done ops operations and begun four segments in this life. step is told before each operation.
//
// Every state differs from all others: each commit counts up the key "n". Every second life moves keys to runs and compacts
// segments, which takes place between two steps of the script.
func script(t testing.TB, sim *simfs.FS, mode store.DurabilityMode, seed uint64, ops int, h *history) (did scripted) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for life := 0; sim.Ops() < ops || did.segments < 4 || did.compacted < 4 || did.moved == 0 || did.runs < 2; life++ {
		o, clock := simOptions(sim, mode)
		if life%2 == 0 {
			o.FlushKeys = 30
		}
		s, err := filestore.Open(bg, "sim", o)
		if err != nil {
			t.Fatalf("open, life %d: %v", life, err)
		}
		filestore.Settle(s)
		begun := filestore.Newest(s)
		for i := 0; i < 60 || filestore.Newest(s)-begun < 4; i++ {
			n := len(h.states)
			doc := fmt.Sprintf("d/%02d", rng.IntN(12))
			sets := []set{{key: "n", value: fmt.Sprint(n)}}
			if _, there := h.now()[doc]; there && rng.IntN(4) == 0 {
				sets = append(sets, set{key: doc, del: true})
			} else {
				sets = append(sets, set{key: doc, value: value(rng, fmt.Sprintf("%s v%d ", doc, n), 10+rng.IntN(600))})
				sets = append(sets, set{key: fmt.Sprintf("i/%03d", rng.IntN(200)), value: doc})
			}
			h.next(sets)
			if _, err := s.Commit(bg, batch(sets...)); err != nil {
				t.Fatalf("commit %d: %v", n, err)
			}
			h.acked.Store(int64(n))
			filestore.Settle(s)
			did.runs = max(did.runs, filestore.Runs(s))
			switch rng.IntN(8) {
			case 0:
				clock.advance(150 * time.Millisecond)
			case 1:
				clock.advance(1100 * time.Millisecond)
			}
		}
		did.segments += filestore.Newest(s) - begun
		compact := func(*filestore.Store) error { return nil }
		switch life % 4 {
		case 0:
			compact = filestore.CompactEach
		case 2:
			compact = func(s *filestore.Store) error { return s.Compact(bg) }
		}
		if err := compact(s); err != nil {
			t.Fatalf("compact, life %d: %v", life, err)
		}
		filestore.Settle(s)
		compacted, moved := filestore.Compacted(s)
		did.compacted += compacted
		did.moved += moved
		if err := s.Close(); err != nil {
			t.Fatalf("close, life %d: %v", life, err)
		}
		if n := clock.running(); n != 0 {
			t.Fatalf("%d timers run after Close", n)
		}
	}
	return did
}

// scripted says what a script made a store do.
type scripted struct {
	segments, runs, compacted int // begun, at most, gone
	moved                     int64
}

// reopened opens what a crash left, reads all of it and closes it. It returns the file system as it is then.
func reopened(sim *simfs.FS, mode store.DurabilityMode, flushKeys int) (map[string]string, error) {
	o, _ := simOptions(sim, mode)
	o.FlushKeys = flushKeys
	s, err := filestore.Open(bg, "sim", o)
	if err != nil {
		return nil, err
	}
	filestore.Settle(s)
	got, err := dump(s)
	if err == nil {
		// It can also be written to.
		_, err = s.Commit(bg, batch(set{key: "z", value: "after the crash"}))
	}
	return got, errors.Join(err, s.Close())
}

// A crash at every operation loses no acknowledged commit (of Sync), leaves no half of one, and leaves a prefix of the
// commits; so does a second crash at every operation of the recovery.
func TestCrashAtEveryOperation(t *testing.T) {
	t.Parallel()
	for _, mode := range []store.DurabilityMode{store.Sync, store.Periodic, store.NoSync} {
		t.Run([]string{"Sync", "Periodic", "NoSync"}[mode], func(t *testing.T) {
			sim := simfs.New()
			h := &history{states: []map[string]string{{}}}
			crashes, nested, kept, every := 0, 0, 0, size(151, 60, 6)
			// A step can be one of a goroutine of the store, which must not end before its time.
			fail := func(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
			sim.Before(func(op simfs.Op) {
				for _, loss := range simfs.Losses {
					if size(1, 0, 0) == 1 && int(loss) != op.N%3 {
						continue // the small run takes one of the three in turn
					}
					rng := rand.New(rand.NewPCG(uint64(op.N), uint64(loss)))
					at := fmt.Sprintf("crash before operation %d (%v), %v", op.N, op, loss)
					disk := sim.Crash(loss, rng)
					flushKeys := []int{0, 30}[op.N/3%2]
					least := 0
					if mode == store.Sync {
						least = int(h.acked.Load())
					}
					check := func(disk *simfs.FS, at string) int {
						got, err := reopened(disk, mode, flushKeys)
						if err != nil {
							fail("%s: %v", at, err)
						}
						i := h.find(got, least)
						if i < 0 {
							fail("%s: %s\nis no state from commit %d on; the last one is %s", at, show(got), least, show(h.now()))
						}
						again, err := reopened(disk, mode, 0)
						if err != nil {
							fail("%s, opened again: %v", at, err)
						}
						delete(again, "z")
						if !equal(again, got) {
							fail("%s, opened again: %s\nwas %s", at, show(again), show(got))
						}
						return i
					}
					crashes++
					before := disk.Clone()
					i := check(disk, at)
					kept += i
					if (op.N+int(loss))%every != 0 {
						continue
					}
					// The recovery: stop it before each of its operations.
					recovering := before
					recovering.Before(func(op2 simfs.Op) {
						for _, loss2 := range simfs.Losses {
							rng := rand.New(rand.NewPCG(uint64(op.N)<<20|uint64(op2.N), uint64(loss2)))
							nested++
							if j := check(recovering.Crash(loss2, rng), fmt.Sprintf("%s; then before operation %d (%v) of the recovery, %v", at, op2.N, op2, loss2)); j != i {
								fail("%s; then before operation %d (%v) of the recovery, %v: state %d, without the second crash %d", at, op2.N, op2, loss2, j, i)
							}
						}
					})
					o, _ := simOptions(recovering, mode)
					o.FlushKeys = flushKeys
					s, err := filestore.Open(bg, "sim", o)
					if err != nil {
						fail("%s: %v", at, err)
					}
					filestore.Settle(s)
					recovering.Before(nil)
					if err := s.Close(); err != nil {
						fail("%s: %v", at, err)
					}
				}
			})
			did := script(t, sim, mode, 1, size(520, 1900, 1900), h)
			proof(t, 1, "operations", sim.Ops(), "commits", h.acked.Load(), "segments", did.segments, "runs", did.runs, "compacted", did.compacted, "moved", did.moved,
				"crashes", crashes, "kept", kept/crashes, "lost", 0)
			proof(t, 2, "crashesInRecovery", nested, "lost", 0)
			if did.segments < 3 || did.runs < 2 || did.compacted < 4 || did.moved == 0 || sim.Ops() < 500 {
				t.Errorf("the script is too short: %+v, %d operations", did, sim.Ops())
			}
		})
	}
}
