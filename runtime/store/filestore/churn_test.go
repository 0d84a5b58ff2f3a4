package filestore_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// While writers overwrite the same documents, and flushes, merges and compactions follow each other as fast as they can and get
// into each other's way, every document can be read at any time, in the end, and after another opening.
func TestEverythingCanBeReadWhileSegmentsGo(t *testing.T) {
	const docs, writers = 300, 3
	o := filestore.Options{SegmentSize: 16 << 10, FlushKeys: 40}
	o.Durability.Mode = store.NoSync
	o.Logger = (&quiet{}).logger()
	dir := filepath.Join(memoryDir(t), "db")
	s, err := filestore.Open(bg, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	key := func(i int) string { return fmt.Sprintf("d/%03d", i) }
	for i := range docs {
		put(t, s, key(i), strings.Repeat(key(i), 20))
	}
	var work sync.WaitGroup
	var ended atomic.Bool
	commits := size(20_000, 60_000, 2_000_000)
	for w := range writers {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 3))
			for range commits / writers {
				k := key(rng.IntN(docs))
				if rng.IntN(3) > 0 {
					k = key(rng.IntN(docs / 10)) // so that segments are of different use
				}
				if _, err := s.Commit(bg, batch(set{key: k, value: strings.Repeat(k, 1+rng.IntN(60))})); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	read := func(s *filestore.Store, when string) bool {
		got, err := dump(s)
		if err != nil || len(got) != docs {
			t.Errorf("%s: %d documents, want %d: %v", when, len(got), docs, err)
			return false
		}
		for k, v := range got {
			if v != strings.Repeat(k, len(v)/len(k)) {
				t.Errorf("%s: %s is %q", when, k, v)
				return false
			}
		}
		return true
	}
	var reads int
	var reader sync.WaitGroup
	reader.Go(func() {
		for !ended.Load() && read(s, "meanwhile") {
			reads++
		}
	})
	work.Wait()
	ended.Store(true)
	reader.Wait()
	read(s, "in the end")
	compacted, moved := filestore.Compacted(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = filestore.Open(bg, dir, o); err != nil {
		t.Fatal(err)
	}
	read(s, "opened again")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d commits, read %d times meanwhile, %d segments compacted, %d bytes moved", commits, reads, compacted, moved)
	if compacted < 10 || moved == 0 {
		t.Error("nearly nothing was compacted: that is no test")
	}
}
