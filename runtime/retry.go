package kixx

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	firstBackoff = time.Millisecond
	maxBackoff   = 100 * time.Millisecond
	maxTurn      = 100 * time.Millisecond
)

// backoff waits before another try: exponentially longer, with full jitter, so that those who were beaten together do not
// meet again. It returns ctx's error if that ends first.
func (c *core) backoff(ctx context.Context, try int) error {
	most := min(firstBackoff<<min(try, 10), maxBackoff)
	return sleep(ctx, rand.N(most)+1)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// turns makes updates of one key that were beaten wait for each other: each begins when the one before it has ended, or has
// taken maxTurn. Without it, writers of one key that read, are beaten and read again starve some among them: with 64
// writers most updates fail three times.
//
// An update joins the queue of its key when it was beaten, or when there is a queue already: a newcomer that did not
// would beat those who wait again and again. Who is slow holds up the next one for maxTurn, and not longer; the time
// counts from when it began, so that a long queue of fast ones is no reason to push in.
type turns struct {
	queued atomic.Int32 // keys with a queue
	mu     sync.Mutex
	last   map[string]*turn // of each queue
}

// A turn is a place in a queue.
type turn struct {
	began chan struct{} // closed
	ended chan struct{} // closed
}

// join is take if there is a queue for key, else it does nothing and returns a nil function.
func (t *turns) join(ctx context.Context, key []byte) (end func(), err error) {
	if t.queued.Load() == 0 {
		return nil, nil
	}
	t.mu.Lock()
	_, queue := t.last[string(key)]
	t.mu.Unlock()
	if !queue {
		return nil, nil
	}
	return t.take(ctx, key)
}

// take waits for the next turn of key, and returns what ends it.
func (t *turns) take(ctx context.Context, key []byte) (end func(), err error) {
	mine := &turn{began: make(chan struct{}), ended: make(chan struct{})}
	t.mu.Lock()
	before := t.last[string(key)]
	if before == nil {
		t.queued.Add(1)
		if t.last == nil {
			t.last = make(map[string]*turn)
		}
	}
	t.last[string(key)] = mine
	t.mu.Unlock()

	end = func() {
		close(mine.ended)
		t.mu.Lock()
		if t.last[string(key)] == mine {
			delete(t.last, string(key))
			t.queued.Add(-1)
		}
		t.mu.Unlock()
	}
	err = before.wait(ctx)
	close(mine.began)
	if err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// wait waits until t has ended, or has taken maxTurn. A nil turn has ended.
func (t *turn) wait(ctx context.Context) error {
	if t == nil {
		return nil
	}
	select {
	case <-t.began:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-t.ended:
		return nil
	default:
	}
	timer := time.NewTimer(maxTurn)
	defer timer.Stop()
	select {
	case <-t.ended:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
