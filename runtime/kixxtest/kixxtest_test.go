package kixxtest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/examples/inventory"
	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
)

func TestOpenGivesADatabaseOfTheTestsOwn(t *testing.T) {
	for name, open := range map[string]func(testing.TB, ...kixx.Option) *kixx.DB{"memory": Open, "file": OpenFile} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{TB: t}
			one, two := newItems(t, open(r)), newItems(t, open(r))
			put(t, one, "a", "b")
			if n := must[int](t)(two.Count(t.Context())); n != 0 {
				t.Errorf("the second database has %d items of the first", n)
			}
			a, b := must[*inventory.Item](t)(one.Get(t.Context(), "a")), must[*inventory.Item](t)(one.Get(t.Context(), "b"))
			if !a.CreatedAt.Equal(Start) || !b.CreatedAt.After(a.CreatedAt) || !b.CreatedAt.Before(Start.Add(time.Minute)) {
				t.Errorf("created at %v and %v, want %v and some steps later", a.CreatedAt, b.CreatedAt, Start)
			}
			r.end()
			if len(r.says) != 0 {
				t.Errorf("the test was told %q", r.says)
			}
			if _, err := one.Get(t.Context(), "a"); !errors.Is(err, kixx.ErrClosed) {
				t.Errorf("after the end of the test Get = %v, want ErrClosed", err)
			}
		})
	}
}

func TestOpenTakesOptions(t *testing.T) {
	clock := NewClock(time.Date(2030, 5, 6, 0, 0, 0, 0, time.UTC), 0)
	items := newItems(t, Open(t, kixx.WithClock(clock.Now)))
	put(t, items, "a")
	if it := must[*inventory.Item](t)(items.Get(t.Context(), "a")); it.CreatedAt.Year() != 2030 {
		t.Errorf("created at %v, want the time of the option's clock", it.CreatedAt)
	}
}

func TestOpenFailsTheTestIfItCannotOpen(t *testing.T) {
	r := &recorder{TB: t}
	r.run(func() {
		Open(r, kixx.SignCursors([]byte("short")))
		r.Error("Open has returned")
	})
	if len(r.says) != 1 || !strings.Contains(r.says[0], "SignCursors") {
		t.Errorf("the test was told %q, want the error of Open", r.says)
	}
}

// spoiled is the newest store of the URL "spoiled:", which tests can reach.
var spoiled *memstore.Store

func init() {
	store.Register("spoiled", func(_ context.Context, _ string, o store.Options) (store.Store, error) {
		spoiled = memstore.New(o)
		return spoiled, nil
	})
}

func TestADamagedDatabaseFailsTheTest(t *testing.T) {
	r := &recorder{TB: t}
	db := open(r, "spoiled:", nil)
	put(t, newItems(t, db), "a")

	// The last key is an entry of an index.
	last := must[[]store.Item](t)(spoiled.Page(t.Context(), store.Page{Reverse: true, Limit: 1}))[0].Key
	b := &store.Batch{ID: [8]byte{1}, Ops: []store.Op{{Key: last, Delete: true}}}
	must[store.Version](t)(spoiled.Commit(t.Context(), b))
	r.end()
	want := "kixxtest: the database is damaged:\n" + `kixx: item "a": the view ByDate has no entry for it`
	if !slices.Equal(r.says, []string{want}) {
		t.Errorf("the test was told %q, want %q", r.says, want)
	}
}

func TestADatabaseThatTheTestClosesIsFine(t *testing.T) {
	r := &recorder{TB: t}
	if err := Open(r).Close(); err != nil {
		t.Fatal(err)
	}
	if err := New(r).DB.Close(); err != nil {
		t.Fatal(err)
	}
	if r.end(); len(r.says) != 0 {
		t.Errorf("the test was told %q", r.says)
	}
}

