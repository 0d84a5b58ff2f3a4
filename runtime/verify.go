package kixx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kixxgen/kixxgen/runtime/ordered"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// A VerifyError is one thing that is wrong in a database: see [DB.Verify]. It unwraps to [ErrCorrupt], or to what kept a
// document from being read.
type VerifyError struct {
	Entity  string // "item"; "" if it is not about one
	Key     any    // of the document; nil if it is not about one
	Index   string // or view: "Category"; "" if it is about the document itself or the catalogue
	Problem string // a sentence without a beginning: "the index Category has no entry for it"
	Err     error
}

func (e *VerifyError) Error() string {
	switch {
	case e.Entity == "":
		return "kixx: " + e.Problem
	case e.Key == nil:
		return fmt.Sprintf("kixx: %s: %s", e.Entity, e.Problem)
	}
	return fmt.Sprintf("kixx: %s %s: %s", e.Entity, showKey(e.Key), e.Problem)
}

func (e *VerifyError) Unwrap() error { return e.Err }

// maxProblems is how many problems Verify reports. What is behind so many is one cause, or a database to restore.
const maxProblems = 100

// Verify reads all that is stored for the repositories that were made with db and with the other open namespaces of the
// same database, and says what does not fit together. Of each entity it checks that
//
//  1. every document can be read and has the key that it is stored under;
//  2. every index that is ready, and every view, has exactly the entries that the documents say, with the right values,
//     in the half of what is live or of what is marked as deleted;
//  3. no two documents have one value of a unique index, also where one of them is marked as deleted;
//  4. the catalogue is consistent, and there is nothing stored that it does not know.
//
// It returns nil, or an error that joins a [*VerifyError] for each problem, 100 at most. Another error in it says why
// Verify could not go on.
//
// Verify changes nothing. It reads snapshots of the store, so others may write meanwhile; where the store ends a snapshot,
// it goes on with the next one, and every problem is one of a single snapshot. It asks the store, never the cache.
// It decodes a document once for itself and once for each of its entries.
func (db *DB) Verify(ctx context.Context) error {
	core := db.core
	if core.closed.Load() {
		return ErrClosed
	}
	core.mu.Lock()
	var spaces []*DB
	for _, space := range core.namespaces {
		spaces = append(spaces, space)
	}
	core.mu.Unlock()
	slices.SortFunc(spaces, func(a, b *DB) int { return bytes.Compare(a.id[:], b.id[:]) })
	v := &verifier{core: core}
	for _, space := range spaces {
		if err := v.namespace(ctx, space); err != nil {
			return errors.Join(append(v.problems, fmt.Errorf("kixx: verify: %w", err))...)
		}
	}
	return errors.Join(v.problems...)
}

// A verifier walks over the keys of one namespace after the other. Each step of it looks at some keys, reads what they
// depend on from the same snapshot, and moves at behind them: so a walk can go on with another snapshot.
type verifier struct {
	core     *core
	at       []byte // the next key to look at
	problems []error
}

var errEnough = fmt.Errorf("these are the first %d problems, and there may be more", maxProblems)

// verifyBatch is how many documents or entries are looked at in one step.
const verifyBatch = 50

// A verified is a collection as a snapshot has it.
type verified struct {
	rec *record
	col *collection   // nil: this program has no repository of it
	reg *registration // of col
}

// verifiable is what Verify asks of a *Schema whose types it does not know.
type verifiable interface {
	tupleOf(doc any) []byte
	isKey(tuple []byte) bool
}

func (s *Schema[D, K]) tupleOf(doc any) []byte { return s.AppendKey(nil, s.Key(doc.(D))) }

func (s *Schema[D, K]) isKey(tuple []byte) bool {
	_, rest, err := s.ReadKey(tuple)
	return err == nil && len(rest) == 0
}

