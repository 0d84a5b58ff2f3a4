package peers

import (
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Child()
	os.Exit(m.Run())
}

func TestEveryPeerDoesTheWork(t *testing.T) {
	for _, k := range Kinds() {
		if k.Empty {
			continue
		}
		t.Run(k.Name, func(t *testing.T) {
			if err := checkPeer(k, t.TempDir(), 500); err != nil {
				t.Error(err)
			}
		})
	}
}

// A broken peer is memory with a mistake.
type broken struct {
	memory
	get    func(p *memory, id string) (*Item, error)
	set    func(p *memory, it *Item) error
	update func(p *memory, id string, change func(it *Item)) error
	page   func(p *memory, category, from string, n int) ([]*Item, string, error)
}

func (p *broken) Get(id string) (*Item, error) {
	if p.get != nil {
		return p.get(&p.memory, id)
	}
	return p.memory.Get(id)
}

func (p *broken) Set(it *Item) error {
	if p.set != nil {
		return p.set(&p.memory, it)
	}
	return p.memory.Set(it)
}

func (p *broken) Update(id string, change func(it *Item)) error {
	if p.update != nil {
		return p.update(&p.memory, id, change)
	}
	return p.memory.Update(id, change)
}

func (p *broken) Page(category, from string, n int) ([]*Item, string, error) {
	if p.page != nil {
		return p.page(&p.memory, category, from, n)
	}
	return p.memory.Page(category, from, n)
}

func TestCheckFindsMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		peer *broken
		want string
	}{
		"documents are shared": {&broken{get: func(p *memory, id string) (*Item, error) {
			p.mu.RLock()
			defer p.mu.RUnlock()
			if it := p.items[id]; it != nil {
				return it, nil
			}
			return nil, ErrNotFound
		}}, "after its copy was changed"},
		"a field is lost": {&broken{get: func(p *memory, id string) (*Item, error) {
			it, err := p.Get(id)
			if err == nil {
				it.Tags = nil
			}
			return it, err
		}}, "document 0 is"},
		"revisions are not checked": {&broken{set: func(p *memory, it *Item) error {
			p.mu.RLock()
			old := p.items[it.ID]
			p.mu.RUnlock()
			if old != nil {
				it.Rev = old.Rev
			}
			return p.Set(it)
		}}, "as a new document"},
		"what is not there is stored with a revision": {&broken{set: func(p *memory, it *Item) error {
			p.mu.RLock()
			old := p.items[it.ID]
			p.mu.RUnlock()
			if old == nil {
				it.Rev = (&Item{}).Rev
			}
			return p.Set(it)
		}}, "that is not there"},
		"updates at once are lost": {&broken{update: func(p *memory, id string, change func(it *Item)) error {
			it, err := p.Get(id)
			if err != nil {
				return err
			}
			change(it)
			time.Sleep(100 * time.Microsecond) // time for the others
			p.mu.Lock()
			defer p.mu.Unlock()
			it.Rev = p.items[id].Rev
			return p.put(it)
		}}, "updates at once"},
		"a page skips a document": {&broken{page: func(p *memory, category, from string, n int) ([]*Item, string, error) {
			items, next, err := p.Page(category, from, n)
			if from != "" && len(items) > 1 {
				items = items[1:]
			}
			return items, next, err
		}}, "the pages of category-00"},
		"an index is not kept": {&broken{set: func(p *memory, it *Item) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			c := it.clone()
			old := p.items[it.ID]
			if (old == nil) != (number(it.Rev) == 0) || old != nil && old.Rev != it.Rev {
				return ErrStale
			}
			c.next(number(it.Rev))
			p.items[it.ID] = c
			it.Rev = c.Rev
			return nil
		}}, "the pages of category-00"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkPeer(Kind{Name: name, New: func() Peer { return c.peer }, InMemory: true}, t.TempDir(), 1200)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want one with %q", err, c.want)
			}
		})
	}
}

// A forgetful peer has lost what it was told when it is opened the third time: after the checks, and after the load.
type forgetful struct{ repository }

