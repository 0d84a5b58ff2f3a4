package etcdstore

// Config is what a URL is understood as, for tests of another package.
type Config struct {
	Hosts          []string
	User, Password string
	TLS            bool
	Keys           string
	Timeout        string
}

// ParseURL is what a URL is understood by.
func ParseURL(url string) (*Config, error) {
	c, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	return &Config{c.hosts, c.user, c.password, c.tls != nil, string(c.layout.keys), c.timeout.String()}, nil
}

// Judge says what an error means for a request that was sent: whether it can be said that it was not applied, and what kind
// of error it is.
func Judge(err error) (applied string, kind error) {
	v, kind := judge(err, true)
	return [...]string{"maybe", "again", "refused"}[v], kind
}