// namespace walks over all keys of a namespace.
func (v *verifier) namespace(ctx context.Context, db *DB) error {
	lo := newHeader(db.id, catalogueNum, 0)
	hi := ordered.PrefixEnd(nil, lo[:9])
	v.at = lo[:]
	for try := 0; ; {
		before := v.at
		err := v.core.st.Snapshot(ctx, func(r store.SnapshotReader) error { return v.walk(ctx, r, db, hi) })
		if !errors.Is(err, store.ErrSnapshotTooOld) {
			return err
		}
		if !bytes.Equal(before, v.at) {
			try = 0
			continue
		}
		if try++; try >= v.core.options.tries {
			return err
		}
		if err := v.core.backoff(ctx, try); err != nil {
			return err
		}
	}
}

// walk walks over the keys from v.at to hi, in one snapshot.
func (v *verifier) walk(ctx context.Context, r store.Reader, db *DB, hi []byte) error {
	found, err := v.catalogue(ctx, r, db)
	if err != nil {
		return err
	}
	for {
		if len(v.problems) >= maxProblems {
			return errEnough
		}
		items, err := r.Page(ctx, store.Page{Lo: v.at, Hi: hi, Limit: 1, KeysOnly: true})
		if err != nil || len(items) == 0 {
			return err
		}
		key := items[0].Key
		if len(key) <= headerLen {
			v.report(nil, nil, "", nil, "the store has a key of %d bytes, %x, which no document and no entry has", len(key), key)
			v.at = following(key)
			continue
		}
		if err := v.area(ctx, r, found[collectionOf(key)], key); err != nil {
			return err
		}
	}
}

// following returns the next key that there can be after key.
func following(key []byte) []byte { return append(slices.Clone(key), 0) }

// area looks at all that is stored from key on under the number of its index, and moves behind it.
func (v *verifier) area(ctx context.Context, r store.Reader, in *verified, key []byte) error {
	if in == nil {
		v.report(nil, nil, "", nil, "there are keys of the collection %d, which the catalogue does not know", collectionOf(key))
		v.at = ordered.PrefixEnd(nil, key[:headerLen-2])
		return nil
	}
	last := append([]byte(nil), key[:headerLen]...)
	last[headerLen-1] |= 1
	end := ordered.PrefixEnd(nil, last) // where both halves end
	number := indexOf(key)
	if number != 0 && !in.knows(number) {
		v.report(in, nil, "", nil, "there are entries of an index with the number %d, which the catalogue does not know", number)
	}
	look := v.someEntries
	switch {
	case in.col == nil || number != 0 && in.place(number) < 0:
		v.at = end // not of this program, or an index that is stale or given up
		return nil
	case number == 0:
		look = v.someDocuments
	}
	for len(v.problems) < maxProblems {
		items, err := r.Page(ctx, store.Page{Lo: v.at, Hi: end, Limit: verifyBatch})
		if err != nil {
			return err
		}
		if len(items) == 0 {
			v.at = end
			return nil
		}
		if err := look(ctx, r, in, items); err != nil {
			return err
		}
		v.at = following(items[len(items)-1].Key)
	}
	return errEnough
}

// knows reports whether the catalogue has an index with this number, or has it down for removal.
func (in *verified) knows(number uint16) bool {
	return slices.Contains(in.rec.Drop, number) || slices.ContainsFunc(in.rec.Indexes, func(x indexRecord) bool { return x.Number == number })
}

// place returns the place in the schema of the index with this number, -1 if it is not kept.
func (in *verified) place(number uint16) int {
	return slices.IndexFunc(in.reg.indexes, func(n indexNumber) bool { return n.number == number && n.kept })
}

// entriesOf returns the entries that a document says.
func (in *verified) entriesOf(key []byte, doc *cached) (*Entries, error) {
	e := new(Entries)
	e.reset(in.reg, in.col.indexes, key[headerLen:], doc.deleted)
	return e, in.col.index(e, key, doc.doc)
}

// A wanted entry is one that a document says.
type wantedEntry struct {
	doc   []byte // key of the document
	key   []byte
	index *Index
	other bool // the entry in the other half of the index is meant
}

