package filestore

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// What a commit has looked up before it is admitted does not count if something was published since: whatever kind of
// condition it is, wherever the key stood, and whether it is remembered as a fence.
func TestConditionsAreThoseOfTheMoment(t *testing.T) {
	ctx := t.Context()
	s, err := Open(ctx, t.TempDir(), Options{Options: store.Options{Logger: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id := byte(0)
	long := false
	put := func(key string) store.Version {
		id++
		value := []byte{id}
		if long {
			value = bytes.Repeat(value, 500)
		}
		v, err := s.Commit(ctx, &store.Batch{ID: [8]byte{id}, Ops: []store.Op{{Key: []byte(key), Value: value}}})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	put("a")
	if err := s.Compact(ctx); err != nil { // so that there is a run
		t.Fatal(err)
	}
	if len(s.ver.runs) == 0 {
		t.Fatal("there is no run")
	}
	for n, kind := range []string{"guard", "check", "fence", "fence that is remembered"} {
		for _, where := range []string{"run", "tree", "known", "nowhere"} {
			for _, changed := range []bool{false, true} {
				key := fmt.Sprintf("k%d/%s/%v", n, where, changed)
				version := store.Absent
				long = where == "known"
				if where != "nowhere" {
					version = put(key)
				}
				if where == "run" {
					if err := s.Compact(ctx); err != nil {
						t.Fatal(err)
					}
				}
				if _, ok := s.known.version(key); ok != long {
					t.Fatalf("the version of %s is known: %v, want %v", key, ok, long)
				}
				condition := []store.Check{{Key: []byte(key), Version: version}}
				other := func(id byte) *store.Batch {
					return &store.Batch{ID: [8]byte{1, id}, Ops: []store.Op{{Key: []byte("z"), Value: []byte("z")}}, Fences: condition}
				}
				b := other(1)
				switch kind {
				case "guard":
					b = &store.Batch{ID: [8]byte{1}, Ops: []store.Op{{Key: []byte(key), Value: []byte("new"), Guard: store.At(version)}}}
				case "check":
					b.Checks, b.Fences = condition, nil
				case "fence that is remembered":
					if _, err := s.Commit(ctx, other(2)); err != nil {
						t.Fatal(err)
					}
					if v, ok := s.fences.Load().version([]byte(key)); !ok || v != version {
						t.Fatalf("the fence %s is not remembered: %v, %v", key, v, ok)
					}
				}
				c := commitPool.Get().(*commit)
				c.batch = b
				c.enc.encode(b)
				if err := s.prepareConditions(c); err != nil {
					t.Fatal(err)
				}
				if changed {
					put(key)
				} else {
					put("something else")
				}
				inline, err := s.enqueue(c)
				if inline != nil {
					s.commitInline(inline)
				}
				if conflict := errors.Is(err, store.ErrConflict); conflict != changed || err != nil && !conflict {
					t.Errorf("%s, %s, changed: %v: %v", kind, where, changed, err)
				}
			}
		}
	}
}
