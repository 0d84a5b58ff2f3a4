package storetest

import (
	"math/rand/v2"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A scrambler maps versions one to one onto others, so that their order means nothing. The version of an absent key
// stays as it is. It is a Feistel network: each round can be undone whatever its function is.
type scrambler [4]uint32

func newScrambler(r *rand.Rand) (s scrambler) {
	for i := range s {
		s[i] = r.Uint32()
	}
	return s
}

// seal returns what the caller sees of the version v.
func (s *scrambler) seal(v store.Version) store.Version { return s.around(v, s.encrypt) }

// open returns the version whose seal is v.
func (s *scrambler) open(v store.Version) store.Version { return s.around(v, s.decrypt) }

// around maps by f, but 0 to 0: what f maps to 0 goes where f maps 0.
func (s *scrambler) around(v store.Version, f func(uint64) uint64) store.Version {
	if v == store.Absent {
		return store.Absent
	}
	if out := f(uint64(v)); out != 0 {
		return store.Version(out)
	}
	return store.Version(f(0))
}

func (s *scrambler) encrypt(v uint64) uint64 {
	left, right := uint32(v>>32), uint32(v)
	for _, key := range s {
		left, right = right, left^mix(right, key)
	}
	return uint64(left)<<32 | uint64(right)
}

func (s *scrambler) decrypt(v uint64) uint64 {
	left, right := uint32(v>>32), uint32(v)
	for i := len(s) - 1; i >= 0; i-- {
		left, right = right^mix(left, s[i]), left
	}
	return uint64(left)<<32 | uint64(right)
}

// mix is the finalizer of MurmurHash3.
func mix(x, key uint32) uint32 {
	x ^= key
	x ^= x >> 16
	x *= 0x85EBCA6B
	x ^= x >> 13
	x *= 0xC2B2AE35
	return x ^ x>>16
}
