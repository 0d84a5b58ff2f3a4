package pgstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

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
	store.Register("postgres", open)
	store.Register("postgresql", open)
}

// own are the parameters that the store sets for itself, with what they are set to.
var own = map[string]string{
	"default_transaction_isolation": readCommitted, // of commits, what the database says
	// All statements find their rows by key, or walk the keys. A plan that was made and kept while the table was
	// small would read all of it for ever.
	"enable_seqscan": "off",
	// The server would think that the plan for the keys at hand may be better than the one it keeps, and make one anew with
	// every call: a Get takes three times as long.
	"plan_cache_mode": "force_generic_plan",
	// A snapshot that nobody reads any more holds up the vacuuming of the whole database.
	"idle_in_transaction_session_timeout": fmt.Sprint(most.Snapshot.Milliseconds()),
}

// asked is what a URL asks of the store; empty where it leaves that to what is in the database.
type asked struct {
	isolation string // serializable, "read committed"
	watch     string // on, off
	json      string // on, off
}

// ours are the parameters of a URL that are about the store, with the values they can have.
var ours = map[string][]string{
	"isolation": {readCommitted, serializable},
	"watch":     {on, off},
	"json":      {on, off},
}

// parseURL returns the configuration that a URL asks for. No error has anything secret in it: those of net/url and of the
// driver can quote parts of the URL, so only what is known to be harmless is taken from them.
func parseURL(s string, o store.Options) (*pgxpool.Config, asked, error) {
	var a asked
	config, err := parse(s, o, &a)
	return config, a, err
}

func parse(s string, o store.Options, a *asked) (*pgxpool.Config, error) {
	if !strings.HasPrefix(s, "postgres://") && !strings.HasPrefix(s, "postgresql://") {
		return nil, errors.New("the URL has no host part; write postgres://user@host/database")
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("the URL cannot be parsed; percent-encode special characters, those of the password too")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("the parameters of the URL cannot be parsed; percent-encode special characters")
	}
	for name, values := range q {
		if len(values) > 1 {
			return nil, fmt.Errorf("the parameter %q is given %d times", name, len(values))
		}
		// The server does not mind the case.
		if want, ok := own[strings.ToLower(name)]; ok && values[0] != want {
			return nil, fmt.Errorf("the parameter %s=%s; the store needs %q", strings.ToLower(name), values[0], want)
		}
	}
	for name, values := range ours {
		if q.Has(name) && !slices.Contains(values, q.Get(name)) {
			return nil, fmt.Errorf("the parameter %s is one of %s", name, strings.Join(values, ", "))
		}
	}
	a.isolation, a.watch, a.json = q.Get("isolation"), q.Get("watch"), q.Get("json")
	options := strings.ReplaceAll(strings.ToLower(q.Get("options")), "-", "_")
	for name := range own {
		if strings.Contains(options, name) {
			return nil, fmt.Errorf("the parameter options sets %s, which is for the store to set", name)
		}
	}
	if mode := q.Get("default_query_exec_mode"); mode != "" && mode != "cache_statement" {
		return nil, fmt.Errorf("the parameter default_query_exec_mode=%s; the store needs prepared statements", mode)
	}
	for name := range ours {
		q.Del(name)
	}
	if encoded := q.Encode(); a.isolation+a.watch+a.json != "" {
		before, _, _ := strings.Cut(s, "?")
		s = before + "?" + encoded
	}
	config, err := pgxpool.ParseConfig(s)
	if err != nil {
		return nil, errors.New("the URL is refused by the driver" + harmless(err, u, q))
	}
	conn := config.ConnConfig
	if err := requireTLS(&conn.Config, q.Get("sslmode")); err != nil {
		return nil, err
	}
	conn.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	for name, value := range own {
		conn.RuntimeParams[name] = value
	}
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "kixx"
	}
	if conn.RuntimeParams["synchronous_commit"] == "" {
		conn.RuntimeParams["synchronous_commit"] = "on"
		if o.Durability.Mode != store.Sync {
			conn.RuntimeParams["synchronous_commit"] = "off"
		}
	}
	conn.DialFunc = newDialer().DialContext
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = 10 * time.Second
	}
	return config, nil
}

// harmless returns the cause of the driver's error, if neither a password nor a part of one can be in it.
func harmless(err error, u *url.URL, q url.Values) string {
	cause := errors.Unwrap(err)
	_, password := u.User.Password()
	if cause == nil || password || q.Has("password") || q.Has("sslpassword") {
		return ""
	}
	return ": " + cause.Error()
}

// requireTLS takes the ways without TLS out of a configuration that could send a password over a network, unless the URL
// asks for exactly that. The driver's own default tries TLS first, and without a word goes on without.
func requireTLS(c *pgconn.Config, sslmode string) error {
	if sslmode == "disable" || c.Password == "" {
		return nil
	}
	type way struct {
		host string
		port uint16
		tls  *tls.Config
	}
	ways := []way{{c.Host, c.Port, c.TLSConfig}}
	for _, f := range c.Fallbacks {
		ways = append(ways, way{f.Host, f.Port, f.TLSConfig})
	}
	ways = slices.DeleteFunc(ways, func(w way) bool { return w.tls == nil && !local(w.host) })
	if len(ways) == 0 {
		return fmt.Errorf("a password would be sent to %s without TLS; write sslmode=verify-full, or sslmode=disable if that is meant", c.Host)
	}
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = ways[0].host, ways[0].port, ways[0].tls, nil
	for _, w := range ways[1:] {
		c.Fallbacks = append(c.Fallbacks, &pgconn.FallbackConfig{Host: w.host, Port: w.port, TLSConfig: w.tls})
	}
	return nil
}

// local reports whether what is sent to host stays on this machine.
func local(host string) bool {
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback()
}
