package kixx

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/go-playground/validator/v10"
	"github.com/kixxgen/kixxgen/runtime/gen"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// A Repo stores the documents of one entity: D is a pointer to its struct, K the type of its key. Generated repositories
// embed it. It is safe for concurrent use.
//
// Documents are values: what is passed in is neither kept nor changed, hooks run on a copy, and what comes back is the
// caller's own. A write goes through BeforeSet, the validator's tags, Validate, and then into one commit with its index
// and view entries; AfterSet follows.
type Repo[D any, K comparable] struct {
	schema *Schema[D, K]
	col    *collection
	docs   *source[D, K]
	in     *scope // nil: the newest state

	deleted bool // it sees documents that are marked as deleted
}

// NewRepo registers a schema with a database. It returns when the indexes are ready: new and changed ones are built
// first. The error is [ErrSchema] if the schema contradicts what is stored, or another Go type has its name.
func NewRepo[D any, K comparable](ctx context.Context, db *DB, s *Schema[D, K]) (Repo[D, K], error) {
	return newRepo(ctx, db, s, false)
}

func newRepo[D any, K comparable](ctx context.Context, db *DB, s *Schema[D, K], soft bool) (Repo[D, K], error) {
	col, err := db.collection(ctx, s.Name, s, func() *collection {
		own := newSchemaRecord(s.Fields, s.Migrate)
		own.Code = s.code()
		return &collection{
			own:     own,
			migrate: s.Migrate,
			indexes: s.Indexes,
			soft:    soft,
			codec: codec{
				append: func(b []byte, doc any, u *gen.Unknown) []byte { return s.Append(b, doc.(D), u) },
				read: func(body []byte, rev Rev, u *gen.Unknown) (any, []byte, error) {
					doc := s.New()
					rest, err := s.Read(doc, body, u)
					*s.Meta(doc).Rev = rev
					return doc, rest, err
				},
				clone: func(doc any) any { return s.Clone(doc.(D)) },
				index: func(doc any, e *Entries) {
					if s.Index != nil {
						s.Index(doc.(D), e)
					}
				},
				rev: func(doc any) *Rev { return s.Meta(doc.(D)).Rev },
				marked: func(doc any) bool {
					at := s.Meta(doc.(D)).Deleted
					return at != nil && *at != nil
				},
				key: func(id []byte) any {
					key, _, err := s.ReadKey(id)
					if err != nil {
						return fmt.Sprintf("%x", id)
					}
					return key
				},
			},
		}
	})
	if err != nil {
		return Repo[D, K]{}, err
	}
	return Repo[D, K]{schema: s, col: col, docs: documentSource(s, col)}, nil
}

// Bind returns r for the scope s, for generated code; nil is none.
func Bind[D any, K comparable](r *Repo[D, K], s Scope) Repo[D, K] {
	bound := *r
	bound.in = nil
	if s != nil {
		bound.in = s.scoped()
	}
	return bound
}

// collection returns the collection of a name, made and registered the first time.
func (db *DB) collection(ctx context.Context, name string, schema any, make func() *collection) (*collection, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.core.closed.Load() {
		return nil, ErrClosed
	}
	if c := db.collections[name]; c != nil {
		if c.schema != schema {
			return nil, fmt.Errorf("kixx: %w: the collection %q is taken by another Go type of this program; name one of them with //kixx:entity name=…", ErrSchema, name)
		}
		return c, nil
	}
	c := make()
	if c.soft {
		c.softKeys()
	}
	c.db, c.core, c.name, c.schema = db, db.core, name, schema
	c.key = catalogueKey(db.id, "collection", name)
	if err := c.register(ctx); err != nil {
		return nil, err
	}
	db.collections[name] = c
	return c, nil
}

// keySpace is room for the keys of most documents, on the stack of whoever looks one up.
const keySpace = 96

// key returns the document's key.
func (r *Repo[D, K]) key(b []byte, key K) []byte {
	h := &r.col.reg.Load().header
	return r.schema.AppendKey(append(b, h[:]...), key)
}

