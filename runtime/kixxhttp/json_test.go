package kixxhttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/kixxhttp"
)

func TestReadJSONIsStrict(t *testing.T) {
	for _, test := range []struct {
		body   string
		status int
		detail string
	}{
		{`{"id": "a", "price": 1.5, "tags": []}`, 0, ""},
		{" {\"id\": \"a\"}\r\n\t ", 0, ""},
		{`{}`, 0, ""},
		{``, 400, "the body is empty"},
		{"  \n", 400, "the body is empty"},
		{`null`, 400, "the body is null"},
		{" null\n", 400, "the body is null"},
		{`{"id": "a"`, 400, "the body ends within its value"},
		{`{"id": a}`, 400, "the body is not JSON, at byte 7"},
		{`}`, 400, "the body is not JSON, at byte 0"},
		{`{"id": "a"} {"id": "b"}`, 400, "the body goes on behind its value, at byte 12"},
		{`{"id": "a"}]`, 400, "the body goes on behind its value, at byte 11"},
		{`{"id": "a", "colour": "red"}`, 400, `there is no field "colour", before byte 28`},
		{`{"price": "secret"}`, 400, "price has the wrong type, before byte 18: string"},
		{`{"id": 12345}`, 400, "id has the wrong type, before byte 12: number"},
		{`{"tags": ["a", 3]}`, 400, "tags has the wrong type, before byte 16: number"},
		{`[]`, 400, "the body has the wrong type: array"},
		{`{"_rev": "secret"}`, 400, "a value cannot be read, before byte 18"},
		{`{"createdAt": "secret"}`, 400, "a value cannot be read, before byte 23"},
		{`{"id": "` + strings.Repeat("x", 100) + `"}`, 413, "the body has more than 64 bytes"},
		{`{"id": "a"}` + strings.Repeat(" ", 100), 413, "the body has more than 64 bytes"},
	} {
		r := httptest.NewRequest("PUT", "/items/a", strings.NewReader(test.body))
		var it kinds.Item
		err := kixxhttp.ReadJSON(httptest.NewRecorder(), r, &it, 64)
		if got := status(t, err); got != test.status {
			t.Errorf("ReadJSON(%q) has the status %d (%v), want %d", test.body, got, err, test.status)
			continue
		}
		if err != nil {
			if got := err.(*kixxhttp.Error).Detail; got != test.detail {
				t.Errorf("ReadJSON(%q) says %q, want %q", test.body, got, test.detail)
			}
			want := map[int]string{400: "BAD_REQUEST", 413: "TOO_LARGE"}[test.status]
			w := httptest.NewRecorder()
			kixxhttp.WriteError(w, r, err)
			var p kixxhttp.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code != want || p.Detail != test.detail || w.Code != test.status {
				t.Errorf("WriteError of it answers %d, %+v, want the code %s", w.Code, p, want)
			}
		}
	}
}

func TestReadJSONTakesAnExactLimit(t *testing.T) {
	const body = `{"id": "a"}`
	for _, test := range []struct{ max, status int }{{len(body), 0}, {len(body) - 1, 413}} {
		r := httptest.NewRequest("PUT", "/", strings.NewReader(body))
		if got := status(t, kixxhttp.ReadJSON(httptest.NewRecorder(), r, new(kinds.Item), int64(test.max))); got != test.status {
			t.Errorf("with a limit of %d bytes the status of %d is %d, want %d", test.max, len(body), got, test.status)
		}
	}
}

