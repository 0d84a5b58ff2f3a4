package tikvstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/tikv/client-go/v2/config"

	"github.com/kixxgen/kixxgen/runtime/store"
)

func init() {
	store.Register("tikv", func(ctx context.Context, u string, o store.Options) (store.Store, error) {
		s, err := Open(ctx, u, o)
		if err != nil {
			return nil, err // not s: a nil *Store in a store.Store is not nil
		}
		return s, nil
	})
}

// A target is what a URL names.
type target struct {
	hosts    []string // of PD
	name     string   // of the store
	security config.Security
}

const example = "tikv://pd1:2379,pd2:2379/name"

var names = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

func parseURL(s string) (*target, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("the URL cannot be parsed; write " + example)
	}
	if !strings.HasPrefix(s, "tikv://") || u.Host == "" {
		return nil, errors.New("the URL has no hosts; write " + example)
	}
	if u.User != nil {
		return nil, errors.New("the URL has a user; TiKV knows clients by their certificates, see the parameters cert and key")
	}
	t := &target{hosts: strings.Split(u.Host, ","), name: "kixx"}
	for _, host := range t.hosts {
		if name, port, err := net.SplitHostPort(host); err != nil || name == "" || port == "" {
			return nil, fmt.Errorf("%q is no host with a port; write %s", host, example)
		}
	}
	if path := strings.TrimPrefix(u.Path, "/"); path != "" {
		if !names.MatchString(path) {
			return nil, fmt.Errorf("the store's name %q is not of letters, digits, '.', '_' and '-' alone, 100 at most", path)
		}
		t.name = path
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("the parameters of the URL cannot be parsed; percent-encode special characters")
	}
	files := map[string]*string{"ca": &t.security.ClusterSSLCA, "cert": &t.security.ClusterSSLCert, "key": &t.security.ClusterSSLKey}
	for name, values := range q {
		file := files[name]
		switch {
		case file == nil:
			return nil, fmt.Errorf("unknown parameter %q; known are ca, cert and key", name)
		case len(values) > 1:
			return nil, fmt.Errorf("the parameter %q is given %d times", name, len(values))
		case values[0] == "":
			return nil, fmt.Errorf("the parameter %q names no file", name)
		}
		*file = values[0]
	}
	switch {
	case q.Has("cert") != q.Has("key"):
		return nil, errors.New("the parameters cert and key go together")
	case q.Has("cert") && !q.Has("ca"):
		return nil, errors.New("the parameters cert and key need ca, the authority that has signed the servers' certificates")
	}
	// The files are read here too, for errors that say which one it is.
	if _, err := t.security.ToTLSConfig(); err != nil {
		return nil, fmt.Errorf("the files of the URL: %w", err)
	}
	return t, nil
}