// Get returns the document with this key, or [ErrNotFound].
func (r *Repo[D, K]) Get(ctx context.Context, key K) (D, error) {
	var none D
	core := r.col.core
	var op *operation
	if core.observer != nil { // without a call where nobody wants to know
		ctx, op = core.begin(ctx, "Get", r.col.name, "")
	}
	k := core.keys.Get().(*keyBuffer)
	k.b = r.key(k.b[:0], key)
	if r.in == nil { // a scope counts for itself
		core.cache.lookedUp(k)
	}
	e, _, err := r.col.load(ctx, r.in, k.b, true)
	core.keys.Put(k) // a panic loses it, which does no harm
	if err == nil && (e == nil || e.deleted && !r.deleted) {
		err = r.notFound(key, e)
	}
	if op != nil {
		op.end(one(err == nil), err)
	}
	if err != nil {
		return none, err
	}
	return r.schema.Clone(e.doc.(D)), nil
}

// GetMany returns the documents with these keys, in their order and all of one snapshot; nil where there is none.
func (r *Repo[D, K]) GetMany(ctx context.Context, keys ...K) ([]D, error) {
	ctx, op := r.col.core.begin(ctx, "GetMany", r.col.name, "")
	docs, found, err := r.getMany(ctx, keys)
	op.end(found, err)
	return docs, err
}

// getMany is GetMany; found is how many there are.
func (r *Repo[D, K]) getMany(ctx context.Context, keys []K) (docs []D, found int, err error) {
	full := make([][]byte, len(keys))
	for i, key := range keys {
		full[i] = r.key(nil, key)
	}
	docs = make([]D, len(keys))
	if len(keys) == 0 {
		return docs, 0, nil
	}
	items, mark, err := r.col.get(ctx, r.in, full)
	if err != nil {
		return nil, 0, err
	}
	for i := range items {
		e, err := r.col.decoded(full[i], &items[i], mark)
		if err != nil {
			return nil, 0, err
		}
		if e != nil && (!e.deleted || r.deleted) {
			docs[i] = r.schema.Clone(e.doc.(D))
			found++
		}
	}
	return docs, found, nil
}

// Has reports whether there is a document with this key.
func (r *Repo[D, K]) Has(ctx context.Context, key K) (bool, error) {
	ctx, op := r.col.core.begin(ctx, "Has", r.col.name, "")
	if r.in == nil {
		r.col.core.cache.lookups.Add(1)
	}
	e, _, err := r.col.load(ctx, r.in, r.key(nil, key), true)
	has := e != nil && (!e.deleted || r.deleted)
	op.end(one(has), err)
	return has, err
}

// Insert stores a new document. If there is one with its key already, the error is [ErrExists]. The document's Rev is
// not looked at. With a key,auto field that is empty, the key is made.
func (r *Repo[D, K]) Insert(ctx context.Context, doc D) (D, error) {
	return r.set(ctx, "Insert", doc, func(key K, _ Rev, old *cached) error {
		if old != nil {
			return r.exists(key, old)
		}
		return nil
	})
}

// Set stores the document if its Rev is the stored one. The zero Rev says that there is none yet. Else the error is a
// [*ConflictError], which matches [ErrConflict].
func (r *Repo[D, K]) Set(ctx context.Context, doc D) (D, error) {
	return r.set(ctx, "Set", doc, r.current)
}

// current is the rule of Set.
func (r *Repo[D, K]) current(key K, given Rev, old *cached) error {
	stored := Rev{}
	if old != nil {
		stored = old.rev
	}
	if r.hidden(old) {
		switch {
		case given.IsZero():
			return r.exists(key, old)
		case given.Matches(stored):
			return r.notFound(key, old)
		}
	}
	if !given.Matches(stored) {
		return &ConflictError{Entity: r.schema.Name, Key: key, Given: given, Stored: stored}
	}
	return nil
}

// Overwrite stores the document, whatever is there: the last write wins. The revision still counts up. A document that was
// marked as deleted is not any more.
func (r *Repo[D, K]) Overwrite(ctx context.Context, doc D) (D, error) {
	live := *r
	live.deleted = false // what is written is not deleted
	return live.set(ctx, "Overwrite", doc, func(K, Rev, *cached) error { return nil })
}