func TestReadJSONOfABodyThatDoesNotArrive(t *testing.T) {
	broken := iotest.ErrReader(io.ErrUnexpectedEOF)
	r := httptest.NewRequest("PUT", "/", broken)
	if got := status(t, kixxhttp.ReadJSON(httptest.NewRecorder(), r, new(kinds.Item), 64)); got != 400 {
		t.Errorf("the status of a body that breaks off is %d, want 400", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r = httptest.NewRequestWithContext(ctx, "PUT", "/", broken)
	if err := kixxhttp.ReadJSON(httptest.NewRecorder(), r, new(kinds.Item), 64); !errors.Is(err, context.Canceled) {
		t.Errorf("ReadJSON from a client that has gone = %v, want context.Canceled", err)
	}
}

func TestReadJSONOfAHandlersMistakeIsNotTheClients(t *testing.T) {
	var invalid *json.InvalidUnmarshalError
	r := httptest.NewRequest("PUT", "/", strings.NewReader(`{}`))
	if err := kixxhttp.ReadJSON(httptest.NewRecorder(), r, kinds.Item{}, 64); !errors.As(err, &invalid) {
		t.Errorf("ReadJSON into a struct = %v, want an InvalidUnmarshalError", err)
	}
}

func TestWriteJSON(t *testing.T) {
	w := httptest.NewRecorder()
	kixxhttp.WriteJSON(w, httptest.NewRequest("GET", "/", nil), http.StatusCreated, map[string]int{"a": 1})
	if w.Code != 201 || w.Body.String() != "{\"a\":1}\n" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("the answer is %d, %v, %q", w.Code, w.Header(), w.Body)
	}
	logged(t)
	w = httptest.NewRecorder()
	kixxhttp.WriteJSON(w, httptest.NewRequest("GET", "/", nil), http.StatusOK, []any{"part", func() {}})
	if w.Code != 500 || strings.Contains(w.Body.String(), "part") || strings.Contains(w.Body.String(), "func") {
		t.Errorf("of what cannot be encoded the answer is %d, %q, want 500 and nothing of it", w.Code, w.Body)
	}
}

func TestPageParams(t *testing.T) {
	for _, test := range []struct {
		query  string
		limit  int
		after  kixx.Cursor
		status int
	}{
		{"", 50, "", 0},
		{"?limit=20", 20, "", 0},
		{"?limit=20&cursor=abc", 20, "abc", 0},
		{"?limit=50&cursor=", 50, "", 0},
		{"?limit=51", 50, "", 0},
		{"?limit=99999999999999999999999", 50, "", 0},
		{"?limit=0", 0, "", 400},
		{"?limit=-1", 0, "", 400},
		{"?limit=", 0, "", 400},
		{"?limit=ten", 0, "", 400},
		{"?limit=1.5", 0, "", 400},
	} {
		limit, after, err := kixxhttp.PageParams(httptest.NewRequest("GET", "/items"+test.query, nil), 50)
		if got := status(t, err); got != test.status || limit != test.limit || after != test.after {
			t.Errorf("PageParams(%q) = %d, %q, %v, want %d, %q, status %d", test.query, limit, after, err, test.limit, test.after, test.status)
		}
	}
	if limit, _, _ := kixxhttp.PageParams(httptest.NewRequest("GET", "/items", nil), 1000); limit != 100 {
		t.Errorf("without a limit it is %d, want 100", limit)
	}
}

// A client that does nothing but follow the links sees every item once.
func TestPagesAreLinked(t *testing.T) {
	_, items, _ := withItem(t)
	for _, id := range []string{"b", "c", "d", "e"} {
		must[*kinds.Item](t)(items.Insert(t.Context(), item(id)))
	}
	list := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit, after, err := kixxhttp.PageParams(r, 2)
		var page kixx.Page[*kinds.Item]
		if err == nil {
			page, err = items.QueryByCategory(r.FormValue("category")).Limit(limit).After(after).Page(r.Context())
		}
		if err != nil {
			kixxhttp.WriteError(w, r, err)
			return
		}
		kixxhttp.WritePage(w, r, page)
	})
	mux := http.NewServeMux()
	mux.Handle("/v1/items", http.StripPrefix("/v1", list)) // as behind a proxy
	server := httptest.NewServer(mux)
	defer server.Close()

	var got []string
	pages := 0
	for target := server.URL + "/v1/items?limit=2&category=toys&x=%3E%22"; target != ""; pages++ {
		resp := must[*http.Response](t)(server.Client().Get(target))
		var page struct {
			Items []*kinds.Item `json:"items"`
			Next  kixx.Cursor   `json:"next"`
		}
		err := json.NewDecoder(resp.Body).Decode(&page)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s answers %d, %v", target, resp.StatusCode, err)
		}
		for _, it := range page.Items {
			got = append(got, it.ID)
		}
		link := resp.Header.Get("Link")
		if (link == "") != (page.Next == "") {
			t.Fatalf("the link is %q, the next cursor %q", link, page.Next)
		}
		if link == "" {
			break
		}
		ref, ok := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		if !ok || strings.ContainsAny(ref, `<>"`) {
			t.Fatalf("the link is %q", link)
		}
		next := must[*url.URL](t)(resp.Request.URL.Parse(ref))
		if q := next.Query(); q.Get("x") != `>"` || q.Get("limit") != "2" || q.Get("cursor") != string(page.Next) || len(q["cursor"]) != 1 {
			t.Errorf("the link is %q, want the query of the request with another cursor", link)
		}
		target = next.String()
	}
	if strings.Join(got, "") != "abcde" || pages != 2 {
		t.Errorf("the pages are %d, with %q, want 3 with a to e", pages+1, got)
	}

	// An empty page is an empty list, and no null.
	resp := must[*http.Response](t)(server.Client().Get(server.URL + "/v1/items?category=none"))
	defer resp.Body.Close()
	if body := must[[]byte](t)(io.ReadAll(resp.Body)); string(body) != "{\"items\":[]}\n" {
		t.Errorf("an empty page is %q", body)
	}
}

func FuzzReadJSON(f *testing.F) {
	for _, s := range []string{`{}`, `{"id":"a","price":1}`, `null`, `{"x":1}`, `{"id":1}`, `[`, `{} {}`, ` {"tags":["a"]} `} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var it kinds.Item
		r := httptest.NewRequest("PUT", "/", strings.NewReader(body))
		got := status(t, kixxhttp.ReadJSON(httptest.NewRecorder(), r, &it, 1000))
		// What encoding/json refuses as a whole is refused, and with a limit all that is longer.
		plain := json.Unmarshal([]byte(body), new(kinds.Item))
		switch {
		case len(body) > 1000 && got != 413:
			t.Errorf("the status of %d bytes is %d, want 413", len(body), got)
		case len(body) <= 1000 && plain != nil && got != 400:
			t.Errorf("the status of %q is %d, and encoding/json says %v", body, got, plain)
		}
	})
}
