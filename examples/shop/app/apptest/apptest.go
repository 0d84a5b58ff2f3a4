// Package apptest tests the shop on any store: what it does is the same on all of them.
package apptest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/kixxgen/kixxgen/examples/shop/app"
	kixx "github.com/kixxgen/kixxgen/runtime"
)

// Run tests the shop. open is called for each test, and returns a database that is empty.
func Run(t *testing.T, open func(t *testing.T) *kixx.DB) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, db *kixx.DB)
	}{
		{"ItemsByPage", testItemsByPage},
		{"RevisionsOfItems", testRevisionsOfItems},
		{"OrdersTakeStock", testOrdersTakeStock},
		{"NothingIsOversold", testNothingIsOversold},
		{"ChangesJoinWithoutAGap", testChangesJoinWithoutAGap},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// open opens a shop with its seed, behind a server.
func open(t *testing.T, db *kixx.DB) (*app.Shop, *httptest.Server) {
	t.Helper()
	shop, err := app.NewShop(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if err := shop.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(shop.Handler())
	t.Cleanup(func() {
		shop.Close()
		server.Client().CloseIdleConnections()
		server.Close()
	})
	return shop, server
}

// call makes a request and decodes the answer into out, if it is not nil.
func call(t *testing.T, server *httptest.Server, method, path, body string, headers map[string]string, wantStatus int, out any) http.Header {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != wantStatus {
		t.Fatalf("%s %s = %d %s, %v, want %d", method, path, res.StatusCode, text, err, wantStatus)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return res.Header
}

func testItemsByPage(t *testing.T, db *kixx.DB) {
	shop, server := open(t, db)
	for i := range 25 {
		if _, err := shop.Items.Insert(t.Context(), &app.Item{ID: fmt.Sprintf("cup-%02d", i), Title: "Cup", SKU: fmt.Sprint("cup", i), Category: "cup", Price: int64(i), Stock: 1}); err != nil {
			t.Fatal(err)
		}
	}
	var met []string
	for path := "/items?category=cup&limit=10"; ; {
		var page kixx.Page[*app.Item]
		header := call(t, server, "GET", path, "", nil, 200, &page)
		for _, it := range page.Items {
			met = append(met, it.ID)
		}
		// What others write does not move the pages: the first item leaves the category.
		if len(met) == 10 {
			if err := shop.Items.Delete(t.Context(), "cup-00"); err != nil {
				t.Fatal(err)
			}
		}
		if page.Next == "" {
			if header.Get("Link") != "" {
				t.Error("the last page has a link to a next one")
			}
			break
		}
		path = "/items?category=cup&limit=10&cursor=" + string(page.Next)
	}
	if len(met) != 25 || met[0] != "cup-00" || met[24] != "cup-24" {
		t.Errorf("the pages have %d items, %q", len(met), met)
	}
	call(t, server, "GET", "/items?cursor=forged", "", nil, 400, nil)
	call(t, server, "GET", "/items?limit=none", "", nil, 400, nil)
}

func testRevisionsOfItems(t *testing.T, db *kixx.DB) {
	_, server := open(t, db)
	tag := call(t, server, "GET", "/items/lamp", "", nil, 200, nil).Get("ETag")
	call(t, server, "GET", "/items/lamp", "", map[string]string{"If-None-Match": tag}, 304, nil)
	call(t, server, "GET", "/items/none", "", nil, 404, nil)

	body := `{"title":"Desk lamp","sku":"L-1","category":"light","price":1990,"stock":12}`
	call(t, server, "PUT", "/items/lamp", body, nil, 428, nil)
	var it app.Item
	next := call(t, server, "PUT", "/items/lamp", body, map[string]string{"If-Match": tag}, 200, &it).Get("ETag")
	if it.Price != 1990 || next == tag {
		t.Errorf("PUT = %+v, ETag %s after %s", it, next, tag)
	}
	call(t, server, "PUT", "/items/lamp", body, map[string]string{"If-Match": tag}, 412, nil)
	call(t, server, "PUT", "/items/lamp", strings.Replace(body, "L-1", "L-2", 1), map[string]string{"If-Match": next}, 409, nil)
	call(t, server, "PUT", "/items/lamp", strings.Replace(body, "1990", "-1", 1), map[string]string{"If-Match": next}, 422, nil)
	call(t, server, "PUT", "/items/new", strings.Replace(body, "L-1", "N-1", 1), map[string]string{"If-None-Match": "*"}, 200, nil)
	call(t, server, "PUT", "/items/new", strings.Replace(body, "L-1", "N-1", 1), map[string]string{"If-None-Match": "*"}, 412, nil)
	call(t, server, "PUT", "/items/new", `{"unknown":1}`, map[string]string{"If-None-Match": "*"}, 400, nil)
}

func testOrdersTakeStock(t *testing.T, db *kixx.DB) {
	shop, server := open(t, db)
	var order app.Order
	call(t, server, "POST", "/orders", `{"customer":"ann","lines":[{"item":"lamp","count":2},{"item":"bulb","count":3}]}`, nil, 201, &order)
	if order.Total != 2*2990+3*390 || order.ID == "" || order.PlacedAt.IsZero() || order.Lines[0].Price != 2990 {
		t.Errorf("the order = %+v", order)
	}
	if it, err := shop.Items.Get(t.Context(), "lamp"); err != nil || it.Stock != 10 {
		t.Errorf("the lamp has a stock of %d, %v, want 10", it.Stock, err)
	}
	// The second line cannot be had: the first one takes nothing.
	var problem struct{ Code string }
	call(t, server, "POST", "/orders", `{"customer":"ann","lines":[{"item":"lamp","count":2},{"item":"chair","count":31}]}`, nil, 409, &problem)
	if problem.Code != "SOLD_OUT" {
		t.Errorf("code %q, want SOLD_OUT", problem.Code)
	}
	call(t, server, "POST", "/orders", `{"customer":"ann","lines":[{"item":"none","count":2}]}`, nil, 422, nil)
	call(t, server, "POST", "/orders", `{"customer":"","lines":[{"item":"lamp","count":2}]}`, nil, 422, nil)
	call(t, server, "POST", "/orders", `{"customer":"ann","lines":[{"item":"lamp","count":0}]}`, nil, 422, nil)
	if it, err := shop.Items.Get(t.Context(), "lamp"); err != nil || it.Stock != 10 {
		t.Errorf("the lamp has a stock of %d, %v after orders that were refused, want 10", it.Stock, err)
	}
	call(t, server, "POST", "/orders", `{"customer":"ann","lines":[{"item":"bulb","count":1}]}`, nil, 201, nil)
	var page kixx.Page[*app.Order]
	call(t, server, "GET", "/orders?customer=ann", "", nil, 200, &page)
	if len(page.Items) != 2 || page.Items[0].Total != 390 {
		t.Errorf("the orders of ann = %+v, want two, the latest first", page.Items)
	}
}

// However many order at once, what is there is sold, and no more.
func testNothingIsOversold(t *testing.T, db *kixx.DB) {
	shop, server := open(t, db)
	if _, err := shop.Items.Insert(t.Context(), &app.Item{ID: "ticket", Title: "Ticket", SKU: "T", Category: "t", Price: 1, Stock: 50}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	status := map[int]int{}
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			res, err := server.Client().Post(server.URL+"/orders", "application/json", strings.NewReader(fmt.Sprintf(`{"customer":"c%d","lines":[{"item":"ticket","count":1}]}`, i)))
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			mu.Lock()
			status[res.StatusCode]++
			mu.Unlock()
		})
	}
	wg.Wait()
	it, err := shop.Items.Get(t.Context(), "ticket")
	if err != nil || status[201] != 50 || status[409] != 14 || it.Stock != 0 {
		t.Errorf("answers %v, %d left, %v; want 50 orders and 14 refusals", status, it.Stock, err)
	}
}

// An event is what the server sends.
type event struct{ id, name, data string }

// events reads the stream of changes from a token on until f returns false.
func events(t *testing.T, server *httptest.Server, token string, f func(event) bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/changes", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Last-Event-ID", token)
	}
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var e event
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "":
			if !f(e) {
				return
			}
			e = event{}
		}
	}
	t.Error("the stream has ended")
}

