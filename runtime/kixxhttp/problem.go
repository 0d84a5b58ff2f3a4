package kixxhttp

import (
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// An Error is an answer to a request that is at fault. The functions of this package return it, and an application may
// return its own from wherever it finds that a request will not do: [WriteError] answers as it says.
//
//	return &kixxhttp.Error{Status: http.StatusForbidden, Code: "NOT_YOURS", Detail: "the order is somebody else's"}
type Error struct {
	Status int
	Code   string // stable, for programs; "" is that of Err
	Detail string // for people, and sent to the client as it is; may be ""
	Err    error  // the cause; it is not sent

	etag string // of 304
}

func (e *Error) Error() string {
	s := fmt.Sprintf("kixxhttp: %d %s", e.Status, http.StatusText(e.Status))
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

func badRequest(cause error, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "BAD_REQUEST", Detail: fmt.Sprintf(format, args...), Err: cause}
}

// A Problem is the body that [WriteError] answers with, a problem document of RFC 9457.
type Problem struct {
	Type     string  `json:"type"`  // "about:blank": Status says it all
	Title    string  `json:"title"` // of the status, "Not Found"
	Status   int     `json:"status"`
	Detail   string  `json:"detail,omitempty"`
	Instance string  `json:"instance,omitempty"` // the path of the request
	Code     string  `json:"code"`               // of [kixx.Code], or of an [Error]
	Entity   string  `json:"entity,omitempty"`
	Key      string  `json:"key,omitempty"`    // of the document, if it stands in the path
	Fields   []Field `json:"fields,omitempty"` // of a document that was refused
}

// A Field is a field that was refused, and the rule that it broke.
type Field struct {
	Field string `json:"field"` // as in Go: "Price"; of a unique index its name
	Rule  string `json:"rule"`  // "gte=0"; "unique"; "length" of an index entry; "merge" of what both sides changed
}

// statusGone is what nginx logs when the client did not wait for the answer.
const statusGone = 499

// An answer is what WriteError says to a code.
type answer struct {
	status int
	detail string
}

// answers has the codes that a client can do something about. Of all others it learns that something went wrong, and the
// log learns what.
var answers = map[string]answer{
	"NOT_FOUND":        {http.StatusNotFound, "there is no such document"},
	"ALREADY_EXISTS":   {http.StatusConflict, "there is a document with this key already"},
	"CONFLICT_ERROR":   {http.StatusConflict, "the document was changed since it was read; read it again"},
	"NOT_UNIQUE":       {http.StatusConflict, "another document has this value"},
	"INVALID_DOCUMENT": {http.StatusUnprocessableEntity, "the document breaks a rule"},
	"BAD_CURSOR":       {http.StatusBadRequest, "the cursor is not one of this list; begin with the first page"},
	"BAD_KEY":          {http.StatusBadRequest, "the key cannot be used"},
	"TOO_LARGE":        {http.StatusRequestEntityTooLarge, "a key, a value or the whole change is too large"},
	"DISK_FULL":        {http.StatusInsufficientStorage, "there is no space left; nothing was changed"},
	"CLOSED":           {http.StatusServiceUnavailable, "the server is about to stop; try again later"},
	"UNAVAILABLE":      {http.StatusServiceUnavailable, "the database cannot be reached; nothing was changed; try again later"},
	"INDEX_NOT_READY":  {http.StatusServiceUnavailable, "an index is being built; try again later"},
	"SNAPSHOT_TOO_OLD": {http.StatusServiceUnavailable, "reading took too long; try again later"},
	"UNKNOWN_OUTCOME":  {http.StatusInternalServerError, "it is not known whether the change was made; read the document to see"},
}

// WriteError answers with what err means for a client, and a body of the type application/problem+json ([Problem]):
//
//	400  ErrBadCursor, ErrBadKey            412  ErrConflict, if the request has If-Match; ErrExists, if it has If-None-Match: *
//	404  ErrNotFound                        413  ErrTooLarge
//	409  ErrExists, ErrConflict, ErrUnique  422  ErrInvalid, with each field and its rule
//	410  ErrNotFound of what is marked as deleted
//	499  context.Canceled: the client has gone, and gets no body
//	503  ErrClosed, ErrUnavailable, ErrBuilding, ErrSnapshotTooOld, a BusyError; with Retry-After
//	504  context.DeadlineExceeded
//	507  ErrFull
//	500  everything else
//
// An [Error] is answered as it says. What the client gets never holds a value of a document, nor the text of an error: the
// sentences are this package's own, or those of an Error. The key of a document is sent if it stands in the path of the
// request, so that the client knows it; the key of a document that holds a unique value is not. The names of entities,
// fields and rules are sent. What the client is to blame the server for, 500 and above, goes into [slog.Default] with
// the whole error.
//
// WriteError takes back headers that are about another answer, as [http.Error] does.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	p, own := problemOf(r, err)
	if p.Status >= 500 {
		slog.ErrorContext(r.Context(), "kixxhttp: a request failed", "method", r.Method, "path", r.URL.Path, "status", p.Status, "code", p.Code, "err", err)
	}
	h := w.Header()
	for _, name := range []string{"Cache-Control", "Content-Encoding", "Content-Length", "Content-Type", "Etag", "Last-Modified", "Link"} {
		h.Del(name)
	}
	if own != nil && own.etag != "" {
		h.Set("ETag", own.etag)
	}
	if p.Status == http.StatusNotModified || p.Status == statusGone {
		w.WriteHeader(p.Status)
		return
	}
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers can always be encoded
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	w.Write(append(body, '\n'))
}

