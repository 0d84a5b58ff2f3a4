package memstore

import (
	"context"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Commit implements [store.Store]. Its outcome is never unknown.
func (s *Store) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	if err := b.Check(limits); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	if err := s.holds(b); err != nil {
		return 0, err
	}

	s.shared = nil
	version := store.Version(s.pos + uint64(max(1, len(b.Ops))))
	at := s.now()
	for i, op := range b.Ops {
		pos := s.pos + 1 + uint64(i)
		if op.Delete {
			if old, ok := s.tree.Delete(item{key: asString(op.Key)}); ok {
				s.record(change{item: item{key: old.key, version: version}, pos: pos, at: at})
			}
			continue
		}
		it := item{key: string(op.Key), value: append([]byte{}, op.Value...), version: version}
		s.tree.ReplaceOrInsert(it)
		s.record(change{item: it, pos: pos, at: at})
	}
	s.pos = uint64(version)
	s.forget(at)
	for _, h := range s.hooks {
		h.call(b, version)
	}
	if s.waiting.Swap(false) {
		close(s.wake)
		s.wake = make(chan struct{})
	}
	return version, nil
}

// holds returns a conflict if a guard, check, fence or range check of b does not hold. s.mu is held.
func (s *Store) holds(b *store.Batch) error {
	for i := range b.Ops {
		if at, ok := b.Ops[i].Guard.Version(); ok && s.versionOf(b.Ops[i].Key) != at {
			return conflict(b.Ops[i].Key)
		}
	}
	for _, list := range [][]store.Check{b.Checks, b.Fences} {
		for _, c := range list {
			if s.versionOf(c.Key) != c.Version {
				return conflict(c.Key)
			}
		}
	}
	for _, r := range b.Ranges {
		pos, ok := s.position(r.Token)
		if !ok {
			return conflict(nil)
		}
		for _, c := range s.after(pos) {
			if c.key >= asString(r.Lo) && (r.Hi == nil || c.key < asString(r.Hi)) {
				return conflict([]byte(c.key))
			}
		}
	}
	return nil
}

func (s *Store) versionOf(key []byte) store.Version {
	it, _ := s.tree.Get(item{key: asString(key)})
	return it.version
}

// conflict returns the error for key, copied since it may be the caller's.
func conflict(key []byte) error {
	if key == nil {
		return &store.ConflictError{}
	}
	return &store.ConflictError{Key: append([]byte{}, key...)}
}
