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
