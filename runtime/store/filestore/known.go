package filestore

import "hash/maphash"

// knownVersions has the versions of keys that were put last, so that the guard of the next commit of one of them need not be
// looked up in trees and runs. It has one place for all keys with the same last bits of a hash, and the newest one takes it.
// A key is told by its whole hash, with a seed of this process: of 2^64 look-ups one takes another key for it.
type knownVersions struct {
	seed   maphash.Seed
	places []knownVersion // a power of two of them
	used   int            // of the places
}

type knownVersion struct {
	hash uint64
	seq  uint64 // of the commit that put it; 0: it is not there
}

// leastKnown and mostKnown are how many places there are at first, and at most.
const (
	leastKnown = 1 << 8
	mostKnown  = 1 << 18
)

func newKnownVersions() knownVersions {
	return knownVersions{seed: maphash.MakeSeed(), places: make([]knownVersion, leastKnown)}
}

// version returns the version of a key, 0 if it is not there. ok is false if that is not known.
func (k *knownVersions) version(key string) (seq uint64, ok bool) {
	h := maphash.String(k.seed, key)
	p := &k.places[h&uint64(len(k.places)-1)]
	return p.seq, p.hash == h
}

// changed notes a change. Only keys with long values get a place: documents are written again, index entries hardly ever.
func (k *knownVersions) changed(c *change) {
	h := maphash.String(k.seed, c.key)
	p := &k.places[h&uint64(len(k.places)-1)]
	switch {
	case c.entry == nil || c.entry.seg == nil:
		if p.hash != h {
			return
		}
		if p.seq = 0; c.entry != nil {
			p.seq = c.entry.seq
		}
		return
	case p.hash == 0:
		if k.used++; k.used > len(k.places)/2 && len(k.places) < mostKnown {
			k.grow()
			p = &k.places[h&uint64(len(k.places)-1)]
		}
	}
	*p = knownVersion{h, c.entry.seq}
}

// grow makes it twice as large.
func (k *knownVersions) grow() {
	old := k.places
	k.places = make([]knownVersion, 2*len(old))
	for _, p := range old {
		k.places[p.hash&uint64(len(k.places)-1)] = p
	}
}
