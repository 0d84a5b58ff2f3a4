package storetest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/kixxgen/kixxgen/runtime/store"
)

func testClose(h *harness) {
	h.commit(put("k", "1"))

	// Closing beside commits: each is acknowledged or refused.
	var begun sync.WaitGroup
	begun.Add(4)
	var commits sync.WaitGroup
	for w := range 4 {
		commits.Go(func() {
			for i := 0; ; i++ {
				_, err := h.try(h.batch(put(fmt.Sprint("w", w), fmt.Sprint(i))))
				if i == 0 {
					begun.Done()
				}
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err != nil {
					h.Errorf("Commit beside Close = %v, want nil or ErrClosed", err)
					return
				}
			}
		})
	}
	var watcher sync.WaitGroup
	if h.limits.Watch {
		watcher.Go(func() {
			var last error
			for _, err := range h.s.Watch(ctx, "", nil) {
				last = err
			}
			if !errors.Is(last, store.ErrClosed) {
				h.Errorf("a watch of a store that was closed ended with %v, want ErrClosed", last)
			}
		})
	}
	begun.Wait()
	if err := h.s.Close(); err != nil {
		h.Errorf("Close = %v", err)
	}
	commits.Wait()
	watcher.Wait()
	if err := h.s.Close(); err != nil {
		h.Errorf("the second Close = %v, want nil", err)
	}

	calls := map[string]func() error{
		"Get":  func() error { _, err := h.s.Get(ctx, []byte("k")); return err },
		"Page": func() error { _, err := h.s.Page(ctx, store.Page{Limit: 1}); return err },
		"a long Page": func() error {
			_, err := h.s.Page(ctx, store.Page{Limit: 100000})
			return err
		},
		"Snapshot": func() error { return h.s.Snapshot(ctx, func(store.SnapshotReader) error { return nil }) },
		"Commit":   func() error { _, err := h.s.Commit(ctx, h.batch(put("k", "2"))); return err },
	}
	if h.limits.Watch {
		calls["Watch"] = func() (last error) {
			for _, err := range h.s.Watch(ctx, "", nil) {
				last = err
			}
			return last
		}
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, store.ErrClosed) {
			h.Errorf("%s after Close = %v, want ErrClosed", name, err)
		}
	}
	if l := h.s.Limits(); l != h.limits {
		h.Errorf("Limits after Close = %+v; it is the same for the whole life of the store", l)
	}
}