// set is the operation that stores a copy of doc where allow has no objection.
func (r *Repo[D, K]) set(ctx context.Context, name string, doc D, allow func(key K, given Rev, old *cached) error) (D, error) {
	ctx, op := r.col.core.begin(ctx, name, r.col.name, "")
	d, err := r.setOne(ctx, doc, allow)
	op.end(one(err == nil), err)
	return d, err
}

func (r *Repo[D, K]) setOne(ctx context.Context, doc D, allow func(key K, given Rev, old *cached) error) (D, error) {
	var none D
	first, err := r.firstCopy(ctx, doc)
	if err != nil {
		return none, err
	}
	given := *r.schema.Meta(doc).Rev
	key := r.schema.Key(first)
	full, err := r.newKey(key)
	if err != nil {
		return none, err
	}
	stored, err := r.col.write(ctx, r.in, full, func(old *cached) (any, error) {
		if err := allow(key, given, old); err != nil {
			return nil, err
		}
		d := first // the copy that BeforeSet has seen serves the first try
		first = none
		if isNil(d) {
			var err error
			if d, err = r.copyAgain(ctx, doc, key); err != nil {
				return nil, err
			}
		}
		return r.finish(d, key, old)
	})
	if err != nil {
		return none, err
	}
	return r.after(ctx, stored.(D))
}

// firstCopy returns a copy of doc that BeforeSet has seen, with a key that it keeps.
func (r *Repo[D, K]) firstCopy(ctx context.Context, doc D) (D, error) {
	if isNil(doc) {
		return doc, &InvalidError{Entity: r.schema.Name, Err: errors.New("the document is a nil pointer")}
	}
	d, err := r.copyOf(doc)
	if err != nil {
		return d, err
	}
	if r.schema.NewKey != nil {
		var zero K
		if r.schema.Key(d) == zero {
			r.schema.SetKey(d, r.schema.NewKey(r.col.core.ids.next(r.col.core.now())))
		}
	}
	return d, r.beforeSet(ctx, d)
}

// copyAgain returns what firstCopy did, for another try.
func (r *Repo[D, K]) copyAgain(ctx context.Context, doc D, key K) (D, error) {
	d, err := r.copyOf(doc)
	if err != nil {
		return d, err
	}
	r.schema.SetKey(d, key)
	if err := r.beforeSet(ctx, d); err != nil {
		return d, err
	}
	r.schema.SetKey(d, key)
	return d, nil
}

// isNil reports whether d, which is of a pointer type, is nil.
func isNil[D any](d D) bool {
	var none D
	return any(d) == any(none)
}

func (r *Repo[D, K]) beforeSet(ctx context.Context, d D) error {
	if r.schema.BeforeSet == nil {
		return nil
	}
	if err := r.schema.BeforeSet(d, r.hookContext(ctx)); err != nil {
		return &InvalidError{Entity: r.schema.Name, Key: r.schema.Key(d), Err: err}
	}
	return nil
}

// hookContext returns the context for a hook: in a scope it is marked, whatever the caller handed in.
func (r *Repo[D, K]) hookContext(ctx context.Context) context.Context {
	if r.in == nil {
		return ctx
	}
	return r.in.mark(ctx)
}

// finish makes d, which BeforeSet has seen, what is to be stored after old.
func (r *Repo[D, K]) finish(d D, key K, old *cached) (any, error) {
	m := r.schema.Meta(d)
	var before Meta
	if old != nil {
		before = r.schema.Meta(old.doc.(D))
		*m.Rev = old.rev.next()
	} else {
		*m.Rev = Rev{}.next()
	}
	if m.Created != nil {
		if old != nil {
			*m.Created = *before.Created
		} else {
			*m.Created = r.col.core.time()
		}
	}
	if m.Deleted != nil {
		*m.Deleted = nil
		if old != nil && old.deleted && r.deleted { // only Delete, Restore and Overwrite change it
			at := **before.Deleted
			*m.Deleted = &at
		}
	}
	r.touch(m, before)
	if err := r.validate(d, key); err != nil {
		return nil, err
	}
	if r.schema.Canon == nil {
		return d, nil
	}
	return d, r.canon(d, key)
}

