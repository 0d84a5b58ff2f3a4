package peers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// work is an open peer with documents, and what is known of them. Its operations run one after the other.
type work struct {
	peer Peer
	n    int // documents that were loaded

	// By number of the document: its stored revision, and how often it was written. In an operation a document is written by
	// one worker alone.
	revs     []uint32
	versions []uint32
	inserted atomic.Int64     // beyond n, those included that are being inserted
	pending  [64]atomic.Int64 // by worker: at most the number of the document that it is inserting; 0 if it does not
	written  atomic.Int64     // writes that returned
	cursors  []string         // of each category, behind 500 documents
	zipf     *zipf
}

// room is how many documents the operations may insert.
const room = 300_000

func newWork(p Peer, n int) *work {
	return &work{peer: p, n: n, revs: make([]uint32, n+room), versions: make([]uint32, n+room)}
}

// load puts in all documents.
func (w *work) load() error {
	order := shuffled(w.n)
	if err := w.peer.Load(w.n, func(i int) *Item { return item(order[i], 1) }); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	w.written.Add(int64(w.n))
	return nil
}

// learn reads all documents, checks them, and learns their revisions.
func (w *work) learn() (count int, versions int64, err error) {
	err = w.peer.Scan(func(it *Item) {
		if err != nil {
			return
		}
		var i int
		if _, serr := fmt.Sscanf(it.ID, "item:%d", &i); serr != nil || i < 0 || i >= len(w.revs) {
			err = fmt.Errorf("there is a document %q", it.ID)
			return
		}
		if err = it.check(i); err != nil {
			return
		}
		w.revs[i], w.versions[i] = uint32(number(it.Rev)), uint32(it.Version)
		if i >= w.n {
			w.inserted.Store(max(w.inserted.Load(), int64(i-w.n+1)))
		}
		count++
		versions += it.Version
	})
	return count, versions, err
}

// A step does one operation, as the worker of that number; r is its own.
type step func(w *work, r *rand.Rand, worker, workers int) error

// An Operation is one that is measured.
type Operation struct {
	Name    string
	Title   string // for people
	Workers int
	Durable bool          // on a peer that was opened so
	Cold    bool          // on a peer whose cache has room for a tenth of the documents
	Delay   time.Duration // that every sync takes longer, of peers that can say so
	batch   int           // how many steps between two looks at the clock
	per     func(w *work) int
	do      step
}

// Operations returns them in the order in which they run.
func Operations() []Operation {
	return []Operation{
		{Name: "get", Title: "Get", Workers: 1, batch: 64, do: get},
		{Name: "get-2", Title: "Get, 2 goroutines", Workers: 2, batch: 64, do: get},
		{Name: "peek", Title: "Peek (no copy)", Workers: 1, batch: 64, do: peek},
		{Name: "page", Title: "page of 20", Workers: 1, batch: 8, do: page},
		{Name: "deep", Title: "page of 20, behind 500", Workers: 1, batch: 8, do: deep},
		{Name: "scan", Title: "scan, per document", Workers: 1, batch: 1, do: scan, per: func(w *work) int { return w.n + int(w.inserted.Load()) }},
		{Name: "set", Title: "Set, no sync", Workers: 1, batch: 16, do: set},
		{Name: "update", Title: "Update, no sync", Workers: 1, batch: 16, do: update},
		{Name: "ycsb-a", Title: "YCSB A: 50 % Get, 50 % Set", Workers: 2, batch: 16, do: mix(50, (*work).set)},
		{Name: "ycsb-b", Title: "YCSB B: 95 % Get, 5 % Set", Workers: 2, batch: 16, do: mix(95, (*work).set)},
		{Name: "ycsb-c", Title: "YCSB C: Get", Workers: 2, batch: 64, do: mix(100, nil)},
		{Name: "ycsb-d", Title: "YCSB D: 95 % Get of the latest, 5 % Insert", Workers: 2, batch: 16, do: latest},
		{Name: "ycsb-e", Title: "YCSB E: 95 % pages of 1 to 100, 5 % Insert", Workers: 2, batch: 4, do: ranges},
		{Name: "ycsb-f", Title: "YCSB F: 50 % Get, 50 % Update", Workers: 2, batch: 16, do: mix(50, (*work).update)},
		{Name: "get-cold", Title: "Get, cache a tenth of the data", Workers: 1, Cold: true, batch: 16, do: get},
		{Name: "set-sync-1", Title: "Set, durable, 1 writer", Workers: 1, Durable: true, batch: 1, do: set},
		{Name: "set-sync-64", Title: "Set, durable, 64 writers", Workers: 64, Durable: true, batch: 1, do: set},
		{Name: "set-sync-64-slow", Title: "the same, a sync takes 1 ms longer", Workers: 64, Durable: true, Delay: time.Millisecond, batch: 1, do: set},
	}
}

