package kixxhttp

import (
	"net/http"
	"strings"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// SetETag sets the header ETag to the revision of a document ([kixx.Rev.ETag]). The zero Rev has none.
func SetETag(w http.ResponseWriter, rev kixx.Rev) {
	if tag := rev.ETag(); tag != "" {
		w.Header().Set("ETag", tag)
	}
}

// IfMatch holds the header If-Match of r against the stored revision of the document that r wants to change. It returns nil
// if the header has its tag, or is * and the document is stored. Call it where nobody can come between: in the function
// that Update or Upsert gets, or before DeleteIf with the same revision.
//
//	items.Update(ctx, id, func(it *Item) error { …; return kixxhttp.IfMatch(r, it.Rev) })
//
// Without the header the error is an [*Error] of the status 428, so that a client that forgets it overwrites nothing; where
// that is allowed, look whether there is one first. With another tag it is one of 412 that matches [kixx.ErrConflict]; with
// something that is no list of tags, of 400. As RFC 9110 has it, a weak tag (W/"…") never matches, and tags that are not
// those of a revision are as good as any that do not. A tag that is a bare number, as in a document's JSON, is compared by
// number alone ([kixx.Rev.Matches]).
func IfMatch(r *http.Request, stored kixx.Rev) error {
	lines := r.Header.Values("If-Match")
	if len(lines) == 0 {
		return &Error{Status: http.StatusPreconditionRequired, Code: "PRECONDITION_REQUIRED", Detail: "send the ETag of the document that you have read in the header If-Match"}
	}
	tags, ok := parseTags(strings.Join(lines, ","))
	if !ok {
		return badRequest(nil, "the header If-Match is neither * nor a list of entity tags")
	}
	for _, tag := range tags {
		if stored.IsZero() || tag.weak {
			continue
		}
		if tag.any {
			return nil
		}
		if rev, err := kixx.ParseETag(`"` + tag.opaque + `"`); err == nil && rev.Matches(stored) {
			return nil
		}
	}
	return &Error{Status: http.StatusPreconditionFailed, Detail: "the document has another revision than If-Match says", Err: kixx.ErrConflict}
}

// IfNoneMatch holds the header If-None-Match of r against the stored revision of a document; the zero Rev says that there
// is none. It returns nil if there is no such header, or no tag of it is that of the document; * stands for every document
// that is stored, weak tags are compared as strong ones are.
//
// For GET and HEAD a match is an [*Error] of the status 304, which [WriteError] answers with the ETag and no body: the
// client has the document already. For other methods it is one of 412. A client that wants to create a document and
// overwrite none sends PUT with If-None-Match: *. The handler asks IfNoneMatch in the function that Upsert gets, or simply
// calls Insert: for such a request WriteError makes 412 of [kixx.ErrExists].
func IfNoneMatch(r *http.Request, stored kixx.Rev) error {
	lines := r.Header.Values("If-None-Match")
	if len(lines) == 0 {
		return nil
	}
	tags, ok := parseTags(strings.Join(lines, ","))
	if !ok {
		return badRequest(nil, "the header If-None-Match is neither * nor a list of entity tags")
	}
	have := stored.ETag()
	for _, tag := range tags {
		switch {
		case stored.IsZero() || !tag.any && `"`+tag.opaque+`"` != have:
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
			return &Error{Status: http.StatusNotModified, Code: "NOT_MODIFIED", etag: have}
		case tag.any:
			return &Error{Status: http.StatusPreconditionFailed, Detail: "there is a document already, and If-None-Match says that there must be none", Err: kixx.ErrExists}
		default:
			return &Error{Status: http.StatusPreconditionFailed, Detail: "the document has a revision that If-None-Match excludes", Err: kixx.ErrConflict}
		}
	}
	return nil
}

// wantsNew reports whether r says If-None-Match: *.
func wantsNew(r *http.Request) bool {
	tags, _ := parseTags(strings.Join(r.Header.Values("If-None-Match"), ","))
	return len(tags) == 1 && tags[0].any
}

// A tag is one entity tag of a header, without its quotes.
type tag struct {
	opaque string
	weak   bool
	any    bool // it is the * that stands for all
}

// parseTags reads the value of If-Match or If-None-Match as RFC 9110 (8.8.3, 5.6.1) defines it: *, or tags with commas
// between them, where elements may be empty. ok is false if it is something else, or there is no tag.
func parseTags(s string) (tags []tag, ok bool) {
	if strings.Trim(s, " \t") == "*" {
		return []tag{{any: true}}, true
	}
	for {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			return tags, len(tags) > 0
		}
		var t tag
		s, t.weak = strings.CutPrefix(s, "W/")
		if s, ok = strings.CutPrefix(s, `"`); !ok {
			return nil, false
		}
		if t.opaque, s, ok = strings.Cut(s, `"`); !ok || strings.ContainsFunc(t.opaque, notInTag) {
			return nil, false
		}
		tags = append(tags, t)
		if s = strings.TrimLeft(s, " \t"); s != "" && s[0] != ',' {
			return nil, false
		}
	}
}

// notInTag reports whether r cannot be in an entity tag: control characters and blanks. Bytes from 80 on can.
func notInTag(r rune) bool { return r <= ' ' || r == 0x7F }
