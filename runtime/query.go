package kixx

import (
	"context"
	"fmt"
	"iter"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A Query finds documents, or entries of a view, in the order of an index: E is what it finds, K the key of the
// documents. It is a value: Limit, After, Offset, Reverse and WithDocs return a changed copy, and nothing is read before
// one of the reading methods. A Query may be kept, shared and run often.
type Query[E any, K comparable] struct {
	// The methods, and those of Range, are not inlined: each entity would carry 20 KB of copies in the compiler's wrappers.
	p   plan
	src *source[E, K]
}

// A source turns what a store returns into what a query finds. It has no methods, and is never turned into an interface:
// the linker would keep those of every entity.
type source[E any, K comparable] struct {
	// read returns the element of an item; doc is its document, nil if it was not asked for.
	read func(item *store.Item, doc *cached) (E, error)
	// id returns the document's key, without the header, in the tuple of a view's entry.
	id  func(tuple []byte) ([]byte, error)
	key func(id []byte) (K, []byte, error)

	fixed *fixed[E, K]
}

// documentSource is the source of queries that find documents.
func documentSource[D any, K comparable](s *Schema[D, K], col *collection) *source[D, K] {
	return &source[D, K]{
		read: func(_ *store.Item, doc *cached) (D, error) { return s.Clone(doc.doc.(D)), nil },
		key:  s.ReadKey,
	}
}

// A Page is a part of what a query finds. Its JSON is {"items":[…],"next":"…"}.
type Page[E any] struct {
	Items []E    `json:"items"`          // never nil
	Next  Cursor `json:"next,omitempty"` // where the next page begins; "" if there is none
}

// Limit lets the query find at most n elements; a page has 100 unless it is set, and at most 10,000. A page with n < 1
// is empty.
//
//go:noinline
func (q Query[E, K]) Limit(n int) Query[E, K] {
	q.p.limit = max(n, 0)
	return q
}

// After lets the query go on behind a cursor, as Page.Next has it. "" is the beginning. The cursor is checked when the
// query runs.
//
//go:noinline
func (q Query[E, K]) After(c Cursor) Query[E, K] {
	q.p.after = c
	return q
}

// Offset skips the first n elements. It reads over them: a deep page is cheaper by [Query.After].
//
//go:noinline
func (q Query[E, K]) Offset(n int) Query[E, K] {
	q.p.offset = max(n, 0)
	return q
}

// Reverse turns the direction of the query against the order of its index.
//
//go:noinline
func (q Query[E, K]) Reverse() Query[E, K] {
	q.p.reverse = !q.p.reverse
	return q
}

// WithDocs lets the entries of a view carry their documents, of the same snapshot. Other queries find documents anyway.
//
//go:noinline
func (q Query[E, K]) WithDocs() Query[E, K] {
	q.p.docs = true
	return q
}

// Page returns one page, all of one snapshot.
//
//go:noinline
func (q Query[E, K]) Page(ctx context.Context) (Page[E], error) {
	if q.src.fixed != nil {
		return fixedPage(q)
	}
	var op *operation
	if q.p.col.core.observer != nil {
		ctx, op = q.p.begin(ctx, "Page")
	}
	n := pageSize(q.p.limit)
	var page Page[E]
	var err error
	if q.p.in == nil && q.p.pageMode() == direct { // as onePage, without a copy of the plan
		page, err = readPage(ctx, q.p, q.src, n)
	} else {
		page, err = snapshotPage(ctx, q.p, q.src, n)
	}
	if op != nil {
		op.end(len(page.Items), err)
	}
	if err != nil {
		return Page[E]{Items: []E{}}, err
	}
	return page, nil
}

// onePage reads a page of up to n elements.
func onePage[E any, K comparable](ctx context.Context, p plan, src *source[E, K], n int) (Page[E], error) {
	if p.in == nil && p.pageMode() == direct {
		return readPage(ctx, p, src, n)
	}
	return snapshotPage(ctx, p, src, n)
}

// readPage reads a page that is one read of the store. It is run written out, for this one case without an allocation.
func readPage[E any, K comparable](ctx context.Context, p plan, src *source[E, K], n int) (Page[E], error) {
	s := scans.Get().(*scan)
	defer s.release()
	s.plan = p
	for {
		ready, err := s.begin(ctx)
		if err != nil {
			return Page[E]{}, err
		}
		if !ready {
			continue
		}
		items, next, err := some(ctx, s, p.col.core.st, src, n, make([]E, 0, n))
		if again, err := s.settle(ctx, err); err != nil || !again {
			return Page[E]{Items: items, Next: next}, err
		}
	}
}

// snapshotPage reads a page that takes several reads.
func snapshotPage[E any, K comparable](ctx context.Context, p plan, src *source[E, K], n int) (page Page[E], err error) {
	err = p.run(ctx, inSnapshot, func(s *scan, r store.Reader) (err error) {
		if err := s.skip(ctx, r, p.offset); err != nil {
			return err
		}
		page.Items, page.Next, err = some(ctx, s, r, src, n, make([]E, 0, n))
		return err
	})
	return page, err
}

// Keys is Page for the keys of the documents alone. It reads no documents.
//
//go:noinline
func (q Query[E, K]) Keys(ctx context.Context) (Page[K], error) {
	if q.src.fixed != nil {
		return fixedKeys(q)
	}
	ctx, op := q.p.begin(ctx, "Keys")
	var out Page[K]
	n := pageSize(q.p.limit)
	mode := direct
	if q.p.offset > 0 || q.p.halves() {
		mode = inSnapshot
	}
	err := q.p.run(ctx, mode, func(s *scan, r store.Reader) error {
		out = Page[K]{Items: make([]K, 0, n)}
		if err := s.skip(ctx, r, q.p.offset); err != nil || n == 0 {
			return err
		}
		want := keysOnly
		if q.p.ix != documents && q.p.derefs() {
			want = entryValues
		}
		if err := s.page(ctx, r, n+1, want); err != nil {
			return err
		}
		for i := range s.items[:min(n, len(s.items))] {
			id, err := docKey(&q.p, q.src, &s.items[i])
			if err != nil {
				return err
			}
			key, _, err := q.src.key(id[headerLen:])
			if err != nil {
				return q.p.col.wrap(id, fmt.Errorf("%w: %w", ErrCorrupt, err))
			}
			out.Items = append(out.Items, key)
		}
		if len(s.items) > n {
			out.Next = q.p.newCursor(s, entryKey(&s.items[n-1])[headerLen:])
		}
		return nil
	})
	if err != nil {
		out = Page[K]{Items: []K{}}
	}
	op.end(len(out.Items), err)
	return out, err
}

// First returns the first element, or [ErrNotFound].
//
//go:noinline
func (q Query[E, K]) First(ctx context.Context) (E, error) {
	var page Page[E]
	var err error
	var op *operation
	if q.src.fixed != nil {
		page, err = fixedPage(q.Limit(1))
	} else {
		ctx, op = q.p.begin(ctx, "First")
		page, err = onePage(ctx, q.p, q.src, 1)
	}
	if err == nil && len(page.Items) == 0 {
		err = fmt.Errorf("kixx: query of %s: %w", q.entity(), ErrNotFound)
	}
	op.end(one(err == nil), err)
	if err != nil {
		var none E
		return none, err
	}
	return page.Items[0], nil
}

// All returns every element, or as many as Limit says. An error comes last, with a nil element: use both variables of
// the loop, or [Query.Collect].
//
// Where the store has cheap snapshots, as files and memory have, all elements are of one, and the loop may write what it
// walks over. On other stores each page is of one snapshot, and a loop that moves documents to where it has not been yet
// meets them again: collect the keys first there.
//
//go:noinline
func (q Query[E, K]) All(ctx context.Context) iter.Seq2[E, error] { return all(ctx, q, "All") }

// all is All as a part of an operation with this name.
func all[E any, K comparable](ctx context.Context, q Query[E, K], name string) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		var none E
		if q.src.fixed != nil {
			page, err := fixedPage(q)
			for _, e := range page.Items {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(none, err)
			}
			return
		}
		ctx, op := q.p.begin(ctx, name)
		found := 0
		yieldSome := func(items []E) bool {
			op.leave()
			for _, e := range items {
				found++
				if !yield(e, nil) {
					return false
				}
			}
			op.enter()
			return true
		}
		var err error
		if q.p.in != nil || q.p.cheapSnapshots() {
			err = allOfSnapshot(ctx, q.p, q.src, yieldSome)
		} else {
			err = allByPages(ctx, q, yieldSome)
		}
		op.end(found, err)
		if err != nil {
			yield(none, err)
		}
	}
}

