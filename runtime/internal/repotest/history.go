package repotest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/internal/listappend"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// A recorder runs transactions that read and append to lists, and keeps their history.
type recorder struct {
	db     *kixx.DB
	lists  *kinds.ListRepo
	clock  atomic.Int64
	value  atomic.Int64
	ranges bool  // read groups by their index
	length int64 // of a list, about; then other lists are taken

	mu   sync.Mutex
	txns []listappend.Txn
}

const (
	listGroups  = 3
	listsInEach = 3
)

// list names a list of the present generation.
func (r *recorder) list(group, i int) string {
	generation := r.value.Load() / (listGroups * listsInEach * r.length)
	return fmt.Sprintf("%d/%d/%d", generation, group, i)
}

func groupOf(list string) string { return list[:strings.LastIndexByte(list, '/')] }

// run runs one transaction: it reads and appends, or gives up at the end.
func (r *recorder) run(ctx context.Context, rng *rand.Rand) error {
	type plan struct {
		list   string
		append bool
		group  bool
	}
	plans := make([]plan, 1+rng.IntN(4))
	for i := range plans {
		p := &plans[i]
		p.list = r.list(rng.IntN(listGroups), rng.IntN(listsInEach))
		p.append = rng.IntN(2) == 0
		p.group = r.ranges && !p.append && rng.IntN(3) == 0
	}
	fails := rng.IntN(20) == 0
	t := listappend.Txn{Begin: r.clock.Add(1)}
	err := r.db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
		t.Ops = nil
		lists := r.lists.With(tx)
		for _, p := range plans {
			runtime.Gosched() // else transactions in memory hardly ever meet
			switch {
			case p.append:
				v := r.value.Add(1)
				if _, err := lists.Upsert(ctx, p.list, func(l *kinds.List) error {
					l.Group = groupOf(p.list)
					l.Values = append(l.Values, v)
					return nil
				}); err != nil {
					return err
				}
				t.Ops = append(t.Ops, listappend.Op{Key: p.list, Append: v})
			case p.group: // all lists of a group, also those that are not there yet
				found, err := lists.QueryByGroup(groupOf(p.list)).Collect(ctx)
				if err != nil {
					return err
				}
				for i := range listsInEach {
					id := fmt.Sprintf("%s/%d", groupOf(p.list), i)
					op := listappend.Op{Key: id}
					for _, l := range found {
						if l.ID == id {
							op.Read = l.Values
						}
					}
					t.Ops = append(t.Ops, op)
				}
			default:
				l, err := lists.Get(ctx, p.list)
				if errors.Is(err, kixx.ErrNotFound) {
					l, err = new(kinds.List), nil
				}
				if err != nil {
					return err
				}
				t.Ops = append(t.Ops, listappend.Op{Key: p.list, Read: l.Values})
			}
		}
		if fails {
			return errStop
		}
		return nil
	})
	t.End = r.clock.Add(1)
	switch {
	case err == nil:
	case errors.Is(err, kixx.ErrUnknown):
		t.Outcome = listappend.Unknown
	case err == errStop || errors.Is(err, kixx.ErrConflict):
		t.Outcome = listappend.Aborted
	default:
		return err
	}
	r.mu.Lock()
	r.txns = append(r.txns, t)
	r.mu.Unlock()
	return nil
}

// record runs n transactions by several clients and then reads everything.
func (r *recorder) record(t *testing.T, n int) []listappend.Txn {
	ctx := t.Context()
	const clients = 8
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(c), uint64(n)))
			for range n / clients {
				if err := r.run(ctx, rng); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	last := listappend.Txn{Begin: r.clock.Add(1)}
	for l, err := range r.lists.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		last.Ops = append(last.Ops, listappend.Op{Key: l.ID, Read: l.Values})
	}
	last.End = r.clock.Add(1)
	return append(r.txns, last)
}

func newRecorder(t *testing.T, st store.Store, opts ...kixx.Option) *recorder {
	db := Must[*kixx.DB](t)(kixx.OpenStore(t.Context(), st, append(opts, kixx.WithRetry(1000))...))
	t.Cleanup(func() { db.Close() })
	return &recorder{db: db, lists: Must[*kinds.ListRepo](t)(kinds.NewListRepo(t.Context(), db)), ranges: st.Limits().RangeChecks, length: 40}
}

func testTransactionsAreSerializable(t *testing.T, p Place) {
	n := p.less(Count(2_000, 60_000, 1_000_000))
	r := newRecorder(t, p.Open(t))
	txns := r.record(t, n)
	committed := 0
	for _, x := range txns {
		if x.Outcome == listappend.Committed {
			committed++
		}
	}
	for i, a := range listappend.Check(txns) {
		if i < 5 {
			t.Errorf("%v", a)
		}
	}
	t.Logf("%d transactions, %d committed, over ranges: %v", len(txns), committed, r.ranges)
}