// What a client makes of the stream is what is stored, also when it is cut off and comes back.
func testChangesJoinWithoutAGap(t *testing.T, db *kixx.DB) {
	shop, server := open(t, db)
	ctx := t.Context()
	const writes = 300
	done := make(chan error, 1)
	write := sync.OnceFunc(func() {
		go func() {
			for i := range writes {
				if _, err := shop.Items.Update(ctx, "bulb", func(it *app.Item) error { it.Price = int64(i); return nil }); err != nil {
					done <- err
					return
				}
			}
			_, err := shop.Items.Insert(ctx, &app.Item{ID: "last", Title: "Last", SKU: "last", Category: "c"})
			done <- errors.Join(err, shop.Items.Delete(ctx, "chair"))
		}()
	})
	have := map[string]app.Item{}
	token, streams, end := "", 0, false
	for !end {
		streams++
		n := 0
		events(t, server, token, func(e event) bool {
			if e.id != "" {
				token = e.id
			}
			switch e.name {
			case "reset":
				clear(have)
			case "whole":
				write()
			case "item":
				var it app.Item
				if err := json.Unmarshal([]byte(e.data), &it); err != nil {
					t.Error(err)
				}
				if old, ok := have[it.ID]; ok && it.Rev.Matches(old.Rev) && streams == 1 {
					t.Logf("%s told twice", it.ID) // permitted
				}
				have[it.ID] = it
			case "gone":
				var id string
				json.Unmarshal([]byte(e.data), &id)
				delete(have, id)
				end = id == "chair"
			}
			n++
			return !end && n < 40 // then cut it off
		})
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(have) != 3 || have["bulb"].Price != writes-1 || have["last"].Title != "Last" {
		t.Errorf("after %d streams the client has %v", streams, have)
	}
	if streams < 3 {
		t.Errorf("%d streams, want several", streams)
	}

	// A token that means nothing here begins with everything.
	first := ""
	events(t, server, "of another shop", func(e event) bool { first = e.name; return false })
	if first != "reset" {
		t.Errorf("a foreign token begins with %q, want reset", first)
	}
}