// someDocuments looks at documents, and at whether the indexes have their entries. Entries that say something else are
// found by someEntries.
func (v *verifier) someDocuments(ctx context.Context, r store.Reader, in *verified, items []store.Item) error {
	var wants []wantedEntry
	for i := range items {
		it := &items[i]
		doc := v.document(in, it)
		if doc == nil {
			continue
		}
		e, err := in.entriesOf(it.Key, doc)
		if err != nil {
			return err
		}
		for j := range e.found {
			en := &e.found[j]
			if in.reg.indexes[en.index].ready {
				wants = append(wants, wantedEntry{doc: it.Key, key: e.key(en), index: in.col.indexes[en.index]})
			}
		}
	}
	have, err := getEntries(ctx, r, wants)
	if err != nil {
		return err
	}
	var others []wantedEntry
	for i, w := range wants {
		missing := have[i].Version == store.Absent
		if w.index.Unique && !missing && !bytes.Equal(have[i].Value, w.doc) {
			v.report(in, w.doc, w.index.Name, nil, "its value in the unique %s is held by %s", w.index.title(), in.showDocument(have[i].Value))
		}
		if missing || w.index.Unique && in.col.soft {
			others = append(others, wantedEntry{doc: w.doc, key: otherHalf(w.key), index: w.index, other: !missing})
		}
	}
	have, err = getEntries(ctx, r, others)
	if err != nil {
		return err
	}
	for i, w := range others {
		there := have[i].Version != store.Absent
		mine := there && (w.index.View || bytes.Equal(have[i].Value, w.doc)) // then someEntries says that the half is wrong
		switch {
		case !w.other && !mine:
			v.report(in, w.doc, w.index.Name, nil, "the %s has no entry for it", w.index.title())
		case w.other && there && !mine && w.key[headerLen-1]&1 == 1: // told once, of the one that is live
			v.report(in, w.doc, w.index.Name, nil, "its value in the unique %s is held by %s as well, which is marked as deleted", w.index.title(), in.showDocument(have[i].Value))
		}
	}
	return nil
}

func getEntries(ctx context.Context, r store.Reader, wants []wantedEntry) ([]store.Item, error) {
	if len(wants) == 0 {
		return nil, nil
	}
	keys := make([][]byte, len(wants))
	for i := range wants {
		keys[i] = wants[i].key
	}
	return r.Get(ctx, keys...)
}

// document decodes a document and looks at it; nil if there is no sense in looking at its entries.
func (v *verifier) document(in *verified, it *store.Item) *cached {
	doc, err := in.read(it)
	if err != nil {
		v.report(in, it.Key, "", err, "%v", err)
		return nil
	}
	env, _, _ := parseEnvelope(it.Value) // read has done so, and looked at the schema where it is not this program's
	if !slices.ContainsFunc(in.rec.Schemas, func(s schemaRecord) bool { return s.Number == env.schema }) {
		v.report(in, it.Key, "", nil, "it was written by schema %d, which the catalogue does not have", env.schema)
	}
	return doc
}

// read decodes a document. The error does not name it.
func (in *verified) read(it *store.Item) (*cached, error) {
	schema := in.col.schema.(verifiable)
	if it.Key[headerLen-1]&1 != 0 {
		return nil, fmt.Errorf("%w: it is in the half of what is deleted, where documents never are", ErrCorrupt)
	}
	if !schema.isKey(it.Key[headerLen:]) {
		return nil, fmt.Errorf("%w: its key cannot be read", ErrCorrupt)
	}
	doc, err := in.col.decode(it.Key, it.Value, it.Version)
	if err != nil {
		return nil, errors.Unwrap(err) // without the name
	}
	if tuple := schema.tupleOf(doc.doc); !bytes.Equal(tuple, it.Key[headerLen:]) {
		return nil, fmt.Errorf("%w: the document says that its key is %s", ErrCorrupt, showKey(in.col.codec.key(tuple)))
	}
	return doc, nil
}

// someEntries looks at entries of one index: each must belong to a document, and say what the document says.
func (v *verifier) someEntries(ctx context.Context, r store.Reader, in *verified, items []store.Item) error {
	ix := in.col.indexes[in.place(indexOf(items[0].Key))]
	var keys [][]byte
	ends := make([]int, len(items)) // of the documents that an entry may belong to
	for i := range items {
		keys = in.holders(keys, ix, &items[i])
		ends[i] = len(keys)
	}
	var docs []store.Item
	if len(keys) > 0 {
		var err error
		if docs, err = r.Get(ctx, keys...); err != nil {
			return err
		}
	}
	said := make(map[string]*Entries) // of documents that can be read
	from := 0
	for i := range items {
		v.entry(in, ix, &items[i], docs[from:ends[i]], said)
		from = ends[i]
	}
	return nil
}

