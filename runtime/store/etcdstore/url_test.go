package etcdstore_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/etcdstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// secret is a password that must not be shown. No part of it is a word.
const secret = "qzx9vkw7"

func TestURL(t *testing.T) {
	file := filepath.Join(t.TempDir(), "no certificate")
	if err := os.WriteFile(file, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		url  string
		fail string // part of the error; "": it is taken
		want etcdstore.Config
	}{
		{url: "etcd://localhost", want: etcdstore.Config{Hosts: []string{"localhost:2379"}, Keys: "/kixx/:", Timeout: "3s"}},
		{url: "etcd://a:1,b,[::1]:3,[fe80::2]/", want: etcdstore.Config{Hosts: []string{"a:1", "b:2379", "[::1]:3", "[fe80::2]:2379"}, Keys: "/kixx/:", Timeout: "3s"}},
		{url: "etcd://a/shop", want: etcdstore.Config{Hosts: []string{"a:2379"}, Keys: "/shop/:", Timeout: "3s"}},
		{url: "etcd://a/shop/eu-1/?timeout=250ms", want: etcdstore.Config{Hosts: []string{"a:2379"}, Keys: "/shop/eu-1/:", Timeout: "250ms"}},
		{url: "etcds://app:" + secret + "@a,b/shop", want: etcdstore.Config{Hosts: []string{"a:2379", "b:2379"}, User: "app", Password: secret, TLS: true, Keys: "/shop/:", Timeout: "3s"}},
		{url: "etcds://a%40b:" + secret + "%2F%3A%40%3F%23@a", want: etcdstore.Config{Hosts: []string{"a:2379"}, User: "a@b", Password: secret + "/:@?#", TLS: true, Keys: "/kixx/:", Timeout: "3s"}},
		{url: "etcds://u:" + secret + ":x@a", want: etcdstore.Config{Hosts: []string{"a:2379"}, User: "u", Password: secret + ":x", TLS: true, Keys: "/kixx/:", Timeout: "3s"}},
		{url: "etcd://u:" + secret + "@localhost:1,127.0.0.1,[::1]", want: etcdstore.Config{Hosts: []string{"localhost:1", "127.0.0.1:2379", "[::1]:2379"}, User: "u", Password: secret, Keys: "/kixx/:", Timeout: "3s"}},
		{url: "etcd://u:" + secret + "@a?tls=disable", want: etcdstore.Config{Hosts: []string{"a:2379"}, User: "u", Password: secret, Keys: "/kixx/:", Timeout: "3s"}},

		{url: "etcd:a", fail: "has no host part"},
		{url: "etcd:///shop", fail: "percent-encode"},
		{url: "etcd://a,,b", fail: "percent-encode"},
		{url: "etcd://a:port", fail: "percent-encode"},
		{url: "etcd://a:0", fail: "percent-encode"},
		{url: "etcd://::1", fail: "percent-encode"},
		{url: "etcds://u:" + secret + "/x@a", fail: "percent-encode"},
		{url: "etcds://u:" + secret + "?x@a", fail: "percent-encode"},
		{url: "etcds://u:" + secret + "#x@a", fail: "percent-encode"},
		{url: "etcds://u:" + secret + "%zz@a", fail: "percent-encode"},
		{url: "etcds://u:" + secret + "@x@a", fail: "percent-encode"},
		{url: "etcds://u:" + secret, fail: "percent-encode"},
		{url: "etcds://u@a", fail: "a user without a password"},
		{url: "etcds://:" + secret + "@a", fail: "a password without a user"},
		{url: "etcd://u:" + secret + "@192.0.2.1", fail: "would be sent to 192.0.2.1:2379 without TLS; write etcds, or tls=disable"},
		{url: "etcd://u:" + secret + "@localhost,db.example.org:1", fail: "would be sent to db.example.org:1 without TLS"},
		{url: "etcds://a?tls=disable", fail: "write etcd if no TLS is meant"},
		{url: "etcd://a?tls=sometimes", fail: "write etcds for TLS"},
		{url: "etcd://a?ca=/ca.pem", fail: "write etcds"},
		{url: "etcds://a?cert=/c.pem", fail: "cert and key go together"},
		{url: "etcds://a?ca=/there/is/none.pem", fail: "/there/is/none.pem"},
		{url: "etcds://a?ca=" + url.QueryEscape(file), fail: "there is no certificate in " + file},
		{url: "etcds://a?cert=/no/c.pem&key=/no/k.pem", fail: "the parameters cert and key: "},
		{url: "etcd://a?timeout=3", fail: "write it as 3s"},
		{url: "etcd://a?timeout=1ms", fail: "at least 10ms"},
		{url: "etcd://a?timeout=1s&timeout=2s", fail: "given 2 times"},
		{url: "etcd://a?time=1s", fail: `the parameter "time"; there are ca, cert, key, timeout, tls`},
		{url: "etcd://a?x=%zz", fail: "percent-encode"},
		{url: "etcd://a/shop//x", fail: "a part that is empty"},
		{url: "etcd://a/shop/../x", fail: "a part that is empty"},
		{url: "etcd://a/sh:op", fail: "something else than letters"},
		{url: "etcd://a/" + strings.Repeat("x", 300), fail: "at most 256"},
	} {
		got, err := etcdstore.ParseURL(c.url)
		if c.fail != "" {
			if err == nil || !strings.Contains(err.Error(), c.fail) || strings.Contains(err.Error(), secret[:4]) {
				t.Errorf("%s: error %v, want one with %q and without the password", c.url, err, c.fail)
			}
			continue
		}
		if err != nil || fmt.Sprint(*got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v, %v, want %+v", c.url, got, err, c.want)
		}
	}
}

