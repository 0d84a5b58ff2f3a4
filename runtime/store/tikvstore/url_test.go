package tikvstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pingcap/log"
	tikverr "github.com/tikv/client-go/v2/error"
	"go.uber.org/zap"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/tikvstore"
)

func TestURL(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ url, want string }{ // want is the hosts and the name, or a part of the error
		{"tikv://pd1:2379", "[pd1:2379] kixx"},
		{"tikv://pd1:2379/", "[pd1:2379] kixx"},
		{"tikv://pd1:2379,pd2:2379,10.0.0.3:1/shop-1", "[pd1:2379 pd2:2379 10.0.0.3:1] shop-1"},
		{"tikv://[::1]:2379/shop", "[[::1]:2379] shop"},
		{"tikv:pd1:2379", "has no hosts"},
		{"tikv:///shop", "has no hosts"},
		{"tikv://pd1/shop", "is no host with a port"},
		{"tikv://pd1:2379,:1/shop", "no host with a port"},
		{"tikv://u:secret@pd1:2379/shop", "has a user"},
		{"tikv://pd1:2379/shop/items", "store's name"},
		{"tikv://pd1:2379/a%20b", "store's name"},
		{"tikv://pd1:2379/shop?cca=x", `unknown parameter "cca"; known are ca, cert and key`},
		{"tikv://pd1:2379/shop?ca=a&ca=b", "given 2 times"},
		{"tikv://pd1:2379/shop?ca=", "names no file"},
		{"tikv://pd1:2379/shop?cert=a", "cert and key go together"},
		{"tikv://pd1:2379/shop?cert=a&key=b", "need ca"},
		{"tikv://pd1:2379/shop?ca=/nowhere/ca.pem", "/nowhere/ca.pem"},
		{"tikv://pd1:2379/shop?ca=" + file, "ca certs"},
		{"tikv://pd1:2379/%zz", "cannot be parsed"},
	} {
		hosts, name, err := tikvstore.ParseURL(c.url)
		if got := fmt.Sprint(hosts, " ", name); err == nil && got != c.want {
			t.Errorf("%s: %s, want %s", c.url, got, c.want)
		}
		if err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: error %v, want %s", c.url, err, c.want)
		}
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(bg)
	cancel()
	_, err := store.Open(ctx, "tikv://192.0.2.1:2379/shop", store.Options{}) // an address for documentation
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Open with an ended context = %v", err)
	}
}

func TestErrorsOfTheClient(t *testing.T) {
	for _, c := range []struct{ err, want error }{
		{tikverr.ErrTiKVServerTimeout, store.ErrUnavailable},
		{fmt.Errorf("try 7: %w", tikverr.ErrRegionUnavailable), store.ErrUnavailable},
		{tikverr.NewErrPDServerTimeout("late"), store.ErrUnavailable},
		{&tikverr.ErrTokenLimit{StoreID: 1}, store.ErrUnavailable},
		{tikverr.ErrTiKVDiskFull, store.ErrFull},
		{errors.New(`message:"full" disk_full:<store_id:1 >`), store.ErrFull},
		{&tikverr.ErrGCTooEarly{}, store.ErrSnapshotTooOld},
	} {
		if got := tikvstore.Explain(c.err); !errors.Is(got, c.want) || !errors.Is(got, c.err) {
			t.Errorf("Explain(%v) = %v; want %v, and the cause in it", c.err, got, c.want)
		}
	}
	if got := tikvstore.Explain(errors.New("odd")); errors.Is(got, store.ErrUnavailable) || got.Error() != "tikvstore: test: odd" {
		t.Errorf("Explain of an unknown error = %v", got)
	}
}

func TestTheClientLogsToSlog(t *testing.T) {
	newCluster(t).open(t)
	var out strings.Builder
	was := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	log.L().With(zap.Int("a", 1)).Warn("chatter")
	log.L().With(zap.Int("a", 1)).Error("something is wrong", zap.Error(errors.New("cause")))
	slog.SetDefault(was)
	if got := out.String(); strings.Contains(got, "chatter") || !strings.Contains(got, "something is wrong") || !strings.Contains(got, "a:1") || !strings.Contains(got, "cause") {
		t.Errorf("the client's logger wrote %q", got)
	}
}
