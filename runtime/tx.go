package kixx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A Tx is a transaction: see [DB.Tx]. Repositories are bound to it by their With method. It may be used by several
// goroutines until its function returns, and not afterwards.
type Tx struct{ s *scope }

func (tx *Tx) scoped() *scope { return tx.s }

// Tx runs f in a transaction over any number of repositories of db: all that f writes is committed in one step, or nothing.
//
//	err := db.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
//		items, orders := items.With(tx), orders.With(tx)
//		…
//	})
//
// What f reads through repositories that are bound to tx is of one snapshot, with what f itself has written on top;
// queries and pages see that as well, in order. The transaction is serializable: the commit takes place only if nothing
// that f has read was changed meanwhile, ranges that a query went over included. Else f runs again, on a new snapshot, at
// most as often as [WithRetry] says and until ctx ends; the error is then a [*BusyError]. So f should do nothing that
// cannot be done twice: what is to be done once, after the commit, belongs behind Tx or into an AfterSet.
//
// If f returns an error or panics, nothing is changed, and Tx returns f's error as it is. The context that f gets is
// marked: a repository that is not bound to tx and gets it returns [ErrTxScope], as does a Tx in a Tx. A unique value that
// is taken is known when the transaction commits; values may change hands within it.
//
// AfterSet hooks run after the commit, once for each document that was stored, in the order in which they were last
// written. A store that cannot guard ranges ([store.Limits]) refuses a transaction that went over a range and writes,
// unless the database was opened with [PointGuards].
func (db *DB) Tx(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	core := db.core
	if err := core.unbound(ctx, "transaction"); err != nil {
		return err
	}
	ctx, op := core.begin(ctx, "Tx", "", "")
	written, err := db.tryTx(ctx, f)
	op.end(written, err)
	return err
}

// tryTx is Tx; written is how many documents were.
func (db *DB) tryTx(ctx context.Context, f func(ctx context.Context, tx *Tx) error) (written int, err error) {
	core := db.core
	core.scopes.Add(1)
	defer core.scopes.Add(-1)
	turn := txTurn{core: core}
	defer turn.end()
	for tries := 1; ; tries++ {
		sc, err := db.runTx(ctx, f)
		if err == nil {
			var lost []byte
			if lost, err = sc.commit(ctx); err == nil && lost == nil {
				return len(sc.order), sc.afterCommit(ctx)
			}
			turn.key = lost
		}
		switch {
		case sc.again != nil && ctx.Err() == nil: // f may have hidden it
		case err != nil:
			return 0, err
		}
		if tries >= core.options.tries {
			return 0, &BusyError{Tries: tries}
		}
		core.counts.retries.Add(1)
		if err := turn.wait(ctx, tries-1); err != nil {
			return 0, fmt.Errorf("kixx: transaction: %w while others changed what it had read", err)
		}
	}
}

// runTx runs f once, on a snapshot.
func (db *DB) runTx(ctx context.Context, f func(context.Context, *Tx) error) (*scope, error) {
	sc := newScope(db, true)
	tx := &Tx{sc}
	sc.public = tx
	err := db.core.st.Snapshot(ctx, func(r store.SnapshotReader) error {
		sc.snap = r
		defer sc.end()
		sc.token = r.Token()
		return f(sc.mark(ctx), tx)
	})
	return sc, err
}

// commit commits what the transaction wrote. lost is the key that was changed by somebody else: the transaction must run
// again.
func (sc *scope) commit(ctx context.Context) (lost []byte, err error) {
	if sc.again != nil {
		return nil, sc.again
	}
	w := writers.Get().(*writer)
	defer func() { w.release(err) }()
	w.reset(sc.db)
	w.several = true
	for _, d := range sc.order {
		if ch := d.change; ch.stored == nil && d.old == nil {
			sc.reads[string(ch.key)] = store.Absent // made and deleted again
		} else {
			w.changes = append(w.changes[:w.used], ch)
			w.used++
			if err := w.add(ch); err != nil {
				return nil, err
			}
		}
	}
	if w.used == 0 {
		return nil, nil // a snapshot is serializable as it is
	}
	if err := sc.depend(w); err != nil {
		return nil, err
	}
	err = w.commit(ctx)
	if err == nil {
		return nil, nil
	}
	var ce *store.ConflictError
	if errors.As(err, &ce) {
		lost = append([]byte{}, ce.Key...)
		if v, read := sc.reads[string(ce.Key)]; read && v == store.Absent {
			return lost, nil // f has seen that a unique value is free: it must see that it is not any more
		}
	}
	if _, err := w.conflict(ctx, err); err != nil {
		return nil, err
	}
	return lost, nil
}

