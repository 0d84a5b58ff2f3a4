package app

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/kixxhttp"
)

//go:embed page.html
var page []byte

const maxBody = 1 << 16

// Handler returns the shop's HTTP API and its page.
func (s *Shop) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'")
		w.Write(page)
	})
	mux.HandleFunc("GET /items", s.listItems)
	mux.HandleFunc("GET /items/{id}", s.getItem)
	mux.HandleFunc("PUT /items/{id}", s.putItem)
	mux.HandleFunc("GET /orders", s.listOrders)
	mux.HandleFunc("POST /orders", s.postOrder)
	mux.HandleFunc("GET /changes", s.changes)
	return mux
}

// listItems answers with a page of a category in the order of prices, or of all items in the order of their keys.
func (s *Shop) listItems(w http.ResponseWriter, r *http.Request) {
	q := s.Items.Query()
	if category := r.FormValue("category"); category != "" {
		q = s.Items.RangeByCategoryPrice(category).Everything()
	}
	answerPage(w, r, q)
}

// listOrders answers with a page of a customer's orders, the latest first.
func (s *Shop) listOrders(w http.ResponseWriter, r *http.Request) {
	answerPage(w, r, s.Orders.RangeByCustomerAt(r.FormValue("customer")).Everything())
}

func answerPage[E any, K comparable](w http.ResponseWriter, r *http.Request, q kixx.Query[E, K]) {
	limit, after, err := kixxhttp.PageParams(r, 100)
	var page kixx.Page[E]
	if err == nil {
		page, err = q.Limit(limit).After(after).Page(r.Context())
	}
	if err != nil {
		kixxhttp.WriteError(w, r, err)
		return
	}
	kixxhttp.WritePage(w, r, page)
}

func (s *Shop) getItem(w http.ResponseWriter, r *http.Request) {
	it, err := s.Items.Get(r.Context(), r.PathValue("id"))
	if err == nil {
		err = kixxhttp.IfNoneMatch(r, it.Rev)
	}
	if err != nil {
		kixxhttp.WriteError(w, r, err)
		return
	}
	kixxhttp.SetETag(w, it.Rev)
	kixxhttp.WriteJSON(w, r, http.StatusOK, it)
}

// putItem changes an item that the client has seen, or makes one with If-None-Match: *.
func (s *Shop) putItem(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Title, SKU, Category string
		Price                int64
		Stock                int
	}
	err := kixxhttp.ReadJSON(w, r, &body, maxBody)
	var it *Item
	if err == nil {
		it, err = s.Items.Upsert(r.Context(), r.PathValue("id"), func(it *Item) error {
			it.Title, it.SKU, it.Category, it.Price, it.Stock = body.Title, body.SKU, body.Category, body.Price, body.Stock
			if r.Header.Get("If-None-Match") != "" {
				return kixxhttp.IfNoneMatch(r, it.Rev)
			}
			return kixxhttp.IfMatch(r, it.Rev)
		})
	}
	if err != nil {
		kixxhttp.WriteError(w, r, err)
		return
	}
	kixxhttp.SetETag(w, it.Rev)
	kixxhttp.WriteJSON(w, r, http.StatusOK, it)
}

func (s *Shop) postOrder(w http.ResponseWriter, r *http.Request) {
	var order Order
	err := kixxhttp.ReadJSON(w, r, &order, maxBody)
	var placed *Order
	if err == nil {
		order.ID, order.Rev = "", kixx.Rev{}
		placed, err = s.Place(r.Context(), &order)
	}
	var sold *SoldOutError
	switch {
	case errors.As(err, &sold):
		err = &kixxhttp.Error{Status: http.StatusConflict, Code: "SOLD_OUT", Detail: sold.Error(), Err: err}
	case errors.Is(err, kixx.ErrNotFound):
		err = &kixxhttp.Error{Status: http.StatusUnprocessableEntity, Code: "NO_SUCH_ITEM", Detail: "one of the items does not exist", Err: err}
	}
	if err != nil {
		kixxhttp.WriteError(w, r, err)
		return
	}
	kixxhttp.SetETag(w, placed.Rev)
	kixxhttp.WriteJSON(w, r, http.StatusCreated, placed)
}

// changes streams items as server-sent events: all of them first, or, for a client that comes back with Last-Event-ID, what
// it has missed; then every change. The id of an event is the token to go on from.
func (s *Shop) changes(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.open, cancel)() // or the server would wait for ever when it shuts down
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	token := kixx.Token(r.Header.Get("Last-Event-ID"))
	for {
		if token == "" {
			var err error
			if token, err = s.sendAll(ctx, w); err != nil {
				return // the client comes back
			}
		}
		resync := false
		for c, err := range s.Items.Watch(ctx, token) {
			if err != nil {
				return
			}
			if resync = c.Resync; resync {
				break
			}
			name, data := "item", any(c.Doc)
			if c.Doc == nil {
				name, data = "gone", c.Key
			}
			if send(w, name, c.Token, data) != nil {
				return
			}
		}
		if !resync {
			return
		}
		token = ""
	}
}

// sendAll sends an event reset and then all items, of one snapshot. It returns where the changes after it begin.
func (s *Shop) sendAll(ctx context.Context, w http.ResponseWriter) (token kixx.Token, err error) {
	err = s.DB.Snapshot(ctx, func(ctx context.Context, snap *kixx.Snapshot) error {
		token = snap.Token()
		// An id of its own comes with the last event only: a client that is cut off in the middle begins anew.
		if err := send(w, "reset", "", nil); err != nil {
			return err
		}
		for it, err := range s.Items.With(snap).All(ctx) {
			if err == nil {
				err = send(w, "item", "", it)
			}
			if err != nil {
				return err
			}
		}
		return send(w, "whole", token, nil)
	})
	return token, err
}

// send sends one event and flushes it.
func send(w http.ResponseWriter, name string, id kixx.Token, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if id != "" {
		if _, err := fmt.Fprintf(w, "id: %s\n", id); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, text); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}
