package etcdstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kixxgen/kixxgen/runtime/store"
)

func init() {
	open := func(ctx context.Context, u string, o store.Options) (store.Store, error) {
		s, err := Open(ctx, u, o)
		if err != nil {
			return nil, err // not s: a nil *Store in a store.Store is not nil
		}
		return s, nil
	}
	store.Register("etcd", open)
	store.Register("etcds", open)
}

const (
	defaultPath    = "/kixx"
	defaultPort    = "2379"
	defaultTimeout = 3 * time.Second
	maxPath        = 256
)

// A server that says nothing for so long is taken for gone by those who have asked for nothing but to be told, watches.
// Servers refuse to be asked more often than every 5 seconds, and gRPC does not ask more often than every 10.
const (
	keepAlive        = 10 * time.Second
	keepAliveTimeout = 3 * time.Second
)

// A config is what a URL asks for.
type config struct {
	hosts          []string // host:port
	user, password string
	tls            *tls.Config // nil: without
	layout         layout
	timeout        time.Duration
}

// parameters are all there are.
var parameters = []string{"ca", "cert", "key", "timeout", "tls"}

var errEncode = errors.New("the URL cannot be parsed; write etcds://user:password@host:2379,host:2379/path, and percent-encode special characters, those of the password too")

// parseURL returns the configuration that a URL asks for. It is taken apart here, since net/url knows of one host alone. No
// error quotes what could be a part of a password that was not encoded.
func parseURL(s string) (*config, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "etcd" && scheme != "etcds" {
		return nil, errors.New("the URL has no host part; write etcds://host:2379/path, or etcd://host:2379/path without TLS")
	}
	authority, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(authority, "/")
	user, hosts, found := cutLast(authority, "@")
	if strings.ContainsAny(rest, "#\\ ") || strings.ContainsAny(path+query, "@") || strings.Contains(user, "@") {
		return nil, errEncode
	}
	c := &config{timeout: defaultTimeout}
	var err error
	if found {
		name, password, both := strings.Cut(user, ":")
		c.user, err = url.PathUnescape(name)
		if c.password, ok = unescape(password); err != nil || !ok {
			return nil, errEncode
		}
		if !both || c.user == "" || c.password == "" {
			return nil, errors.New("the URL has a user without a password, or a password without a user; etcd wants both, or neither and a client certificate")
		}
	}
	for host := range strings.SplitSeq(hosts, ",") {
		if host, ok = address(host); !ok {
			return nil, errEncode
		}
		c.hosts = append(c.hosts, host)
	}
	if c.layout, err = parsePath(path); err != nil {
		return nil, err
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("the parameters of the URL cannot be parsed; percent-encode special characters")
	}
	for name, values := range q {
		if !slices.Contains(parameters, name) {
			return nil, fmt.Errorf("the URL has the parameter %q; there are %s", name, strings.Join(parameters, ", "))
		}
		if len(values) > 1 {
			return nil, fmt.Errorf("the parameter %s is given %d times", name, len(values))
		}
	}
	if text := q.Get("timeout"); text != "" {
		if c.timeout, err = time.ParseDuration(text); err != nil || c.timeout < 10*time.Millisecond {
			return nil, fmt.Errorf("the parameter timeout=%s is no duration of at least 10ms; write it as 3s", text)
		}
	}
	return c, c.secure(scheme == "etcds", q)
}

func unescape(s string) (string, bool) {
	s, err := url.PathUnescape(s)
	return s, err == nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// address returns host with a port.
func address(host string) (string, bool) {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), defaultPort
		if strings.Contains(name, ":") != strings.HasPrefix(host, "[") {
			return "", false
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", false
	}
	for _, r := range name {
		if !(r == '.' || r == '-' || r == '_' || r == ':' || r == '%' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return "", false
		}
	}
	return net.JoinHostPort(name, port), name != ""
}

// parsePath returns the layout below a path.
func parsePath(path string) (layout, error) {
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return newLayout(defaultPath), nil
	}
	if len(path) > maxPath {
		return layout{}, fmt.Errorf("the path of the URL has %d bytes; it has at most %d", len(path), maxPath)
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return layout{}, errors.New("the path of the URL has a part that is empty, or consists of dots")
		}
		for _, r := range part {
			if !(r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
				return layout{}, errors.New("the path of the URL has something else than letters, digits and . - _ between its slashes")
			}
		}
	}
	return newLayout("/" + path), nil
}

// secure sets how the servers are spoken to.
func (c *config) secure(withTLS bool, q url.Values) error {
	ca, cert, key := q.Get("ca"), q.Get("cert"), q.Get("key")
	switch mode := q.Get("tls"); {
	case mode != "" && mode != "disable":
		return errors.New("the parameter tls can only be disable; write etcds for TLS")
	case mode != "" && withTLS:
		return errors.New("the URL says etcds, and tls=disable; write etcd if no TLS is meant")
	case !withTLS && ca+cert+key != "":
		return errors.New("the URL names certificates, and etcd is without TLS; write etcds")
	case (cert == "") != (key == ""):
		return errors.New("the parameters cert and key go together")
	case !withTLS && mode == "" && c.password != "":
		for _, host := range c.hosts {
			if !local(host) {
				return fmt.Errorf("a password would be sent to %s without TLS; write etcds, or tls=disable if that is meant", host)
			}
		}
	}
	if !withTLS {
		return nil
	}
	c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("the parameter ca: %w", err)
		}
		c.tls.RootCAs = x509.NewCertPool()
		if !c.tls.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("the parameter ca: there is no certificate in %s", ca)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("the parameters cert and key: %w", err)
		}
		c.tls.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// local reports whether what is sent to a host stays on this machine.
func local(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// client returns the configuration of the client.
func (c *config) client(life context.Context) clientv3.Config {
	scheme := "http://"
	if c.tls != nil {
		scheme = "https://"
	}
	out := clientv3.Config{
		Context: life, TLS: c.tls, Username: c.user, Password: c.password,
		DialTimeout:       3 * c.timeout, // of asking for a token
		DialKeepAliveTime: keepAlive, DialKeepAliveTimeout: keepAliveTimeout,
		// Once is enough: the client's own retries also repeat a transaction whose answer was "deadline exceeded", which
		// may have been applied. What it logs is what its calls return.
		MaxUnaryRetries: 1,
		Logger:          zap.NewNop(),
		DialOptions:     []grpc.DialOption{grpc.WithStatsHandler(sentHandler{})},
	}
	for _, host := range c.hosts {
		out.Endpoints = append(out.Endpoints, scheme+host)
	}
	return out
}

// reason returns why the servers cannot be reached, and err if that is not it. The client waits for a connection when it
// asks for a token of its user, and does not say why there is none.
func (c *config) reason(life context.Context, err error) error {
	anybody := *c
	anybody.user, anybody.password = "", ""
	client, failed := clientv3.New(anybody.client(life))
	if failed != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(life, c.timeout)
	defer cancel()
	_, failed = pb.NewKVClient(client.ActiveConnection()).Range(ctx, &pb.RangeRequest{Key: c.layout.info})
	if status.Code(failed) == codes.Unavailable {
		return failed
	}
	return err
}
