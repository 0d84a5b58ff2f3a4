package filestore

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A merge empties no segment of which runs may need something that were flushed after it had begun.
func TestMergeKnowsNothingOfLaterFlushes(t *testing.T) {
	ctx := t.Context()
	s, err := Open(ctx, t.TempDir(), Options{SegmentSize: 4 << 10, Options: store.Options{Logger: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	NeverCompact(s)
	const keys = 40
	flushed := func(times int) {
		t.Helper()
		for i := range times * keys {
			b := &store.Batch{ID: [8]byte{byte(i)}, Ops: []store.Op{{Key: fmt.Appendf(nil, "k%02d", i%keys), Value: bytes.Repeat([]byte{byte(i)}, 500)}}}
			if _, err := s.Commit(ctx, b); err != nil {
				t.Fatal(err)
			}
		}
		if err := request(ctx, s, s.flushing.flushes); err != nil {
			t.Fatal(err)
		}
	}
	flushed(2)
	Settle(s)

	s.merges.Lock()
	defer s.merges.Unlock()
	ver, _ := s.mergeable()
	defer ver.release()
	flushed(2)
	if err := s.compaction.begin(ctx); err != nil {
		t.Fatal(err)
	}
	s.compaction.slack = 0
	s.compaction.end()

	segs, end := s.ride(ver)
	defer end()
	if all := s.usage(); len(segs) == 0 || len(all.segs) < 2*len(segs) {
		t.Fatalf("%d segments of %d would be emptied: that is no test", len(segs), len(all.segs))
	}
	for _, g := range segs {
		if g.id >= ver.replay {
			t.Errorf("%s would be emptied by a merge that began when the log was replayed from segment %d on", g.name, ver.replay)
		}
	}
}
