package kixxhttp_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/kixxgen/kixxgen/examples/inventory"
	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/kixxhttp"
)

// A shop is the handlers over the repository of items.
type shop struct{ items *inventory.ItemRepo }

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items", s.list)
	mux.HandleFunc("POST /items", s.create)
	mux.HandleFunc("GET /items/{id}", s.get)
	mux.HandleFunc("PUT /items/{id}/price", s.reprice)
	mux.HandleFunc("DELETE /items/{id}", s.delete)
	return mux
}

// answer sends an item, or what was wrong.
func answer(w http.ResponseWriter, r *http.Request, status int, it *inventory.Item, err error) {
	if err != nil {
		kixxhttp.WriteError(w, r, err)
		return
	}
	kixxhttp.SetETag(w, it.Rev)
	kixxhttp.WriteJSON(w, r, status, it)
}

func (s *shop) list(w http.ResponseWriter, r *http.Request) {
	limit, after, err := kixxhttp.PageParams(r, 100)
	var page kixx.Page[*inventory.Item]
	if err == nil {
		page, err = s.items.QueryByCategory(r.FormValue("category")).Limit(limit).After(after).Page(r.Context())
	}
	if err != nil {
		kixxhttp.WriteError(w, r, err)
		return
	}
	kixxhttp.WritePage(w, r, page)
}

func (s *shop) create(w http.ResponseWriter, r *http.Request) {
	it := new(inventory.Item)
	err := kixxhttp.ReadJSON(w, r, it, 1<<16)
	if err == nil {
		it, err = s.items.Insert(r.Context(), it)
	}
	answer(w, r, http.StatusCreated, it, err)
}

func (s *shop) get(w http.ResponseWriter, r *http.Request) {
	it, err := s.items.Get(r.Context(), r.PathValue("id"))
	if err == nil {
		err = kixxhttp.IfNoneMatch(r, it.Rev)
	}
	answer(w, r, http.StatusOK, it, err)
}

func (s *shop) reprice(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Price float64 `json:"price"`
	}
	var it *inventory.Item
	err := kixxhttp.ReadJSON(w, r, &body, 1<<16)
	if err == nil {
		it, err = s.items.Update(r.Context(), r.PathValue("id"), func(it *inventory.Item) error {
			it.Price = body.Price
			return kixxhttp.IfMatch(r, it.Rev)
		})
	}
	answer(w, r, http.StatusOK, it, err)
}

func (s *shop) delete(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	it, err := s.items.Get(r.Context(), id)
	if err == nil {
		err = kixxhttp.IfMatch(r, it.Rev)
	}
	if err == nil {
		err = s.items.DeleteIf(r.Context(), id, it.Rev) // still the one that If-Match meant
	}
	if err != nil {
		kixxhttp.WriteError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func Example() {
	ctx := context.Background()
	db, err := kixx.Open(ctx, "mem:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	items, err := inventory.NewItemRepo(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	shop := (&shop{items}).routes()

	// send sends a request with any number of headers, prints what comes back and returns its ETag.
	send := func(method, path, body string, headers ...string) string {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		shop.ServeHTTP(w, r)
		fmt.Println(method, path, w.Code)
		if w.Header().Get("Content-Type") == "application/problem+json" {
			fmt.Print("  ", w.Body)
		}
		return w.Header().Get("ETag")
	}
	tag := send("POST", "/items", `{"id": "lamp", "title": "Lamp", "sku": "L-1", "category": "light", "price": 29.99}`)
	send("POST", "/items", `{"id": "radio", "sku": "R-1", "category": "sound", "price": -1}`)
	send("GET", "/items/lamp", "")
	send("GET", "/items/lamp", "", "If-None-Match", tag)
	send("PUT", "/items/lamp/price", `{"price": 39.99}`)
	newer := send("PUT", "/items/lamp/price", `{"price": 39.99}`, "If-Match", tag)
	send("PUT", "/items/lamp/price", `{"price": 49.99}`, "If-Match", tag)
	send("DELETE", "/items/lamp", "", "If-Match", newer)
	send("GET", "/items/lamp", "")
	send("GET", "/items?category=light&cursor=xyz", "")
	// Output:
	// POST /items 201
	// POST /items 422
	//   {"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"the document breaks a rule","instance":"/items","code":"INVALID_DOCUMENT","entity":"item","fields":[{"field":"Title","rule":"required"},{"field":"Price","rule":"gte=0"}]}
	// GET /items/lamp 200
	// GET /items/lamp 304
	// PUT /items/lamp/price 428
	//   {"type":"about:blank","title":"Precondition Required","status":428,"detail":"send the ETag of the document that you have read in the header If-Match","instance":"/items/lamp/price","code":"PRECONDITION_REQUIRED"}
	// PUT /items/lamp/price 200
	// PUT /items/lamp/price 412
	//   {"type":"about:blank","title":"Precondition Failed","status":412,"detail":"the document has another revision than If-Match says","instance":"/items/lamp/price","code":"CONFLICT_ERROR"}
	// DELETE /items/lamp 204
	// GET /items/lamp 404
	//   {"type":"about:blank","title":"Not Found","status":404,"detail":"there is no such document","instance":"/items/lamp","code":"NOT_FOUND","entity":"item","key":"lamp"}
	// GET /items?category=light&cursor=xyz 400
	//   {"type":"about:blank","title":"Bad Request","status":400,"detail":"the cursor is not one of this list; begin with the first page","instance":"/items","code":"BAD_CURSOR"}
}