// touch sets the updated field.
func (r *Repo[D, K]) touch(m, before Meta) {
	if m.Updated != nil {
		*m.Updated = r.col.core.time()
		// A clock that was put back must not make a document older than it is.
		for _, least := range []*time.Time{before.Updated, m.Created} {
			if least != nil && least.After(*m.Updated) {
				*m.Updated = *least
			}
		}
	}
}

// canon makes d canonical.
func (r *Repo[D, K]) canon(d D, key K) (err error) {
	defer refuse(r.schema.Name, key, &err)
	r.schema.Canon(d)
	return nil
}

// copyOf returns a copy of a document that comes from outside.
func (r *Repo[D, K]) copyOf(doc D) (d D, err error) {
	defer refuse(r.schema.Name, nil, &err)
	return r.schema.Clone(doc), nil
}

// refuse is deferred around generated code that walks a document. It turns what that panics with if the document contains
// itself, or a value that cannot be stored, into an error.
func refuse(entity string, key any, err *error) {
	switch p := recover().(type) {
	case nil:
	case *gen.RefusedError:
		*err = &InvalidError{Entity: entity, Key: key, Err: p}
	case error:
		if p != gen.ErrDepth {
			panic(p)
		}
		*err = &InvalidError{Entity: entity, Key: key, Err: p}
	default:
		panic(p)
	}
}

// validate asks the validator, if there is a tag or the application brought its own, and then the document.
func (r *Repo[D, K]) validate(d D, key K) error {
	if r.schema.Tagged || r.col.core.options.validator != nil {
		if err := r.col.core.validate.Struct(d); err != nil {
			return invalid(r.schema.Name, key, err)
		}
	}
	if r.schema.Validate != nil {
		if err := r.schema.Validate(d); err != nil {
			return &InvalidError{Entity: r.schema.Name, Key: key, Err: err}
		}
	}
	return nil
}

// invalid turns what the validator says into an InvalidError.
func invalid(entity string, key any, err error) error {
	e := &InvalidError{Entity: entity, Key: key, Err: err}
	var list validator.ValidationErrors
	if errors.As(err, &list) {
		for _, f := range list {
			_, field, _ := strings.Cut(f.StructNamespace(), ".")
			rule := f.ActualTag()
			if p := f.Param(); p != "" {
				rule += "=" + p
			}
			e.Fields = append(e.Fields, FieldError{Field: field, Rule: rule})
		}
	}
	return e
}

// after calls AfterSet on a copy, in a transaction after the commit, and returns d for the caller to keep.
func (r *Repo[D, K]) after(ctx context.Context, d D) (out D, err error) {
	made := d
	if r.schema.Partial {
		d = r.schema.Clone(d) // what a hook left in fields that are not stored does not come back
	}
	switch {
	case r.schema.AfterSet == nil:
	case r.in != nil:
		copied := r.schema.Clone(d)
		r.in.afterSet(r.key(nil, r.schema.Key(d)), made, func(ctx context.Context) error { return r.afterSet(ctx, copied) })
	default:
		err = r.afterSet(ctx, r.schema.Clone(d))
	}
	return d, err
}

// afterSet calls AfterSet on d, which nobody else has.
func (r *Repo[D, K]) afterSet(ctx context.Context, d D) (err error) {
	key := r.schema.Key(d)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("kixx: %s %s: it is stored, but AfterSet panicked: %v", r.schema.Name, showKey(key), p)
		}
	}()
	r.schema.AfterSet(d, ctx)
	return nil
}