// problemOf returns what err means, and the [Error] in it if there is one.
func problemOf(r *http.Request, err error) (p *Problem, own *Error) {
	p = &Problem{Type: "about:blank", Instance: r.URL.EscapedPath(), Code: kixx.Code(err)}
	if errors.As(err, &own) {
		p.Status, p.Detail = own.Status, own.Detail
		if own.Code != "" {
			p.Code = own.Code
		}
	} else {
		a := answerTo(r, err, p.Code)
		p.Status, p.Detail = a.status, a.detail
	}
	if p.Status < 100 || p.Status > 999 { // of an application's Error; WriteHeader would panic
		p.Status = http.StatusInternalServerError
	}
	p.Title = http.StatusText(p.Status)
	if p.Status < 500 {
		p.addFacts(r, err)
	}
	return p, own
}

// answerTo returns the answer to an error with a code.
func answerTo(r *http.Request, err error, code string) answer {
	a, known := answers[code]
	var key *kixx.KeyError
	var busy *kixx.BusyError
	switch {
	case errors.Is(err, context.Canceled):
		return answer{status: statusGone}
	case errors.Is(err, context.DeadlineExceeded):
		if code != "UNKNOWN_OUTCOME" {
			a.detail = "it took too long; try again later"
		}
		return answer{http.StatusGatewayTimeout, a.detail}
	case !known:
		return answer{http.StatusInternalServerError, "something went wrong; the log of the server says what"}
	case errors.As(err, &busy): // no revision of the client's was wrong
		return answer{http.StatusServiceUnavailable, "others changed the document at the same time; try again later"}
	case errors.Is(err, kixx.ErrNotFound) && errors.As(err, &key) && key.Deleted:
		return answer{http.StatusGone, "the document was deleted"}
	case code == "CONFLICT_ERROR" && len(r.Header.Values("If-Match")) > 0, code == "ALREADY_EXISTS" && wantsNew(r):
		a.status = http.StatusPreconditionFailed
	}
	return a
}

// addFacts adds what err says about a document, and a client may know.
func (p *Problem) addFacts(r *http.Request, err error) {
	var (
		key      *kixx.KeyError
		conflict *kixx.ConflictError
		unique   *kixx.UniqueError
		invalid  *kixx.InvalidError
		length   *kixx.KeyLengthError
		merge    *kixx.MergeError
	)
	switch {
	case errors.As(err, &key):
		p.about(r, key.Entity, key.Key)
	case errors.As(err, &conflict):
		p.about(r, conflict.Entity, conflict.Key)
	case errors.As(err, &unique):
		p.about(r, unique.Entity, unique.Key)
		p.Fields = []Field{{unique.Index, "unique"}}
	case errors.As(err, &invalid):
		p.about(r, invalid.Entity, invalid.Key)
		for _, f := range invalid.Fields {
			p.Fields = append(p.Fields, Field(f))
		}
	case errors.As(err, &length):
		p.about(r, length.Entity, length.Key)
		if length.Index != "" {
			p.Fields = []Field{{length.Index, "length"}}
		}
	case errors.As(err, &merge):
		p.about(r, merge.Entity, merge.Key)
		for _, field := range merge.Fields {
			field, _, _ = strings.Cut(field, "[") // of Stock["Paris"] Paris is a value
			if f := (Field{field, "merge"}); !slices.Contains(p.Fields, f) {
				p.Fields = append(p.Fields, f)
			}
		}
	}
}

// about sets the entity, and the key if it is a part of the path: a handler may have looked at another document than the
// one that it was asked for, and found its key in a document.
func (p *Problem) about(r *http.Request, entity string, key any) {
	p.Entity = entity
	text := keyText(key)
	for part := range strings.SplitSeq(r.URL.EscapedPath(), "/") {
		if part, err := url.PathUnescape(part); err == nil && part == text && text != "" {
			p.Key = text
		}
	}
}

// keyText returns a key as it stands in a path; "" if it has no such form, as a key of several fields.
func keyText(key any) string {
	if m, ok := key.(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			return ""
		}
		return string(text)
	}
	switch v := reflect.ValueOf(key); {
	case v.Kind() == reflect.String:
		return v.String()
	case v.CanInt():
		return fmt.Sprint(v.Int())
	case v.CanUint():
		return fmt.Sprint(v.Uint())
	}
	return ""
}