// FindOperation returns the operation with a name.
func FindOperation(name string) (Operation, error) {
	all := Operations()
	i := slices.IndexFunc(all, func(o Operation) bool { return o.Name == name })
	if i < 0 {
		return Operation{}, fmt.Errorf("there is no operation %q", name)
	}
	return all[i], nil
}

func get(w *work, r *rand.Rand, _, _ int) error {
	it, err := w.peer.Get(itemID(r.IntN(w.n)))
	if err == nil && it.Version == 0 {
		err = errors.New("a document without its fields")
	}
	return err
}

func peek(w *work, r *rand.Rand, _, _ int) error {
	version, err := w.peer.(Peeker).Peek(itemID(r.IntN(w.n)))
	if err == nil && version == 0 {
		err = errors.New("a document without its fields")
	}
	return err
}

func page(w *work, r *rand.Rand, _, _ int) error { return w.page(r.IntN(categories), "", 20) }

func deep(w *work, r *rand.Rand, _, _ int) error {
	c := r.IntN(categories)
	return w.page(c, w.cursors[c], 20)
}

// page reads a full page, unless there are not so many documents.
func (w *work) page(c int, from string, n int) error {
	items, _, err := w.peer.Page(categoryNames[c], from, n)
	if err == nil && len(items) < min(n, w.n/categories) {
		err = fmt.Errorf("a page of %d documents, want %d", len(items), n)
	}
	return err
}

func scan(w *work, _ *rand.Rand, _, _ int) error {
	count := 0
	err := w.peer.Scan(func(*Item) { count++ })
	if want := w.n + int(w.inserted.Load()); err == nil && count != want {
		err = fmt.Errorf("scan: %d documents, want %d", count, want)
	}
	return err
}

// own returns one of the documents that a worker writes, near i.
func (w *work) own(i, worker, workers int) int {
	if i = i - i%workers + worker; i >= w.n {
		i -= workers
	}
	return i
}

func set(w *work, r *rand.Rand, worker, workers int) error {
	return w.set(w.own(r.IntN(w.n), worker, workers))
}

// set writes document i once more.
func (w *work) set(i int) error {
	it := item(i, int64(w.versions[i]+1))
	if w.revs[i] > 0 {
		it.Rev = revision(uint64(w.revs[i]))
	}
	if err := w.peer.Set(it); err != nil {
		return fmt.Errorf("set %s: %w", it.ID, err)
	}
	w.revs[i] = uint32(number(it.Rev))
	w.versions[i]++
	w.written.Add(1)
	return nil
}

func update(w *work, r *rand.Rand, worker, workers int) error {
	return w.update(w.own(r.IntN(w.n), worker, workers))
}

// update writes document i once more.
func (w *work) update(i int) error {
	var rev uint64
	err := w.peer.Update(itemID(i), func(it *Item) {
		rev = number(it.Rev)
		it.Version++
		it.Price = price(i, it.Version)
		it.Updated = it.Updated.Add(time.Second)
	})
	if err != nil {
		return fmt.Errorf("update %s: %w", itemID(i), err)
	}
	w.revs[i] = uint32(rev + 1)
	w.versions[i]++
	w.written.Add(1)
	return nil
}

// mix reads in so many of a hundred, and else writes, both by a Zipf distribution over all documents.
func mix(reads int, write func(w *work, i int) error) step {
	return func(w *work, r *rand.Rand, worker, workers int) error {
		i := w.zipf.scrambled(r)
		if r.IntN(100) < reads {
			_, err := w.peer.Get(itemID(i))
			return err
		}
		return write(w, w.own(i, worker, workers))
	}
}