// holders appends the keys of the documents that an entry may belong to. The entry of a view ends with the key of its
// document, and where that begins does not show: every end of the entry that can be read as a key is one of them.
func (in *verified) holders(keys [][]byte, ix *Index, it *store.Item) [][]byte {
	if !ix.View {
		if isDocument(it.Value) && bytes.HasPrefix(it.Value, in.reg.header[:]) {
			keys = append(keys, it.Value)
		}
		return keys
	}
	schema := in.col.schema.(verifiable)
	for tuple := it.Key[headerLen : len(it.Key)-1]; len(tuple) > 0; tuple = tuple[1:] {
		if schema.isKey(tuple) {
			keys = append(keys, append(slices.Clone(in.reg.header[:]), tuple...))
		}
	}
	return keys
}

// entry looks at one entry; docs are the documents that it may belong to, and said is what they say, as far as it is known
// already.
func (v *verifier) entry(in *verified, ix *Index, it *store.Item, docs []store.Item, said map[string]*Entries) {
	if len(docs) == 0 {
		v.report(in, nil, ix.Name, nil, "the %s has an entry that names no document", ix.title())
		return
	}
	var holder []byte // the document that it is most likely of
	for i := range docs {
		doc := &docs[i]
		if doc.Version == store.Absent {
			continue
		}
		e, known := said[string(doc.Key)]
		if !known {
			// What is wrong with a document itself is told by someDocuments.
			if d, err := in.read(doc); err == nil {
				if e, err = in.entriesOf(doc.Key, d); err != nil {
					e = nil
				}
			}
			said[string(doc.Key)] = e
		}
		if e == nil {
			return
		}
		if holder == nil {
			holder = doc.Key
		}
		if en := e.find(it.Key); en != nil {
			if ix.View && !bytes.Equal(it.Value, e.value(en)) {
				v.report(in, doc.Key, ix.Name, nil, "its entry in the %s has another value than the document emits", ix.title())
			}
			return
		}
		if e.find(otherHalf(it.Key)) != nil {
			v.report(in, doc.Key, ix.Name, nil, "its entry in the %s is in the half of what is %s", ix.title(), []string{"live", "deleted"}[it.Key[headerLen-1]&1])
			return
		}
	}
	switch {
	case holder != nil:
		v.report(in, holder, ix.Name, nil, "the %s has an entry for it that the document does not say", ix.title())
	case len(docs) == 1:
		v.report(in, docs[0].Key, ix.Name, nil, "the %s has an entry for it, but there is no such document", ix.title())
	default:
		v.report(in, nil, ix.Name, nil, "the %s has an entry of a document that is not there", ix.title())
	}
}

// find returns the entry with this key, or nil.
func (e *Entries) find(key []byte) *entry {
	for i := range e.found {
		if bytes.Equal(e.key(&e.found[i]), key) {
			return &e.found[i]
		}
	}
	return nil
}

// title names an index for people.
func (ix *Index) title() string {
	switch {
	case ix.keys:
		return "index of keys"
	case ix.View:
		return "view " + ix.Name
	}
	return "index " + ix.Name
}

// showDocument names the document that a value says.
func (in *verified) showDocument(value []byte) string {
	if !isDocument(value) || !bytes.HasPrefix(value, in.reg.header[:]) {
		return fmt.Sprintf("%x, which is no document", value)
	}
	return in.rec.Name + " " + showKey(in.col.keyOf(value))
}

// report keeps a problem. key is that of the document.
func (v *verifier) report(in *verified, key []byte, index string, cause error, format string, args ...any) {
	e := &VerifyError{Index: index, Problem: fmt.Sprintf(format, args...), Err: cause}
	if in != nil {
		e.Entity = in.rec.Name
		if key != nil {
			e.Key = in.col.keyOf(key)
		}
	}
	if e.Err == nil {
		e.Err = ErrCorrupt
	}
	v.problems = append(v.problems, e)
}
