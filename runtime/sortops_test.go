package kixx

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Operations are sorted as bytes.Compare sorts their keys, those of one key stay in their order, and none is lost, whatever the
// lengths of keys: one may be the beginning of another one, with zeros behind it.
func TestSortOps(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	w := new(writer)
	for range 500 {
		w.batch.Ops = w.batch.Ops[:0]
		for i := range rng.IntN(60) {
			key := make([]byte, 1+rng.IntN(3)*12+rng.IntN(3))
			for j := range key {
				key[j] = byte(rng.IntN(2))
			}
			w.batch.Ops = append(w.batch.Ops, store.Op{Key: key, Value: []byte{byte(i)}})
		}
		want := slices.Clone(w.batch.Ops)
		slices.SortStableFunc(want, func(a, b store.Op) int { return bytes.Compare(a.Key, b.Key) })
		w.sortOps()
		if !slices.EqualFunc(w.batch.Ops, want, func(a, b store.Op) bool { return bytes.Equal(a.Key, b.Key) && a.Value[0] == b.Value[0] }) {
			t.Fatalf("sorted %v, want %v", w.batch.Ops, want)
		}
	}
}
