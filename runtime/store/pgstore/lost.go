package pgstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// When a connection ends before its commit was answered, the server may go on for as long as it likes: the statements may
// still be on their way, or wait for a lock. The batch could so be applied after it was committed again, and after that
// was undone by others. Therefore the backend is ended, and what has not happened until then never will.

// endTimeout is how long a commit waits for the end of a backend before it goes back to its caller.
const endTimeout = 5 * time.Second

// An attempt is a commit of a batch whose connection has ended, with the backend that may still work on it.
type attempt struct {
	id      [8]byte // of the batch
	backend backend
}

// lost are the attempts whose backends are not known to have ended.
type lost struct {
	mu   sync.Mutex
	list []attempt
}

func (l *lost) add(a attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, a)
}

// of returns the attempts of one batch.
func (l *lost) of(id [8]byte) (list []attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.list {
		if a.id == id {
			list = append(list, a)
		}
	}
	return list
}

// remove takes out the attempts of a backend that has ended.
func (l *lost) remove(b backend) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = slices.DeleteFunc(l.list, func(a attempt) bool { return a.backend == b })
}

// endLost returns when the backends that may work on the batch have ended. There are never many: the ones of a moment in
// which the server could not be reached any more, and of batches that nobody has committed again.
func (s *Store) endLost(ctx context.Context, id [8]byte) error {
	list := s.lost.of(id)
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	for _, a := range list {
		if err := s.end(ctx, a.backend); err != nil {
			return err
		}
		s.lost.remove(a.backend)
	}
	return nil
}

// end tells a backend to end, and returns when it has.
func (s *Store) end(ctx context.Context, b backend) error {
	for try := 1; ; try++ {
		ended, err := s.tellToEnd(ctx, b)
		var pe *pgconn.PgError
		switch {
		case errors.As(err, &pe) && pe.Code == insufficientPrivilege:
			s.log.Warn("pgstore: the server does not let a lost connection be ended; its commit may be applied late", "event", "lost.kept", "pid", b.pid, "err", err)
			return nil
		case err != nil:
			return err
		case ended && b.dialect == yugabyte:
			s.log.Warn("pgstore: a lost connection is not seen from every node of YugabyteDB; its commit may be applied late", "event", "lost.unseen", "pid", b.pid)
			return nil
		case ended:
			return nil
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
}

// insufficientPrivilege is the SQLSTATE of what the role may not do.
const insufficientPrivilege = "42501"

// pause waits a little, longer with every try, or until ctx ends.
func pause(ctx context.Context, try int) error {
	t := time.NewTimer(time.Millisecond/2 + rand.N(time.Millisecond<<min(try, 6)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
