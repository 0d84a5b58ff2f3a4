package filestore

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// Whatever tags keys have, they sort as the keys do.
func TestTagsKeepTheOrderOfKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	const common = "\x01nspace01"
	key := func() string {
		switch b := make([]byte, r.IntN(24)); r.IntN(4) {
		case 0: // of another namespace, or so short that it is none
			for i := range b {
				b[i] = byte(r.IntN(3))
			}
			return string(b)
		case 1:
			return common + string(b) // zeros, as behind the end of a shorter key
		default:
			for i := range b {
				b[i] = byte(r.IntN(2) * 255)
			}
			return common + string(b)
		}
	}
	states := []state{{}, {common: common}}
	equal := 0
	for range 200_000 {
		a, b := key(), key()
		if r.IntN(4) == 0 {
			b = a
		}
		// Keys that were put before the common bytes were known have no tag.
		x, y := states[r.IntN(2)].item(a, nil), states[r.IntN(2)].item(b, nil)
		if x.before(&y) != (a < b) || y.before(&x) != (b < a) {
			t.Fatalf("%q before %q: %v, the other way around: %v", a, b, x.before(&y), y.before(&x))
		}
		if a == b {
			equal++
		}
	}
	if equal < 1000 {
		t.Errorf("only %d pairs were equal", equal)
	}
	if (tagOf(common+"abc", common) == tag{}) || (tagOf("\x01nspace02abc", common) != tag{}) || (tagOf(common, common) != tag{}) {
		t.Error("tags of keys with and without the common bytes")
	}
}

// A store that has keys of several namespaces finds all of them.
func TestTagsOfTwoNamespaces(t *testing.T) {
	st := state{delta: newDelta(), ver: new(version)}
	var keys []string
	for i := range 500 {
		keys = append(keys, fmt.Sprintf("\x01nspace%02d%06d", i%3, i))
	}
	for i, k := range keys {
		st.apply([]change{{k, &entry{seq: uint64(i)}}})
	}
	for i, k := range keys {
		if it, ok := st.lookup(k); !ok || it.entry == nil || it.entry.seq != uint64(i) {
			t.Fatalf("lookup(%q) = %+v, %v", k, it, ok)
		}
	}
	var last []byte
	n := 0
	st.delta.Ascend(func(it item) bool {
		if n++; bytes.Compare(last, []byte(it.key)) >= 0 {
			t.Errorf("%q is behind %q", it.key, last)
		}
		last = []byte(it.key)
		return true
	})
	if n != len(keys) {
		t.Errorf("%d keys, want %d", n, len(keys))
	}
}
