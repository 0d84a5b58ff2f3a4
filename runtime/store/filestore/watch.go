package filestore

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Watch streams the changes of keys with the prefix, see [store.Store]. Recent ones come from memory, older ones are read
// back from the segments: a watcher may be as late as the log is long. It runs on its caller's goroutine and holds nothing
// between two events, so it can be slow, and be given up at any time. It has at most one commit in memory beside what the
// store has anyway, and a buffer of 256 KiB while it reads segments.
//
// A token is good after a reopening too. The history goes on over a clean close, and in the mode [store.Sync] over a crash
// that left no torn end. Other openings begin a new one: in the other modes a crash may have taken commits that were told.
// In a copy of the directory that is written to by itself, tokens of the original are good up to where they parted.
//
// A segment that cannot be read ends the watch with a [*store.CorruptError]. The deletion of a key that was absent is told
// of as well.
func (s *Store) Watch(ctx context.Context, from store.Token, prefix []byte) iter.Seq2[store.Event, error] {
	w := watcher{s: s, prefix: string(prefix)}
	if from == "" {
		s.recent.ask()
		w.restart()
	} else {
		w.at, w.ours = s.parseToken(from)
	}
	return func(yield func(store.Event, error) bool) {
		w := w // each use of the iterator begins at from
		for {
			err := w.step(ctx, yield)
			if errors.Is(err, errGone) {
				w.restart()
				err = nil
				if !yield(store.Event{Kind: store.EventResync, Token: s.token(w.at)}, nil) {
					return
				}
			}
			if err == errStop {
				return
			}
			if err != nil {
				yield(store.Event{}, err)
				return
			}
		}
	}
}

// errStop says that the caller of a watch wants no more.
var errStop = errors.New("filestore: the watch was given up")

// A watcher is one use of a watch.
type watcher struct {
	s       *Store
	prefix  string
	at      progress
	ours    bool       // at came from this store
	checked bool       // at is of this history
	log     *logReader // behind at.done(), while it is below what is recent
}

// restart lets the watcher go on from what is published now.
func (w *watcher) restart() {
	w.s.mu.RLock()
	w.at = progress{w.s.at, whole}
	w.s.mu.RUnlock()
	w.ours, w.checked, w.log = true, true, nil
}

// step tells of the next commits, or waits for them.
func (w *watcher) step(ctx context.Context, yield func(store.Event, error) bool) error {
	if err := w.s.readable(ctx); err != nil {
		return err
	}
	next, wake, published, err := w.recent()
	if err != nil {
		return err
	}
	if wake != nil {
		select {
		case <-wake:
		case <-ctx.Done():
		}
		return nil
	}
	if len(next.ends) == 0 {
		if next, err = w.older(ctx, published); err != nil {
			return err
		}
	}
	return w.tell(ctx, next, yield)
}

// recent returns the next commits if they are in memory, or if there are none yet, what to wait for. Else they are in the
// log, up to the one that is published last.
func (w *watcher) recent() (next commits, wake <-chan struct{}, published uint64, err error) {
	s := w.s
	s.mu.RLock()
	defer s.mu.RUnlock()
	done := w.at.done()
	switch {
	case !w.ours || w.at.seq > s.at.seq || done < s.history:
		return next, nil, 0, errGone
	case done < s.recent.floor.seq:
		return next, nil, s.at.seq, nil
	case !w.checked && !s.recent.has(w.at.position):
		return next, nil, 0, errGone
	}
	w.checked, w.log = true, nil
	if done == s.at.seq {
		s.recent.ask()
		s.waiting.Store(true)
		return next, s.wake, 0, nil
	}
	return s.recent.after(done), nil, 0, nil
}

// older returns the next commit from the log.
func (w *watcher) older(ctx context.Context, published uint64) (next commits, err error) {
	if w.log == nil {
		if w.log, err = w.s.readLog(ctx, w.at.done()); err != nil {
			return next, err
		}
	}
	before := w.log.at
	if next, err = w.log.next(published); err != nil {
		return next, err
	}
	if !w.checked {
		if at := w.at.position; at != before && at != w.log.at {
			return next, errGone
		}
		w.checked = true
	}
	return next, nil
}

// tell tells of what the commits do to keys with the prefix. The first of them that was not told follows on w.at.
func (w *watcher) tell(ctx context.Context, c commits, yield func(store.Event, error) bool) error {
	for seq := w.at.done() + 1; seq <= c.last().seq; seq++ {
		i := seq - c.first
		at := progress{position{seq, c.chains[i]}, 0}
		if w.at.ops != whole {
			at.ops = w.at.ops
		}
		changes := c.changes[c.begin(seq-1):c.ends[i]]
		for int(at.ops) < len(changes) {
			change := &changes[at.ops]
			at.ops++
			if !strings.HasPrefix(change.key, w.prefix) {
				continue
			}
			if err := w.s.readable(ctx); err != nil {
				return err
			}
			e, err := w.event(change)
			if err != nil {
				return err
			}
			w.at = at
			if int(at.ops) == len(changes) {
				w.at.ops = whole
			}
			e.Version, e.Token = store.Version(seq), w.s.token(w.at)
			if !yield(e, nil) {
				return errStop
			}
		}
		w.at = progress{at.position, whole}
	}
	return nil
}

// event returns the event for a change, without version and token.
func (w *watcher) event(c *change) (e store.Event, err error) {
	e.Key = bytesOf(c.key)
	switch {
	case c.entry == nil:
		e.Kind = store.EventDelete
	case c.entry.seg == nil:
		e.Kind, e.Value = store.EventPut, bytesOf(c.entry.value)
	default:
		e.Kind, e.Value = store.EventPut, make([]byte, c.entry.n)
		if err := c.entry.seg.read(c.key, c.entry, e.Value); err != nil {
			return e, w.s.readError(c.entry.seg, int64(c.entry.off), err)
		}
	}
	return e, nil
}
