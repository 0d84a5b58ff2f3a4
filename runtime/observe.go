package kixx

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// An Operation is what one call of a repository, a query or a database has come to, for an [Observer]. It holds no key, no
// value of a document and no text of an error.
type Operation struct {
	// Name is that of the method: "Get", "Update", "Page", "Tx", … GetByX of a unique index is "GetUnique". It is stable.
	Name string

	Entity string // "item"; "" of Tx and Snapshot
	Index  string // index or view that was read: "Category"; "" if it was the documents in the order of their keys

	// Examined is how many documents and entries the store was asked for, or went over: those that an Offset skips
	// included, and those of every try of an update. A Get that the cache answers examines none.
	Examined int

	// Returned is how many documents, entries or keys the caller has got, or how many documents were written. Of Count it
	// is the count.
	Returned int

	Bytes    int64         // of values that were read from the store, and of keys and values that were written to it
	Code     string        // of the error, see [Code]; "" if there was none
	Duration time.Duration // by the clock of [WithClock]
}

// An Observer is told of each operation when it has ended: see [WithObserver]. ctx is the one that the operation was called
// with, for what a tracer has put there.
type Observer func(ctx context.Context, op Operation)

// observer tells of the operations of a database. There is none if nobody wants to know: then an operation pays for one
// comparison with nil.
type observer struct {
	tell     []Observer
	slow     time.Duration // what takes so long is logged; negative: nothing is
	now      func() time.Time
	log      *slog.Logger
	panicked atomic.Bool // it was logged
}

// newObserver returns nil if o wants none.
func newObserver(o *options) *observer {
	if len(o.observers) == 0 && o.slow < 0 {
		return nil
	}
	return &observer{tell: o.observers, slow: o.slow, now: o.now, log: o.store.Logger}
}

// An operation is an [Operation] under way. It is the context for all that is done for it, so that what is read and written
// deep below is counted without being handed up; one goroutine does it all. A nil operation counts nothing.
type operation struct {
	context.Context
	by    *observer
	began time.Time
	idle  time.Duration // spent in the loop of the caller
	left  time.Time     // when the loop began
	op    Operation
}

type operationKey struct{}

func (o *operation) Value(key any) any {
	if key == (operationKey{}) {
		return o
	}
	return o.Context.Value(key)
}

// begin begins an operation, if somebody is to be told of it.
func (c *core) begin(ctx context.Context, name, entity, index string) (context.Context, *operation) {
	if c.observer == nil {
		return ctx, nil
	}
	o := &operation{Context: ctx, by: c.observer, op: Operation{Name: name, Entity: entity, Index: index}}
	o.began = c.observer.now()
	return o, o
}

// end tells of the operation.
func (o *operation) end(returned int, err error) {
	if o == nil {
		return
	}
	o.op.Returned, o.op.Code = returned, Code(err)
	now := o.by.now()
	if !o.left.IsZero() { // the loop was left by its body
		o.idle += now.Sub(o.left)
	}
	o.op.Duration = now.Sub(o.began) - o.idle
	o.by.ended(o.Context, &o.op)
}

// one is 1 if ok, else 0: how much an operation has returned.
func one(ok bool) int {
	if ok {
		return 1
	}
	return 0
}

// leave and enter are called around the body of the caller's loop, which does not count.
func (o *operation) leave() {
	if o != nil {
		o.left = o.by.now()
	}
}

func (o *operation) enter() {
	if o != nil {
		o.idle += o.by.now().Sub(o.left)
		o.left = time.Time{}
	}
}

// count adds to the operation that ctx is of.
func (c *core) count(ctx context.Context, examined int, bytes int64) {
	if c.observer == nil {
		return
	}
	if o, ok := ctx.Value(operationKey{}).(*operation); ok {
		o.op.Examined += examined
		o.op.Bytes += bytes
	}
}

// countItems counts items that were read.
func (c *core) countItems(ctx context.Context, items []store.Item) {
	if c.observer == nil {
		return
	}
	var bytes int64
	for i := range items {
		bytes += int64(len(items[i].Value))
	}
	c.count(ctx, len(items), bytes)
}

// countBatch counts a commit.
func (c *core) countBatch(ctx context.Context, b *store.Batch) {
	if c.observer == nil {
		return
	}
	var bytes int64
	for i := range b.Ops {
		bytes += int64(len(b.Ops[i].Key) + len(b.Ops[i].Value))
	}
	c.count(ctx, 0, bytes)
}

// ended tells everybody. An observer that panics is a fault of the application that must not break an operation which has
// been done: it is logged, the first time, and goes on being called.
func (w *observer) ended(ctx context.Context, op *Operation) {
	if w.slow >= 0 && op.Duration >= w.slow {
		w.guard(ctx, func() { w.logSlow(ctx, op) })
	}
	for _, tell := range w.tell {
		w.guard(ctx, func() { tell(ctx, *op) })
	}
}

func (w *observer) guard(ctx context.Context, f func()) {
	defer func() {
		if p := recover(); p != nil && !w.panicked.Swap(true) {
			w.log.ErrorContext(ctx, "kixx: an observer panicked; the operation is not affected, and further panics are not logged", "event", "observer.panic", "panic", fmt.Sprint(p))
		}
	}()
	f()
}

func (w *observer) logSlow(ctx context.Context, op *Operation) {
	w.log.WarnContext(ctx, "kixx: slow operation", "event", "operation.slow",
		"operation", op.Name, "entity", op.Entity, "index", op.Index, "examined", op.Examined, "returned", op.Returned,
		"bytes", op.Bytes, "code", op.Code, "duration", op.Duration)
}
