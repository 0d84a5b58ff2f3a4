package kixx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/internal/inspect"
	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	v1 "github.com/kixxgen/kixxgen/runtime/internal/kinds/v1"
	v2 "github.com/kixxgen/kixxgen/runtime/internal/kinds/v2"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// The command kixxgen data reads and loads documents without their Go types: here it is held against repositories that
// have them.

// allKinds registers an entity of every kind, always in one order, so that all databases give them the same numbers.
func allKinds(t testing.TB, db *kixx.DB) (every *kinds.EveryRepo, visits *kinds.VisitRepo, posts *kinds.PostRepo, memos *kinds.MemoRepo) {
	ctx := t.Context()
	every = must[*kinds.EveryRepo](t)(kinds.NewEveryRepo(ctx, db))
	visits = must[*kinds.VisitRepo](t)(kinds.NewVisitRepo(ctx, db))
	posts = must[*kinds.PostRepo](t)(kinds.NewPostRepo(ctx, db))
	memos = must[*kinds.MemoRepo](t)(kinds.NewMemoRepo(ctx, db))
	must[*kinds.TokenRepo](t)(kinds.NewTokenRepo(ctx, db))
	must[*kinds.MomentRepo](t)(kinds.NewMomentRepo(ctx, db))
	must[*kinds.SwitchRepo](t)(kinds.NewSwitchRepo(ctx, db))
	return every, visits, posts, memos
}

func openDir(t testing.TB, dir string) *kixx.DB {
	t.Helper()
	return must[*kixx.DB](t)(kixx.Open(t.Context(), "file:"+dir, kixx.Durability(kixx.NoSync()), kixx.WithLogger(slog.New(slog.DiscardHandler))))
}

func closeDB(t testing.TB, db interface{ Close() error }) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func inspectDir(t testing.TB, dir string, write bool) *inspect.Database {
	t.Helper()
	return must[*inspect.Database](t)(inspect.Open(t.Context(), dir, inspect.Options{Write: write, Logger: slog.New(slog.DiscardHandler)}))
}

// dumped returns the lines of a dump of all entities.
func dumped(t testing.TB, dir string) string {
	t.Helper()
	db := inspectDir(t, dir, false)
	defer closeDB(t, db)
	var lines []byte
	for doc, err := range db.Dump(t.Context(), db.Names(), true) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(must[[]byte](t)(doc.AppendLine(lines)), '\n')
	}
	return string(lines)
}

// stored returns all documents and entries that are in a store, without the catalogue.
func stored(t testing.TB, dir string) map[string]string {
	t.Helper()
	st := must[*filestore.Store](t)(filestore.Open(t.Context(), dir, filestore.Options{Scratch: true}))
	defer closeDB(t, st)
	all := make(map[string]string)
	for lo := []byte{0}; ; {
		items := must[[]store.Item](t)(st.Page(t.Context(), store.Page{Lo: lo, Limit: 500}))
		if len(items) == 0 {
			return all
		}
		for _, it := range items {
			if it.Key[9] != 0 || it.Key[10] != 0 { // not the catalogue
				all[string(it.Key)] = string(it.Value)
			}
		}
		lo = append(bytes.Clone(items[len(items)-1].Key), 0)
	}
}

