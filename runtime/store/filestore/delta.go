package filestore

import (
	"cmp"
	"encoding/binary"
	"sort"
	"strings"
	"unsafe"

	"github.com/google/btree"
)

// An entry is what is known of one key that is there: the value itself, if it is short, or where it stands. Once it is
// published it is never changed, so that readers may keep it without a lock.
type entry struct {
	value string   // of at most inlineMax bytes, or the key of another operation, shared; only if seg is nil
	seg   *segment // where a longer value stands
	seq   uint64   // the commit that put it
	off   uint32
	n     uint32
	sum   uint32
}

// A change is one operation of a commit, as it is applied to the delta.
type change struct {
	key   string
	entry *entry // nil: the key is deleted
}

// An item is a key in the delta.
type item struct {
	key   string
	entry *entry // nil: the key is deleted, which hides it from what is older
	tag   tag
}

// A tag is 16 bytes of a key behind the ones that most keys of a store have in common, with zeros behind its end. So most
// comparisons need not read the key, which stands somewhere else in memory. The zero tag says nothing.
type tag struct{ hi, lo uint64 }

// commonLen is how many bytes the keys of a namespace begin with that are the same in all of them.
const commonLen = 9

// tagOf returns the tag of a key, which is the zero tag unless the key begins with common.
func tagOf(key, common string) (t tag) {
	if len(common) != commonLen || len(key) <= commonLen || key[:commonLen] != common {
		return t
	}
	b := bytesOf(key[commonLen:])
	if len(b) < 16 {
		var padded [16]byte
		copy(padded[:], b)
		b = padded[:]
	}
	return tag{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

// before reports whether a sorts before b.
func (a *item) before(b *item) bool {
	if a.tag != b.tag && a.tag != (tag{}) && b.tag != (tag{}) {
		if a.tag.hi != b.tag.hi {
			return a.tag.hi < b.tag.hi
		}
		return a.tag.lo < b.tag.lo
	}
	return a.key < b.key
}

// delta holds the keys in memory, sorted.
type delta = btree.BTreeG[item]

// deltaDegree is the degree of the tree.
const deltaDegree = 32

func newDelta() *delta {
	return btree.NewG(deltaDegree, func(a, b item) bool { return a.before(&b) })
}

// apply makes the changes of one commit in the delta.
func (st *state) apply(changes []change) {
	hides := !st.flat()
	for i := range changes {
		c := &changes[i]
		if st.common == "" && len(c.key) > commonLen {
			st.common = strings.Clone(c.key[:commonLen])
		}
		if c.entry != nil || hides {
			st.delta.ReplaceOrInsert(st.item(c.key, c.entry))
		} else {
			st.delta.Delete(st.item(c.key, nil))
		}
	}
}

func (st *state) item(key string, e *entry) item { return item{key, e, tagOf(key, st.common)} }

// touches returns a key in [lo, hi) among the changes of one commit, which are sorted; hi nil is open.
func touches(changes []change, lo, hi []byte) (key string, ok bool) {
	from := stringOf(lo)
	i := sort.Search(len(changes), func(i int) bool { return changes[i].key >= from })
	if i < len(changes) && within(changes[i].key, lo, hi) {
		return changes[i].key, true
	}
	return "", false
}

// within reports whether key is in [lo, hi); hi nil is open.
func within(key string, lo, hi []byte) bool {
	return key >= stringOf(lo) && (hi == nil || key < stringOf(hi))
}

// bytesOf returns the bytes of s without a copy. They are handed to callers, who must not change them: what comes out of
// a store stays as it is.
func bytesOf(s string) []byte {
	if len(s) == 0 {
		return []byte{} // an empty value is not an absent one
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// stringOf returns b as a string without a copy, for a look-up that ends before b can change.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// arenaSize is the most that one long-lived key keeps from being freed.
const (
	arenaSize    = 1024
	arenaEntries = 16
)

// An arena allocates keys, short values and entries, many at a time. text and entries say how much is still to come, if
// that is known. What does not live long may be allocated in larger chunks.
type arena struct {
	text    int
	entries int
	chunk   int

	bytes []byte
	slab  []entry
}

// string returns a copy of b.
func (a *arena) string(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) > cap(a.bytes)-len(a.bytes) {
		n := cmp.Or(a.chunk, arenaSize)
		if a.text > 0 && a.text < n {
			n = a.text
		}
		a.bytes = make([]byte, 0, max(n, len(b)))
	}
	a.text -= len(b)
	at := len(a.bytes)
	a.bytes = append(a.bytes, b...)
	return unsafe.String(&a.bytes[at], len(b))
}

// entry returns a zero entry.
func (a *arena) entry() *entry {
	if len(a.slab) == 0 {
		n := arenaEntries
		if a.entries > 0 && a.entries < n {
			n = a.entries
		}
		a.slab = make([]entry, n)
	}
	a.entries--
	e := &a.slab[0]
	a.slab = a.slab[1:]
	return e
}
