package app_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/kixxgen/kixxgen/examples/shop/app"
	"github.com/kixxgen/kixxgen/examples/shop/app/apptest"
	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/kixxtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestShop(t *testing.T) {
	apptest.Run(t, func(t *testing.T) *kixx.DB { return kixxtest.Open(t) })
}

// open opens a shop with its seed, behind a server.
func open(t *testing.T) *httptest.Server {
	t.Helper()
	shop, err := app.NewShop(t.Context(), kixxtest.Open(t))
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
	return server
}

// The page shows what is on sale, in a browser.
func TestPageInABrowser(t *testing.T) {
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	switch {
	case browser == "" && os.Getenv("KIXX_CI") != "":
		t.Fatal("no Chromium in the PATH; .ci/run installs it")
	case browser == "":
		t.Skip("no Chromium in the PATH")
	}
	server := open(t)
	// Virtual time stands still while a request is open, as the stream of changes is for ever without ?once.
	cmd := exec.CommandContext(t.Context(), browser, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(),
		"--virtual-time-budget=5000", "--dump-dom", server.URL+"/?once")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"live", "<td>Desk lamp</td><td>29.90</td><td>12</td>", "<td>Bulb, warm</td>"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the page has no %q:\n%s", want, out)
		}
	}
}

func TestPageIsServed(t *testing.T) {
	server := open(t)
	res, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	h := res.Header
	if res.StatusCode != 200 || !strings.HasPrefix(h.Get("Content-Type"), "text/html") || h.Get("Content-Security-Policy") == "" {
		t.Errorf("headers %v", h)
	}
}

func TestRunServesAndEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx, "file:"+t.TempDir()+"/db", "127.0.0.1:0") }()
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
