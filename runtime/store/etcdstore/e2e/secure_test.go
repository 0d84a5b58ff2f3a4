package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/etcdstore"
	"github.com/kixxgen/kixxgen/runtime/store/etcdstore/e2e/etcdtest"
)

// secret is a password that must not be shown. No part of it is a word.
const secret = "qzx9vkw7/:@"

// as returns a URL with a user.
func as(u, user, password string) string {
	return strings.Replace(u, "://", "://"+user+":"+url.QueryEscape(password)+"@", 1)
}

// A user is asked for by the cluster, sees only what he may, and stays known when a server has forgotten him.
func TestUsers(t *testing.T) {
	t.Parallel()
	c, err := etcdtest.Start(1, etcdtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	admin := c.Client(t)
	do := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(admin.RoleAdd(bg, "root"))
	do(admin.UserAdd(bg, "root", "root"))
	do(admin.UserGrantRole(bg, "root", "root"))
	do(admin.RoleAdd(bg, "shop"))
	do(admin.RoleGrantPermission(bg, "shop", "/shop/", clientv3.GetPrefixRangeEnd("/shop/"), clientv3.PermissionType(clientv3.PermReadWrite)))
	do(admin.UserAdd(bg, "app", secret))
	do(admin.UserGrantRole(bg, "app", "shop"))
	do(admin.AuthEnable(bg))

	quick := "?timeout=2s"
	for u, want := range map[string]string{
		c.URL("shop") + quick:                         "user name is empty",
		as(c.URL("shop"), "app", secret+"x") + quick:  "authentication failed",
		as(c.URL("elsewhere"), "app", secret) + quick: "permission denied",
		as(c.URL("shop2"), "app", secret) + quick:     "permission denied",
	} {
		s, err := etcdstore.Open(bg, u, store.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret[:4]) || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Open = %v, %v, want the error %q without the password", s, err, want)
		}
	}
	s := open(t, as(c.URL("shop"), "app", secret))
	v := mustCommit(t, s, put("k", "1", store.At(store.Absent)))
	from := token(t, s)
	if err := c.Kill(0); err != nil { // a token of a user is in the memory of one server
		t.Fatal(err)
	}
	if err := c.Restart(0); err != nil {
		t.Fatal(err)
	}
	b := batchOf(put("k", "2", store.At(v)))
	for {
		if _, err = s.Commit(bg, b); !errors.Is(err, store.ErrUnknown) {
			break
		}
	}
	if err != nil {
		t.Errorf("Commit when the server has forgotten its users' tokens = %v", err)
	}
	if told, _ := tell(t, s, from, 1); told[0] != "1 k=2" {
		t.Errorf("the watch told %q", told)
	}
	if err := s.Health(bg); err != nil {
		t.Errorf("Health = %v", err)
	}
}

// An authority makes certificates, in a directory.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{dir: t.TempDir()}
	a.make(t, name, nil)
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// make makes a certificate for a host, or for the authority itself if it has none. Its files are name.pem and name.key.
func (a *authority) make(t *testing.T, name string, hosts []net.IP) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: a.cert == nil,
	}
	if a.cert != nil {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(a.file(file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if a.cert == nil {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		a.key = key
	}
}

// Servers prove who they are, and clients too if the cluster wants that.
func TestCertificates(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	here := []net.IP{net.IPv4(127, 0, 0, 1)}
	ours.make(t, "server", here)
	ours.make(t, "client", nil)
	ours.make(t, "elsewhere", []net.IP{net.IPv4(192, 0, 2, 1)})
	theirs.make(t, "client", nil)
	c, err := etcdtest.Start(1, etcdtest.Options{TLS: &etcdtest.TLS{Cert: ours.file("server.pem"), Key: ours.file("server.key"), ClientCA: ours.file("ours.pem")}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	query := func(ca, client *authority) string {
		return fmt.Sprintf("?timeout=2s&ca=%s&cert=%s&key=%s", ca.file(map[*authority]string{ours: "ours.pem", theirs: "theirs.pem"}[ca]), client.file("client.pem"), client.file("client.key"))
	}
	s := open(t, c.URL("shop")+query(ours, ours))
	mustCommit(t, s, put("k", "1", store.Guard{}))
	quick := func(q string) string { return strings.Replace(q, "2s", "100ms", 1) }
	for name, u := range map[string]string{
		"a server of another authority": c.URL("shop") + quick(query(theirs, ours)),
		"a client of another authority": c.URL("shop") + quick(query(ours, theirs)),
		"a client without certificate":  c.URL("shop") + quick("?timeout=2s&ca="+ours.file("ours.pem")),
		"a client without TLS":          strings.Replace(c.URL("shop"), "etcds", "etcd", 1) + "?timeout=100ms",
	} {
		s, err := etcdstore.Open(bg, u, store.Options{})
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: Open = %v, %v, want ErrUnavailable", name, s, err)
		}
		t.Logf("%s: %v", name, err)
	}
	// A password is not told to a server that has another's certificate.
	other, err := etcdtest.Start(1, etcdtest.Options{TLS: &etcdtest.TLS{Cert: ours.file("elsewhere.pem"), Key: ours.file("elsewhere.key")}})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Stop()
	_, err = etcdstore.Open(bg, as(other.URL("shop"), "u", secret)+"?timeout=500ms&ca="+ours.file("ours.pem"), store.Options{})
	if err == nil || strings.Contains(err.Error(), secret[:4]) || !strings.Contains(err.Error(), "certificate is valid for 192.0.2.1") {
		t.Errorf("Open of a server with another's certificate = %v", err)
	}
}