// insert puts in a new document.
func (w *work) insert(worker int) error {
	w.pending[worker].Store(int64(w.n) + w.inserted.Load())
	defer w.pending[worker].Store(0)
	i := w.n + int(w.inserted.Add(1)) - 1
	if i >= len(w.revs) {
		return fmt.Errorf("more than %d documents were inserted", room)
	}
	return w.set(i)
}

// latest reads what was inserted last.
func latest(w *work, r *rand.Rand, worker, workers int) error {
	if r.IntN(100) < 5 {
		return w.insert(worker)
	}
	newest := int64(w.n) + w.inserted.Load()
	for i := range workers {
		if p := w.pending[i].Load(); p > 0 {
			newest = min(newest, p)
		}
	}
	_, err := w.peer.Get(itemID(max(0, int(newest)-1-w.zipf.rank(r))))
	return err
}

func ranges(w *work, r *rand.Rand, worker, _ int) error {
	if r.IntN(100) < 5 {
		return w.insert(worker)
	}
	return w.page(r.IntN(categories), "", 1+r.IntN(100))
}

// Measured is what an operation took.
type Measured struct {
	Count  int64   `json:"count"`  // of operations
	Wall   float64 `json:"wall"`   // nanoseconds per operation, of all workers together
	CPU    float64 `json:"cpu"`    // nanoseconds of processor time of the process, background work included
	Allocs float64 `json:"allocs"` // per operation
	Bytes  float64 `json:"bytes"`  // that were allocated per operation
}

// longer is how much longer a turn of Set and Update is than that of others, so that what they make to be done in the background
// falls into it.
const longer = 3

// measure runs an operation for about span, after a tenth of it that does not count.
func (w *work) measure(o Operation, span time.Duration) (Measured, error) {
	if writes(o.Name) && !strings.HasPrefix(o.Name, "ycsb") {
		span *= longer
	}
	if o.batch > 1 || o.per == nil {
		if _, err := w.run(o, span/10); err != nil {
			return Measured{}, err
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, began := ownCPU(), time.Now()
	count, err := w.run(o, span)
	wall, used := time.Since(began), ownCPU()-cpu
	runtime.ReadMemStats(&after)
	if err != nil {
		return Measured{}, err
	}
	n := float64(count)
	return Measured{count, float64(wall.Nanoseconds()) / n, float64(used.Nanoseconds()) / n, float64(after.Mallocs-before.Mallocs) / n, float64(after.TotalAlloc-before.TotalAlloc) / n}, nil
}

// run lets the workers of an operation work until span is over.
func (w *work) run(o Operation, span time.Duration) (count int64, err error) {
	var (
		all    sync.WaitGroup
		total  atomic.Int64
		mu     sync.Mutex
		failed []error
	)
	began := time.Now()
	for worker := range o.Workers {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(began.UnixNano()), uint64(worker)))
			n := int64(0)
			defer func() { total.Add(n) }()
			for time.Since(began) < span || n == 0 {
				for range o.batch {
					if err := o.do(w, r, worker, o.Workers); err != nil {
						mu.Lock()
						defer mu.Unlock()
						failed = append(failed, err)
						return
					}
				}
				if n += int64(o.batch); o.per != nil {
					n += int64(o.per(w)) - 1
				}
			}
		})
	}
	all.Wait()
	return total.Load(), errors.Join(failed...)
}

// prepare does what must come before an operation.
func (w *work) prepare(o Operation) error {
	if strings.HasPrefix(o.Name, "ycsb") && w.zipf == nil {
		w.zipf = newZipf(w.n)
	}
	if o.Name != "deep" || w.cursors != nil {
		return nil
	}
	w.cursors = make([]string, categories)
	for c := range w.cursors {
		// Not all documents have 500 before them.
		_, next, err := w.peer.Page(categoryNames[c], "", min(500, w.n/categories-20))
		if err != nil {
			return err
		}
		w.cursors[c] = next
	}
	return nil
}

// warm reads every document once.
func (w *work) warm() error {
	for i := range w.n {
		if _, err := w.peer.Get(itemID(i)); err != nil {
			return err
		}
	}
	return nil
}

// ownCPU returns the processor time that this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