// depend adds to the commit what the transaction has read.
func (sc *scope) depend(w *writer) error {
	for _, u := range sc.uses {
		w.fence(u.col, u.reg)
	}
	slices.SortFunc(w.batch.Fences, func(a, b store.Check) int { return bytes.Compare(a.Key, b.Key) })
	put := make(map[string]bool, len(w.batch.Ops))
	for i := range w.batch.Ops {
		put[string(w.batch.Ops[i].Key)] = true
	}
	for key, v := range sc.reads {
		if !put[key] {
			w.batch.Checks = append(w.batch.Checks, store.Check{Key: []byte(key), Version: v})
		}
	}
	if len(sc.ranges) == 0 {
		return nil
	}
	core := sc.db.core
	switch {
	case core.limits.RangeChecks:
		w.batch.Ranges = sc.ranges
	case !core.options.pointGuards:
		return fmt.Errorf("kixx: transaction: %w: the store %s cannot guard ranges, and the transaction went over one and writes: what others put there meanwhile would not be noticed; read by key, or open the database with kixx.PointGuards()",
			ErrNotSupported, core.name)
	}
	return nil
}

// afterCommit calls the AfterSet hooks.
func (sc *scope) afterCommit(ctx context.Context) error {
	var errs []error
	for _, d := range sc.order {
		if d.after != nil {
			errs = append(errs, d.after(ctx))
		}
	}
	return errors.Join(errs...)
}

// afterSet keeps the hook of a document that the transaction has just written for after the commit, unless another goroutine
// of it has written or deleted the document since then: made is what was written.
func (sc *scope) afterSet(key []byte, made any, hook func(context.Context) error) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if d := sc.docs[string(key)]; d != nil && d.made == made {
		d.after = hook
	}
}

// A txTurn is the place that a transaction, which was beaten, has in the queue of the key that it lost by: updates of one
// document and transactions take turns.
type txTurn struct {
	core *core
	key  []byte // that the last try lost by; nil: none
	held []byte // that end gives up
	done func()
}

func (t *txTurn) end() {
	if t.done != nil {
		t.done()
		t.done, t.held = nil, nil
	}
}

// wait waits until it makes sense to try again.
func (t *txTurn) wait(ctx context.Context, try int) (err error) {
	if t.done != nil || len(t.key) == 0 {
		if bytes.Equal(t.held, t.key) || len(t.key) == 0 {
			return t.core.backoff(ctx, try)
		}
		t.end()
	}
	t.done, err = t.core.turns.take(ctx, t.key)
	t.held = t.key
	return err
}

// A Snapshot is one state of the database, for reading: see [DB.Snapshot].
type Snapshot struct{ s *scope }

func (s *Snapshot) scoped() *scope { return s.s }

// Token returns the position of the snapshot: a Watch that goes on from it sees exactly what the snapshot does not see. On
// a store that has no Watch it is the zero Token, which is "from now".
func (s *Snapshot) Token() Token { return Token(s.s.token) }

// Snapshot runs f with one state of the database. Repositories that are bound to s by their With method all read that
// state, for as long as f takes or [store.Limits] allows; a write through them is [ErrReadOnly]. The context that f gets
// is marked: a repository that is not bound to s and gets it returns [ErrTxScope]. To write while f runs, use the context
// from outside. Snapshot returns f's error as it is.
func (db *DB) Snapshot(ctx context.Context, f func(ctx context.Context, s *Snapshot) error) error {
	core := db.core
	if err := core.unbound(ctx, "snapshot"); err != nil {
		return err
	}
	ctx, op := core.begin(ctx, "Snapshot", "", "")
	core.scopes.Add(1)
	defer core.scopes.Add(-1)
	sc := newScope(db, false)
	s := &Snapshot{sc}
	sc.public = s
	err := core.st.Snapshot(ctx, func(r store.SnapshotReader) error {
		sc.snap, sc.token = r, r.Token()
		defer sc.end()
		return f(sc.mark(ctx), s)
	})
	op.end(0, err)
	return err
}

// A Token is a position in the history of a database, from which a watch goes on. It is text, and may be kept for as long
// as one likes. The zero Token is "from now".
type Token string
