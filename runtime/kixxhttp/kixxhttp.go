// Package kixxhttp is what an HTTP handler over a repository needs: revisions as entity tags, errors as problem documents,
// pages with links, and JSON that is read strictly. It is no framework and makes no routes.
//
//	func (s *shop) reprice(w http.ResponseWriter, r *http.Request) {
//		var body struct{ Price float64 }
//		err := kixxhttp.ReadJSON(w, r, &body, 1<<16)
//		var it *inventory.Item
//		if err == nil {
//			it, err = s.items.Update(r.Context(), r.PathValue("id"), func(it *inventory.Item) error {
//				it.Price = body.Price
//				return kixxhttp.IfMatch(r, it.Rev) // 428 without the header, 412 if it is not the stored revision
//			})
//		}
//		if err != nil {
//			kixxhttp.WriteError(w, r, err) // 404, 412, 422, … with a body of application/problem+json
//			return
//		}
//		kixxhttp.SetETag(w, it.Rev)
//		kixxhttp.WriteJSON(w, r, http.StatusOK, it)
//	}
//
// Everything that can go wrong is an error that the handler hands to [WriteError], which finds the status: for errors of
// package kixx by [kixx.Code], for those of this package and an application's own by [Error].
package kixxhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// WriteJSON answers with v as JSON. If v cannot be encoded, the answer is that of [WriteError] instead, and nothing of v is
// sent.
func WriteJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(v); err != nil {
		WriteError(w, r, fmt.Errorf("kixxhttp: encode the answer: %w", err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(body.Bytes()) // whether the client still listens does not matter
}

// ReadJSON reads the body of r, which must be one JSON value other than null, into v, as [encoding/json] does. It refuses a
// body of more than max bytes, with an [*Error] of the status 413, and with one of 400 what is not JSON, a field that v does
// not have, a value of the wrong type, and anything behind the value; the error says at which byte. What v holds after an
// error is not defined.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any, max int64) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, max))
	if err != nil {
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			return &Error{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("the body has more than %d bytes", large.Limit), Err: kixx.ErrTooLarge}
		case r.Context().Err() != nil:
			return r.Context().Err()
		}
		return badRequest(err, "the body could not be read to its end")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err = d.Decode(v)
	at := d.InputOffset()
	if err == nil {
		if rest := bytes.TrimLeft(body[at:], " \t\r\n"); len(rest) > 0 {
			return badRequest(nil, "the body goes on behind its value, at byte %d", len(body)-len(rest))
		}
		if string(bytes.TrimSpace(body)) == "null" {
			return badRequest(nil, "the body is null")
		}
		return nil
	}
	return badJSON(err, at)
}

// badJSON says for a client what is wrong with its JSON. at is how far it was read.
func badJSON(err error, at int64) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var misuse *json.InvalidUnmarshalError
	switch {
	case errors.As(err, &misuse):
		return err // of the handler, not of the client
	case errors.Is(err, io.EOF):
		return badRequest(err, "the body is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return badRequest(err, "the body ends within its value")
	case errors.As(err, &syntax):
		return badRequest(err, "the body is not JSON, at byte %d", syntax.Offset-1)
	case errors.As(err, &kind):
		what, _, _ := strings.Cut(kind.Value, " ") // "number 12.5"
		if kind.Field == "" {
			return badRequest(err, "the body has the wrong type: %s", what)
		}
		return badRequest(err, "%s has the wrong type, before byte %d: %s", kind.Field, kind.Offset, what)
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return badRequest(err, "there is no field %s, before byte %d", field, at)
	}
	return badRequest(err, "a value cannot be read, before byte %d", at) // by a type's own method, whose text may be for us
}
