package kixxhttp_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/kixxhttp"
)

// rev returns the Rev of an ETag.
func rev(t testing.TB, tag string) kixx.Rev {
	t.Helper()
	return must[kixx.Rev](t)(kixx.ParseETag(tag))
}

// status returns the status of an Error; 0 of nil.
func status(t testing.TB, err error) int {
	t.Helper()
	var e *kixxhttp.Error
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("%v is no *kixxhttp.Error", err)
	}
	if e == nil {
		return 0
	}
	return e.Status
}

func request(method, name string, values ...string) *http.Request {
	r := httptest.NewRequest(method, "/items/a", nil)
	if len(values) > 0 {
		r.Header[name] = values
	}
	return r
}

func TestIfMatch(t *testing.T) {
	stored := rev(t, `"3-0000abcd"`)
	for _, test := range []struct {
		header []string
		want   int
		absent int // the status if there is no document
	}{
		{nil, 428, 428},
		{[]string{`"3-0000abcd"`}, 0, 412},
		{[]string{`"3"`}, 0, 412}, // a bare number is compared as such
		{[]string{`*`}, 0, 412},
		{[]string{"\t* "}, 0, 412},
		{[]string{`"3-0000abce"`}, 412, 412}, // deleted and made anew
		{[]string{`"2-0000abcd"`}, 412, 412},
		{[]string{`W/"3-0000abcd"`}, 412, 412},
		{[]string{`"1", "3-0000abcd"`}, 0, 412},
		{[]string{`"1"`, `"3-0000abcd"`}, 0, 412},
		{[]string{`,, "1" ,	"3-0000abcd",`}, 0, 412},
		{[]string{`"1", W/"3-0000abcd"`}, 412, 412},
		{[]string{`"of,another", "server"`}, 412, 412},
		{[]string{`""`}, 412, 412},
		{[]string{`"*"`}, 412, 412},
		{[]string{`"W/3"`}, 412, 412},
		{[]string{``}, 400, 400},
		{[]string{`,`}, 400, 400},
		{[]string{`3`}, 400, 400},
		{[]string{`"3`}, 400, 400},
		{[]string{`"3" "3"`}, 400, 400},
		{[]string{`"3";x`}, 400, 400},
		{[]string{`w/"3"`}, 400, 400},
		{[]string{`W/ "3"`}, 400, 400},
		{[]string{`W/`}, 400, 400},
		{[]string{`*, "3"`}, 400, 400},
		{[]string{`"3", *`}, 400, 400},
		{[]string{`* *`}, 400, 400},
		{[]string{`" 3"`}, 400, 400},
		{[]string{"\"\x7f\""}, 400, 400},
		{[]string{"\"\xfc\""}, 412, 412},
	} {
		r := request("PUT", "If-Match", test.header...)
		if got := status(t, kixxhttp.IfMatch(r, stored)); got != test.want {
			t.Errorf("IfMatch(%q, %s) has the status %d, want %d", test.header, stored.ETag(), got, test.want)
		}
		if got := status(t, kixxhttp.IfMatch(r, kixx.Rev{})); got != test.absent {
			t.Errorf("IfMatch(%q, no document) has the status %d, want %d", test.header, got, test.absent)
		}
	}
	if err := kixxhttp.IfMatch(request("PUT", "If-Match", `"2"`), stored); !errors.Is(err, kixx.ErrConflict) || kixx.Code(err) != "CONFLICT_ERROR" {
		t.Errorf("IfMatch = %v, want it to match ErrConflict", err)
	}
}

func TestIfNoneMatch(t *testing.T) {
	stored := rev(t, `"3-0000abcd"`)
	for _, test := range []struct {
		header    []string
		get, put  int
		absentPut int
	}{
		{nil, 0, 0, 0},
		{[]string{`"3-0000abcd"`}, 304, 412, 0},
		{[]string{`W/"3-0000abcd"`}, 304, 412, 0},
		{[]string{`"1"`, `"x", W/"3-0000abcd"`}, 304, 412, 0},
		{[]string{`*`}, 304, 412, 0},
		{[]string{`"3-0000abce"`}, 0, 0, 0},
		{[]string{`"3"`}, 0, 0, 0}, // not the tag of what is stored: another document may have had that number
		{[]string{`3`}, 400, 400, 400},
		{[]string{``}, 400, 400, 400},
	} {
		for method, want := range map[string]int{"GET": test.get, "HEAD": test.get, "PUT": test.put, "DELETE": test.put} {
			if got := status(t, kixxhttp.IfNoneMatch(request(method, "If-None-Match", test.header...), stored)); got != want {
				t.Errorf("%s: IfNoneMatch(%q, %s) has the status %d, want %d", method, test.header, stored.ETag(), got, want)
			}
		}
		if got := status(t, kixxhttp.IfNoneMatch(request("PUT", "If-None-Match", test.header...), kixx.Rev{})); got != test.absentPut {
			t.Errorf("IfNoneMatch(%q, no document) has the status %d, want %d", test.header, got, test.absentPut)
		}
	}
	if err := kixxhttp.IfNoneMatch(request("PUT", "If-None-Match", "*"), stored); !errors.Is(err, kixx.ErrExists) {
		t.Errorf("IfNoneMatch(*) = %v, want it to match ErrExists", err)
	}
}

