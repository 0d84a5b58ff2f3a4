package filestore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A worker does one kind of work in the background, one piece at a time, when somebody asks for it.
type worker struct {
	s      *Store
	work   func() error
	failed func(in time.Duration, err error) // logs that it is tried again
	counts *failures

	kick     chan struct{}   // room for one
	requests chan chan error // asks for all that can be done
	all      func() error    // does that

	mu    sync.Mutex
	asked bool // there is work, or it is being done

	wait  time.Duration // after the last error
	retry Timer
}

func (w *worker) init() {
	w.kick, w.requests = make(chan struct{}, 1), make(chan chan error)
}

// ask lets the worker look for work.
func (w *worker) ask() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.kick <- struct{}{}:
		w.asked = true
	default:
	}
}

// busy reports whether there is work, or it is being done.
func (w *worker) busy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

// run works until the store is closed. After an error it tries again after a while.
func (w *worker) run() {
	defer w.s.workers.Done()
	defer func() {
		if w.retry != nil {
			w.retry.Stop()
		}
	}()
	for {
		select {
		case <-w.s.flushing.quit:
			return
		case done := <-w.requests:
			done <- w.all()
		case <-w.kick:
			w.ended(w.work())
		}
	}
}

// ended notes how a piece of work went.
func (w *worker) ended(err error) {
	s := w.s
	closed := errors.Is(err, store.ErrClosed)
	if !closed {
		s.mu.Lock()
		w.counts.ended(err)
		s.mu.Unlock()
	}
	if err == nil || closed {
		w.wait = 0
	} else {
		w.wait = min(max(retryFlush, 2*w.wait), retryFlushMost)
		s.counts.erred(err)
		w.failed(w.wait, err)
		w.retry = start(s, w.retry, w.wait, w.ask)
	}
	w.mu.Lock()
	w.asked = len(w.kick) > 0
	w.mu.Unlock()
}

// request lets the worker do all that can be done, and returns when it has.
func request(ctx context.Context, s *Store, requests chan chan error) error {
	done := make(chan error, 1)
	select {
	case requests <- done:
	case <-s.flushing.quit:
		return store.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