// Update reads the document, lets change work on a copy, and stores it if nobody else has written it meanwhile; else it
// begins anew, with the document as it is then: at most as often as [WithRetry] says, and until ctx ends. change may
// replace the whole struct, but not its key. Its Rev is put right afterwards. If change fails, its error comes back as
// it is and nothing is changed. If there is no such document, the error is [ErrNotFound].
func (r *Repo[D, K]) Update(ctx context.Context, key K, change func(D) error) (D, error) {
	return r.updateAs(ctx, "Update", key, change)
}

// updateAs is Update as a part of an operation with this name.
func (r *Repo[D, K]) updateAs(ctx context.Context, name string, key K, change func(D) error) (D, error) {
	return r.update(ctx, name, key, change, func(old *cached) error {
		if old == nil || r.hidden(old) {
			return r.notFound(key, old)
		}
		return nil
	})
}

// UpdateIf is Update for a caller that saw the document at rev, as with If-Match: if the stored revision is another one,
// the error is [ErrConflict]. The zero Rev matches no document.
func (r *Repo[D, K]) UpdateIf(ctx context.Context, key K, rev Rev, change func(D) error) (D, error) {
	return r.update(ctx, "UpdateIf", key, change, func(old *cached) error {
		if old == nil || r.hidden(old) {
			return r.notFound(key, old)
		}
		return r.current(key, rev, old)
	})
}

// Upsert is Update, but where there is no document change gets a new one: its key is set, its Rev is zero.
func (r *Repo[D, K]) Upsert(ctx context.Context, key K, change func(D) error) (D, error) {
	return r.update(ctx, "Upsert", key, change, func(old *cached) error {
		if r.hidden(old) {
			return r.exists(key, old)
		}
		return nil
	})
}

func (r *Repo[D, K]) update(ctx context.Context, name string, key K, change func(D) error, allow func(old *cached) error) (D, error) {
	ctx, op := r.col.core.begin(ctx, name, r.col.name, "")
	d, err := r.updateOne(ctx, key, change, allow)
	op.end(one(err == nil), err)
	return d, err
}

func (r *Repo[D, K]) updateOne(ctx context.Context, key K, change func(D) error, allow func(old *cached) error) (D, error) {
	var none D
	full, err := r.newKey(key)
	if err != nil {
		return none, err
	}
	stored, err := r.col.write(ctx, r.in, full, func(old *cached) (any, error) {
		if err := allow(old); err != nil {
			return nil, err
		}
		var d D
		if old != nil {
			d = r.schema.Clone(old.doc.(D))
		} else {
			d = r.schema.New()
			r.schema.SetKey(d, key)
		}
		if err := change(d); err != nil {
			return nil, err
		}
		if !r.hasKey(d, key) {
			return nil, &KeyError{Entity: r.schema.Name, Key: key, Reason: "a change must not change the key; delete the document and insert another one", Err: ErrBadKey}
		}
		// change may have kept d, or put slices of its own into it.
		var err error
		if d, err = r.copyOf(d); err != nil {
			return nil, err
		}
		if err := r.beforeSet(ctx, d); err != nil {
			return nil, err
		}
		r.schema.SetKey(d, key)
		return r.finish(d, key, old)
	})
	if err != nil {
		return none, err
	}
	return r.after(ctx, stored.(D))
}

// Delete removes the document, or returns [ErrNotFound].
func (r *Repo[D, K]) Delete(ctx context.Context, key K) error {
	return r.remove(ctx, "Delete", key, func(*cached) error { return nil })
}

// DeleteIf removes the document if rev is the stored revision, else the error is [ErrConflict].
func (r *Repo[D, K]) DeleteIf(ctx context.Context, key K, rev Rev) error {
	return r.remove(ctx, "DeleteIf", key, func(old *cached) error { return r.current(key, rev, old) })
}

func (r *Repo[D, K]) remove(ctx context.Context, name string, key K, allow func(old *cached) error) error {
	ctx, op := r.col.core.begin(ctx, name, r.col.name, "")
	_, err := r.col.write(ctx, r.in, r.key(nil, key), func(old *cached) (any, error) {
		if old == nil || r.hidden(old) {
			return nil, r.notFound(key, old)
		}
		if err := allow(old); err != nil {
			return nil, err
		}
		if err := r.beforeDelete(ctx, old); err != nil || !r.col.soft {
			return nil, err
		}
		return r.marked(old), nil
	})
	op.end(one(err == nil), err)
	return err
}

