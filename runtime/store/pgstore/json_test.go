package pgstore_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore/pgtest"
)

// describe returns what kixxgen describe prints in a form, for packages of the module in dir; "" is this repository.
func describe(t *testing.T, dir, format string, packages ...string) string {
	t.Helper()
	root := repotest.Must[string](t)(filepath.Abs("../../.."))
	cmd := exec.Command(kixxgen(t, root), append([]string{"describe", "--format", format}, packages...)...)
	if cmd.Dir = dir; dir == "" {
		cmd.Dir = root
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kixxgen describe: %v\n%s", err, stderr.String())
	}
	return string(out)
}

var built struct {
	once sync.Once
	dir  string
	err  error
}

// kixxgen returns the path of the command, which is built once.
func kixxgen(t *testing.T, root string) string {
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "kixxgen-"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", built.dir, "./cmd/kixxgen")
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build kixxgen: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "kixxgen")
}

// openDB opens a database over a store of its own, which has JSON.
func openDB(t *testing.T, url string) (*kixx.DB, *pgstore.Store) {
	t.Helper()
	s := open(t, url+"&json=on")
	db := repotest.Must[*kixx.DB](t)(kixx.OpenStore(bg, s))
	t.Cleanup(func() { db.Close() })
	return db, s
}

// rows returns what a query has, as JSON that PostgreSQL makes of its rows.
func rows(t *testing.T, url, query string) (list []string) {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(bg)
	if _, err := conn.Exec(bg, "set time zone 'UTC'"); err != nil {
		t.Fatal(err)
	}
	r, err := conn.Query(bg, "select row_to_json(q)::text from ("+query+") as q", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	if list, err = pgx.CollectRows(r, pgx.RowTo[string]); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return list
}

// The SQL that kixxgen describe prints is what PostgreSQL takes, all of it.
func TestDescribedSQLRuns(t *testing.T) {
	for _, packages := range [][]string{{"./examples/..."}, {"./runtime/internal/kinds"}} {
		url := pgtest.New(t)
		pgtest.Exec(t, url, describe(t, "", "sql", packages...))
		tables := rows(t, url, "select 1 from information_schema.tables where table_schema = current_schema()")
		url = pgtest.New(t) // the names of the views are those of the tables
		open(t, url+"&json=on").Close()
		views := describe(t, "", "views", packages...)
		pgtest.Exec(t, url, views)
		pgtest.Exec(t, url, views) // again
		n := rows(t, url, "select 1 from information_schema.views where table_schema = current_schema()")
		t.Logf("%v: %d tables, %d views", packages, len(tables), len(n)-1)
		if len(tables) < 5 || len(n) < 5 {
			t.Error("want more")
		}
	}
}

// A view has what the repository has, whatever was done to it.
func TestViewsHaveWhatTheRepositoryHas(t *testing.T) {
	url := pgtest.New(t)
	db, _ := openDB(t, url)
	pgtest.Exec(t, url, describe(t, "", "views", "./runtime/internal/kinds"))
	items := repotest.NewItems(t, db)
	r := rand.New(rand.NewPCG(5, 5))
	words := []string{"", "a", `"quoted"`, `back\slash`, "tab\tnew\n", "\x00", "\xff", "é😀", "'; drop table kixx_map --", "{}", "null", "\u2028"}
	check := func() {
		t.Helper()
		var want []map[string]any
		for it, err := range items.Query().All(bg) {
			if err != nil {
				t.Fatal(err)
			}
			number, _ := it.Rev.Number()
			tags := any(nil)
			if it.Tags != nil {
				list := []any{}
				for _, tag := range it.Tags {
					list = append(list, inSQL(tag))
				}
				tags = list
			}
			want = append(want, map[string]any{"_namespace": "", "_rev": float64(number), "id": it.ID, "title": inSQL(it.Title), "sku": it.SKU,
				"category": it.Category, "price": it.Price, "tags": tags, "createdAt": inMicroseconds(it.CreatedAt), "updatedAt": inMicroseconds(it.UpdatedAt)})
		}
		var got []map[string]any
		for _, row := range rows(t, url, `select * from item order by id collate "C"`) {
			var m map[string]any
			if err := json.Unmarshal([]byte(row), &m); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"createdAt", "updatedAt"} {
				m[name] = inMicroseconds(repotest.Must[time.Time](t)(time.Parse(time.RFC3339Nano, m[name].(string))))
			}
			got = append(got, m)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("the view has\n%v\nand the repository\n%v", got, want)
		}
	}
	n := repotest.Count(120, 1000, 10_000)
	for i := range n {
		id := fmt.Sprint("item:", r.IntN(20))
		it := repotest.Item(id)
		it.Title = "t" + words[r.IntN(len(words))]
		it.Price = float64(r.IntN(100)) / 4
		if it.Tags = nil; r.IntN(3) > 0 {
			it.Tags = []string{words[r.IntN(len(words))], words[r.IntN(len(words))]}
		}
		if r.IntN(4) == 0 {
			if _, err := items.Get(bg, id); err == nil {
				if err := items.Delete(bg, id); err != nil {
					t.Fatal(err)
				}
			}
		} else if _, err := items.Overwrite(bg, it); err != nil {
			t.Fatal(err)
		}
		if i%40 == 0 {
			check()
		}
	}
	check()

	// Documents that are marked as deleted are there, with the time.
	memos := repotest.Must[*kinds.MemoRepo](t)(kinds.NewMemoRepo(bg, db))
	if _, err := memos.Insert(bg, &kinds.Memo{ID: "m", Title: "one two"}); err != nil {
		t.Fatal(err)
	}
	if got := rows(t, url, `select id, "deletedAt" is null as live from memo`); !slices.Equal(got, []string{`{"id":"m","live":true}`}) {
		t.Errorf("the view has %v", got)
	}
	if err := memos.Delete(bg, "m"); err != nil {
		t.Fatal(err)
	}
	if got := rows(t, url, `select id, "deletedAt" is null as live from memo`); !slices.Equal(got, []string{`{"id":"m","live":false}`}) {
		t.Errorf("after it was deleted, the view has %v", got)
	}
	t.Logf("%d steps", n)
}

