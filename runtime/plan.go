package kixx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/kixxgen/kixxgen/runtime/ordered"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// A plan is what a query asks for, without the types of what it finds. It is a value: the methods of Query change copies.
type plan struct {
	col *collection
	in  *scope // nil: the newest state
	ix  int    // place of the index in the schema, or documents

	// Bounds in tuples of the index: from lo up to hi. The flags say that a bound stands for all that begins with it,
	// and lies behind that.
	lo, hi           []byte
	loAfter, hiAfter bool

	lead    []byte // leading fields, which a cursor is bound to
	reverse bool
	limit   int
	offset  int
	after   Cursor
	docs    bool // entries of a view carry their documents
	deleted bool // documents that are marked as deleted, too
	err     error
}

const (
	documents = -1 // not an index: the documents themselves
	noLimit   = -1

	defaultPage = 100
	maxPage     = 10_000
)

// A scan is the memory of one read of a plan. Scans are pooled.
type scan struct {
	plan   plan
	reg    *registration // that the scan goes by
	header header
	number indexNumber
	lo, hi []byte
	other  [2][]byte // the same bounds in the half of what is deleted
	items  []store.Item
	room   []byte // for the keys of documents that are read whole
	cursor []byte
	mark   uint64
	mac    macState

	// What the last page has found: the version of the catalogue record, if it was read with it.
	record     store.Version
	recordRead bool
}

var scans = sync.Pool{New: func() any { return new(scan) }}

func (s *scan) release() {
	clear(s.items[:cap(s.items)])
	if cap(s.items) > maxPage/4 {
		s.items = nil
	}
	s.plan, s.reg, s.recordRead = plan{}, nil, false
	scans.Put(s)
}

// start makes s read its plan from the beginning or from the cursor.
func (s *scan) start(reg *registration) error {
	p := &s.plan
	if p.err != nil {
		return p.err
	}
	s.reg = reg
	h := s.reg.header
	s.number = indexNumber{ready: true}
	if p.ix != documents {
		s.number = s.reg.indexes[p.ix]
		if !s.number.ready {
			return p.col.notReady(p.ix, s.number)
		}
		h = h.withIndex(s.number.number)
	}
	s.header = h
	s.lo = append(append(s.lo[:0], h[:]...), p.lo...)
	if p.loAfter {
		s.lo = ordered.PrefixEnd(s.lo[:0], s.lo)
	}
	s.hi = append(append(s.hi[:0], h[:]...), p.hi...)
	if p.hiAfter {
		s.hi = ordered.PrefixEnd(s.hi[:0], s.hi)
	}
	if p.after != "" {
		return s.resume()
	}
	return nil
}

// resume moves the bound at which s begins behind the position of the cursor. A position before the range is its
// beginning; one behind it leaves nothing.
func (s *scan) resume() error {
	position, err := s.plan.parseCursor(s)
	if err != nil {
		return err
	}
	s.goOn(position)
	return nil
}

// goOn makes s begin behind the entry with this tuple.
func (s *scan) goOn(position []byte) {
	// cursor is scratch that position may lie in, so the key is made behind it.
	at := len(s.cursor)
	s.cursor = append(append(s.cursor, s.header[:]...), position...)
	key := s.cursor[at:]
	if s.plan.reverse {
		if bytes.Compare(key, s.hi) < 0 {
			s.hi = append(s.hi[:0], key...)
		}
		return
	}
	if bytes.Compare(key, s.lo) >= 0 {
		s.lo = append(append(s.lo[:0], key...), 0) // the next key there can be
	}
}

// empty reports whether nothing is left between the bounds.
func (s *scan) empty() bool { return bytes.Compare(s.lo, s.hi) >= 0 }

// page reads up to n items from r into s.items.
func (s *scan) page(ctx context.Context, r store.Reader, n int, want wanted) error {
	s.items = s.items[:0]
	if s.empty() {
		return nil
	}
	if err := s.half(ctx, r, s.lo, s.hi, n, want); err != nil || !s.plan.halves() {
		return err
	}
	return s.otherHalf(ctx, r, n, want)
}

// half adds up to n items of a range to s.items.
func (s *scan) half(ctx context.Context, r store.Reader, lo, hi []byte, n int, want wanted) error {
	p := store.Page{Lo: lo, Hi: hi, Reverse: s.plan.reverse, Limit: n, Into: s.items, KeysOnly: want == keysOnly}
	if want == wholeDocuments {
		p.Deref = s.plan.ix != documents
		p.Cached = s.plan.col.core.cachedFunc
		if s.plan.col.core.limits.Coherent && !s.plan.halves() { // else keys of two pages are needed at once, or kept for a check
			if s.room == nil {
				s.room = make([]byte, 0, 8<<10)
			}
			p.Room = s.room
		}
	}
	var err error
	if versioner, ok := r.(store.PageVersioner); ok && s.plan.ix != documents && !s.plan.col.core.limits.Coherent {
		s.items, s.record, err = versioner.PageAndVersion(ctx, p, s.plan.col.key)
		s.recordRead = err == nil
	} else {
		s.items, err = r.Page(ctx, p)
	}
	if err != nil {
		return fmt.Errorf("kixx: query of %s: %w", s.plan.col.name, err)
	}
	core, fresh := s.plan.col.core, s.items[len(p.Into):]
	core.countItems(ctx, fresh)
	if p.Cached != nil && core.limits.Coherent {
		core.cache.lookups.Add(uint64(len(fresh)))
	}
	return nil
}

