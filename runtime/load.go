package kixx

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A LoadOption changes how [Repo.Load] goes about it.
type LoadOption func(*loadOptions)

type loadOptions struct {
	progress func(in int)
	existing existing
	asIs     bool // see loadAsIs
}

type existing uint8

const (
	refuseExisting existing = iota
	keepExisting
	replaceExisting
)

// LoadProgress lets Load call f after each commit, with how many documents are in so far.
func LoadProgress(f func(in int)) LoadOption { return func(o *loadOptions) { o.progress = f } }

// KeepExisting leaves documents alone that are there already, so that a load that was cut off can be run again from its
// beginning. They count as being in.
func KeepExisting() LoadOption { return func(o *loadOptions) { o.existing = keepExisting } }

// ReplaceExisting writes over documents that are there already, as Overwrite does.
func ReplaceExisting() LoadOption { return func(o *loadOptions) { o.existing = replaceExisting } }

// Load stores many documents, in commits of a good size: like Insert for each of them, with hooks and validation, in much
// less time. It is not atomic. The number that it returns is how many are in: exactly the first ones of docs, also when
// there is an error, so that a load can be mended and go on behind them. It stops at the first document that is refused,
// which the error names; a document that is there already is [ErrExists], unless an option says otherwise.
//
// The documents are taken from docs as they are needed: a load takes little memory, however many there are. In a
// transaction Load is one Insert after the other.
func (r *Repo[D, K]) Load(ctx context.Context, docs iter.Seq[D], opts ...LoadOption) (int, error) {
	ctx, op := r.col.core.begin(ctx, "Load", r.col.name, "")
	var o loadOptions
	for _, opt := range opts {
		opt(&o)
	}
	l := loader{c: r.col, in: r.in, options: o, size: firstLoad}
	if r.in != nil {
		l.size = 1 // so that the hooks of a document see those before it
	}
	for doc := range docs {
		m, err := r.toLoad(ctx, doc, &o)
		if err != nil {
			l.stop(ctx, err)
			break
		}
		if !l.add(ctx, m) {
			break
		}
	}
	l.flush(ctx)
	op.end(l.done, l.err)
	return l.done, l.err
}

// toLoad returns what the loader has to know of a document.
func (r *Repo[D, K]) toLoad(ctx context.Context, doc D, o *loadOptions) (*loadDoc, error) {
	first, err := r.firstCopy(ctx, doc)
	if err != nil {
		return nil, err
	}
	key := r.schema.Key(first)
	full, err := r.newKey(key)
	if err != nil {
		return nil, err
	}
	m := &loadDoc{}
	m.key = full
	given := *r.schema.Meta(first).Rev
	m.prepare = func(old *cached) (any, error) {
		if old != nil && o.existing != replaceExisting {
			return nil, r.exists(key, old)
		}
		if o.asIs {
			*r.schema.Meta(first).Rev = given.restored(old)
			return first, nil
		}
		live := *r
		live.deleted = false
		return live.finish(first, key, old) // again on each try: doc may be another one by then
	}
	m.after = func() error {
		_, err := r.after(ctx, m.doc.(D))
		return err
	}
	return m, nil
}

// A loadDoc is one document of a load.
type loadDoc struct {
	manyDoc
	after func() error
	keep  bool // there is one already, which stays
}

const (
	firstLoad = 64
	mostLoad  = 512
)

// A loader commits documents in batches.
type loader struct {
	c       *collection
	in      *scope
	options loadOptions
	size    int // of the next batch
	next    []*loadDoc
	done    int
	err     error
}

// add adds a document, and commits if there are enough. It returns false if the load is over.
func (l *loader) add(ctx context.Context, m *loadDoc) bool {
	l.next = append(l.next, m)
	if len(l.next) >= l.size {
		l.commit(ctx)
	}
	return l.err == nil
}

// flush commits what is left.
func (l *loader) flush(ctx context.Context) {
	for len(l.next) > 0 && l.err == nil {
		l.commit(ctx)
	}
}

// stop ends the load because of a document that was not added: those before it are committed.
func (l *loader) stop(ctx context.Context, err error) {
	l.flush(ctx)
	if l.err == nil {
		l.err = err
	}
}