func TestNotModifiedHasTheETagAndNoBody(t *testing.T) {
	r := request("GET", "If-None-Match", `"3-0000abcd"`)
	w := httptest.NewRecorder()
	kixxhttp.WriteError(w, r, kixxhttp.IfNoneMatch(r, rev(t, `"3-0000abcd"`)))
	if w.Code != 304 || w.Header().Get("ETag") != `"3-0000abcd"` || w.Body.Len() != 0 || w.Header().Get("Content-Type") != "" {
		t.Errorf("the answer is %d, %v, %q, want 304 with the ETag alone", w.Code, w.Header(), w.Body)
	}
}

func TestSetETag(t *testing.T) {
	w := httptest.NewRecorder()
	kixxhttp.SetETag(w, kixx.Rev{})
	if _, set := w.Header()["Etag"]; set {
		t.Error("the zero Rev sets the header")
	}
	kixxhttp.SetETag(w, rev(t, `"3-0000abcd"`))
	if got := w.Header().Get("ETag"); got != `"3-0000abcd"` {
		t.Errorf("the header is %s", got)
	}
}

// What comes back from a client as If-Match is what a repository takes for the stored revision, and only that.
func TestETagsGoToAClientAndBack(t *testing.T) {
	_, items, a := withItem(t)
	ctx := t.Context()
	change := func(tag string) int {
		_, err := items.Update(ctx, "a", func(it *kinds.Item) error {
			it.Price++
			return kixxhttp.IfMatch(request("PUT", "If-Match", tag), it.Rev)
		})
		return status(t, err)
	}
	w := httptest.NewRecorder()
	kixxhttp.SetETag(w, a.Rev)
	tag := w.Header().Get("ETag")
	if got := change(tag); got != 0 {
		t.Fatalf("the first change has the status %d", got)
	}
	if got := change(tag); got != 412 {
		t.Errorf("a change with the old tag has the status %d, want 412", got)
	}
	if err := items.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	must[*kinds.Item](t)(items.Insert(ctx, item("a")))
	if got := change(tag); got != 412 {
		t.Errorf("a change with the tag of a document that was deleted has the status %d, want 412", got)
	}
	if it := must[*kinds.Item](t)(items.Get(ctx, "a")); it.Price != 10 {
		t.Errorf("the price is %v: a change that was refused was made", it.Price)
	}
}

// listTwin is what RFC 9110 says of a list of entity tags, as a regular expression.
var (
	listTwin = regexp.MustCompile(`^[ \t,]*(?:(?:W/)?"[!#-~\x80-\xff]*"(?:[ \t]*,[ \t,]*|[ \t]*$))+$`)
	tagTwin  = regexp.MustCompile(`(W/)?"([!#-~\x80-\xff]*)"`)
)

// latin1 makes each byte a character, so that the expressions see bytes.
func latin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

func FuzzTags(f *testing.F) {
	for _, s := range []string{"", "*", `"3-0000abcd"`, `W/"3"`, `"a", "b"`, `,"a",,W/"" ,`, `"a" "b"`, `"`, `*, "a"`, "\"\xff\"", " * "} {
		f.Add(s)
	}
	stored := rev(f, `"3-0000abcd"`)
	f.Fuzz(func(t *testing.T, header string) {
		any := strings.Trim(header, " \t") == "*"
		valid := any || listTwin.MatchString(latin1(header))
		strong, weak := any, any
		for _, m := range tagTwin.FindAllStringSubmatch(latin1(header), -1) {
			if have, err := kixx.ParseETag(`"` + m[2] + `"`); err == nil && m[1] == "" && have.Matches(stored) {
				strong = true
			}
			weak = weak || m[2] == "3-0000abcd"
		}
		want := func(matches bool, yes, no int) int {
			switch {
			case !valid:
				return 400
			case matches:
				return yes
			}
			return no
		}
		if got, want := status(t, kixxhttp.IfMatch(request("PUT", "If-Match", header), stored)), want(strong, 0, 412); got != want {
			t.Errorf("IfMatch(%q) has the status %d, want %d", header, got, want)
		}
		if got, want := status(t, kixxhttp.IfNoneMatch(request("GET", "If-None-Match", header), stored)), want(weak, 304, 0); got != want {
			t.Errorf("IfNoneMatch(%q) has the status %d, want %d", header, got, want)
		}
	})
}