// wanted says what of a page's items is needed.
type wanted uint8

const (
	keysOnly       wanted = iota // of the range
	entryValues                  // what is stored under these keys
	wholeDocuments               // the documents that the entries point to
)

// next makes the next page begin behind the item i of this one.
func (s *scan) next(i int) {
	s.cursor = s.cursor[:0]
	s.goOn(entryKey(&s.items[i])[headerLen:])
}

// entryKey returns the key of an item in the range that was read.
func entryKey(item *store.Item) []byte {
	if item.Entry != nil {
		return item.Entry
	}
	return item.Key
}

// skip reads over n entries.
func (s *scan) skip(ctx context.Context, r store.Reader, n int) error {
	for n > 0 && !s.empty() {
		if err := s.page(ctx, r, min(n, 1000), keysOnly); err != nil {
			return err
		}
		if len(s.items) == 0 {
			return nil
		}
		n -= len(s.items)
		s.next(len(s.items) - 1)
	}
	return nil
}

// derefs reports whether a read with documents lets the store fetch them: an index entry points to its document, the
// entry of a view holds a value of its own.
func (p *plan) derefs() bool {
	return p.ix == documents || !p.col.indexes[p.ix].View
}

// A readMode says how a plan is run.
type readMode uint8

const (
	direct         readMode = iota // one read of the store
	inSnapshot                     // several, of one snapshot; they may be done anew
	inSnapshotOnce                 // several, which are handed out at once; on coherent stores
)

// begin begins an operation that runs p.
func (p *plan) begin(ctx context.Context, name string) (context.Context, *operation) {
	if p.col.core.observer == nil {
		return ctx, nil
	}
	index := ""
	if p.ix != documents && !p.col.indexes[p.ix].keys {
		index = p.col.indexes[p.ix].Name
	}
	return p.col.core.begin(ctx, name, p.col.name, index)
}

// run calls read with a scan of the plan and a reader. What was read counts only if the index was the same afterwards: it
// may be set to stale at any time by a writer that does not keep it, and may be wrong from then on. Else read begins
// anew, except that inSnapshotOnce asks before it begins, when the snapshot is taken already.
func (p plan) run(ctx context.Context, mode readMode, read func(s *scan, r store.Reader) error) error {
	s := scans.Get().(*scan)
	defer s.release()
	s.plan = p
	if p.in != nil {
		return s.runIn(ctx, p.in, read)
	}
	core := p.col.core
	for try := 0; ; try++ {
		ready, err := s.begin(ctx)
		if err != nil {
			return err
		}
		if !ready {
			continue
		}
		moved := false
		if mode == direct {
			err = read(s, core.st)
		} else {
			s.mark = noFill
			err = core.st.Snapshot(ctx, func(r store.SnapshotReader) (err error) {
				if mode == inSnapshotOnce {
					if moved, err = s.moved(ctx); err != nil || moved {
						return err
					}
				}
				return read(s, r)
			})
		}
		if errors.Is(err, store.ErrSnapshotTooOld) && try < core.options.tries {
			if err := core.backoff(ctx, try); err != nil {
				return err
			}
			continue
		}
		if !moved && mode != inSnapshotOnce {
			moved, err = s.settle(ctx, err)
		}
		if err != nil || !moved {
			return err
		}
	}
}

// runIn runs read in a scope, where nothing changes under it.
func (s *scan) runIn(ctx context.Context, sc *scope, read func(s *scan, r store.Reader) error) error {
	sc.mu.Lock()
	reg, err := sc.use(ctx, s.plan.col)
	sc.mu.Unlock()
	if err != nil {
		return err
	}
	s.mark = noFill
	if err := s.start(reg); err != nil {
		return err
	}
	return read(s, sc.reader())
}

// settle says what a read came to: again if the index was stale, also where that made err of it. A stale index has entries
// of documents that are gone.
func (s *scan) settle(ctx context.Context, err error) (again bool, _ error) {
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return false, err
	}
	moved, merr := s.moved(ctx)
	if moved || merr != nil {
		return moved, merr
	}
	return false, err
}

// begin starts s. It is not ready if the catalogue was read again because the index was not ready: begin anew.
func (s *scan) begin(ctx context.Context) (ready bool, err error) {
	core := s.plan.col.core
	if core.closed.Load() {
		return false, ErrClosed
	}
	if err := core.unbound(ctx, s.plan.col.name); err != nil {
		return false, err
	}
	s.mark = core.cache.mark()
	s.recordRead = false
	if err := s.start(s.plan.col.reg.Load()); err != nil {
		if !errors.Is(err, ErrBuilding) {
			return false, err
		}
		if again, rerr := s.moved(ctx); rerr != nil || !again {
			return false, errors.Join(rerr, err)
		}
		return false, nil
	}
	return true, nil
}

// changed reports whether the catalogue record is another one than s goes by.
func (s *scan) changed(ctx context.Context) (bool, error) {
	if s.recordRead { // by the last page
		s.recordRead = false
		return s.record != s.reg.version, nil
	}
	return s.plan.col.changed(ctx, s.reg)
}

// moved reports whether the index has another number or state now than what s goes by.
func (s *scan) moved(ctx context.Context) (bool, error) {
	if s.plan.ix == documents {
		return false, nil
	}
	changed, err := s.changed(ctx)
	if err != nil || !changed {
		return false, err
	}
	fresh, err := s.plan.col.refresh(ctx)
	if err != nil {
		return false, err
	}
	return fresh.indexes[s.plan.ix] != s.number, nil
}
