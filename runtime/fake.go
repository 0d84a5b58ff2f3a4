package kixx

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// fixed is what a query of [FixedQuery] finds.
type fixed[E any, K comparable] struct {
	items []E
	keys  []K
	err   error
}

// FixedQuery returns a query that finds items, or fails with err: for hand-written fakes of a repository in tests.
// Limit, Offset, After and Reverse work on the slice; its cursors are positions in it. key may be nil if nobody asks for keys.
func FixedQuery[E any, K comparable](items []E, key func(E) K, err error) Query[E, K] {
	f := &fixed[E, K]{items: slices.Clone(items), err: err}
	for _, e := range items {
		if key != nil {
			f.keys = append(f.keys, key(e))
		}
	}
	return Query[E, K]{plan{ix: documents, limit: noLimit}, &source[E, K]{fixed: f}}
}

// fixedPage is Page of a fixed query.
func fixedPage[E any, K comparable](q Query[E, K]) (Page[E], error) {
	return pageOf(&q.p, q.src.fixed.items, q.src.fixed.err)
}

// fixedKeys is Keys of a fixed query.
func fixedKeys[E any, K comparable](q Query[E, K]) (Page[K], error) {
	if f := q.src.fixed; len(f.keys) < len(f.items) && f.err == nil {
		return Page[K]{Items: []K{}}, errors.New("kixx: the fake query was made without a function for keys")
	}
	return pageOf(&q.p, q.src.fixed.keys, q.src.fixed.err)
}

// pageOf returns the page of a list that p asks for.
func pageOf[T any](p *plan, list []T, err error) (Page[T], error) {
	if err != nil {
		return Page[T]{Items: []T{}}, err
	}
	list = slices.Clone(list)
	if p.reverse {
		slices.Reverse(list)
	}
	at := 0
	if p.after != "" {
		n, err := strconv.Atoi(string(p.after))
		if err != nil || n < 0 || n > len(list) {
			return Page[T]{Items: []T{}}, fmt.Errorf("kixx: query of a fake: %w", ErrBadCursor)
		}
		at = n
	}
	at = min(at+p.offset, len(list))
	end := min(at+pageSize(p.limit), len(list))
	page := Page[T]{Items: append([]T{}, list[at:end]...)}
	if end < len(list) {
		page.Next = Cursor(strconv.Itoa(end))
	}
	return page, nil
}
