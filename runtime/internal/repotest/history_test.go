package repotest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/internal/listappend"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
)

// A careless store leaves out what a commit depends on.
type careless struct {
	store.Store
	drop func(b *store.Batch)
}

func (c *careless) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	worse := *b
	worse.Ops = slices.Clone(b.Ops)
	c.drop(&worse)
	return c.Store.Commit(ctx, &worse)
}

// The history must show what a store does wrong, or it shows nothing.
func TestHistoryShowsWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		name string
		drop func(b *store.Batch)
		want string // at least this
	}{
		{"guards", func(b *store.Batch) {
			for i := range b.Ops {
				b.Ops[i].Guard = store.Guard{}
			}
		}, "lost append"},
		{"checks", func(b *store.Batch) { b.Checks = nil }, "G2"},
		{"range checks", func(b *store.Batch) { b.Ranges = nil }, "G2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRecorder(t, &careless{memstore.New(store.Options{}), c.drop})
			r.length = 4 // ranges matter when a list is new
			kinds := map[string]bool{}
			for range 20 {
				for _, a := range listappend.Check(r.record(t, 2_000)) {
					kinds[strings.TrimSuffix(a.Kind, "-realtime")] = true
				}
				if kinds[c.want] {
					return
				}
			}
			t.Errorf("without %s the history shows %v, want %s", c.name, kinds, c.want)
		})
	}
}
