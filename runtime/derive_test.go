package kixx_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
)

// derived is a store that keeps documents as JSON.
type derived struct {
	store.Store
	f func(key, value []byte) (namespace, entity string, json []byte, ok bool)
}

func (d *derived) Derive(f func(key, value []byte) (namespace, entity string, json []byte, ok bool)) {
	d.f = f
}

// all calls f for all that there is.
func (d *derived) all(t *testing.T) (docs []string) {
	t.Helper()
	items, err := d.Page(t.Context(), store.Page{Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range items {
		namespace, entity, doc, ok := d.f(it.Key, it.Value)
		if !ok {
			continue
		}
		if doc != nil && !json.Valid(doc) {
			t.Errorf("%s is no JSON", doc)
		}
		docs = append(docs, fmt.Sprintf("%s/%s %s", namespace, entity, doc))
	}
	return docs
}

// A store that keeps JSON is given it of documents, and of nothing else.
func TestDocumentsAsJSON(t *testing.T) {
	st := &derived{Store: memstore.New(store.Options{})}
	db := must[*kixx.DB](t)(kixx.OpenStore(t.Context(), st, kixx.Namespace("tenant")))
	defer db.Close()
	every := must[*kinds.EveryRepo](t)(kinds.NewEveryRepo(t.Context(), db))
	memos := must[*kinds.MemoRepo](t)(kinds.NewMemoRepo(t.Context(), db))
	if got := st.all(t); len(got) > 0 {
		t.Errorf("of the catalogue there is %v", got)
	}
	list, any1, number := []int{1}, any(map[string]any{"a": 1.5}), 7
	pointer := &number
	e := &kinds.Every{
		ID: 1, Float64: math.NaN(), Float32: float32(math.Inf(1)), Uint64: math.MaxUint64, Text: "\x00\xff\"\\\n", Bytes: []byte{1, 2, 3},
		Raw: json.RawMessage(`{"a":"\u0000","n":[1e999999,1e-999999,0.50]}`), When: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		PtrTime: new(time.Time), PtrPtr: &pointer, PtrList: &list, PtrAny: &any1, PtrDims: &kinds.Dims{},
		Grid: [][]float64{{1, math.Inf(-1)}, nil, {}}, ByBool: map[bool]kinds.Dims{true: {}}, ByInt: map[int16]string{-1: "x"},
		ByTime: map[time.Time]bool{time.Unix(0, 0).UTC(): true}, ByUUID: map[kinds.UUID]string{{15: 1}: "u"}, Complex: complex(1, math.NaN()),
	}
	must[*kinds.Every](t)(every.Insert(t.Context(), e))
	got := st.all(t)
	if len(got) != 1 || !strings.HasPrefix(got[0], "tenant/every {\"_rev\":0,") {
		t.Fatalf("documents %v", got)
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal([]byte(strings.TrimPrefix(got[0], "tenant/every ")), &doc); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"ID": `1`, "Float64": `"NaN"`, "Float32": `"Infinity"`, "Uint64": `18446744073709551615`, "Text": `"��\"\\\u000a"`, "Bytes": `"AQID"`,
		"When": `"2026-01-02T03:04:05.000000006Z"`, "PtrTime": `"0001-01-01T00:00:00Z"`, "PtrPtr": `7`, "PtrList": `[1]`, "PtrAny": `{"a":1.5}`,
		"Grid": `[[1,"-Infinity"],null,[]]`, "ByInt": `{"-1":"x"}`, "ByTime": `{"1970-01-01T00:00:00Z":true}`,
		"ByUUID": `{"00000000-0000-0000-0000-000000000001":"u"}`, "Complex": `[1,"NaN"]`, "PtrInt": `null`, "Blob": `null`,
	} {
		if string(doc[name]) != want {
			t.Errorf("%s is %s, want %s", name, doc[name], want)
		}
	}
	var raw map[string]any
	if err := json.Unmarshal(doc["Raw"], &raw); err != nil || fmt.Sprintf("%s %v", raw["a"], raw["n"]) != "� [1e999999 1e-999999 0.5]" {
		t.Errorf("Raw is %s", doc["Raw"])
	}

	// Marked as deleted, a document is there, and deleted for good it is not.
	must[*kinds.Memo](t)(memos.Insert(t.Context(), &kinds.Memo{ID: "m", Title: "one"}))
	if err := memos.Delete(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	if got := st.all(t); len(got) != 2 || !strings.Contains(got[1], `"deletedAt":"`) {
		t.Errorf("documents %v", got)
	}

	// Whatever is there, nothing worse than nothing comes of it.
	items := must[[]store.Item](t)(st.Page(t.Context(), store.Page{Limit: 1 << 20}))
	for _, it := range items {
		for n := range len(it.Value) {
			if _, _, doc, ok := st.f(it.Key, it.Value[:n]); ok && doc != nil && !json.Valid(doc) {
				t.Errorf("%x makes %s", it.Value[:n], doc)
			}
		}
		for n := range len(it.Key) {
			st.f(it.Key[:n], it.Value)
		}
	}
}
