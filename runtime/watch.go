package kixx

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A Change is what a watch tells of one document.
type Change[D any, K comparable] struct {
	Key K
	Doc D // as it was stored, the receiver's own; nil if the document was deleted

	// Resync says that changes may be missing, so that what the receiver has made of the earlier ones is out of date: after
	// a restore, for example, or when Token was too old. Key and Doc are not set. Read everything anew in a
	// [DB.Snapshot], and go on from its token.
	Resync bool

	Token Token // go on from here to see what comes after this change
}

// Watch streams the changes of the repository's documents that are committed after from: each at least once, and those of
// one document in order. The zero Token is "from now", the moment of this call. [Snapshot.Token] joins a first read and
// the feed without a gap:
//
//	var token kixx.Token
//	err := db.Snapshot(ctx, func(ctx context.Context, s *kixx.Snapshot) error {
//		token = s.Token()
//		… // read through items.With(s)
//	})
//	for change, err := range items.Watch(ctx, token) { … }
//
// It ends when the loop does, when ctx does, with ctx's error, or with another error that says why it cannot go on: use
// both variables of the loop. A slow receiver holds up nobody. A document that is changed often meanwhile may be told of
// in each of its states or only in some, the last one among them. A document that is marked as deleted is told of as
// deleted, except by a repository WithDeleted.
//
// A store without a feed of changes ([store.Limits]) yields [ErrNotSupported]; a transaction or snapshot cannot be watched.
func (r *Repo[D, K]) Watch(ctx context.Context, from Token) iter.Seq2[Change[D, K], error] {
	changes := r.col.watch(ctx, r.in, from)
	return func(yield func(Change[D, K], error) bool) {
		for c, err := range changes {
			out := Change[D, K]{Resync: c.resync, Token: c.token}
			if err == nil && !c.resync {
				if out.Key, _, err = r.schema.ReadKey(c.key[headerLen:]); err != nil {
					err = r.col.wrap(c.key, fmt.Errorf("%w: %w", ErrCorrupt, err))
				} else if c.doc != nil && (!c.doc.deleted || r.deleted) {
					out.Doc = c.doc.doc.(D)
				}
			}
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}

// A feedItem is a [Change] without its types.
type feedItem struct {
	key    []byte
	doc    *cached // nobody else's; nil: deleted
	resync bool
	token  Token
}

// watch watches the documents of the collection. The watch of the store begins at once.
func (c *collection) watch(ctx context.Context, in *scope, from Token) iter.Seq2[feedItem, error] {
	fail := func(err error) iter.Seq2[feedItem, error] {
		return func(yield func(feedItem, error) bool) { yield(feedItem{}, err) }
	}
	switch err := c.core.unbound(ctx, c.name); {
	case err != nil:
		return fail(err)
	case in != nil:
		return fail(fmt.Errorf("kixx: %s: %w: a %s cannot be watched; watch the repository that is not bound to it", c.name, ErrTxScope, in.kind()))
	case c.core.closed.Load():
		return fail(ErrClosed)
	}
	h := c.reg.Load().header
	events := c.core.st.Watch(ctx, store.Token(from), slices.Clone(h[:]))
	return func(yield func(feedItem, error) bool) {
		c.core.counts.watchers.Add(1)
		defer c.core.counts.watchers.Add(-1)
		for ev, err := range events {
			item := feedItem{key: ev.Key, token: Token(ev.Token)}
			switch {
			case errors.Is(err, store.ErrNotSupported):
				err = fmt.Errorf("kixx: %s: %w: the store %s has no feed of changes", c.name, ErrNotSupported, c.core.name)
			case err != nil:
				err = fmt.Errorf("kixx: watch %s: %w", c.name, err)
			case ev.Kind == store.EventResync:
				item.resync = true
			case ev.Kind == store.EventPut:
				item.doc, err = c.decode(ev.Key, ev.Value, ev.Version)
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}
