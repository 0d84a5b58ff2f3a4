package kixxtest

import (
	"context"
	"errors"
	"fmt"

	"github.com/kixxgen/kixxgen/runtime/internal/testhook"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// A troubled store is one of a machine.
type troubled struct {
	store.Store
	m *machine
}

// crashed returns err as it is after a power cut.
func (s *troubled) crashed(err error) error {
	switch {
	case !s.m.dead.Load() || errors.Is(err, ErrCrashed):
		return err
	case err == nil:
		return ErrCrashed
	}
	return fmt.Errorf("%w: %w", ErrCrashed, err)
}

func (s *troubled) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	items, err := s.Store.Get(ctx, keys...)
	return items, s.crashed(err)
}

func (s *troubled) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	items, err := s.Store.Page(ctx, p)
	return items, s.crashed(err)
}

func (s *troubled) Snapshot(ctx context.Context, f func(store.SnapshotReader) error) error {
	return s.Store.Snapshot(ctx, func(r store.SnapshotReader) error {
		if err := s.crashed(nil); err != nil {
			return err
		}
		return f(troubledReader{r, s})
	})
}

// A troubledReader reads a snapshot until the power is cut.
type troubledReader struct {
	store.SnapshotReader
	s *troubled
}

func (r troubledReader) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	items, err := r.SnapshotReader.Get(ctx, keys...)
	return items, r.s.crashed(err)
}

func (r troubledReader) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	items, err := r.SnapshotReader.Page(ctx, p)
	return items, r.s.crashed(err)
}

// Commit commits, unless the power is cut. Another writer may have been first.
func (s *troubled) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	if err := s.crashed(nil); err != nil {
		return 0, err
	}
	if err := s.rival(ctx, b); err != nil {
		return 0, s.crashed(err)
	}
	v, err := s.Store.Commit(ctx, b)
	if err != nil {
		return 0, s.crashed(err)
	}
	return v, nil // what was acknowledged stands, whatever happened since
}

// rival lets another writer be first, if the test has asked for it.
func (s *troubled) rival(ctx context.Context, b *store.Batch) error {
	if s.m.conflicts.Load() <= 0 {
		return nil
	}
	other, err := testhook.Rival(ctx, s.Store, b)
	if err != nil || other == nil {
		return err
	}
	if s.m.conflicts.Add(-1) < 0 {
		return nil // another commit was the last one
	}
	if _, err = s.Store.Commit(ctx, other); errors.Is(err, store.ErrConflict) {
		s.m.conflicts.Add(1) // b will meet that, without our help
		return nil
	}
	return err
}
