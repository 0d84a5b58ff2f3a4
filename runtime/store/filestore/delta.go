package filestore

import (
	"cmp"
	"sort"
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

// An item is a key in the delta. The key stands beside the pointer, so that comparing follows none.
type item struct {
	key   string
	entry *entry // nil: the key is deleted, which hides it from what is older
}

// delta holds the keys in memory, sorted.
type delta = btree.BTreeG[item]

// deltaDegree is the degree of the tree.
const deltaDegree = 32

func newDelta() *delta {
	return btree.NewG(deltaDegree, func(a, b item) bool { return a.key < b.key })
}

// apply makes the changes of one commit in the delta.
func (st *state) apply(changes []change) {
	hides := !st.flat()
	for i := range changes {
		if c := &changes[i]; c.entry != nil || hides {
			st.delta.ReplaceOrInsert(item{c.key, c.entry})
		} else {
			st.delta.Delete(item{key: c.key})
		}
	}
}

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
