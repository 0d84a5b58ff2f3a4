// Package datacopy copies everything that is in one store to another one, whatever their engines are: keys and values byte
// for byte, so that documents keep their revisions, and cursors stay valid. Only the stores' own versions are new.
//
// A copy walks over both stores side by side, in the order of the keys, and puts and deletes in the target what differs.
// Over an empty target that copies everything; over a whole copy it only compares. So it does the same again until there is
// nothing to do, and then both sides have been read as a whole and are equal, by count and checksum.
//
// A target is empty, or has an unfinished copy, which a mark in it says: kixx opens no store that has the mark. With each
// commit the mark moves on, so that a copy that was cut off goes on where it was.
package datacopy

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Options are those of a copy.
type Options struct {
	// Name says which store the source is, without secrets. It is kept in the mark: a copy of another source is not gone on
	// with by mistake.
	Name string

	// Anew begins with the first key, whatever source an unfinished copy in the target is of.
	Anew bool

	// Progress, if it is not nil, is called now and then.
	Progress func(p Progress)
}

// A Progress says how far a copy is.
type Progress struct {
	Pass  int   // 1 copies, the others compare
	Keys  int64 // of the source, in this pass; without those before a copy went on
	Bytes int64 // of keys and values
}

// A Report is about a copy that is finished: what both sides have.
type Report struct {
	Keys     int64
	Bytes    int64  // of keys and values
	Checksum string // SHA-256 of all keys and values in their order, each behind its length, in hexadecimal digits
	Passes   int
	Resumed  bool // it went on where another one was cut off
}

// mostPasses is how often the source is read. One that nobody writes to is read twice.
const mostPasses = 8

// Copy copies src to dst. Nobody should write to src meanwhile: what was written is copied too, but a source that changes again and
// again is an error in the end. An error of any kind leaves an unfinished copy in dst, and Copy goes on with it.
func Copy(ctx context.Context, src, dst store.Store, o Options) (*Report, error) {
	if err := refuseUnfinished(ctx, src); err != nil {
		return nil, err
	}
	m, resumed, err := begin(ctx, dst, o)
	if err != nil {
		return nil, err
	}
	c := &copier{src: src, dst: dst, limits: dst.Limits(), mark: m, progress: o.Progress}
	for c.pass = m.state.Pass; ; c.pass++ {
		p, err := c.compare(ctx)
		if err != nil {
			return nil, err
		}
		whole := p.whole && p.changes == 0
		if whole && !c.src.Limits().Coherent {
			if whole, err = c.unchanged(ctx, p); err != nil {
				return nil, err
			}
		}
		if whole {
			if p.source.sum() != p.target.sum() || p.source.keys != p.target.keys {
				return nil, errors.New("the two sides were compared and found equal, and their checksums differ; report this")
			}
			if err := m.remove(ctx); err != nil {
				return nil, err
			}
			return &Report{Keys: p.source.keys, Bytes: p.source.bytes, Checksum: p.source.sum(), Passes: c.pass, Resumed: resumed}, nil
		}
		if c.pass >= mostPasses {
			return nil, fmt.Errorf("the source was written to in each of %d passes; stop what writes to it, and run the same again", c.pass)
		}
		m.state.Pass, m.state.At = c.pass+1, nil
	}
}

// refuseUnfinished returns an error if the source is itself an unfinished copy.
func refuseUnfinished(ctx context.Context, src store.Store) error {
	items, err := src.Get(ctx, []byte(Key))
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if items[0].Version != store.Absent {
		return errors.New("the source is itself a copy that is not finished")
	}
	return nil
}

// A copier copies one store to another one.
type copier struct {
	src, dst store.Store
	limits   store.Limits // of dst
	mark     *mark
	pass     int
	progress func(Progress)
	told     time.Time
}

// A tally counts and hashes items in their order.
type tally struct {
	keys, bytes int64
	content     hash.Hash
}

func (t *tally) add(key, value []byte) {
	if t.content == nil {
		t.content = sha256.New()
	}
	t.keys++
	t.bytes += int64(len(key) + len(value))
	var n [2 * binary.MaxVarintLen64]byte
	t.content.Write(binary.AppendUvarint(n[:0], uint64(len(key))))
	t.content.Write(key)
	t.content.Write(binary.AppendUvarint(n[:0], uint64(len(value))))
	t.content.Write(value)
}

func (t *tally) sum() string {
	if t.content == nil {
		t.content = sha256.New()
	}
	return hex.EncodeToString(t.content.Sum(nil))
}

// addVersion adds a key with its version.
func (t *tally) addVersion(it *store.Item) {
	t.add(it.Key, binary.BigEndian.AppendUint64(nil, uint64(it.Version)))
}

// A pass is one walk over both stores.
type pass struct {
	c        *copier
	from, to side
	whole    bool // from the first key on
	changes  int  // of the target

	source, target tally
	versions       tally // of the source

	ops  []store.Op
	size int // of ops, in bytes
}

// compare makes one pass. The source is read on one snapshot, or on several if one gets too old.
func (c *copier) compare(ctx context.Context) (*pass, error) {
	p := &pass{c: c, whole: c.mark.state.At == nil}
	p.from.next, p.to.next = c.mark.state.next(), c.mark.state.next()
	const stuck = 100
	for tries := 0; ; {
		read := p.from.pages
		err := c.src.Snapshot(ctx, func(r store.SnapshotReader) error { return p.walk(ctx, r) })
		switch {
		case err == nil:
			return p, nil
		case !errors.Is(err, store.ErrSnapshotTooOld):
			return nil, err
		case p.from.pages > read:
			tries = 0
		default:
			if tries++; tries == stuck {
				return nil, err
			}
		}
	}
}

