package failrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
	"github.com/kixxgen/kixxgen/runtime/store/storetest"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	os.Exit(m.Run())
}

// A server is a store in memory that can be away.
type server struct {
	store.Store
	away *atomic.Bool
}

var errAway = errors.Join(store.ErrUnavailable, errors.New("the server is away"))

func (s server) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	if s.away.Load() {
		return nil, errAway
	}
	return s.Store.Get(ctx, keys...)
}

func (s server) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	if s.away.Load() {
		return 0, errAway
	}
	return s.Store.Commit(ctx, b)
}

func (s server) Close() error { return nil }

// A store that is sometimes away, and otherwise the weakest that is permitted, loses nothing.
func TestRunPassesOverTheWeakestStore(t *testing.T) {
	under := memstore.New(store.Options{})
	defer under.Close()
	var away atomic.Bool
	Run(t, Options{
		span: time.Second,
		Open: func(testing.TB) store.Store { return storetest.Weak(server{under, &away}, rand.Uint64()) },
		Events: []Event{
			{Name: "nothing", Gap: 5 * time.Second},
			{Name: "outage", Outage: true, Do: func() error { away.Store(true); return nil }},
			{Name: "back", Gap: 10 * time.Second, Do: func() error { away.Store(false); return nil }},
		},
	})
}

// A recorder takes what a run says of a store that lies.
type recorder struct {
	testing.TB
	mu   sync.Mutex
	said []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.said) > 0
}

// A liar does with a few commits what a broken server might.
type liar struct {
	server
	commits *atomic.Int64
	lie     func(ctx context.Context, s store.Store, b *store.Batch) (store.Version, error)
}

func (l liar) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	if l.commits.Add(1)%50 == 0 && len(b.Ops) > 2 {
		return l.lie(ctx, l.server, b)
	}
	return l.server.Commit(ctx, b)
}

func TestRunSeesStoresThatLie(t *testing.T) {
	lies := map[string]func(ctx context.Context, s store.Store, b *store.Batch) (store.Version, error){
		"acknowledged and not applied": func(context.Context, store.Store, *store.Batch) (store.Version, error) {
			return 12345, nil
		},
		"applied and said to be refused": func(ctx context.Context, s store.Store, b *store.Batch) (store.Version, error) {
			if _, err := s.Commit(ctx, b); err != nil {
				return 0, err
			}
			return 0, errAway
		},
		"half applied": func(ctx context.Context, s store.Store, b *store.Batch) (store.Version, error) {
			half := *b
			half.Ops = b.Ops[:len(b.Ops)-1]
			return s.Commit(ctx, &half)
		},
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			under := memstore.New(store.Options{})
			defer under.Close()
			var away atomic.Bool
			var commits atomic.Int64
			r := &recorder{TB: t}
			ended := make(chan struct{})
			go func() { // which Fatalf may end
				defer close(ended)
				Run(r, Options{
					Open: func(testing.TB) store.Store {
						return liar{server{storetest.Weak(under, 1), &away}, &commits, lie}
					},
					Events: []Event{{Name: "nothing"}},
					span:   time.Second,
				})
			}()
			<-ended
			if len(r.said) == 0 {
				t.Errorf("a store whose commits are sometimes %s passes", name)
			}
		})
	}
}

func TestRunSeesWhatAnOutageLetsThrough(t *testing.T) {
	under := memstore.New(store.Options{})
	defer under.Close()
	r := &recorder{TB: t}
	Run(r, Options{
		span:   100 * time.Millisecond,
		Open:   func(testing.TB) store.Store { return storetest.Weak(server{under, new(atomic.Bool)}, rand.Uint64()) },
		Events: []Event{{Name: "outage", Outage: true}, {Name: "nothing"}},
	})
	if len(r.said) != 1 {
		t.Errorf("an outage in which everything works: %q", r.said)
	}
}
