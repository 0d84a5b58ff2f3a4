package load

// Whole returns cfg with all declarations kept of the packages that are reached, but for the standard library and this
// module, which would take most of the time.
func (cfg Config) Whole() Config {
	cfg.whole = func(p *pkg) bool {
		return !p.Standard && (p.Module == nil || p.Module.Path != "github.com/kixxgen/kixxgen")
	}
	return cfg
}

// In returns cfg with the environment of go list.
func (cfg Config) In(env []string) Config {
	cfg.env = env
	return cfg
}