// walk goes on with the pass on a snapshot.
func (p *pass) walk(ctx context.Context, r store.Reader) error {
	for {
		s, err := p.from.peek(ctx, r)
		if err != nil {
			return fmt.Errorf("source: %w", err)
		}
		t, err := p.to.peek(ctx, p.c.dst)
		if err != nil {
			return fmt.Errorf("target: %w", err)
		}
		order := 0
		switch {
		case s == nil && t == nil:
			return p.flush(ctx, nil)
		case s == nil:
			order = 1
		case t == nil:
			order = -1
		default:
			order = bytes.Compare(s.Key, t.Key)
		}
		if t != nil && order >= 0 && string(t.Key) == Key {
			p.to.take()
			continue
		}
		// First what can fail, so that a walk on another snapshot takes up here.
		switch {
		case order > 0:
			err = p.change(ctx, store.Op{Key: t.Key, Delete: true})
		case order < 0 || !bytes.Equal(s.Value, t.Value):
			err = p.change(ctx, store.Op{Key: s.Key, Value: s.Value})
		}
		if err != nil {
			return err
		}
		if order >= 0 {
			p.target.add(t.Key, t.Value)
			p.to.take()
		}
		if order <= 0 {
			p.source.add(s.Key, s.Value)
			p.versions.addVersion(s)
			p.from.take()
			p.c.tell(p)
		}
	}
}

// Commits of a copy are of this size, if the target takes it: large enough to be fast, and small enough to be seen moving.
const (
	batchOps   = 1000
	batchBytes = 4 << 20
	markBytes  = 4 << 10 // room for the mark
)

// change adds a change of the target.
func (p *pass) change(ctx context.Context, op store.Op) error {
	l := p.c.limits
	size := len(op.Key) + len(op.Value)
	if l.Value > 0 && len(op.Value) > l.Value || l.Bytes > 0 && size+markBytes > l.Bytes {
		return fmt.Errorf("the value of the key %x has %d bytes, which is more than the target takes (%d in a value, %d in a commit); nothing of the source is changed, and the copy is not finished: %w",
			op.Key, len(op.Value), l.Value, l.Bytes, store.ErrTooLarge)
	}
	ops, most := batchOps, batchBytes
	if l.Ops > 0 {
		ops = min(ops, l.Ops-1)
	}
	if l.Bytes > 0 {
		most = min(most, l.Bytes-markBytes)
	}
	if len(p.ops) > 0 && (len(p.ops) == ops || p.size+size > most) {
		if err := p.flush(ctx, p.ops[len(p.ops)-1].Key); err != nil {
			return err
		}
	}
	p.ops = append(p.ops, op)
	p.size += size
	p.changes++
	return nil
}

// flush commits the changes. at is the key up to which the pass has come; nil leaves the mark where it is.
func (p *pass) flush(ctx context.Context, at []byte) error {
	if len(p.ops) == 0 {
		return nil
	}
	if at != nil {
		p.c.mark.state.At = at
	}
	if err := p.c.mark.commit(ctx, p.ops); err != nil {
		return err
	}
	p.ops, p.size = nil, 0
	return nil
}

// tell tells of the progress.
func (c *copier) tell(p *pass) {
	if c.progress != nil && time.Since(c.told) > 100*time.Millisecond {
		c.told = time.Now()
		c.progress(Progress{Pass: c.pass, Keys: p.source.keys, Bytes: p.source.bytes})
	}
}

// unchanged reports whether nothing was written to the source since the pass has read it. A version that is the same says
// that a key was not written, so no values are read.
func (c *copier) unchanged(ctx context.Context, p *pass) (bool, error) {
	now := side{keysOnly: true}
	var versions tally
	for {
		it, err := now.peek(ctx, c.src)
		if err != nil {
			return false, fmt.Errorf("source: %w", err)
		}
		if it == nil {
			return versions.sum() == p.versions.sum(), nil
		}
		versions.addVersion(it)
		now.take()
	}
}

// A side is a walk over the keys of a store, by pages.
type side struct {
	keysOnly bool
	next     []byte // where the next page begins
	items    []store.Item
	limit    int
	pages    int
	done     bool
}

// A page should have so many bytes. How long values are is known only from those that were read.
const (
	pageBytes = 1 << 20
	pageMost  = 1000
)

// peek returns the item at which the walk is, nil at the end.
func (s *side) peek(ctx context.Context, r store.Reader) (*store.Item, error) {
	if len(s.items) == 0 && !s.done {
		if s.limit == 0 {
			s.limit = 8
		}
		items, err := r.Page(ctx, store.Page{Lo: s.next, Limit: s.limit, KeysOnly: s.keysOnly})
		if err != nil {
			return nil, err
		}
		s.pages++
		s.items, s.done = items, len(items) < s.limit
		if n := len(items); n > 0 {
			size := 0
			for i := range items {
				size += len(items[i].Key) + len(items[i].Value)
			}
			s.next = after(items[n-1].Key)
			s.limit = max(1, min(pageMost, 4*s.limit, pageBytes*n/max(1, size)))
		}
	}
	if len(s.items) == 0 {
		return nil, nil
	}
	return &s.items[0], nil
}

// take goes on behind the item at which the walk is.
func (s *side) take() { s.items = s.items[1:] }

// after returns the first key behind key.
func after(key []byte) []byte { return append(bytes.Clone(key), 0) }

func newID() (id [8]byte) {
	rand.Read(id[:]) // never fails
	return id
}
