package peers

func init() {
	register(Kind{Name: "harness", How: "what measuring takes itself: every operation is over at once", New: func() Peer { return new(nothing) }, InMemory: true, Floor: true, Empty: true})
}

// nothing is a peer that does nothing.
type nothing struct {
	n     int
	items []*Item
}

func (p *nothing) Open(string, Options) error {
	p.items = make([]*Item, 1000)
	for i := range p.items {
		p.items[i] = item(i, 1)
	}
	return nil
}

func (p *nothing) Load(n int, _ func(i int) *Item) error {
	p.n = n
	return nil
}

func (p *nothing) Get(string) (*Item, error) { return p.items[0], nil }

func (p *nothing) Peek(string) (int64, error) { return p.items[0].Version, nil }

func (p *nothing) Set(it *Item) error {
	it.next(number(it.Rev))
	return nil
}

func (p *nothing) Update(_ string, change func(it *Item)) error {
	c := *p.items[0]
	change(&c)
	return nil
}

func (p *nothing) Page(_, _ string, n int) ([]*Item, string, error) { return p.items[:n], "", nil }

func (p *nothing) Scan(each func(it *Item)) error {
	for range p.n {
		each(p.items[0])
	}
	return nil
}

func (p *nothing) Close() error { return nil }
