package peers

import (
	"hash/maphash"
	"sync"
)

// stripes are locks of IDs, for stores whose writes do not check what was read.
type stripes struct {
	seed  maphash.Seed
	locks [256]sync.Mutex
}

func newStripes() *stripes { return &stripes{seed: maphash.MakeSeed()} }

// lock locks id and returns what unlocks it.
func (s *stripes) lock(id string) *sync.Mutex {
	mu := &s.locks[maphash.String(s.seed, id)%uint64(len(s.locks))]
	mu.Lock()
	return mu
}
