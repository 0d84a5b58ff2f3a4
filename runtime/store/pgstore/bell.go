package pgstore

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// A bell tells watchers to look into the log. It is a hint and nothing else: they look now and then anyway.
//
// A process that has committed rings, at most every bellEvery, with a notification of the server, and one that watches
// listens on a connection of its own.
type bell struct {
	mu       sync.Mutex
	rung     chan struct{} // closed when the bell rings next
	watchers int
	stop     context.CancelFunc // of the listener; nil: there is none
	pending  bool               // a notification will be sent
	last     time.Time          // when the last one was
	done     chan struct{}      // closed when the store is
	work     sync.WaitGroup
}

func newBell() *bell { return &bell{rung: make(chan struct{}), done: make(chan struct{})} }

func (b *bell) closed() <-chan struct{} { return b.done }

// next returns a channel that is closed when the bell rings next.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rung
}

// ring rings in this process.
func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.rung)
	b.rung = make(chan struct{})
}

// join counts a watcher in; leave counts it out. The store listens while there are any.
func (b *bell) join(s *Store) (_ *bell, leave func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.watchers++; b.watchers == 1 && !b.isClosed() {
		ctx, stop := context.WithCancel(context.Background())
		b.stop = stop
		b.work.Go(func() { s.listen(ctx) })
	}
	return b, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.watchers--; b.watchers == 0 && b.stop != nil {
			b.stop()
			b.stop = nil
		}
	}
}

func (b *bell) isClosed() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// close ends what the bell does. Watchers find the store closed.
func (b *bell) close() {
	b.mu.Lock()
	if b.isClosed() {
		b.mu.Unlock()
		return
	}
	close(b.done)
	if b.stop != nil {
		b.stop()
		b.stop = nil
	}
	b.mu.Unlock()
	b.work.Wait()
}

// channel is the name that notifications of this store have in its database.
func (s *Store) channel() string { return "kixx_" + s.made.history }

// committed rings after a commit, here and in other processes.
func (s *Store) committed() {
	if !s.limits.Watch {
		return
	}
	s.bell.ring()
	b := s.bell
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pending || b.isClosed() {
		return
	}
	b.pending = true
	wait := time.Until(b.last.Add(bellEvery))
	b.work.Go(func() {
		if wait > 0 {
			select {
			case <-time.After(wait):
			case <-b.done:
				return
			}
		}
		b.mu.Lock()
		b.pending, b.last = false, time.Now()
		b.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, _ = s.calls.Exec(ctx, bellSQL, s.channel()) // who does not hear it looks by himself
	})
}

// listen rings when other processes do, until ctx ends.
func (s *Store) listen(ctx context.Context) {
	for try := 1; ctx.Err() == nil; try++ {
		conn, err := pgx.ConnectConfig(ctx, s.calls.Config().ConnConfig)
		if err == nil {
			if _, err = conn.Exec(ctx, "listen "+pgx.Identifier{s.channel()}.Sanitize()); err == nil {
				try = 1
			}
			for err == nil {
				if _, err = conn.WaitForNotification(ctx); err == nil {
					s.bell.ring()
				}
			}
			closing, cancel := context.WithTimeout(context.Background(), time.Second)
			conn.Close(closing)
			cancel()
		}
		pause(ctx, try+4)
	}
}

// prune deletes old rows of the log now and then, until the store is closed.
func (s *Store) prune() {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			ctx, cancel := context.WithTimeout(context.Background(), pruneEvery)
			if _, err := s.calls.Exec(ctx, pruneSQL, keepLog.Seconds()); err != nil && !s.closed.Load() {
				s.log.Warn("pgstore: old rows of the log of changes stay", "event", "log.kept", "err", err)
			}
			cancel()
		case <-s.bell.done:
			return
		}
	}
}
