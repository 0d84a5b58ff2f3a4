package filestore

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// What two keys share is what a comparison byte by byte finds, at every length and place of the first difference.
func TestSharedPrefixAndEnd(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for n := range 40 {
		for m := range 40 {
			for range 20 {
				long := make([]byte, 40)
				for i := range long {
					long[i] = byte(rng.IntN(4))
				}
				a, b := bytes.Clone(long[:n]), bytes.Clone(long[:m])
				if k := min(n, m); k > 0 {
					b[rng.IntN(m)] ^= byte(rng.IntN(2))
				}
				prefix, end := 0, 0
				for prefix < min(n, m) && a[prefix] == b[prefix] {
					prefix++
				}
				for end < min(n, m) && a[n-1-end] == b[m-1-end] {
					end++
				}
				if got := sharedPrefix(a, b); got != prefix {
					t.Fatalf("sharedPrefix(%x, %x) = %d, want %d", a, b, got, prefix)
				}
				if got := sharedEnd(a, b); got != end {
					t.Fatalf("sharedEnd(%x, %x) = %d, want %d", a, b, got, end)
				}
			}
		}
	}
}