// chunk is how many elements All reads at a time.
const chunk = 256

// nextChunk returns how many elements to read when so many are left, noLimit for all.
func nextChunk(left int) int {
	if left == noLimit {
		return chunk
	}
	return min(left, chunk)
}

// allOfSnapshot yields elements of one snapshot, a chunk at a time. It returns nil if yield has returned false.
func allOfSnapshot[E any, K comparable](ctx context.Context, p plan, src *source[E, K], yield func([]E) bool) error {
	return p.run(ctx, inSnapshotOnce, func(s *scan, r store.Reader) error {
		if err := s.skip(ctx, r, p.offset); err != nil {
			return err
		}
		var items []E
		for left := p.limit; left != 0; {
			n := nextChunk(left)
			var next Cursor
			var err error
			if items, next, err = some(ctx, s, r, src, n, items[:0]); err != nil {
				return err
			}
			if next != "" {
				s.next(n - 1)
			}
			if !yield(items) || next == "" {
				return nil
			}
			if left != noLimit {
				left -= n
			}
		}
		return nil
	})
}

// allByPages yields one page after the other. Each is a query of its own, which checks its index before anything of it is
// handed out. It returns nil if yield has returned false.
func allByPages[E any, K comparable](ctx context.Context, q Query[E, K], yield func([]E) bool) error {
	for left := q.p.limit; left != 0; {
		n := nextChunk(left)
		page, err := onePage(ctx, q.p, q.src, n)
		if err != nil || !yield(page.Items) || page.Next == "" {
			return err
		}
		q = q.Offset(0).After(page.Next)
		if left != noLimit {
			left -= n
		}
	}
	return nil
}

