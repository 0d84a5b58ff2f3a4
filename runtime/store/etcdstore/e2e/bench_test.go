package e2e

import (
	"fmt"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/etcdstore/e2e/etcdtest"
)

// filled returns a store of n documents d/… and as many entries e/… that lead to them.
func filled(b *testing.B, n int) store.Store {
	s := open(b, etcdtest.New(b))
	var batch store.Batch
	flush := func() {
		if _, err := s.Commit(bg, &batch); err != nil {
			b.Fatal(err)
		}
		batch.Ops = nil
	}
	for _, kind := range "de" {
		for i := range n {
			value := fmt.Sprintf("d/%07d", i)
			if kind == 'd' {
				value = fmt.Sprintf("%0300d", i)
			}
			batch.Ops = append(batch.Ops, put(fmt.Sprintf("%c/%07d", kind, i), value, store.Guard{}))
			if len(batch.Ops) == 100 {
				flush()
			}
		}
	}
	return s
}

func BenchmarkPage20(b *testing.B) {
	s := filled(b, 20_000)
	for _, c := range []struct {
		name string
		page store.Page
	}{
		{"documents", store.Page{Lo: []byte("d/"), Hi: []byte("d0")}},
		{"entries", store.Page{Lo: []byte("e/"), Hi: []byte("e0"), Deref: true}},
		{"documents, reverse", store.Page{Lo: []byte("d/"), Hi: []byte("d0"), Reverse: true}},
		{"entries, reverse", store.Page{Lo: []byte("e/"), Hi: []byte("e0"), Deref: true, Reverse: true}},
		{"keys, reverse", store.Page{Lo: []byte("d/"), Hi: []byte("d0"), KeysOnly: true, Reverse: true}},
		{"few entries, reverse", store.Page{Lo: []byte("e/0019900"), Hi: []byte("e0"), Deref: true, Reverse: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := c.page
			p.Limit = 20
			for b.Loop() {
				if items, err := s.Page(bg, p); err != nil || len(items) != 20 {
					b.Fatal(len(items), err)
				}
			}
		})
	}
}

func BenchmarkCommit(b *testing.B) {
	s := open(b, etcdtest.New(b))
	v := mustCommit(b, s, put("k", "", store.At(store.Absent)))
	for b.Loop() {
		v = mustCommit(b, s, put("a", "1", store.Guard{}), put("b", "2", store.Guard{}), put("k", "value", store.At(v)))
	}
}