func TestClock(t *testing.T) {
	c := NewClock(Start, time.Minute)
	first, second := c.Now(), c.Now()
	if !first.Equal(Start) || second.Sub(first) != time.Minute {
		t.Errorf("the clock says %v, %v, want %v and a minute more", first, second, Start)
	}
	c.Advance(time.Hour)
	if got := c.Now().Sub(second); got != time.Hour+time.Minute {
		t.Errorf("after Advance it goes on by %v, want an hour and a minute", got)
	}
	c.Set(Start)
	if got := c.Now(); !got.Equal(Start) {
		t.Errorf("after Set it says %v, want %v", got, Start)
	}
}

func TestLoadInsertsEveryLine(t *testing.T) {
	items := newItems(t, Open(t))
	docs := Load(t, items, "testdata/items.jsonl")
	var ids []string
	for _, it := range docs {
		ids = append(ids, it.ID)
		if stored := must[*inventory.Item](t)(items.Get(t.Context(), it.ID)); stored.Rev != it.Rev || it.Rev.String() != "0" {
			t.Errorf("%s has the revision %v, stored is %v, want 0", it.ID, it.Rev, stored.Rev)
		}
	}
	if want := []string{"item:lamp", "item:chair", "item:radio"}; !slices.Equal(ids, want) {
		t.Errorf("Load = %q, want %q", ids, want)
	}
}

func TestLoadSaysWhichLine(t *testing.T) {
	const good = `{"id": "a", "title": "A", "sku": "1", "category": "c"}` + "\n"
	for _, test := range []struct {
		text string
		want string
	}{
		{good + "\n// a comment\n" + good, `x.jsonl:4: kixx: item "a": already there; use Update, or Upsert if either is fine`},
		{`{"id": "a", "colour": "red"}`, `x.jsonl:1: unknown field "colour"`},
		{good + `{"id": "b"`, "x.jsonl:2: the document does not end on its line"},
		{good + `{"id": "b"} {}`, "x.jsonl:2: there is something behind the document"},
		{`null`, "x.jsonl:1: a document begins with {, this line with 'n'"},
		{`[]`, "x.jsonl:1: a document begins with {, this line with '['"},
		{`{"price": "dear"}`, "x.jsonl:1: cannot unmarshal string into Go struct field Item.price of type float64"},
		{`{"id" "b"}`, `x.jsonl:1: invalid character '"' after object key`},
		{`{"id": "b"}`, `x.jsonl:1: kixx: item "b": invalid: Title breaks required, SKU breaks required, Category breaks required`},
	} {
		items := newItems(t, Open(t))
		docs, err := load(t.Context(), items, "x.jsonl", []byte(test.text))
		if err == nil || err.Error() != test.want {
			t.Errorf("load(%q) = %v, want %s", test.text, err, test.want)
		}
		if n := must[int](t)(items.Count(t.Context())); n != len(docs) {
			t.Errorf("load(%q) returns %d documents, %d are stored", test.text, len(docs), n)
		}
	}
}

func TestLoadEndsTheTest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.jsonl")
	for _, test := range []struct{ file, text, want string }{
		{file, `{"x": 1}`, `:1: unknown field "x"`},
		{file + ".none", "", "no such file"},
	} {
		if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := &recorder{TB: t}
		items := newItems(t, Open(t))
		r.run(func() {
			Load(r, items, test.file)
			r.Error("Load has returned")
		})
		if len(r.says) != 1 || !strings.Contains(r.says[0], test.want) {
			t.Errorf("the test was told %q, want %q", r.says, test.want)
		}
	}
}

// What an application runs in production does not bring the packages of its tests.
func TestTheRuntimeDoesNotImportTesting(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "github.com/kixxgen/kixxgen/runtime", "github.com/kixxgen/kixxgen/runtime/kixxhttp").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line == "testing" || strings.HasSuffix(line, "/simfs") || strings.HasSuffix(line, "/kixxtest") {
			t.Errorf("the runtime imports %s", line)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		r := &recorder{TB: b}
		Open(r)
		r.end()
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		r := &recorder{TB: b}
		New(r)
		r.end()
	}
}
