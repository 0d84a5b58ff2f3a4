package peers

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// checkPeer checks in dir, which is empty, that a peer does the work that it is measured with.
func checkPeer(k Kind, dir string, n int) error {
	p := k.New()
	if err := p.Open(dir, Options{Durable: true}); err != nil {
		return err
	}
	w := newWork(p, n)
	if err := w.load(); err != nil {
		return err
	}
	if err := errors.Join(w.checkRead(1), w.checkWrites(), w.checkPages(), w.checkAtOnce()); err != nil {
		return errors.Join(err, p.Close())
	}
	if err := p.Close(); err != nil || k.InMemory {
		return err
	}
	if err := p.Open(dir, Options{}); err != nil {
		return fmt.Errorf("open it again: %w", err)
	}
	revs := slices.Clone(w.revs)
	count, versions, err := w.learn()
	if err == nil && (count != n+int(w.inserted.Load()) || versions != w.written.Load() || !slices.Equal(revs, w.revs)) {
		err = fmt.Errorf("opened again, there are %d documents, written %d times; %d times they were", count, versions, w.written.Load())
	}
	return errors.Join(err, w.checkPages(), p.Close())
}

// checkRead checks the documents one by one.
func (w *work) checkRead(version int64) error {
	for i := range w.n {
		it, err := w.peer.Get(itemID(i))
		if err != nil {
			return fmt.Errorf("get %s: %w", itemID(i), err)
		}
		if err := it.check(i); err != nil {
			return err
		}
		if it.Version != version {
			return fmt.Errorf("%s has the version %d, want %d", it.ID, it.Version, version)
		}
		w.revs[i], w.versions[i] = uint32(number(it.Rev)), uint32(it.Version)
		// What a caller does to its document does not change that of the next one.
		it.Tags[0], it.Name, it.Price = "changed", "changed", -1
		if again, err := w.peer.Get(itemID(i)); err != nil || again.check(i) != nil {
			return fmt.Errorf("get %s after its copy was changed: %w", itemID(i), errors.Join(err, again.check(i)))
		}
	}
	if _, err := w.peer.Get("item:none"); !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("get of a document that is not there: %v, want %v", err, ErrNotFound)
	}
	if k, ok := w.peer.(Peeker); ok {
		if got, err := k.Peek(itemID(1)); err != nil || got != version {
			return fmt.Errorf("peek finds the version %d, want %d: %w", got, version, err)
		}
	}
	return nil
}

// checkWrites checks revisions.
func (w *work) checkWrites() error {
	for i := range min(w.n, 50) {
		if err := w.set(i); err != nil {
			return err
		}
		if err := w.update(i); err != nil {
			return err
		}
		old := item(i, int64(w.versions[i]+1)) // with no revision, as if it were new
		if err := w.peer.Set(old); !errors.Is(err, ErrStale) {
			return fmt.Errorf("set of %s as a new document: %v, want %v", old.ID, err, ErrStale)
		}
		old.next(uint64(w.revs[i]) - 2) // the one before
		if err := w.peer.Set(old); !errors.Is(err, ErrStale) {
			return fmt.Errorf("set of %s with an old revision: %v, want %v", old.ID, err, ErrStale)
		}
		if it, err := w.peer.Get(old.ID); err != nil || it.check(i) != nil || it.Version != int64(w.versions[i]) || number(it.Rev) != uint64(w.revs[i]) {
			return fmt.Errorf("%s after two writes is %+v, %w", old.ID, it, err)
		}
	}
	gone := item(w.n+room-1, 1)
	gone.next(3)
	if err := w.peer.Set(gone); !errors.Is(err, ErrStale) {
		return fmt.Errorf("set of a document that is not there, with a revision: %v, want %v", err, ErrStale)
	}
	for range 20 {
		if err := w.insert(0); err != nil {
			return err
		}
	}
	return nil
}

// checkPages checks that pages of each category have its documents, all and in order.
func (w *work) checkPages() error {
	for c := range categories {
		var want []string
		for i := c; i < w.n+int(w.inserted.Load()); i += categories {
			want = append(want, itemID(i))
		}
		var got []string
		for from := ""; ; {
			items, next, err := w.peer.Page(categoryNames[c], from, 7)
			if err != nil {
				return fmt.Errorf("page of %s: %w", categoryNames[c], err)
			}
			for _, it := range items {
				var i int
				if _, err := fmt.Sscanf(it.ID, "item:%d", &i); err != nil {
					return err
				}
				if err := it.check(i); err != nil {
					return fmt.Errorf("page of %s: %w", categoryNames[c], err)
				}
				got = append(got, it.ID)
			}
			if from = next; from == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("the pages of %s have the documents %q, want %q", categoryNames[c], got, want)
		}
	}
	return nil
}

// checkAtOnce checks that of writes at the same time none is lost.
func (w *work) checkAtOnce() error {
	const workers, each = 8, 25
	var all sync.WaitGroup
	failed := make(chan error, 1)
	for range workers {
		all.Go(func() {
			for range each {
				err := w.peer.Update(itemID(0), func(it *Item) {
					it.Version++
					it.Price = price(0, it.Version)
					it.Updated = item(0, it.Version).Updated
				})
				if err != nil {
					select {
					case failed <- err:
					default:
					}
					return
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return fmt.Errorf("updates at once: %w", err)
	default:
	}
	w.versions[0] += workers * each
	w.written.Add(workers * each)
	it, err := w.peer.Get(itemID(0))
	if err != nil {
		return err
	}
	if it.Version != int64(w.versions[0]) {
		return fmt.Errorf("%d updates at once have made the version %d, want %d", workers*each, it.Version, w.versions[0])
	}
	w.revs[0] = uint32(number(it.Rev))
	return nil
}
