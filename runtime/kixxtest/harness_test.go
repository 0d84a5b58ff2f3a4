package kixxtest

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"github.com/kixxgen/kixxgen/examples/inventory"
	kixx "github.com/kixxgen/kixxgen/runtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A recorder is a test within a test: it keeps what it is told, and ends when end is called.
type recorder struct {
	testing.TB // of the test around it; nil in an example
	cleanups   []func()
	says       []string
}

func (r *recorder) Helper()           {}
func (r *recorder) Output() io.Writer { return io.Discard }
func (r *recorder) Cleanup(f func())  { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Error(args ...any) { r.says = append(r.says, fmt.Sprint(args...)) }
func (r *recorder) Errorf(format string, args ...any) {
	r.says = append(r.says, fmt.Sprintf(format, args...))
}
func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	runtime.Goexit()
}

func (r *recorder) Context() context.Context {
	if r.TB == nil {
		return context.Background()
	}
	return r.TB.Context()
}

// FakeT stands for the *testing.T of a test in an example, and end for its end.
func FakeT() (t testing.TB, end func()) {
	r := new(recorder)
	return r, func() {
		r.end()
		for _, what := range r.says {
			fmt.Println(what)
		}
	}
}

// run runs f as the body of the test, which Fatal ends.
func (r *recorder) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func (r *recorder) end() {
	for len(r.cleanups) > 0 {
		last := len(r.cleanups) - 1
		f := r.cleanups[last]
		r.cleanups = r.cleanups[:last]
		f()
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newItems(t testing.TB, db *kixx.DB) *inventory.ItemRepo {
	t.Helper()
	return must[*inventory.ItemRepo](t)(inventory.NewItemRepo(t.Context(), db))
}

func item(id string) *inventory.Item {
	return &inventory.Item{ID: id, Title: "Title of " + id, SKU: "sku of " + id, Category: "toys", Price: 10}
}

func put(t testing.TB, items *inventory.ItemRepo, ids ...string) {
	t.Helper()
	for _, id := range ids {
		must[*inventory.Item](t)(items.Insert(t.Context(), item(id)))
	}
}