// commit commits the first documents of next, as many as fit. What is refused among them ends the load; those before it
// are in.
func (l *loader) commit(ctx context.Context) {
	n, err := l.c.loadSome(ctx, l.in, l.next, l.options.existing)
	if err != nil && n > 1 && !errors.Is(err, ErrUnknown) && ctx.Err() == nil {
		// The commit was refused as a whole, because of one of them: find out which.
		n, err = l.c.loadSome(ctx, l.in, l.next[:1], l.options.existing)
		l.size = 1
	} else if l.in == nil {
		l.size = min(max(firstLoad, l.size*2), mostLoad)
	}
	if err != nil {
		l.err = err
		return
	}
	l.done += n
	var hooks []error
	for _, m := range l.next[:n] {
		if !m.keep {
			hooks = append(hooks, m.after())
		}
	}
	l.next = append(l.next[:0], l.next[n:]...)
	l.err = errors.Join(hooks...)
	if l.options.progress != nil {
		l.options.progress(l.done)
	}
}

// loadSome commits the first documents of docs: as many as fit into a commit, up to one that is refused or whose key is
// among them already. n is how many there were; with an error, how many were in the commit that failed.
func (c *collection) loadSome(ctx context.Context, in *scope, docs []*loadDoc, existing existing) (n int, err error) {
	if in != nil {
		m := docs[0]
		one := []manyDoc{m.manyDoc}
		err := in.write(ctx, c, one)
		m.doc = one[0].doc
		if m.keep = existing == keepExisting && errors.Is(err, ErrExists); m.keep {
			err = nil
		}
		return 1, err
	}
	w := writers.Get().(*writer)
	defer func() { w.release(err) }()
	keys := make([][]byte, len(docs))
	for i, m := range docs {
		keys[i] = m.key
	}
	for tries := 1; ; tries++ {
		reg, err := c.writable(ctx)
		if err != nil {
			return 0, err
		}
		items, _, err := c.get(ctx, nil, keys)
		if err != nil {
			return 0, err
		}
		w.reset(c.db)
		seen := make(map[string]bool, len(docs))
		var refused error
		n = 0
		size := loadSize{limits: c.core.limits}
		for _, m := range docs {
			if seen[string(m.key)] {
				break
			}
			seen[string(m.key)] = true
			old, err := c.decoded(m.key, &items[n], noFill)
			if err != nil {
				refused = err
				break
			}
			before := w.mark()
			m.doc, err = m.prepare(old)
			if m.keep = existing == keepExisting && errors.Is(err, ErrExists); m.keep {
				n++
				continue
			}
			if err == nil {
				err = w.change(c, reg, m.key, old, m.doc)
			}
			if err != nil {
				w.back(before)
				refused = err
				break
			}
			if size.add(w.batch.Ops[before.ops:]); n > 0 && size.large() {
				w.back(before)
				break
			}
			n++
		}
		if n == 0 {
			return 0, refused
		}
		if w.used == 0 {
			return n, nil
		}
		if err = w.commit(ctx); err == nil {
			return n, nil
		}
		if _, err := w.conflict(ctx, err); err != nil {
			return n, err
		}
		if tries >= c.core.options.tries {
			return n, &BusyError{Entity: c.name, Key: c.keyOf(docs[0].key), Tries: tries}
		}
		c.core.counts.retries.Add(1)
		if err := c.core.backoff(ctx, tries-1); err != nil {
			return n, fmt.Errorf("kixx: load %s: %w", c.name, err)
		}
	}
}

// A writerMark is how far a writer has come.
type writerMark struct{ ops, used, values int }

func (w *writer) mark() writerMark { return writerMark{len(w.batch.Ops), w.used, len(w.values)} }

// back takes back what was added since m.
func (w *writer) back(m writerMark) {
	w.batch.Ops, w.used, w.values = w.batch.Ops[:m.ops], m.used, w.values[:m.values]
}

// mostLoadBytes is about how large the commits of a load are at most: larger ones are not faster, and take memory.
const mostLoadBytes = 4 << 20

// A loadSize says how large a commit is.
type loadSize struct {
	limits     store.Limits
	ops, bytes int
}

func (s *loadSize) add(ops []store.Op) {
	s.ops += len(ops)
	for i := range ops {
		s.bytes += len(ops[i].Key) + len(ops[i].Value)
	}
}

// large reports whether the commit may be over a limit, with what is still to be added: checks, fences and a receipt.
func (s *loadSize) large() bool {
	most := mostLoadBytes
	if s.limits.Bytes > 0 {
		most = min(most, s.limits.Bytes/2)
	}
	return s.bytes > most || s.limits.Ops > 0 && s.ops+s.ops/4+4 > s.limits.Ops
}