func (r *Repo[D, K]) beforeDelete(ctx context.Context, old *cached) error {
	if r.schema.BeforeDelete == nil {
		return nil
	}
	return r.schema.BeforeDelete(r.schema.Clone(old.doc.(D)), r.hookContext(ctx))
}

// SetMany is Set for several documents of different keys, all or none. Unique values may change hands among them. The
// commit must fit the limits of the store.
func (r *Repo[D, K]) SetMany(ctx context.Context, docs ...D) ([]D, error) {
	ctx, op := r.col.core.begin(ctx, "SetMany", r.col.name, "")
	out, err := r.setMany(ctx, docs)
	op.end(len(out), err)
	return out, err
}

func (r *Repo[D, K]) setMany(ctx context.Context, docs []D) ([]D, error) {
	many := make([]manyDoc, len(docs))
	keys := make(map[K]bool, len(docs))
	var none D
	for i, doc := range docs {
		d, err := r.firstCopy(ctx, doc)
		if err != nil {
			return nil, err
		}
		key := r.schema.Key(d)
		if keys[key] {
			return nil, &InvalidError{Entity: r.schema.Name, Key: key, Err: errors.New("the key is there twice")}
		}
		keys[key] = true
		full, err := r.newKey(key)
		if err != nil {
			return nil, err
		}
		given := *r.schema.Meta(doc).Rev
		first := d
		many[i] = manyDoc{key: full, prepare: func(old *cached) (any, error) {
			if err := r.current(key, given, old); err != nil {
				return nil, err
			}
			d := first
			first = none
			if isNil(d) {
				var err error
				if d, err = r.copyAgain(ctx, doc, key); err != nil {
					return nil, err
				}
			}
			return r.finish(d, key, old)
		}}
	}
	if len(docs) == 0 {
		return []D{}, nil
	}
	if err := r.col.writeMany(ctx, r.in, many); err != nil {
		return nil, err
	}
	out := make([]D, len(docs))
	var hooks error
	for i := range many {
		d, err := r.after(ctx, many[i].doc.(D))
		out[i], hooks = d, errors.Join(hooks, err)
	}
	return out, hooks
}

// Query finds all documents, in the order of their keys.
func (r *Repo[D, K]) Query() Query[D, K] {
	return Query[D, K]{r.plan(nil, nil), r.docs}
}

// All returns all documents in the order of their keys. See [Query.All].
func (r *Repo[D, K]) All(ctx context.Context) iter.Seq2[D, error] { return r.Query().All(ctx) }

// Count counts the documents. It reads all keys.
func (r *Repo[D, K]) Count(ctx context.Context) (int, error) { return r.Query().Count(ctx) }

// newKey returns the key of a document that is to be written.
func (r *Repo[D, K]) newKey(key K) ([]byte, error) {
	full := r.key(make([]byte, 0, keySpace), key)
	if reason := r.refuseKey(key, full[headerLen:]); reason != "" {
		return nil, &KeyError{Entity: r.schema.Name, Key: key, Reason: reason, Err: ErrBadKey}
	}
	if len(full) > store.MaxKey {
		return nil, &KeyLengthError{Entity: r.schema.Name, Key: key, Length: len(full)}
	}
	return full, nil
}

// hidden reports whether there is a document, which the repository does not see.
func (r *Repo[D, K]) hidden(e *cached) bool { return e != nil && e.deleted && !r.deleted }

// notFound says that there is no document, or only one that is marked as deleted.
func (r *Repo[D, K]) notFound(key K, e *cached) error {
	return &KeyError{Entity: r.schema.Name, Key: key, Err: ErrNotFound, Deleted: e != nil && e.deleted}
}

// exists says that there is a document already.
func (r *Repo[D, K]) exists(key K, e *cached) error {
	return &KeyError{Entity: r.schema.Name, Key: key, Err: ErrExists, Deleted: e.deleted}
}
