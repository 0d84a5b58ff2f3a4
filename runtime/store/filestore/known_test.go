package filestore

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// What is known of a key is what was put last, through growth, deletions and short values; and what is put again and again is
// known.
func TestKnownVersions(t *testing.T) {
	k := newKnownVersions()
	rng := rand.New(rand.NewPCG(1, 1))
	want := map[string]uint64{}
	seg := &segment{}
	known := 0
	const keys, changes = 3000, 200_000
	for seq := uint64(1); seq <= changes; seq++ {
		key := fmt.Sprintf("document/%d", rng.IntN(keys))
		e := &entry{seq: seq, seg: seg}
		want[key] = seq
		switch rng.IntN(10) {
		case 0:
			e, want[key] = nil, 0
		case 1:
			e.seg = nil // a short value
		}
		k.changed(&change{key: key, entry: e})
		key = fmt.Sprintf("document/%d", rng.IntN(keys))
		got, ok := k.version(key)
		if ok {
			known++
		}
		if ok && got != want[key] {
			t.Fatalf("after %d changes %s has version %d, want %d", seq, key, got, want[key])
		}
	}
	if n := len(k.places); n < keys || n > 8*keys {
		t.Errorf("%d places for %d keys", n, keys)
	}
	if known < changes*7/10 {
		t.Errorf("%d of %d keys were known", known, changes)
	}
}
