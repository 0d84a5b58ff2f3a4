package datacopy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kixxgen/kixxgen/internal/inside"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// Key is where the mark of an unfinished copy is. It sorts before all keys of kixx.
const Key = inside.CopyKey

// ErrNotEmpty says that there is something in the target, and no unfinished copy.
var ErrNotEmpty = errors.New("the target is not empty")

// An OtherError says that the target has an unfinished copy of another source.
type OtherError struct{ Source string }

func (e *OtherError) Error() string {
	return fmt.Sprintf("the target has an unfinished copy of another source, %s", e.Source)
}

// A state is what the mark says. Seq makes each commit's mark another one, so that a commit is known by it.
type state struct {
	Format int    `json:"kixxCopy"`
	Source string `json:"source"`
	Pass   int    `json:"pass"`
	At     []byte `json:"at,omitempty"` // the pass has copied up to this key
	Run    []byte `json:"run"`
	Seq    int    `json:"seq"`
}

// next returns the key with which the pass goes on; nil is the first one.
func (s *state) next() []byte {
	if s.At == nil {
		return nil
	}
	return after(s.At)
}

// A mark is the mark of an unfinished copy in a store. All commits of a copy go through it, each guarded by the one before,
// so that of two copies into one target only one goes on.
type mark struct {
	st      store.Store
	version store.Version
	state   state
}

// begin puts the mark into an empty target, or takes over the one that is there.
func begin(ctx context.Context, st store.Store, o Options) (m *mark, resumed bool, err error) {
	items, err := st.Get(ctx, []byte(Key))
	if err != nil {
		return nil, false, fmt.Errorf("target: %w", err)
	}
	id := newID()
	m = &mark{st: st, version: items[0].Version, state: state{Format: 1, Source: o.Name, Pass: 1, Run: id[:]}}
	if m.version != store.Absent {
		var have state
		if err := json.Unmarshal(items[0].Value, &have); err != nil || have.Format != 1 {
			return nil, false, errors.New("the target has an unfinished copy of a format that this version does not know")
		}
		if have.Source != o.Name && !o.Anew {
			return nil, false, &OtherError{have.Source}
		}
		if resumed = !o.Anew; resumed {
			m.state.Pass, m.state.At = have.Pass, have.At
		}
		return m, resumed, m.commit(ctx, nil)
	}
	if err := m.empty(ctx); err != nil {
		return nil, false, err
	}
	if err := m.commit(ctx, nil); err != nil {
		return nil, false, err
	}
	// Somebody may have opened the target meanwhile, who did not see the mark. From now on nobody does.
	if err := m.empty(ctx); err != nil {
		return nil, false, errors.Join(err, m.remove(ctx))
	}
	return m, false, nil
}

// empty returns an error if there is more than the mark in the target.
func (m *mark) empty(ctx context.Context) error {
	items, err := m.st.Page(ctx, store.Page{Limit: 2, KeysOnly: true})
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	for _, it := range items {
		if string(it.Key) != Key {
			return ErrNotEmpty
		}
	}
	return nil
}

// commit commits changes of the target together with the mark.
func (m *mark) commit(ctx context.Context, ops []store.Op) error {
	m.state.Seq++
	value, err := json.Marshal(m.state)
	if err != nil {
		return err
	}
	version, err := m.apply(ctx, store.Op{Key: []byte(Key), Value: value}, ops)
	if err != nil {
		return err
	}
	m.version = version
	return nil
}

// remove takes the mark away: the copy is finished.
func (m *mark) remove(ctx context.Context) error {
	_, err := m.apply(ctx, store.Op{Key: []byte(Key), Delete: true}, nil)
	return err
}

// applyTries is how often a commit is tried while the target cannot be reached.
const applyTries = 12

// apply commits the change of the mark and others. A commit of an unknown outcome is made again: the guard on the mark lets
// only one of them through, and the mark says that it was this one.
func (m *mark) apply(ctx context.Context, op store.Op, ops []store.Op) (store.Version, error) {
	op.Guard = store.At(m.version)
	at, _ := slices.BinarySearchFunc(ops, op, func(a, b store.Op) int { return bytes.Compare(a.Key, b.Key) })
	b := &store.Batch{ID: newID(), Ops: slices.Insert(slices.Clone(ops), at, op)}
	for try := 1; ; try++ {
		version, err := m.st.Commit(ctx, b)
		switch {
		case err == nil:
			return version, nil
		case errors.Is(err, store.ErrConflict):
			items, readErr := m.st.Get(ctx, op.Key)
			if readErr != nil {
				return 0, fmt.Errorf("target: %w", readErr)
			}
			it := items[0]
			if op.Delete && it.Version == store.Absent || !op.Delete && bytes.Equal(it.Value, op.Value) {
				return it.Version, nil
			}
			return 0, fmt.Errorf("another copy into the target has begun, or was: %w", err)
		case ctx.Err() != nil, try == applyTries, !errors.Is(err, store.ErrUnknown) && !errors.Is(err, store.ErrUnavailable):
			return 0, fmt.Errorf("target: %w", err)
		}
		if err := pause(ctx, try); err != nil {
			return 0, cmp.Or(ctx.Err(), err)
		}
	}
}

// pause waits, longer with every try, or until ctx ends.
func pause(ctx context.Context, try int) error {
	t := time.NewTimer(time.Millisecond << min(try, 12))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
