package kixxhttp

import (
	"net/http"
	"strconv"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// The parameters of a request for a page.
const (
	limitParam  = "limit"
	cursorParam = "cursor"
)

// defaultLimit is what a request asks for that names no limit.
const defaultLimit = 100

// PageParams returns the limit and the cursor that r asks for, in its parameters limit and cursor, for Limit and After of a
// query. A limit over max, which is at least 1, counts as max; without one it is 100, or max if that is less. A limit that
// is no number from 1 on is an [*Error] of the status 400. The cursor is checked by the query: [kixx.ErrBadCursor].
func PageParams(r *http.Request, max int) (limit int, after kixx.Cursor, err error) {
	q := r.URL.Query()
	after = kixx.Cursor(q.Get(cursorParam))
	if !q.Has(limitParam) {
		return min(defaultLimit, max), after, nil
	}
	// A number too large for an int is a limit over max all the same.
	n, err := strconv.ParseUint(q.Get(limitParam), 10, 64)
	if err != nil && n == 0 || n == 0 {
		return 0, "", badRequest(err, "the parameter limit is no number from 1 on")
	}
	return int(min(n, uint64(max))), after, nil
}

// WritePage answers with a page as JSON, {"items": […], "next": "…"}. If there is a next page, the header Link has it as
// well, with the relation next: the request's own query with another cursor, relative to its URL.
func WritePage[E any](w http.ResponseWriter, r *http.Request, page kixx.Page[E]) {
	if page.Next != "" {
		q := r.URL.Query()
		q.Set(cursorParam, string(page.Next))
		w.Header().Set("Link", "<?"+q.Encode()+`>; rel="next"`) // the path is left out: a proxy may have changed it
	}
	WriteJSON(w, r, http.StatusOK, page)
}
