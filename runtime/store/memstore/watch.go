package memstore

import (
	"context"
	"iter"
	"strings"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// chunk is the number of changes that a watcher looks at while it holds the lock.
const chunk = 256

// Watch implements [store.Store]. Changes are remembered for at least 5 seconds or 16 MiB of keys and values, whatever
// is longer, but not beyond 256 MiB. A watcher that asks for more, or falls back further, is told to resync. It runs
// on its caller's goroutine and holds nothing between two events, so it can be slow, and be given up at any time.
func (s *Store) Watch(ctx context.Context, from store.Token, prefix []byte) iter.Seq2[store.Event, error] {
	w := watcher{s: s, prefix: string(prefix)}
	s.mu.RLock()
	w.pos, w.valid = s.pos, true
	if from != "" {
		w.pos, w.valid = s.position(from)
	}
	s.mu.RUnlock()
	return func(yield func(store.Event, error) bool) {
		w := w // each use of the iterator begins at from
		for {
			events, wake, err := w.next(ctx)
			if err != nil {
				yield(store.Event{}, err)
				return
			}
			for _, e := range events {
				if ctx.Err() != nil {
					break
				}
				if !yield(e, nil) {
					return
				}
			}
			if wake == nil {
				continue
			}
			select {
			case <-wake:
			case <-ctx.Done():
			}
		}
	}
}

// A watcher is how far one use of a watch has come.
type watcher struct {
	s      *Store
	prefix string
	pos    uint64 // all changes up to here were told
	valid  bool   // pos is a position of this history
}

// next returns the next events, which may be none, and if there are no changes left, what to wait for.
func (w *watcher) next(ctx context.Context) (events []store.Event, wake <-chan struct{}, err error) {
	s := w.s
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(ctx); err != nil {
		return nil, nil, err
	}
	if !w.valid || w.pos < s.dropped {
		w.pos, w.valid = s.pos, true
		return []store.Event{{Kind: store.EventResync, Token: s.token(w.pos)}}, nil, nil
	}
	changes := s.after(w.pos)
	if len(changes) == 0 {
		s.waiting.Store(true)
		return nil, s.wake, nil
	}
	for _, c := range changes[:min(chunk, len(changes))] {
		w.pos = c.pos
		if !strings.HasPrefix(c.key, w.prefix) {
			continue
		}
		e := store.Event{Kind: store.EventPut, Key: asBytes(c.key), Value: c.value, Version: c.version, Token: s.token(c.pos)}
		if c.value == nil {
			e.Kind = store.EventDelete
		}
		events = append(events, e)
	}
	return events, nil, nil
}
