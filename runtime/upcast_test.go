package kixx

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/internal/storedtype"
	"github.com/kixxgen/kixxgen/runtime/gen"
)

// schemaText reads a schema from words: "a", "b:int", "c(was x y)", "d=5", "-e" for one that is dropped, "@2" for its level.
func schemaText(text string) schemaRecord {
	s := schemaRecord{Fingerprint: text}
	for _, word := range strings.Split(text, ", ") {
		f := Field{Type: "string"}
		if level, ok := strings.CutPrefix(word, "@"); ok {
			fmt.Sscan(level, &s.Level)
			continue
		}
		word, was, _ := strings.Cut(strings.TrimSuffix(word, ")"), "(was ")
		f.Was = strings.Fields(was)
		word, f.Default, _ = strings.Cut(word, "=")
		name, typ, typed := strings.Cut(word, ":")
		if typed {
			f.Type = typ
		}
		f.Name = strings.TrimPrefix(name, "-")
		if f.Name != name {
			f.Type = storedtype.Dropped
		}
		s.Fields = append(s.Fields, f)
	}
	return s
}

// document makes a body from words: "a=1 b=2".
func document(text string) []byte {
	f := new(Fields)
	for _, word := range strings.Fields(text) {
		name, value, _ := strings.Cut(word, "=")
		f.Set(name, value)
	}
	return f.append(nil)
}

func TestUpcast(t *testing.T) {
	for _, c := range []struct {
		what             string
		own, theirs, all string // schemas; all is what else the catalogue has, separated by "; "
		doc, want        string // want without what own drops
	}{
		{"nothing to do", "a, b", "a", "", "a=1", "a=1"},
		{"another name", "b(was a)", "a", "", "a=1", "b=1"},
		{"another name, and the new one carried from before", "b(was a)", "a", "", "a=fresh b=old", "b=fresh"},
		{"the writer has the new name", "b(was a)", "b", "", "b=1", "b=1"},
		{"the writer has neither and carries the new name", "b(was a)", "c", "", "c=1 b=2", "c=1 b=2"},
		{"the writer has neither and carries the old name", "b(was a)", "c", "", "c=1 a=2", "c=1 b=2"},
		{"renamed twice, from the first name", "c(was b a)", "a", "", "a=1", "c=1"},
		{"renamed twice, from the second name", "c(was b a)", "b(was a)", "", "b=1", "c=1"},
		{"renamed twice, and the first name carried from before", "c(was b a)", "b(was a)", "", "a=old b=fresh", "c=fresh"},
		{"an older reader", "a", "b(was a)", "", "b=1", "a=1"},
		{"an older reader, its own name carried from before", "a", "b(was a)", "", "a=old b=fresh", "a=fresh"},
		{"a reader two names older", "a", "c(was b a)", "", "c=1", "a=1"},
		{"a reader one name older", "b(was a)", "c(was b a)", "", "c=1", "b=1"},
		{"two branches renamed one field", "b(was a)", "c(was a)", "", "c=1", "b=1"},
		{"an older reader, a writer that is older still and carries the new name", "a", "x", "b(was a)", "x=1 b=2", "x=1 a=2"},
		{"a name that the reader has for something else", "a, b", "b(was a)", "", "b=1", "b=1"},
		{"a default", "a, d=5", "a", "", "a=1", "a=1 d=5"},
		{"a default, and a carried value", "a, d=5", "a", "", "a=1 d=0", "a=1 d=0"},
		{"a default, and a writer that knew the field", "a, d=5", "a, d", "", "a=1 d=", "a=1 d="},
		{"a default and another name", "b=5(was a)", "c", "", "c=1", "c=1 b=5"},
		{"a default and another name that is there", "b=5(was a)", "a", "", "a=", "b="},
		{"a dropped field of the reader stays for it to skip", "a, -b", "a, b", "", "a=1 b=2", "a=1 b=2"},
		{"a field that the writer has dropped has its default", "a, b=5", "a, -b", "", "a=1", "a=1 b=5"},
	} {
		own, theirs := schemaText(c.own), schemaText(c.theirs)
		all := []schemaRecord{theirs, own}
		for _, s := range strings.Split(c.all, "; ") {
			all = append(all, schemaText(s))
		}
		u := newUpcaster(&own, &theirs, nil, all)
		if u.err != nil {
			t.Errorf("%s: %v", c.what, u.err)
			continue
		}
		fields, err := parseFields(document(c.doc))
		if err != nil {
			t.Fatal(err)
		}
		got, err := u.apply(fields, document(c.doc))
		if want := document(c.want); err != nil || string(got) != string(want) {
			t.Errorf("%s: %s becomes %s, %v, want %s", c.what, c.doc, shown(got), err, c.want)
		}
	}
}

