package peers

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// A Plan says what [Run] measures.
type Plan struct {
	Kinds      []Kind
	N          int
	Rounds     int           // how often each peer has its turn at an operation
	Span       time.Duration // of a turn
	Operations []string      // nil: all
	Profiles   string        // a directory for a profile of the processor of each operation and peer; "" for none
	Dir        string        // where the databases are made; "" is the directory for temporary files
	Log        func(format string, args ...any)
}

// A Result is one of a run. The lines of a file of results are of this kind, the first one has Meta alone.
type Result struct {
	Peer      string    `json:"peer,omitempty"`
	Operation string    `json:"operation,omitempty"` // or load, open, open-crash, heap, rss, disk, disk-end: these have a Value, or one count
	N         int       `json:"n,omitempty"`
	Round     int       `json:"round,omitempty"`
	Measured  *Measured `json:"measured,omitempty"`
	Value     float64   `json:"value,omitempty"`
	Meta      *Meta     `json:"meta,omitempty"`
}

// Meta is about a run.
type Meta struct {
	Date     string            `json:"date"`
	Go       string            `json:"go"`
	System   string            `json:"system"`
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Span     string            `json:"span"`
	Rounds   int               `json:"rounds"`
	N        int               `json:"n"`
	JSON     int64             `json:"json"`     // bytes of all documents as JSON, without revisions
	Versions map[string]string `json:"versions"` // by module
}

