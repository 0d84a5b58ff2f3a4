package filestore

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Snapshot calls f with a reader of one state, see [store.Store]. The state is a clone of the keys in memory, which
// costs little: it shares everything that no later commit changes; and the runs as they are, whose files stay as long.
// f may take as long as it likes and holds up nobody.
func (s *Store) Snapshot(ctx context.Context, f func(store.SnapshotReader) error) error {
	if err := s.readable(ctx); err != nil {
		return err
	}
	s.recent.ask() // before the position is taken: what is published after it is kept
	r := &snapshot{s: s, state: s.clone()}
	defer r.ver.release()
	defer r.over.Store(true)
	return f(r)
}

// clone returns the published state, which is never changed, with a reference on its version for the caller. All readers
// between two commits share one clone of the delta.
func (s *Store) clone() state {
	s.mu.RLock()
	if st := s.state; s.view != nil {
		st.delta = s.view
		st.ver.acquire()
		s.mu.RUnlock()
		return st
	}
	s.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view == nil {
		s.view = s.delta.Clone()
	}
	st := s.state
	st.delta = s.view
	st.ver.acquire()
	return st
}

// errSnapshotOver is a mistake of the caller.
var errSnapshotOver = errors.New("filestore: the reader of a snapshot was used after the function that it was handed to had returned")

// A snapshot reads one state.
type snapshot struct {
	s *Store
	state
	over atomic.Bool
}

func (r *snapshot) readable(ctx context.Context) error {
	if r.over.Load() {
		return errSnapshotOver
	}
	return r.s.readable(ctx)
}

// Token returns the position of the snapshot, see [store.SnapshotReader]. A range check with it holds against what was
// committed since, as long as that is not more than about 16 MiB of keys and short values.
func (r *snapshot) Token() store.Token { return r.s.token(progress{r.at, whole}) }

func (r *snapshot) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	if err := r.readable(ctx); err != nil {
		return nil, err
	}
	q := query{items: make([]store.Item, len(keys)), ver: r.ver}
	q.get(&r.state, keys)
	return q.read()
}

func (r *snapshot) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	if err := r.readable(ctx); err != nil {
		return p.Into, err
	}
	if err := checkPage(&p); err != nil {
		return p.Into, err
	}
	return pageOf(&r.state, p)
}

// pageOf reads a page of a state that does not change. What is cached counts if it is not newer than the state: then it
// is what was newest there.
func pageOf(st *state, p store.Page) ([]store.Item, error) {
	if cached := p.Cached; cached != nil {
		p.Cached = func(key []byte) (any, store.Version, bool) {
			decoded, v, ok := cached(key)
			return decoded, v, ok && v <= store.Version(st.at.seq)
		}
	}
	q := query{items: p.Into, ver: st.ver, keys: arena{bytes: p.Room[:0]}}
	if q.page(st, &p, true) != pageByEntries {
		return q.read()
	}
	return documentsOfEntries(st, p)
}

// documentsOfEntries reads a page with entries whose values are on disk: first those, then the documents.
func documentsOfEntries(st *state, p store.Page) ([]store.Item, error) {
	entries := p
	entries.Deref, entries.Cached, entries.Into = false, nil, nil
	q := query{ver: st.ver}
	q.page(st, &entries, true)
	found, err := q.read()
	if err != nil {
		return p.Into, err
	}
	docs := query{items: p.Into, ver: st.ver}
	for _, e := range found {
		docs.addDocument(st, stringOf(e.Key), stringOf(e.Value), &p)
	}
	return docs.read()
}