// shown returns a body of text fields as words.
func shown(body []byte) string {
	f, err := parseFields(body)
	if err != nil {
		return err.Error()
	}
	var words []string
	for _, name := range f.Names() {
		words = append(words, fmt.Sprintf("%s=%v", name, f.Get(name)))
	}
	return strings.Join(words, " ")
}

func TestUpcastRefusesWhatIsNewer(t *testing.T) {
	for _, c := range []struct {
		own, theirs string
		refused     bool
	}{
		{"a", "a", false},
		{"a, @1", "a", false},
		{"a, @1", "a:int", false}, // the migration makes text of it
		{"a", "a, @1", true},
		{"a", "a:int, @1", true},
		{"a, @1", "a:int, @2", true},
		{"a", "a:int", true},
		{"a, @1", "a:int, @1", true},
		{"-a", "a:int", false},
		{"a", "-a", false},
		{"a:struct{x int}", "a:struct{x int; y string}", false},
		{"a:struct{x int}", "a:struct{x drop}", false},
		{"a:struct{x int}", "a:struct{x string}", true},
	} {
		own, theirs := schemaText(c.own), schemaText(c.theirs)
		if u := newUpcaster(&own, &theirs, nil, nil); errors.Is(u.err, ErrSchema) != c.refused {
			t.Errorf("a document of %q, read as %q: %v, want refused %v", c.theirs, c.own, u.err, c.refused)
		}
		// In the catalogue, only what has the same level is a contradiction.
		r := &record{Name: "thing", Schemas: []schemaRecord{theirs}}
		_, err := r.register(&own, nil)
		if want := c.refused && own.Level == theirs.Level; errors.Is(err, ErrSchema) != want {
			t.Errorf("%q beside %q in the catalogue: %v, want refused %v", c.own, c.theirs, err, want)
		}
	}
}

func TestMigrationsRunInOrderFromTheLevelOfTheWriter(t *testing.T) {
	var ran []int
	step := func(level int, f func(*Fields) error) Migration {
		return Migration{level, func(fields *Fields) error {
			ran = append(ran, level)
			return f(fields)
		}}
	}
	none := func(*Fields) error { return nil }
	migrate := []Migration{step(1, none), step(2, func(f *Fields) error {
		f.Set("old", f.Get("old").(string)+"!") // the name of today is new
		return nil
	}), step(3, none)}
	own := schemaText("id, new(was old), d=5, @3")
	own.Fields[0].Options = "key"
	for theirs, want := range map[string][]int{"id, old": {1, 2, 3}, "id, old, @1": {2, 3}, "id, new(was old), @2": {3}, "id, new(was old), @3": nil} {
		ran = nil
		s := schemaText(theirs)
		u := newUpcaster(&own, &s, migrate, nil)
		name := s.Fields[1].Name
		fields, _ := parseFields(document("id=x " + name + "=1"))
		got, err := u.apply(fields, document("id=x "+name+"=1"))
		value := "1"
		if len(want) > 1 {
			value = "1!"
		}
		if !slices.Equal(ran, want) || err != nil || shown(got) != "id=x new="+value+" d=5" {
			t.Errorf("from %q: migrations %v, %s, %v; want %v and new=%s", theirs, ran, shown(got), err, want, value)
		}
	}
	for what, f := range map[string]func(*Fields) error{
		"boom":                func(*Fields) error { panic("boom") },
		"no":                  func(*Fields) error { return errors.New("no") },
		"cannot be stored":    func(f *Fields) error { f.Set("a", struct{}{}); return nil },
		`changes the key, fi`: func(f *Fields) error { f.Set("id", "y"); return nil },
		`it changes the key`:  func(f *Fields) error { f.Delete("id"); return nil },
	} {
		s := schemaText("id")
		one := own
		one.Level = 1
		fields, _ := parseFields(document("id=x"))
		_, err := newUpcaster(&one, &s, []Migration{{1, f}}, nil).apply(fields, document("id=x"))
		if err == nil || !strings.Contains(err.Error(), "migrate to level 1: ") || !strings.Contains(err.Error(), what) {
			t.Errorf("a migration that fails: %v, want %q in it", err, what)
		}
	}
}