func fillKinds(t testing.TB, db *kixx.DB, n int) {
	ctx := t.Context()
	every, visits, posts, memos := allKinds(t, db)
	f := filler{rand.New(rand.NewPCG(3, 4))}
	for i := range n {
		e := new(kinds.Every)
		f.fill(reflect.ValueOf(e).Elem(), 3)
		e.ID = int64(i)*1_000_003 - 7
		must[*kinds.Every](t)(every.Insert(ctx, e))
		v := new(kinds.Visit)
		f.fill(reflect.ValueOf(v).Elem(), 2)
		v.Seq, v.By = uint32(i), nil
		if i%2 == 0 {
			v.By = &kinds.UUID{byte(i), byte(i >> 8), byte(i >> 16), 1}
		}
		must[*kinds.Visit](t)(visits.Insert(ctx, v))
		must[*kinds.Post](t)(posts.Insert(ctx, &kinds.Post{Tenant: "a/b", Slug: fmt.Sprintf("%d \"x\"", i), Title: fmt.Sprintf("one two %d", i), Tags: []kinds.Channel{"x", "y", "x"}}))
		must[*kinds.Memo](t)(memos.Insert(ctx, &kinds.Memo{ID: fmt.Sprint(i), Title: fmt.Sprintf("note %d", i), Folder: "f", Tags: []string{"a"}}))
		if i%3 == 0 {
			if err := memos.Delete(ctx, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What was dumped and loaded again is the same in every byte: documents with revisions, times and marks, and the entries of
// all indexes. Views, whose functions the command does not have, answer no query until the application has built them.
func TestDumpAndLoadGiveTheSameBytes(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	db := openDir(t, from)
	fillKinds(t, db, count(100, 2000, 20_000))
	closeDB(t, db)
	lines := dumped(t, from)

	db = openDir(t, to)
	allKinds(t, db)
	closeDB(t, db)
	in := inspectDir(t, to, true)
	loaded, err := in.Load(t.Context(), strings.NewReader(lines), inspect.LoadOptions{Unchecked: true, Rebuild: true, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	closeDB(t, in)
	if n := strings.Count(lines, "\n"); loaded != (inspect.Loaded{Lines: n, Docs: n}) {
		t.Errorf("loaded %+v of %d lines", loaded, n)
	}
	if again := dumped(t, to); again != lines {
		a, b := strings.Split(lines, "\n"), strings.Split(again, "\n")
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				t.Fatalf("line %d is\n%s\nand after it was loaded\n%s", i+1, a[i], b[min(i, len(b)-1)])
			}
		}
		t.Fatal("there are more lines than before")
	}
	db = openDir(t, to)
	allKinds(t, db)
	if err := db.Verify(t.Context()); err != nil {
		t.Errorf("the application finds: %v", err)
	}
	posts := must[*kinds.PostRepo](t)(kinds.NewPostRepo(t.Context(), db))
	if n := must[int](t)(posts.QueryByWord("two").Count(t.Context())); n == 0 {
		t.Error("the view is empty after the application has built it")
	}
	closeDB(t, db)

	// Entries of views have other numbers; all the rest is the same.
	want, got := stored(t, from), stored(t, to)
	for key, value := range want {
		if other, ok := got[key]; other != value && (ok || key[12]>>1 == 0) {
			t.Fatalf("key %x has\n%x\nand after it was loaded\n%x", key, value, other)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d documents and entries, want %d", len(got), len(want))
	}
}

// A load into a database whose indexes the command can keep leaves all of them right, also of documents that were written
// over, and none to build.
func TestLoadKeepsIndexes(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	db := openDir(t, dir)
	visits := must[*kinds.VisitRepo](t)(kinds.NewVisitRepo(ctx, db))
	f := filler{rand.New(rand.NewPCG(5, 6))}
	var docs []*kinds.Visit
	for i := range 50 {
		v := new(kinds.Visit)
		f.fill(reflect.ValueOf(v).Elem(), 2)
		v.Seq, v.By = uint32(i), &kinds.UUID{byte(i)}
		docs = append(docs, must[*kinds.Visit](t)(visits.Insert(ctx, v)))
	}
	closeDB(t, db)
	lines := dumped(t, dir)
	db = openDir(t, dir)
	visits = must[*kinds.VisitRepo](t)(kinds.NewVisitRepo(ctx, db))
	for i, doc := range docs {
		must[*kinds.Visit](t)(visits.Update(ctx, doc.Key(), func(v *kinds.Visit) error {
			v.Also, v.Ranks, v.By = []kinds.UUID{{1}, {2}}, []kinds.Rank{5}, &kinds.UUID{byte(100 + i)}
			return nil
		}))
	}
	closeDB(t, db)

	load := func(write bool, o inspect.LoadOptions) error {
		in := inspectDir(t, dir, write)
		defer closeDB(t, in)
		o.Now = time.Now
		_, err := in.Load(ctx, strings.NewReader(lines), o)
		return err
	}
	var line *inspect.LineError
	if err := load(true, inspect.LoadOptions{}); !errors.As(err, &line) || line.Line != 1 || !errors.Is(err, kixx.ErrExists) {
		t.Errorf("a load of what is there: %v, want ErrExists in line 1", err)
	}
	before := stored(t, dir)
	if err := load(true, inspect.LoadOptions{Keep: true}); err != nil {
		t.Error(err)
	}
	if err := load(false, inspect.LoadOptions{Replace: true}); err != nil {
		t.Error(err)
	}
	if after := stored(t, dir); !reflect.DeepEqual(after, before) {
		t.Error("a load that keeps what is there, and a dry run, have changed something")
	}
	if err := load(true, inspect.LoadOptions{Replace: true}); err != nil {
		t.Fatal(err)
	}
	db = openDir(t, dir)
	defer closeDB(t, db)
	visits = must[*kinds.VisitRepo](t)(kinds.NewVisitRepo(ctx, db))
	if err := db.Verify(ctx); err != nil {
		t.Error(err)
	}
	for _, doc := range docs {
		got := must[*kinds.Visit](t)(visits.Get(ctx, doc.Key()))
		if n, _ := got.Rev.Number(); n != 2 || !slices.Equal(got.Also, doc.Also) {
			t.Errorf("%v has revision %v, and %v, want 2 and %v", doc.Key(), got.Rev, got.Also, doc.Also)
		}
	}
	// Unique values are.
	closeDB(t, db)
	dir = t.TempDir()
	db = openDir(t, dir)
	must[*kinds.VisitRepo](t)(kinds.NewVisitRepo(ctx, db))
	closeDB(t, db)
	all := strings.SplitAfter(lines, "\n")
	lines = all[0] + all[1] + strings.Replace(all[0], `"Seq":`, `"Seq":1`, 1)
	lines = strings.Replace(lines, all[0]+all[1], all[0]+all[1]+"\n", 1) // an empty line counts
	third := strings.Split(lines, "\n")[3]
	lines = strings.Replace(lines, third, third[:strings.Index(third, `"key":`)]+third[strings.Index(third, `"rev":`):], 1)
	if err := load(true, inspect.LoadOptions{}); !errors.As(err, &line) || line.Line != 4 || !errors.Is(err, kixx.ErrUnique) {
		t.Errorf("a load with a unique value twice: %v, want ErrUnique in line 4", err)
	}
	if n := len(strings.Split(strings.TrimSpace(dumped(t, dir)), "\n")); n != 2 {
		t.Errorf("%d documents are in, want those of the lines before", n)
	}
}

// Fields that the newest schema does not know come back, at the top and inside, with the types that they had.
func TestUnknownFieldsAreDumpedAndLoaded(t *testing.T) {
	ctx := t.Context()
	from, to := t.TempDir(), t.TempDir()
	for _, dir := range []string{from, to} {
		db := openDir(t, dir)
		if dir == from {
			today := must[*v2.ThingRepo](t)(v2.NewThingRepo(ctx, db))
			must[*v2.Thing](t)(today.Insert(ctx, &v2.Thing{ID: "a", Title: "first", Stock: 300, Color: "red", Part: v2.Part{A: 1, B: "inside"}}))
			closeDB(t, db)
			db = openDir(t, dir)
		}
		yesterday := must[*v1.ThingRepo](t)(v1.NewThingRepo(ctx, db))
		if dir == from {
			must[*v1.Thing](t)(yesterday.Update(ctx, "a", func(th *v1.Thing) error { th.Size = 7; return nil }))
		}
		closeDB(t, db)
	}
	lines := dumped(t, from)
	if !strings.Contains(lines, `"$unknown":{"B":"inside"}`) && !strings.Contains(lines, `"$unknown":{"b":"inside"}`) || !strings.Contains(lines, `"stock":300`) {
		t.Errorf("the dump is\n%s", lines)
	}
	in := inspectDir(t, to, true)
	if _, err := in.Load(ctx, strings.NewReader(lines), inspect.LoadOptions{Unchecked: true, Rebuild: true, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	closeDB(t, in)
	if again := dumped(t, to); again != lines {
		t.Errorf("the dump was\n%s\nis\n%s", lines, again)
	}
	db := openDir(t, to)
	defer closeDB(t, db)
	today := must[*v2.ThingRepo](t)(v2.NewThingRepo(ctx, db))
	if a := must[*v2.Thing](t)(today.Get(ctx, "a")); a.Color != "red" || a.Part.B != "inside" || a.Size != 7 || a.Stock != 300 {
		t.Errorf("a = %+v", a)
	}
}

// A load that is ended in the middle says up to which line all is in, and goes on behind it.
func TestLoadGoesOnWhereItWasEnded(t *testing.T) {
	dir := t.TempDir()
	db := openDir(t, dir)
	must[*kinds.ListRepo](t)(kinds.NewListRepo(t.Context(), db))
	closeDB(t, db)
	var lines strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&lines, "{\"ID\":\"%04d\",\"Values\":[%d]}\r\n\n", i, i)
	}
	o := inspect.LoadOptions{Entity: "list", Plain: true, Now: time.Now}
	load := func(ctx context.Context, o inspect.LoadOptions) (inspect.Loaded, error) {
		in := inspectDir(t, dir, true)
		defer closeDB(t, in)
		return in.Load(ctx, strings.NewReader(lines.String()), o)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := o
	ended.Progress = func(inspect.Loaded) { cancel() }
	first, err := load(ctx, ended)
	if !errors.Is(err, context.Canceled) || first.Docs == 0 || first.Docs == 1000 || first.Lines != 2*first.Docs-1 {
		t.Fatalf("loaded %+v, %v, want a part, and that it was canceled", first, err)
	}
	if n := strings.Count(dumped(t, dir), "\n"); n != first.Docs {
		t.Errorf("%d documents are in, want %d", n, first.Docs)
	}
	o.First = first.Lines + 1
	rest, err := load(t.Context(), o)
	if err != nil || rest.Docs != 1000-first.Docs || rest.Lines != 1999 {
		t.Errorf("the rest: %+v, %v", rest, err)
	}
	if n := strings.Count(dumped(t, dir), "\n"); n != 1000 {
		t.Errorf("%d documents are in, want 1000", n)
	}
}

// A line without an end is refused before it is in memory.
func TestALineThatIsTooLongIsRefused(t *testing.T) {
	dir := t.TempDir()
	db := openDir(t, dir)
	must[*kinds.ListRepo](t)(kinds.NewListRepo(t.Context(), db))
	closeDB(t, db)
	in := inspectDir(t, dir, false)
	defer closeDB(t, in)
	endless := readerFunc(func(b []byte) (int, error) {
		for i := range b {
			b[i] = ' '
		}
		return len(b), nil
	})
	_, err := in.Load(t.Context(), endless, inspect.LoadOptions{Entity: "list", Now: time.Now})
	if line := new(inspect.LineError); !errors.As(err, &line) || line.Line != 1 || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("a line without an end: %v", err)
	}
}

type readerFunc func(b []byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// No line makes a load panic, and one that is refused leaves nothing.
func FuzzLoadLines(f *testing.F) {
	dir := f.TempDir()
	db := openDir(f, dir)
	fillKinds(f, db, 3)
	closeDB(f, db)
	for line := range strings.Lines(dumped(f, dir)) {
		f.Add([]byte(line))
	}
	for _, line := range []string{
		`{"entity":"every","doc":{"ID":1,"ByText":{"$map":[["$",1]]},"Float64":{"$float":"NaN"},"When":{"$time":[1,2]}}}`,
		`{"entity":"switch","key":true,"rev":7,"doc":{"On":true,"$unknown":{"a":{"$raw":"wA=="},"b":[1.0,{"$bytes":""}]}}}`,
		strings.Repeat(`{"a":`, 600), "[\x00]", "{\"entity\":\"memo\",\"doc\":{\"id\":\"\xff\"}}", `{"entity":"memo","doc":{"id":"\ud800"}}`, `{}{}`,
	} {
		f.Add([]byte(line))
	}
	empty := f.TempDir()
	db = openDir(f, empty)
	allKinds(f, db)
	closeDB(f, db)
	in, err := inspect.Open(f.Context(), empty, inspect.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { in.Close() })
	o := inspect.LoadOptions{Unchecked: true, Rebuild: true, Replace: true, Now: time.Now}
	f.Fuzz(func(t *testing.T, line []byte) {
		loaded, err := in.Load(t.Context(), io.MultiReader(bytes.NewReader(line), strings.NewReader("\n")), o)
		if err != nil && bytes.IndexByte(line, '\n') < 0 && loaded.Docs > 0 {
			t.Errorf("%q is refused, %v, and loaded", line, err)
		}
	})
}