// inSQL is how a text is there.
func inSQL(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == 0 {
			r = '\ufffd'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// inMicroseconds rounds as PostgreSQL does when it reads a time: the fraction as a floating point number, half to even.
func inMicroseconds(at time.Time) int64 {
	fraction := float64(at.Nanosecond()) / 1e9
	return at.Unix()*1e6 + int64(math.RoundToEven(fraction*1e6))
}

// A document of every kind of field is in its view, and one that jsonb cannot have is stored all the same.
func TestNoDocumentIsRefusedForItsJSON(t *testing.T) {
	url := pgtest.New(t)
	db, _ := openDB(t, url)
	pgtest.Exec(t, url, describe(t, "", "views", "./runtime/internal/kinds"))
	every := repotest.Must[*kinds.EveryRepo](t)(kinds.NewEveryRepo(bg, db))
	deep := any(1)
	for range 150 {
		deep = []any{deep}
	}
	list, number := []int{1, 2}, 7
	uuid := kinds.UUID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	huge := json.RawMessage(`{"n":1e999999,"small":1e-999999,"zero":"a\u0000b","half":"\ud800","more":[` + strings.Repeat("1e300,", 1000) + `0.1]}`)
	for id, e := range map[int64]*kinds.Every{
		1: {Float64: math.NaN(), Float32: float32(math.Inf(-1)), Uint64: math.MaxUint64, Int: math.MinInt64, Bytes: []byte{0, 1, 255}, Raw: huge,
			When: time.Date(2026, 12, 1, 1, 2, 3, 4000, time.UTC), Times: []time.Time{time.Unix(0, 0)}, Any: deep, PtrList: &list, PtrInt: &number,
			ByInt: map[int16]string{-3: "x"}, ByUUID: map[kinds.UUID]string{uuid: "y"}, ByTime: map[time.Time]bool{time.Unix(1, 0).UTC(): true},
			Text: "a\x00b\xffc", Complex: complex(1, 2)},
		2: {When: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)},
		3: {When: time.Date(123456, 1, 1, 0, 0, 0, 0, time.UTC), Raw: json.RawMessage(`"` + strings.Repeat("x", 100_000) + `"`)},
		4: {Raw: json.RawMessage(strings.Repeat("[", 2000) + strings.Repeat("]", 2000))},
	} {
		e.ID = id
		if _, err := every.Insert(bg, e); err != nil {
			t.Fatalf("%d: %v", id, err)
		}
		if _, err := every.Get(bg, id); err != nil {
			t.Errorf("%d: %v", id, err)
		}
	}
	want := []string{
		`{"ID":1,"Float64":"NaN","Float32":"-Infinity","Uint64":18446744073709551615,"Int":-9223372036854775808,"Bytes":"\\x0001ff","n":"1e999999","small":"1e-999999","zero":"a�b","half":"�","last":0.1,` +
			`"When":"2026-12-01T01:02:03.000004+00:00","Times":["1970-01-01T00:00:00+00:00"],"PtrList":[1,2],"PtrInt":7,"ByInt":{"-3": "x"},` +
			`"ByUUID":{"01020304-0506-0708-090a-0b0c0d0e0f10": "y"},"ByTime":{"1970-01-01T00:00:01Z": true},"Text":"a�b�c","Complex":[1, 2]}`,
		`{"ID":2,"When":null}`,
		`{"ID":3,"When":"123456-01-01T00:00:00+00:00"}`,
	}
	got := rows(t, url, `select "ID", "Float64", "Float32", "Uint64", "Int", "Bytes", "Raw"->'n' as n, "Raw"->'small' as small, "Raw"->'zero' as zero,
		"Raw"->'half' as half, "Raw"->'more'->-1 as last, "When", "Times", "PtrList", "PtrInt", "ByInt", "ByUUID", "ByTime", "Text", "Complex" from every where "ID" = 1`)
	got = append(got, rows(t, url, `select "ID", "When" from every where "ID" in (2, 3) order by "ID"`)...)
	if !slices.Equal(got, want) {
		t.Errorf("the view has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// What is nested too deeply is no JSON here; the text stands for it.
	if got := rows(t, url, `select count(*) as n, count(doc) as docs from kixx_documents where entity = 'every'`); got[0] != `{"n":4,"docs":4}` {
		t.Errorf("documents %v", got)
	}

	// Whatever a store is given, the commit is done.
	s := open(t, url)
	s.Derive(func(key, _ []byte) (string, string, []byte, bool) {
		switch string(key) {
		case "no":
			return "", "", nil, false
		case "nil":
			return "n\x00\xff", strings.Repeat("é", 3000), nil, true
		}
		return strings.Repeat("\x00", 5000), "raw", []byte(`{"n":` + strings.Repeat("9", 200_000) + `}`), true
	})
	mustCommit(t, s, put("huge", "v", store.Guard{}), put("nil", "v", store.Guard{}), put("no", "v", store.Guard{}))
	if got := rows(t, url, `select length(namespace) as n, length(entity) as e, doc from kixx_documents where key in ('huge', 'nil', 'no') order by key`); !slices.Equal(got, []string{`{"n":333,"e":3,"doc":null}`, `{"n":3,"e":499,"doc":null}`}) {
		t.Errorf("documents %v", got)
	}
}

// A document is never beside the JSON of another version of it.
func TestJSONIsNeverStale(t *testing.T) {
	url := pgtest.New(t)
	old := repotest.Must[*kixx.DB](t)(kixx.Open(bg, url))
	defer old.Close()
	before := repotest.NewItems(t, old)
	repotest.Put(t, before, repotest.Item("a"), repotest.Item("b"))
	db, s := openDB(t, url)
	pgtest.Exec(t, url, describe(t, "", "views", "./runtime/internal/kinds"))
	items := repotest.NewItems(t, db)
	repotest.Put(t, items, repotest.Item("c"))
	up := func(it *kinds.Item) error { it.Price++; return nil }
	view := func(want ...string) {
		t.Helper()
		if got := rows(t, url, `select doc->>'id' as id, doc->'price' as price from kixx_documents where entity = 'item' order by key`); !slices.Equal(got, want) {
			t.Errorf("the view has %v, want %v", got, want)
		}
	}
	view(`{"id":"c","price":10}`)
	for range 2 { // what was open before writes, and the other one
		repotest.Must[*kinds.Item](t)(before.Update(bg, "c", up))
		view(`{"id":null,"price":null}`)
	}
	repotest.Must[*kinds.Item](t)(items.Update(bg, "c", up))
	view(`{"id":"c","price":13}`)
	// Deleted and made again by the one that was open before, and changed by it.
	if err := before.Delete(bg, "c"); err != nil {
		t.Fatal(err)
	}
	repotest.Put(t, before, repotest.Item("c"), repotest.Item("d"))
	view()
	repotest.Must[*kinds.Item](t)(items.Update(bg, "d", up))
	repotest.Must[*kinds.Item](t)(before.Update(bg, "d", up))
	view(`{"id":null,"price":null}`)
	if n, err := s.FillJSON(bg); n != 4 || err != nil {
		t.Errorf("FillJSON = %d, %v, want 4 documents", n, err)
	}
	view(`{"id":"a","price":10}`, `{"id":"b","price":10}`, `{"id":"c","price":10}`, `{"id":"d","price":12}`)
	if n, err := s.FillJSON(bg); n != 0 || err != nil {
		t.Errorf("FillJSON again = %d, %v, want none", n, err)
	}
	if got := repotest.Must[*kinds.Item](t)(before.Update(bg, "d", up)); got.Price != 13 { // versions are as they were
		t.Errorf("price %v, want 13", got.Price)
	}

	// It is a property of the database.
	if _, err := pgstore.Open(bg, url+"&json=off", store.Options{}); err == nil || !strings.Contains(err.Error(), "keeps documents as JSON") {
		t.Errorf("json=off = %v, want that it is refused", err)
	}
	again := repotest.Must[*kixx.DB](t)(kixx.Open(bg, url))
	defer again.Close()
	repotest.Must[*kinds.Item](t)(repotest.NewItems(t, again).Update(bg, "a", up))
	if got := rows(t, url, `select price from item where id = 'a'`); !slices.Equal(got, []string{`{"price":11}`}) {
		t.Errorf("the view has %v after a process without the parameter has written", got)
	}
	if _, err := open(t, pgtest.New(t)).FillJSON(bg); err == nil || !strings.Contains(err.Error(), "json=on") {
		t.Errorf("FillJSON without JSON = %v", err)
	}
}

// FillJSON goes on beside writers, over many pages.
func TestFillJSONBesideWriters(t *testing.T) {
	url := pgtest.New(t)
	old := repotest.Must[*kixx.DB](t)(kixx.Open(bg, url))
	defer old.Close()
	repotest.Shelf(t, repotest.NewItems(t, old), 150)
	db, s := openDB(t, url)
	items := repotest.NewItems(t, db)
	done := make(chan error)
	go func() {
		for i := range 100 {
			if _, err := items.Update(bg, fmt.Sprintf("item:%03d", i), func(it *kinds.Item) error { it.Price += 1000; return nil }); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	if _, err := s.FillJSON(bg); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := rows(t, url, `select count(*) as n, count(doc) as docs, sum((doc->>'price')::numeric) as sum from kixx_documents`); got[0] != fmt.Sprintf(`{"n":150,"docs":150,"sum":%d}`, 100*1000+149*150/2) {
		t.Errorf("documents %v", got)
	}
}

// Names that are hostile to SQL are names of columns and views like all others.
func TestHostileFieldsAreColumns(t *testing.T) {
	dir := t.TempDir()
	root := repotest.Must[string](t)(filepath.Abs("../../.."))
	fields := []string{"it's", "a b", "; drop table kixx_map; --", "select", "UPPER", "ünïcode", "100%", "$1", "_namespace", "doc", "entity",
		strings.Repeat("long", 20) + "1", strings.Repeat("long", 20) + "2"}
	source := "package hostile\n\nimport kixx \"github.com/kixxgen/kixxgen/runtime\"\n\n//kixx:entity\ntype Table struct {\n\tID string `json:\"id\" kixx:\"key\"`\n\tRev kixx.Rev `kixx:\"rev\"`\n"
	document := map[string]any{"_rev": 3, "id": "x"}
	want := map[string]any{"_rev": 3.0, "id": "x"}
	for i, name := range fields {
		source += fmt.Sprintf("\tF%d string `json:%q`\n\tL%d []string `json:%q`\n", i, name, i, "list "+name)
		document[name], document["list "+name] = "value of "+name, []string{name, `"`}
	}
	for name, text := range map[string]string{
		"hostile.go": source + "}\n",
		"go.mod":     "module example.com/hostile\n\ngo 1.26.0\n\nrequire github.com/kixxgen/kixxgen v0.0.0\n\nreplace github.com/kixxgen/kixxgen => " + root + "\n",
		"go.sum":     string(repotest.Must[[]byte](t)(os.ReadFile(filepath.Join(root, "go.sum")))),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOFLAGS", "-mod=mod")
	views := describe(t, dir, "views")
	url := pgtest.New(t)
	s := open(t, url+"&json=on")
	s.Derive(func(_, value []byte) (string, string, []byte, bool) { return "'; --", "table", value, true })
	mustCommit(t, s, put("k", string(repotest.Must[[]byte](t)(json.Marshal(document))), store.Guard{}))
	pgtest.Exec(t, url, views)
	pgtest.Exec(t, pgtest.New(t), describe(t, dir, "sql"))
	var got map[string]any
	list := rows(t, url, `select * from "table"`)
	if len(list) != 1 {
		t.Fatalf("%d rows", len(list))
	}
	if err := json.Unmarshal([]byte(list[0]), &got); err != nil {
		t.Fatal(err)
	}
	if got["_namespace"] != "'; --" || got["_namespace_2"] != "value of _namespace" {
		t.Errorf("the namespace is %v, and the field of that name %v", got["_namespace"], got["_namespace_2"])
	}
	delete(got, "_namespace")
	values, wants := fmt.Sprint(sorted(got)), ""
	for _, name := range fields {
		want["f "+name], want["l "+name] = "value of "+name, []any{name, `"`}
	}
	if wants = fmt.Sprint(sorted(want)); values != wants {
		t.Errorf("the columns have\n%s\nwant\n%s", values, wants)
	}
	if len(got) != len(document) {
		t.Errorf("%d columns, want %d", len(got), len(document))
	}
}

// sorted returns the values of m as texts, in their order.
func sorted(m map[string]any) (list []string) {
	for _, v := range m {
		list = append(list, fmt.Sprintf("%q", v))
	}
	slices.Sort(list)
	return list
}

// Without json=on nothing more is sent, and kixx is not asked.
func TestWithoutJSONNothingIsSentForIt(t *testing.T) {
	r := &recorder{sent: make(map[string]bool)}
	s, err := pgstore.OpenAs(bg, pgtest.New(t), pgstore.Postgres, r)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Derive(func(_, _ []byte) (string, string, []byte, bool) { t.Error("it is asked"); return "", "", nil, false })
	v := mustCommit(t, s, put("k", "1", store.Guard{}))
	mustCommit(t, s, put("k", "1", store.At(v)), store.Op{Key: []byte("l"), Delete: true})
	for sql := range r.sent {
		if strings.Contains(sql, "json") || strings.Contains(sql, "doc") {
			t.Errorf("this was sent:\n%s", sql)
		}
	}
}