func TestDefaultsOfEveryType(t *testing.T) {
	for typ, c := range map[string]struct {
		text string
		want any
	}{
		"string": {"a,b", "a,b"}, "bool": {"true", true}, "int8": {"-3", int64(-3)}, "*int": {"4", int64(4)}, "uint64": {"18446744073709551615", uint64(math.MaxUint64)},
		"float32": {"0.5", 0.5}, "*time": {"2026-01-02T03:04:05.5Z", time.Date(2026, 1, 2, 3, 4, 5, 5e8, time.UTC)},
	} {
		b, err := appendDefault(nil, &Field{Name: "f", Type: typ, Default: c.text})
		got, _, rerr := gen.ReadAny(b)
		if err != nil || rerr != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("default %s of %s = %v, %v, %v, want %v", c.text, typ, got, err, rerr, c.want)
		}
	}
	for typ, text := range map[string]string{"int": "x", "[]int": "1", "time": "today"} {
		if _, err := appendDefault(nil, &Field{Name: "f", Type: typ, Default: text}); !errors.Is(err, ErrSchema) {
			t.Errorf("default %s of %s: %v, want ErrSchema", text, typ, err)
		}
	}
}

func TestFieldsKeepEveryValue(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	values := []any{nil, true, int64(-1), int64(math.MaxInt64), uint64(math.MaxUint64), 1.5, math.Inf(1), "", "text", []byte{}, []byte{0, 255}, at,
		[]any{}, []any{int64(1), "a", []any{nil}}, map[string]any{}, map[string]any{"b": at, "a": map[string]any{"x": int64(1)}}}
	f := new(Fields)
	for i, v := range values {
		f.Set(fmt.Sprint(i), v)
	}
	if f.err != nil {
		t.Fatal(f.err)
	}
	again, err := parseFields(f.append(nil))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range values {
		if got := again.Get(fmt.Sprint(i)); !reflect.DeepEqual(got, v) {
			t.Errorf("%#v comes back as %#v", v, got)
		}
	}
	for v, want := range map[any]any{int8(1): int64(1), uint16(2): int64(2), float32(0.5): 0.5, time.Second: int64(time.Second)} {
		again.Set("n", v)
		if got := again.Get("n"); got != want {
			t.Errorf("%T %v comes back as %#v, want %#v", v, v, got, want)
		}
	}
	again.Set("list", []string{"a", "b"})
	again.Set("2", "changed")
	again.Rename("3", "4")
	again.Rename("not there", "5")
	again.Delete("5")
	again.Delete("not there")
	if got := again.Get("list"); !reflect.DeepEqual(got, []any{"a", "b"}) || again.Get("2") != "changed" || again.Has("3") || again.Get("4") != int64(math.MaxInt64) || again.Has("5") || again.Get("5") != nil {
		t.Errorf("after changes: list %v, names %v", got, again.Names())
	}
	again.Set("deep", nest(200))
	if again.err == nil || !strings.Contains(again.err.Error(), "field deep: lists and maps are nested more than 200 deep") {
		t.Errorf("a value that is nested 200 times: %v, want an error that says so", again.err)
	}
}

// nest returns a list in a list, n times.
func nest(n int) any {
	var v any
	for range n {
		v = []any{v}
	}
	return v
}

func TestMapsAreWrittenInTheOrderOfTheirKeys(t *testing.T) {
	m := map[string]any{}
	for i := range 20 {
		m[fmt.Sprint(i)] = i
	}
	first, _ := appendAny(m)
	for range 20 {
		if again, _ := appendAny(m); string(again) != string(first) {
			t.Fatal("one map is written in two ways")
		}
	}
}