// Run measures the peers of a plan by turns, and calls each with every result. It checks first that all of them do the work,
// and afterwards that no write was lost that had returned. Only one peer works at a time.
func Run(p Plan, each func(Result) error) (err error) {
	if p.Log == nil {
		p.Log = func(string, ...any) {}
	}
	if p.N > 500_000 {
		p.Kinds = slices.DeleteFunc(slices.Clone(p.Kinds), func(k Kind) bool { return k.Slow })
	}
	dir, err := os.MkdirTemp(p.Dir, "kixx-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	meta := newMeta(p)
	for i := range p.N {
		doc, err := json.Marshal((*plain)(item(i, 1)))
		if err != nil {
			return err
		}
		meta.JSON += int64(len(doc))
	}
	if err := each(Result{Meta: &meta}); err != nil {
		return err
	}
	r := &run{Plan: p, each: each}
	defer func() {
		for _, c := range r.contenders {
			c.kill()
		}
	}()
	for _, k := range p.Kinds {
		c := &contender{dir: filepath.Join(dir, k.Name)}
		if err := os.MkdirAll(c.dir, 0o700); err != nil {
			return err
		}
		if c.child, err = start(k); err != nil {
			return err
		}
		r.contenders = append(r.contenders, c)
	}
	for _, step := range []func() error{r.check, r.load, r.measureReadsAndWrites, r.measureCold, r.measureDurable, r.crash} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// A run is one that is going on.
type run struct {
	Plan
	each       func(Result) error
	contenders []*contender
}

// A contender is a peer of a run.
type contender struct {
	*child
	dir     string
	written int64 // writes that have returned
}

// wants reports whether an operation is to be measured.
func (r *run) wants(o Operation) bool {
	if r.Operations == nil {
		return true
	}
	for _, name := range r.Operations {
		if name == o.Name {
			return true
		}
	}
	return false
}

// does reports whether a peer can do an operation.
func (c *contender) does(o Operation) bool {
	_, peeks := c.kind.New().(Peeker)
	switch {
	case c.kind.Only != "":
		return c.kind.Only == o.Name
	case c.kind.InMemory && (o.Durable || o.Cold), o.Delay > 0 && !c.kind.Delays:
		return false
	case c.kind.Empty && strings.HasPrefix(o.Name, "ycsb"): // it would insert without end
		return false
	}
	return o.Name != "peek" || peeks
}

func (r *run) record(c *contender, operation string, round int, m *Measured, value float64) error {
	return r.each(Result{Peer: c.kind.Name, Operation: operation, N: r.N, Round: round, Measured: m, Value: value})
}

func (r *run) check() error {
	n := min(r.N, 1000)
	for _, c := range r.contenders {
		if c.kind.Empty {
			continue
		}
		dir := filepath.Join(c.dir, "check")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if _, err := c.ask(order{Do: "check", Dir: dir, N: n}); err != nil {
			return err
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		r.Log("%s does the work", c.kind.Name)
	}
	return nil
}

// open opens a peer, and records how long it takes under a name, if there is one.
func (r *run) open(c *contender, o Options, as string) error {
	a, err := c.ask(order{Do: "open", Dir: c.dir, Options: o, N: r.N})
	if err != nil || as == "" {
		return err
	}
	return r.record(c, as, 0, &a.Measured, 0)
}

func (r *run) load() error {
	for _, c := range r.contenders {
		if err := r.open(c, Options{Durable: true}, ""); err != nil {
			return err
		}
		a, err := c.ask(order{Do: "load", N: r.N})
		if err != nil {
			return err
		}
		if c.kind.Empty {
			continue
		}
		c.written = int64(r.N)
		if err := r.record(c, "load", 0, &a.Measured, 0); err != nil {
			return err
		}
		r.Log("%s has loaded %d documents, %.1f µs each", c.kind.Name, r.N, a.Measured.Wall/1000)
		if !c.kind.InMemory {
			if _, err := c.ask(order{Do: "close"}); err != nil {
				return err
			}
			if err := r.open(c, Options{}, "open"); err != nil {
				return err
			}
		}
		if err := r.learn(c); err != nil {
			return err
		}
		if _, err := c.ask(order{Do: "warm"}); err != nil {
			return err
		}
		if err := r.memory(c, "heap"); err != nil {
			return err
		}
		if err := r.disk(c, "disk"); err != nil {
			return err
		}
	}
	return nil
}

// memory records what memory a peer takes: its heap under a name; that without its caches, if it tells; and what is not of
// files.
func (r *run) memory(c *contender, heap string) error {
	a, err := c.ask(order{Do: "memory"})
	if err != nil {
		return err
	}
	if a.Cached > 0 {
		err = r.record(c, heap+"-above", 0, nil, float64(a.Heap-a.Cached))
	}
	return errors.Join(err, r.record(c, heap, 0, nil, float64(a.Heap)), r.record(c, strings.Replace(heap, "heap", "rss", 1), 0, nil, float64(a.RSS)))
}

func (r *run) disk(c *contender, as string) error {
	if c.kind.InMemory {
		return nil
	}
	n, err := diskUse(c.dir)
	if err != nil {
		return err
	}
	return r.record(c, as, 0, nil, float64(n))
}

// learn lets a peer read all documents, and compares them with what was written.
func (r *run) learn(c *contender) error {
	a, err := c.ask(order{Do: "learn"})
	if err != nil {
		return err
	}
	if a.Versions != c.written || a.Count < r.N {
		return fmt.Errorf("%s has %d documents, which were written %d times; %d writes have returned", c.kind.Name, a.Count, a.Versions, c.written)
	}
	return nil
}

// measure measures operations, all peers by turns.
func (r *run) measure(list []*contender, ops []Operation) error {
	for _, o := range ops {
		for round := range r.Rounds {
			for i := range list {
				c := list[(i+round)%len(list)] // none comes always after the same one
				if !c.does(o) {
					continue
				}
				ask := order{Do: "measure", Operation: o.Name, Span: r.Span}
				if r.Profiles != "" && round == r.Rounds-1 {
					ask.Profile = filepath.Join(r.Profiles, c.kind.Name+"."+o.Name+".prof")
				}
				a, err := c.ask(ask)
				if err != nil {
					return fmt.Errorf("%s: %w", o.Name, err)
				}
				c.written = max(c.written, a.Written)
				if err := r.record(c, o.Name, round, &a.Measured, 0); err != nil {
					return err
				}
			}
		}
		r.Log("measured: %s", o.Title)
	}
	return nil
}

// some returns the operations that are wanted and of which is says so.
func (r *run) some(is func(o Operation) bool) (list []Operation) {
	for _, o := range Operations() {
		if r.wants(o) && is(o) {
			list = append(list, o)
		}
	}
	return list
}

func (r *run) measureReadsAndWrites() error {
	if err := r.measure(r.contenders, r.some(func(o Operation) bool { return !o.Durable && !o.Cold })); err != nil {
		return err
	}
	for _, c := range r.contenders {
		if c.kind.InMemory || c.kind.Empty {
			continue
		}
		if err := r.disk(c, "disk-end"); err != nil {
			return err
		}
		if _, err := c.ask(order{Do: "close"}); err != nil {
			return err
		}
	}
	return nil
}

// onDisk returns the peers that have something there.
func (r *run) onDisk() (list []*contender) {
	for _, c := range r.contenders {
		if !c.kind.InMemory {
			list = append(list, c)
		}
	}
	return list
}

// again opens peers with other options, checks that nothing is missing, measures, and closes them.
func (r *run) again(list []*contender, o Options, warm bool, ops []Operation, keepOpen bool) error {
	if len(ops) == 0 && !keepOpen {
		return nil
	}
	for _, c := range list {
		if c.kind.Empty {
			continue
		}
		if err := r.open(c, o, ""); err != nil {
			return err
		}
		if err := r.learn(c); err != nil {
			return err
		}
		if warm {
			if _, err := c.ask(order{Do: "warm"}); err != nil {
				return err
			}
		}
	}
	if err := r.measure(list, ops); err != nil {
		return err
	}
	for _, c := range list {
		if c.kind.Empty || keepOpen {
			continue
		}
		if o.CacheBytes > 0 {
			if err := r.memory(c, "heap-cold"); err != nil {
				return err
			}
		}
		if _, err := c.ask(order{Do: "close"}); err != nil {
			return err
		}
	}
	return nil
}

// documentBytes is about what a document takes as JSON.
const documentBytes = 300

func (r *run) measureCold() error {
	return r.again(r.onDisk(), Options{CacheBytes: int64(r.N) * documentBytes / 10}, false, r.some(func(o Operation) bool { return o.Cold }), false)
}

func (r *run) measureDurable() error {
	var delayed []*contender
	for _, c := range r.onDisk() {
		if c.kind.Delays {
			delayed = append(delayed, c)
		}
	}
	if err := r.again(delayed, Options{Durable: true, SyncDelay: time.Millisecond}, true, r.some(func(o Operation) bool { return o.Delay > 0 }), false); err != nil {
		return err
	}
	return r.again(r.onDisk(), Options{Durable: true}, true, r.some(func(o Operation) bool { return o.Durable && o.Delay == 0 }), true)
}

// crash kills the processes of peers, and looks whether all is there that was written.
func (r *run) crash() error {
	for _, c := range r.onDisk() {
		if c.kind.Empty {
			continue
		}
		c.kill()
		var err error
		if c.child, err = start(c.kind); err != nil {
			return err
		}
		if err := r.open(c, Options{Durable: true}, "open-crash"); err != nil {
			return err
		}
		if err := r.learn(c); err != nil {
			return fmt.Errorf("after a crash: %w", err)
		}
		if _, compacts := c.kind.New().(Compacter); compacts {
			if _, err := c.ask(order{Do: "compact"}); err != nil {
				return err
			}
			if err := r.disk(c, "disk-compact"); err != nil {
				return err
			}
		}
		if _, err := c.ask(order{Do: "close"}); err != nil {
			return err
		}
	}
	return nil
}

func newMeta(p Plan) Meta {
	m := Meta{Date: time.Now().UTC().Format(time.DateOnly), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPU: processor(),
		Cores: runtime.GOMAXPROCS(0), Span: p.Span.String(), Rounds: p.Rounds, N: p.N, Versions: map[string]string{}}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return m
	}
	for _, k := range p.Kinds {
		for _, d := range info.Deps {
			if d.Path == k.Module && d.Replace == nil {
				m.Versions[k.Module] = d.Version
			}
		}
	}
	return m
}

// processor returns the name of the processor, if the system tells it.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// ReadResults reads what a run has written.
func ReadResults(file string) (list []Result, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := json.NewDecoder(f)
	for d.More() {
		var r Result
		if err := d.Decode(&r); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		list = append(list, r)
	}
	return list, nil
}
