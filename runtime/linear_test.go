package kixx_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
)

// A docCall is one call of a repository's method about one document.
type docCall struct {
	verb  string
	key   string
	rev   kixx.Rev // of set and deleteIf
	value int64
}

// A docAnswer is what came back.
type docAnswer struct {
	code  string // kixx.Code
	rev   kixx.Rev
	value int64
}

// docState is a document: the zero one is not there.
type docState struct {
	rev   kixx.Rev
	value int64
}

// oneDocument is what a document does if calls happen one after the other.
var oneDocument = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(docCall).key
			by[key] = append(by[key], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range by {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return docState{} },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(docState), input.(docCall), output.(docAnswer)
		there := !s.rev.IsZero()
		want := ""
		switch in.verb {
		case "get":
			if !there {
				return out.code == "NOT_FOUND", s
			}
			return out == docAnswer{"", s.rev, s.value}, s
		case "insert":
			if there {
				want = "ALREADY_EXISTS"
			}
		case "set":
			if !in.rev.Matches(s.rev) {
				want = "CONFLICT_ERROR"
			}
		case "update":
			if !there {
				want = "NOT_FOUND"
			}
		case "delete":
			if !there {
				want = "NOT_FOUND"
			}
		case "deleteIf":
			if !there {
				want = "NOT_FOUND"
			} else if !in.rev.Matches(s.rev) {
				want = "CONFLICT_ERROR"
			}
		}
		switch {
		case out.code != want:
			return false, s
		case want != "":
			return true, s
		case in.verb == "delete" || in.verb == "deleteIf":
			return true, docState{}
		}
		n := uint64(0)
		if old, ok := s.rev.Number(); ok {
			n = old + 1
		}
		got, _ := out.rev.Number()
		return got == n && out.value == in.value, docState{out.rev, out.value}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

// call makes one call.
func call(ctx context.Context, lists *kinds.ListRepo, c docCall) (a docAnswer) {
	doc := &kinds.List{ID: c.key, Rev: c.rev, Values: []int64{c.value}}
	var out *kinds.List
	var err error
	switch c.verb {
	case "get":
		out, err = lists.Get(ctx, c.key)
	case "insert":
		out, err = lists.Insert(ctx, doc)
	case "set":
		out, err = lists.Set(ctx, doc)
	case "overwrite":
		out, err = lists.Overwrite(ctx, doc)
	case "update":
		out, err = lists.Update(ctx, c.key, func(l *kinds.List) error { l.Values = doc.Values; return nil })
	case "upsert":
		out, err = lists.Upsert(ctx, c.key, func(l *kinds.List) error { l.Values = doc.Values; return nil })
	case "delete":
		err = lists.Delete(ctx, c.key)
	case "deleteIf":
		err = lists.DeleteIf(ctx, c.key, c.rev)
	}
	a.code = kixx.Code(err)
	if out != nil {
		a.rev, a.value = out.Rev, out.Values[0]
	}
	return a
}

// callMany lets 16 clients make calls about few documents, and returns the history.
func callMany(ctx context.Context, lists *kinds.ListRepo, round, each int) []porcupine.Operation {
	verbs := []string{"get", "get", "get", "insert", "set", "set", "overwrite", "update", "update", "upsert", "delete", "deleteIf"}
	const clients, keys = 16, 8
	var clock atomic.Int64
	histories := make([][]porcupine.Operation, clients)
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(round), uint64(client)))
			seen := map[string]kixx.Rev{}
			for i := range each {
				c := docCall{verb: verbs[rng.IntN(len(verbs))], key: fmt.Sprintf("%d/%d", round, rng.IntN(keys)), value: int64(client*1_000_000 + i)}
				if c.verb == "set" || c.verb == "deleteIf" {
					c.rev = seen[c.key]
				}
				begin := clock.Add(1)
				if rng.IntN(4) == 0 {
					runtime.Gosched()
				}
				a := call(ctx, lists, c)
				histories[client] = append(histories[client], porcupine.Operation{ClientId: client, Input: c, Call: begin, Output: a, Return: clock.Add(1)})
				if a.code == "" {
					seen[c.key] = a.rev
				}
			}
		})
	}
	wg.Wait()
	var all []porcupine.Operation
	for _, h := range histories {
		all = append(all, h...)
	}
	return all
}

// Whatever 16 clients do to documents at the same time, there is an order in which the calls could have happened one after
// the other, each at a moment between its beginning and its end.
func TestDocumentsAreLinearizable(t *testing.T) {
	for _, p := range places[:2] {
		t.Run(p.name, func(t *testing.T) {
			db := p.make(t).DB(t)
			lists := must[*kinds.ListRepo](t)(kinds.NewListRepo(t.Context(), db))
			goal := count(20_000, 300_000, 5_000_000)
			n, codes := 0, map[string]int{}
			for round := 0; n < goal; round++ {
				history := callMany(t.Context(), lists, round, 50)
				n += len(history)
				for _, op := range history {
					codes[op.Output.(docAnswer).code]++
				}
				if result := porcupine.CheckOperationsTimeout(oneDocument, history, time.Minute); result != porcupine.Ok {
					t.Fatalf("round %d: %v", round, result)
				}
			}
			t.Logf("%d calls by 16 clients: %v", n, codes)
		})
	}
}

// A stale reader answers a read with what was there a while ago. The check must notice.
type staleReader struct {
	store.Store
	mu   sync.Mutex
	last map[string]store.Item
	n    int
}

func (s *staleReader) Limits() store.Limits {
	l := s.Store.Limits()
	l.Coherent = false // so that each Get asks the store
	return l
}

// OnPublish registers nothing: the store is not coherent.
func (s *staleReader) OnPublish(func(*store.Batch, store.Version)) (cancel func()) { return func() {} }

func (s *staleReader) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	items, err := s.Store.Get(ctx, keys...)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range items {
		key := string(keys[i])
		if s.n++; s.n%500 == 0 && s.last[key].Key != nil {
			items[i] = s.last[key]
		} else {
			s.last[key] = items[i]
		}
	}
	return items, err
}

func TestLinearizabilityCheckNoticesStaleReads(t *testing.T) {
	db := must[*kixx.DB](t)(kixx.OpenStore(t.Context(), &staleReader{Store: memstore.New(store.Options{}), last: map[string]store.Item{}}))
	defer db.Close()
	lists := must[*kinds.ListRepo](t)(kinds.NewListRepo(t.Context(), db))
	for round := range 200 {
		history := callMany(t.Context(), lists, round, 50)
		if porcupine.CheckOperationsTimeout(oneDocument, history, time.Minute) == porcupine.Illegal {
			return
		}
	}
	t.Error("stale reads went unnoticed")
}