func FuzzFields(f *testing.F) {
	f.Add([]byte{0x81, 0xA1, 'a', 1})
	f.Add(document("a=1 b=2"))
	f.Add([]byte{0xC0})
	f.Add([]byte{0xDF, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Add(append([]byte{0x81, 0xA1, 'a'}, 0xDD, 0xFF, 0xFF, 0xFF, 0xF0))
	f.Fuzz(func(t *testing.T, b []byte) {
		fields, err := parseFields(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("parseFields(%x): %v, want ErrCorrupt", b, err)
			}
			return
		}
		for _, name := range fields.Names() {
			v := fields.Get(name)
			if fields.err != nil {
				fields.err = nil
				continue
			}
			fields.Set("copy", v)
			if fields.err != nil {
				t.Fatalf("field %q of %x: %v was read and cannot be written: %v", name, b, v, fields.err)
			}
			if again := fields.Get("copy"); !reflect.DeepEqual(again, v) && !strings.Contains(fmt.Sprint(v), "NaN") {
				t.Fatalf("field %q of %x: %#v comes back as %#v", name, b, v, again)
			}
		}
		if _, err := parseFields(fields.append(nil)); err != nil {
			t.Fatalf("%x cannot be read when it is written again: %v", b, err)
		}
	})
}

// The record of a collection is stored for ever: a change of its form needs a reason.
func TestCatalogueRecordBytes(t *testing.T) {
	own := newSchemaRecord([]Field{{Name: "id", Type: "string", Options: "key"}, {Name: "title", Type: "string", Was: []string{"name"}, Default: "none"}, {Name: "old", Type: storedtype.Dropped}}, []Migration{{Level: 2}})
	own.Code = []string{"BeforeSet"}
	indexes := []*Index{{Name: "Title", Of: "title string; title was name", Unique: true}}
	r := &record{Name: "item", Number: 3}
	if _, err := r.register(&own, indexes); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(r)
	const want = `{"name":"item","number":3,"schemas":[{"number":1,"fingerprint":"FP","level":2,"fields":[` +
		`{"name":"id","type":"string","options":"key"},{"name":"title","type":"string","was":["name"],"default":"none"},{"name":"old","type":"drop"}],"code":["BeforeSet"]}],` +
		`"indexes":[{"number":1,"name":"Title","fingerprint":"IX","state":"building","of":"title string; title was name","unique":true}],"taken":1}`
	text := strings.NewReplacer(own.Fingerprint, "FP", r.Indexes[0].Fingerprint, "IX").Replace(string(got))
	if err != nil || text != want {
		t.Errorf("record = %s, %v\nwant     %s", text, err, want)
	}
	// What was written before a record had definitions is read, and completed when the program registers again.
	before := new(record)
	const old = `{"name":"item","number":3,"schemas":[{"number":1,"fingerprint":"FP","fields":[]}],"indexes":[{"number":1,"name":"Title","fingerprint":"IX","state":"ready"}],"taken":1}`
	if err := json.Unmarshal([]byte(strings.NewReplacer("FP", own.Fingerprint, "IX", r.Indexes[0].Fingerprint).Replace(old)), before); err != nil {
		t.Fatal(err)
	}
	ready := r.Indexes[0]
	ready.State = indexReady
	if changed, err := before.register(&own, indexes); err != nil || !changed || before.Indexes[0] != ready || !slices.Equal(before.Schemas[0].Code, own.Code) {
		t.Errorf("an old record becomes %+v, %v, %v", before, changed, err)
	}
	if changed, err := before.register(&own, indexes); err != nil || changed {
		t.Errorf("and changes again when it is registered again: %v, %v", changed, err)
	}
	if want := "0a7bd784e0e4a551f3cbfdeb82239335"; own.Fingerprint != want {
		t.Errorf("fingerprint of the schema = %s, want %s", own.Fingerprint, want)
	}
	plain := newSchemaRecord([]Field{{Name: "id", Type: "string", Options: "key"}}, nil)
	seen := map[string]string{plain.Fingerprint: "plain"}
	for what, s := range map[string]schemaRecord{
		"was":     newSchemaRecord([]Field{{Name: "id", Type: "string", Options: "key", Was: []string{"key"}}}, nil),
		"default": newSchemaRecord([]Field{{Name: "id", Type: "string", Options: "key", Default: "x"}}, nil),
		"level":   newSchemaRecord([]Field{{Name: "id", Type: "string", Options: "key"}}, []Migration{{Level: 1}}),
		"type":    newSchemaRecord([]Field{{Name: "id", Type: "int", Options: "key"}}, nil),
	} {
		if other := seen[s.Fingerprint]; other != "" {
			t.Errorf("the schemas %s and %s have one fingerprint", what, other)
		}
		seen[s.Fingerprint] = what
	}
}

// A list or map whose header announces more than there is must not be allocated.
func TestRawValuesAreHeldAgainstTheirBytes(t *testing.T) {
	for _, b := range [][]byte{{0xDD, 0xFF, 0xFF, 0xFF, 0xFF}, {0xDF, 0xFF, 0xFF, 0xFF, 0xFF, 0xA1}, {0x91}, {0x81, 0xA1, 'a'}, {0x81, 1, 1}, {0xC1}, {}} {
		if v, _, err := gen.ReadAny(b); err == nil {
			t.Errorf("readAny(%x) = %v, want an error", b, v)
		}
	}
}