func (p *forgetful) Open(dir string, o Options) error {
	if o.Durable {
		if err := os.RemoveAll(dir + "/gone"); err != nil {
			return err
		}
		// What was written without a sync is put away, as a power cut might.
		if err := os.Rename(dir+"/db", dir+"/gone"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return p.repository.Open(dir, o)
}

// A lazy peer does not sync.
type lazy struct{ repository }

func (p *lazy) Open(dir string, o Options) error {
	o.Durable = false
	return p.repository.Open(dir, o)
}

func init() {
	register(Kind{Name: "forgetful", New: func() Peer { return new(forgetful) }})
	register(Kind{Name: "lazy", New: func() Peer { return new(lazy) }})
}

func TestRunFindsLostWrites(t *testing.T) {
	kinds, err := Select([]string{"forgetful"})
	if err != nil {
		t.Fatal(err)
	}
	err = Run(Plan{Kinds: kinds, N: 3000, Rounds: 1, Span: time.Millisecond, Dir: t.TempDir(), Operations: []string{"set", "set-sync-1"}}, func(Result) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "writes have returned") {
		t.Errorf("Run = %v, want the writes that are lost", err)
	}
}

// small runs all operations with few documents.
func small(t *testing.T) []Result {
	kinds, err := Select([]string{"kixx", "memory", "pebble+otter", "pebble", "append", "harness"})
	if err != nil {
		t.Fatal(err)
	}
	var results []Result
	err = Run(Plan{Kinds: kinds, N: 3000, Rounds: 2, Span: 2 * time.Millisecond, Dir: t.TempDir()}, func(r Result) error {
		results = append(results, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestRunMeasuresAllOperations(t *testing.T) {
	results := small(t)
	for _, o := range Operations() {
		for _, peer := range []string{"kixx", "pebble"} {
			if o.Name == "peek" && peer == "pebble" {
				continue
			}
			n := 0
			for _, r := range results {
				if r.Peer == peer && r.Operation == o.Name {
					n++
					if m := r.Measured; m == nil || m.Count < 1 || m.Wall <= 0 || m.CPU < 0 {
						t.Errorf("%s: %s: %+v", peer, o.Name, m)
					}
				}
			}
			if n != 2 {
				t.Errorf("%s: %s has %d results, want one for each round", peer, o.Name, n)
			}
		}
	}
	text := Report(results)
	for _, want := range []string{"## 3,000 documents", "| kixx | ", "| pebble+otter | ", "| append | –", "open after kill -9", "disk after the load"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not have %q:\n%s", want, text)
		}
	}
	if text := Targets(results); strings.Count(text, "not measured") != len(targets) { // there are not as many documents as they are about
		t.Errorf("targets: %s", text)
	}
	d := xml.NewDecoder(strings.NewReader(Chart(results)))
	bars := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the chart is not XML: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	if bars < 6*3 {
		t.Errorf("the chart has %d bars", bars)
	}
}

// figures are results of a peer whose operations take so many nanoseconds, by round.
func figures(peer, operation string, n int, cpu ...float64) (list []Result) {
	for i, x := range cpu {
		list = append(list, Result{Peer: peer, Operation: operation, N: n, Round: i, Measured: &Measured{Count: 1, CPU: x, Wall: x, Allocs: 3}})
	}
	return list
}

func TestRatiosAreOfOneRound(t *testing.T) {
	// The machine was three times slower in the second round.
	results := slices.Concat(figures("kixx", "get", 100_000, 100, 300, 100), figures("pebble+otter", "get", 100_000, 200, 600, 200), figures("harness", "get", 100_000, 10, 10, 10))
	tab := newTables(results)
	if got := tab.ratio("kixx", "pebble+otter", "get", 100_000, cpu); got != 0.5 {
		t.Errorf("ratio = %v, want 0.5", got)
	}
	if got := Targets(results); !strings.Contains(got, "| Get, beside pebble + otter | 100,000 | 0.50 | ≤ 1.1 | met |") || !strings.Contains(got, "| page of 20, beside pebble + otter | 100,000 | – | ≤ 0.45 | not measured |") {
		t.Error(got)
	}
	results[0].Measured.CPU, results[1].Measured.CPU, results[2].Measured.CPU = 1000, 1000, 1000
	if got := Targets(results); !strings.Contains(got, "| Get, beside pebble + otter | 100,000 | 5.00 | ≤ 1.1 | **missed** |") {
		t.Error(got)
	}
}

func TestGrowth(t *testing.T) {
	results := slices.Concat(figures("kixx", "scan", 10_000, 5), figures("kixx", "scan", 100_000, 50), figures("kixx", "scan", 1_000_000, 500), figures("kixx", "get", 10_000, 7), figures("kixx", "get", 100_000, 7), figures("kixx", "get", 1_000_000, 7))
	tab := newTables(results)
	if a, b := exponent(tab, "kixx", "scan"), exponent(tab, "kixx", "get"); a != "1.00" || b != "0.00" {
		t.Errorf("exponents %s and %s, want 1.00 and 0.00", a, b)
	}
}

func TestSyncsAreCounted(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	kinds, err := Select([]string{"kixx"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := Syncs(Plan{Kinds: kinds, N: 3000, Span: 50 * time.Millisecond, Dir: t.TempDir()})
	if err != nil || strings.Count(text, "| kixx |") != 2 {
		t.Fatalf("%v\n%s", err, text)
	}
	// One that does not sync is told.
	lazy, err := Select([]string{"lazy"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Syncs(Plan{Kinds: lazy, N: 3000, Span: 10 * time.Millisecond, Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "it does not sync") {
		t.Errorf("a peer that does not sync: %v", err)
	}
	if n := countCalls([]byte("12  fsync(3) = 0\n12 fdatasync(4 <unfinished ...>\n13  fsync(5) = 0\n12 <... fdatasync resumed>) = 0\n")); n["fsync"] != 2 || n["fdatasync"] != 1 {
		t.Errorf("calls counted: %v", n)
	}
}

func TestZipfDrawsFewOften(t *testing.T) {
	// Of 1,000 numbers, YCSB's constant makes the first one about 13 % of all.
	z := newZipf(1000)
	r := rand.New(rand.NewPCG(1, 2))
	first, total := 0, 100_000
	for range total {
		switch n := z.rank(r); {
		case n == 0:
			first++
		case n < 0 || n >= 1000:
			t.Fatalf("drew %d", n)
		}
	}
	if share := float64(first) / float64(total); share < 0.12 || share > 0.15 {
		t.Errorf("the first is drawn in %.3f of all cases", share)
	}
}

// What the documents say is what the results say that are beside them.
func TestDocsShowTheResults(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	results, err := ReadAll(filepath.Join(docs, "benchmarks"))
	if err != nil {
		t.Fatal(err)
	}
	var all string
	for _, file := range []string{filepath.Join(docs, "benchmarks.md"), filepath.Join("..", "..", "README.md")} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
		filled, err := Fill(string(text), Sections(results))
		if err != nil {
			t.Fatal(err)
		}
		if filled != string(text) {
			t.Errorf("%s does not show what is in docs/benchmarks: run go run -C bench ./cmd/peers -docs ../docs", file)
		}
	}
	for name := range Sections(results) {
		if !strings.Contains(all, "<!-- begin "+name+" -->") {
			t.Errorf("no document shows %q", name)
		}
	}
	chart, err := os.ReadFile(filepath.Join(docs, "benchmarks.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if string(chart) != Chart(results) {
		t.Error("docs/benchmarks.svg is not the chart of docs/benchmarks")
	}
}

func TestFill(t *testing.T) {
	const old = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n"
	if got, err := Fill(old, map[string]string{"x": "new", "y": "other"}); err != nil || got != "a\n<!-- begin x -->\nnew\n<!-- end x -->\nb\n" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Fill("<!-- begin x -->\n", map[string]string{"x": "new"}); err == nil {
		t.Error("a section without an end is filled")
	}
}