// Stores at different paths have no key in common, whatever keys they have.
func TestPathsAreApart(t *testing.T) {
	var prefixes []string
	for _, path := range []string{"", "kixx/kixx", "a", "a/b", "a/b/c", "ab", "a-b"} {
		c, err := etcdstore.ParseURL("etcd://h/" + path)
		if err != nil {
			t.Fatal(err)
		}
		prefixes = append(prefixes, c.Keys)
	}
	slices.Sort(prefixes)
	for i, p := range prefixes[1:] {
		if strings.HasPrefix(p, prefixes[i]) {
			t.Errorf("the keys below %q are among those below %q", p, prefixes[i])
		}
	}
}

// No error shows a password, however wrong the URL around it is.
func FuzzURL(f *testing.F) {
	for _, s := range []string{"etcds://u:%s@a/p?timeout=1s", "etcd://u:%s@a", "etcd://%s", "etcds://u:x%s@a,b:c", "etcd://u:%%%s@a#", "etcd://a/?%s@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		before, after, _ := strings.Cut(s, "%s")
		if i := strings.LastIndexAny(before, ":"); i < 0 || !strings.Contains(after, "@") || strings.Contains(before, "?") || strings.Contains(before, "@") {
			return // there is no password where secret is
		}
		u := before + secret + after
		c, err := etcdstore.ParseURL(u)
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", u, err)
		}
		if err == nil && c.Password == "" && strings.Contains(fmt.Sprint(*c), secret) {
			t.Errorf("%q is taken, and the password is somewhere else: %+v", u, *c)
		}
	})
}

// Where there is no cluster, Open says so and shows no password.
func TestNobodyIsThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for _, user := range []string{"", "u:" + secret + "@"} {
		u := "etcd://" + user + l.Addr().String() + "/x?timeout=50ms"
		s, err := store.Open(context.Background(), u, store.Options{})
		if err == nil || s != nil || strings.Contains(err.Error(), secret) {
			t.Errorf("Open = %v, %v; want an error without the password", s, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		s, err = store.Open(ctx, strings.Replace(u, "50ms", "1m", 1), store.Options{})
		cancel()
		if err == nil || s != nil || ctx.Err() == nil {
			t.Errorf("Open = %v, %v; want an error when its context ends", s, err)
		}
	}
}