// Collect returns every element, or as many as Limit says, in one slice, which is never nil.
//
//go:noinline
func (q Query[E, K]) Collect(ctx context.Context) ([]E, error) {
	out := []E{}
	for e, err := range all(ctx, q, "Collect") {
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// Count counts the elements within the query's bounds; Limit, After and Offset do not count. It reads all keys there
// are, but no document. On a store without cheap snapshots, what is written meanwhile may be counted or not.
//
//go:noinline
func (q Query[E, K]) Count(ctx context.Context) (int, error) {
	if q.src.fixed != nil {
		return len(q.src.fixed.items), q.src.fixed.err
	}
	q.p.after, q.p.offset = "", 0
	ctx, op := q.p.begin(ctx, "Count")
	count := 0
	mode := direct
	if q.p.cheapSnapshots() || q.p.halves() {
		mode = inSnapshot
	}
	err := q.p.run(ctx, mode, func(s *scan, r store.Reader) error {
		count = 0
		for {
			if err := s.page(ctx, r, 1000, keysOnly); err != nil {
				return err
			}
			count += len(s.items)
			if len(s.items) < 1000 {
				return nil
			}
			s.next(len(s.items) - 1)
		}
	})
	if err != nil {
		count = 0
	}
	op.end(count, err)
	return count, err
}

// AllKeys returns the key of every document that q finds, one page after the other: unlike [Query.All] not of one
// snapshot, and safe to walk while the loop changes documents on any store. An error comes last.
func AllKeys[E any, K comparable](ctx context.Context, q Query[E, K]) iter.Seq2[K, error] {
	return func(yield func(K, error) bool) {
		left := q.p.limit
		for left != 0 {
			n := 1000
			if left > 0 {
				n = min(left, n)
				left -= n
			}
			page, err := q.Limit(n).Keys(ctx)
			if err != nil {
				var none K
				yield(none, err)
				return
			}
			for _, key := range page.Items {
				if !yield(key, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			q = q.Offset(0).After(page.Next)
		}
	}
}

// some reads up to n elements and appends them to out. It returns the cursor behind them, "" if nothing follows.
func some[E any, K comparable](ctx context.Context, s *scan, r store.Reader, src *source[E, K], n int, out []E) ([]E, Cursor, error) {
	if n == 0 {
		return out, "", nil
	}
	p := &s.plan
	derefs := p.derefs()
	want := entryValues
	if derefs {
		want = wholeDocuments
	}
	if err := s.page(ctx, r, n+1, want); err != nil { // one more, to know whether something follows
		return nil, "", err
	}
	var docs []store.Item
	if p.docs && !derefs {
		var err error
		if docs, err = documentsOf(ctx, s, r, src, n); err != nil {
			return nil, "", err
		}
	}
	for i := range s.items[:min(n, len(s.items))] {
		item := &s.items[i]
		var doc *cached
		var err error
		switch {
		case derefs:
			doc, err = p.col.decoded(item.Key, item, s.mark)
			if err == nil && doc == nil {
				err = p.col.wrap(item.Key, fmt.Errorf("%w: the index %s has an entry for it, but it is not there", ErrCorrupt, p.index()))
			}
		case docs != nil:
			doc, err = p.col.decoded(docs[i].Key, &docs[i], s.mark)
		}
		if err != nil {
			return nil, "", err
		}
		e, err := src.read(item, doc)
		if err != nil {
			return nil, "", fmt.Errorf("kixx: query of %s: %w: an entry of %s cannot be read: %w", p.col.name, ErrCorrupt, p.index(), err)
		}
		out = append(out, e)
	}
	if len(s.items) <= n {
		return out, "", nil
	}
	return out, p.newCursor(s, entryKey(&s.items[n-1])[headerLen:]), nil
}

// documentsOf reads the documents of the entries of a view.
func documentsOf[E any, K comparable](ctx context.Context, s *scan, r store.Reader, src *source[E, K], n int) ([]store.Item, error) {
	n = min(n, len(s.items))
	full := make([][]byte, n)
	for i := range full {
		var err error
		if full[i], err = docKey(&s.plan, src, &s.items[i]); err != nil {
			return nil, err
		}
	}
	if n == 0 {
		return nil, nil
	}
	docs, err := r.Get(ctx, full...)
	s.plan.col.core.countItems(ctx, docs)
	return docs, err
}

// docKey returns the full key of the document that an item is about.
func docKey[E any, K comparable](p *plan, src *source[E, K], item *store.Item) ([]byte, error) {
	switch {
	case p.ix == documents:
		return item.Key, nil
	case p.derefs():
		if !isDocument(item.Value) {
			return nil, fmt.Errorf("kixx: query of %s: %w: an entry of %s does not name a document", p.col.name, ErrCorrupt, p.index())
		}
		return item.Value, nil
	}
	id, err := src.id(item.Key[headerLen:])
	if err != nil {
		return nil, fmt.Errorf("kixx: query of %s: %w: an entry of %s cannot be read: %w", p.col.name, ErrCorrupt, p.index(), err)
	}
	h := p.col.reg.Load().header
	return append(h[:], id...), nil
}

func (q *Query[E, K]) entity() string {
	if q.p.col == nil {
		return "a fake"
	}
	return q.p.col.name
}

// index names the index of a plan, for errors.
func (p *plan) index() string {
	if p.ix == documents {
		return "documents"
	}
	return p.col.indexes[p.ix].Name
}

// pageSize is how many elements a page with this limit has at most.
func pageSize(limit int) int {
	if limit == noLimit {
		return defaultPage
	}
	return min(limit, maxPage)
}

// cheapSnapshots reports whether a snapshot may be held open for as long as a loop takes.
func (p *plan) cheapSnapshots() bool {
	return p.col != nil && p.col.core.limits.Coherent && p.col.core.limits.Snapshot == 0
}

// pageMode says how a page is read: what takes more than one read of the store needs a snapshot.
func (p *plan) pageMode() readMode {
	if p.offset > 0 || p.docs && !p.derefs() || p.halves() {
		return inSnapshot
	}
	return direct
}
