package pgstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore"
)

// secret is a password that must not be shown. No part of it is a word.
const secret = "qzx9vkw7"

// nowhere is an address of a network that is for documentation, so that nothing is reached by mistake.
const nowhere = "192.0.2.1:5432"

func TestURL(t *testing.T) {
	for _, c := range []struct {
		url  string
		fail string // part of the error; "": it is taken
		tls  string // "never", "always"
		set  map[string]string
	}{
		{url: "postgres://u@localhost/db"},
		{url: "postgres://u:" + secret + "@localhost/db"}, // nobody else hears it
		{url: "postgres://u:" + secret + "@127.0.0.1:99/db?sslmode=prefer"},
		{url: "postgresql://u:" + secret + "@/db?host=/run/postgresql", tls: "never"},
		{url: "postgres://u:" + secret + "@" + nowhere + "/db", tls: "always"},
		{url: "postgres://u:" + secret + "@" + nowhere + "/db?sslmode=prefer", tls: "always"},
		{url: "postgres://u:" + secret + "@" + nowhere + "/db?sslmode=allow", tls: "always"},
		{url: "postgres://u:" + secret + "@" + nowhere + "/db?sslmode=require", tls: "always"},
		{url: "postgres://u:" + secret + "@" + nowhere + "/db?sslmode=disable", tls: "never"},
		{url: "postgres://u@" + nowhere + "/db?sslmode=disable&password=" + secret, tls: "never"},
		{url: "postgres://u@" + nowhere + "/db?password=" + secret, tls: "always"},
		{url: "postgres://u:" + secret + "@" + nowhere + ",localhost:1/db", tls: ""},
		{url: "postgres://u@localhost/db", set: map[string]string{
			"default_transaction_isolation": "read committed", "application_name": "kixx", "synchronous_commit": "on"}},
		{url: "postgres://u@localhost/db?default_transaction_isolation=read%20committed&application_name=shop&synchronous_commit=remote_apply", set: map[string]string{
			"default_transaction_isolation": "read committed", "application_name": "shop", "synchronous_commit": "remote_apply"}},
		{url: "postgres:db", fail: "write postgres://user@host/database"},
		{url: "postgres://u:" + secret + "%zz@localhost/db", fail: "percent-encode"},
		{url: "postgres://u:" + secret + "/x@localhost/db", fail: "percent-encode"},
		{url: "postgres://u:" + secret + "@localhost/db?sslmode=sometimes", fail: "refused by the driver"},
		{url: "postgres://u@localhost/db?sslmode=sometimes", fail: "sslmode is invalid"},
		{url: "postgres://u@localhost/db?sslmode=disable&sslmode=disable", fail: "given 2 times"},
		{url: "postgres://u@localhost/db?default_transaction_isolation=serializable", fail: "default_transaction_isolation=serializable"},
		{url: "postgres://u@localhost/db?Default_Transaction_Isolation=serializable", fail: "default_transaction_isolation=serializable"},
		{url: "postgres://u@localhost/db?options=-c%20default_transaction_isolation%3Dserializable", fail: "options sets default_transaction_isolation"},
		{url: "postgres://u@localhost/db?options=--Default-Transaction-Isolation%3Dserializable", fail: "options sets default_transaction_isolation"},
		{url: "postgres://u@localhost/db?default_query_exec_mode=simple_protocol", fail: "prepared statements"},
	} {
		config, err := pgstore.ParseURL(c.url, store.Options{})
		if c.fail != "" {
			if err == nil || !strings.Contains(err.Error(), c.fail) || strings.Contains(err.Error(), secret[:4]) {
				t.Errorf("%s: error %v, want one with %q and without the password", c.url, err, c.fail)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		ways := []*tls.Config{config.ConnConfig.TLSConfig}
		for _, f := range config.ConnConfig.Fallbacks {
			ways = append(ways, f.TLSConfig)
		}
		for _, w := range ways {
			if c.tls == "always" && w == nil || c.tls == "never" && w != nil {
				t.Errorf("%s: TLS %v on one of %d ways, want %s", c.url, w != nil, len(ways), c.tls)
			}
		}
		for name, want := range c.set {
			if got := config.ConnConfig.RuntimeParams[name]; got != want {
				t.Errorf("%s: %s = %q, want %q", c.url, name, got, want)
			}
		}
	}
	config, err := pgstore.ParseURL("postgres://u:"+secret+"@"+nowhere+",localhost:1/db", store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range config.ConnConfig.Fallbacks {
		if f.Host != "localhost" && f.TLSConfig == nil {
			t.Errorf("with two hosts, the password may be sent to %s without TLS", f.Host)
		}
	}
	config, err = pgstore.ParseURL("postgres://u@localhost/db", store.Options{Durability: kixx.NoSync()})
	if err != nil || config.ConnConfig.RuntimeParams["synchronous_commit"] != "off" {
		t.Errorf("NoSync: %v, synchronous_commit = %q, want off", err, config.ConnConfig.RuntimeParams["synchronous_commit"])
	}
}

// Where the environment asks for no TLS, a URL with a password does not follow.
func TestTLSIsNotSwitchedOffByTheEnvironment(t *testing.T) {
	t.Setenv("PGSSLMODE", "disable")
	_, err := pgstore.ParseURL("postgres://u:"+secret+"@"+nowhere+"/db", store.Options{})
	if err == nil || !strings.Contains(err.Error(), "without TLS; write sslmode=") || strings.Contains(err.Error(), secret) {
		t.Errorf("error %v, want one that says what to write", err)
	}
	t.Setenv("PGPASSWORD", secret)
	if _, err := pgstore.ParseURL("postgres://u@"+nowhere+"/db", store.Options{}); err == nil {
		t.Error("the password of the environment would be sent without TLS")
	}
}

// certificate makes a certificate, by itself if signer is nil.
func certificate(t *testing.T, host string, until time.Time, signer *tls.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: until.Add(-2 * 365 * 24 * time.Hour), NotAfter: until,
		IsCA: signer == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	parent, parentKey := c, any(key)
	if signer != nil {
		parent, parentKey = signer.Leaf, signer.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// An impostor takes connections as a server does, up to TLS with the certificate; nil: it has no TLS. It tells what it is
// sent after that.
func impostor(t *testing.T, cert *tls.Certificate) (port string, heard func() string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 1)
	go func() {
		all := ""
		defer func() { told <- all }()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			request := make([]byte, 8)
			io.ReadFull(c, request)
			if cert == nil {
				c.Write([]byte("N"))
			} else {
				c.Write([]byte("S"))
				c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*cert}})
			}
			said, _ := io.ReadAll(c)
			all += string(said)
			c.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, func() string { l.Close(); return <-told }
}

func TestImpostorsAreRefused(t *testing.T) {
	year := time.Now().Add(365 * 24 * time.Hour)
	ours, theirs := certificate(t, "our CA", year, nil), certificate(t, "their CA", year, nil)
	root := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		cert *tls.Certificate
		want string
	}{
		{"wrong CA", certificate(t, "localhost", year, theirs), "unknown authority"},
		{"wrong host", certificate(t, "elsewhere", year, ours), "not localhost"},
		{"expired", certificate(t, "localhost", time.Now().Add(-time.Hour), ours), "expired"},
		{"no TLS", nil, "refused TLS"},
	} {
		port, heard := impostor(t, c.cert)
		_, err := pgstore.Open(bg, "postgres://u:"+secret+"@localhost:"+port+"/db?sslmode=verify-full&sslrootcert="+root, store.Options{})
		said := heard()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
		if strings.Contains(said, secret) || strings.Contains(said, "user\x00u") {
			t.Errorf("%s: it was told %q", c.name, said)
		}
	}
	// The one that is what it says is not refused for its certificate.
	port, heard := impostor(t, certificate(t, "localhost", year, ours))
	_, err := pgstore.Open(bg, "postgres://u:"+secret+"@localhost:"+port+"/db?sslmode=verify-full&sslrootcert="+root+"&connect_timeout=1", store.Options{})
	if said := heard(); !strings.Contains(said, "user\x00u") {
		t.Errorf("the right server was told %q: %v", said, err)
	}
}
