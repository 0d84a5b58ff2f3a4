package kixx

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/ordered"
)

func TestHeaderBytes(t *testing.T) {
	h := newHeader([8]byte{1, 2, 3, 4, 5, 6, 7, 8}, 0x0a0b, 0x0c)
	if got, want := fmt.Sprintf("%x", h), "0101020304050607080a0b0018"; got != want {
		t.Errorf("header = %s, want %s", got, want)
	}
	if id := namespaceID(""); fmt.Sprintf("%x", id) != "e3b0c44298fc1c14" {
		t.Errorf("namespaceID(\"\") = %x", id)
	}
	doc := append(newHeader([8]byte{}, 1, 0).slice(), 'k')
	entry := append(newHeader([8]byte{}, 1, 1).slice(), 'k')
	cat := append(newHeader([8]byte{}, 0, 0).slice(), 'k')
	if !isDocument(doc) || isDocument(entry) || isDocument(cat) || isDocument(doc[:headerLen]) || !isCatalogue(cat) || isCatalogue(doc) {
		t.Error("isDocument or isCatalogue mixes up documents, entries and the catalogue")
	}
}

func (h header) slice() []byte { return h[:] }

// No key of one namespace lies in any range of another: whatever a query's bounds are, they stay behind its header.
func TestNamespacesDoNotOverlap(t *testing.T) {
	n := 20_000
	if os.Getenv("KIXX_CI") != "" || os.Getenv("KIXX_LONG") != "" {
		n = 1_000_000
	}
	r := rand.New(rand.NewPCG(3, 4))
	text := func() string {
		b := make([]byte, r.IntN(12))
		for i := range b {
			b[i] = []byte{0, 1, 0x7f, 0xfe, 0xff}[r.IntN(5)]
		}
		return string(b)
	}
	number := func() uint16 { return uint16([]int{0, 1, 2, 255, 256, maxIndex}[r.IntN(6)]) }
	for range n {
		a, b := namespaceID(text()+"a"), namespaceID(text()+"b")
		h := newHeader(a, number(), number())
		other := newHeader(b, number(), number())
		key := ordered.AppendString(other[:], text())
		lo, hi := ordered.AppendString(h[:], text()), ordered.AppendString(h[:], text())
		for _, bounds := range [][2][]byte{
			{lo, ordered.PrefixEnd(nil, hi)},
			{ordered.PrefixEnd(nil, lo), ordered.PrefixEnd(nil, h[:])},
			{h[:], ordered.PrefixEnd(nil, h[:])},
			{h[:], hi},
		} {
			if bytes.Compare(bounds[0], key) <= 0 && bytes.Compare(key, bounds[1]) < 0 {
				t.Fatalf("key %x of namespace %x lies in [%x, %x) of namespace %x", key, b, bounds[0], bounds[1], a)
			}
		}
	}
	t.Logf("%d pairs of keys", n)
}
