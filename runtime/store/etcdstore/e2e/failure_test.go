package e2e

import (
	"errors"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/internal/failrun"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/etcdstore/e2e/etcdtest"
)

// Servers are killed, stopped and cut off under writers. What was acknowledged is there, once.
func TestFailingServersLoseNothing(t *testing.T) {
	t.Parallel()
	c, err := etcdtest.Start(3, etcdtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	var proxies []*proxy
	for _, host := range c.Hosts() {
		proxies = append(proxies, newProxy(t, host))
	}
	url := through("/failures", proxies...)
	picture := newPicture(t, open(t, url))
	victim := 0
	// to does something to the server that leads, or to the one after it, which does not.
	to := func(what func(i int) error, after int) func() error {
		return func() error {
			leader, err := c.Leader()
			if err != nil {
				return err
			}
			victim = (leader + after) % 3
			return what(victim)
		}
	}
	back := func() error { return errors.Join(c.Restart(victim), c.Wait(victim)) }
	// Without most of its servers a cluster acknowledges nothing; with one of three it goes on, as soon as there is a leader.
	const gap = 5 * time.Second
	failrun.Run(t, failrun.Options{
		Open: func(t testing.TB) store.Store { return open(t, url) },
		Events: []failrun.Event{
			{Name: "all is well", Gap: gap},
			{Name: "a follower is killed", Gap: gap, Do: to(c.Kill, 1)},
			{Name: "the follower comes back", Gap: gap, Do: back},
			{Name: "the leader is killed", Gap: gap, Do: to(c.Kill, 0)},
			{Name: "the leader comes back", Gap: gap, Do: back},
			{Name: "two of three are killed", Outage: true, Do: to(func(i int) error { return errors.Join(c.Kill(i), c.Kill((i+1)%3)) }, 0)},
			{Name: "the two come back", Gap: 6 * gap, Do: func() error { return errors.Join(c.Restart((victim+1)%3), back()) }},
			{Name: "the leader stands still", Gap: gap, Do: to(c.Pause, 0)},
			{Name: "the leader goes on", Gap: gap, Do: func() error { return c.Resume(victim) }},
			{Name: "all connections end", Gap: gap, Do: func() error {
				for _, p := range proxies {
					p.drop()
				}
				return nil
			}},
		},
	})
	picture.compare(open(t, url))
}

// A picture is what a watcher knows of a store.
type picture struct {
	t       testing.TB
	keys    map[string]store.Item
	events  int
	resyncs int
	end     string // a key whose event is the last one
	over    chan struct{}
}

// newPicture begins to watch a store, which is empty.
func newPicture(t testing.TB, s store.Store) *picture {
	p := &picture{t: t, keys: make(map[string]store.Item), end: "\xffend", over: make(chan struct{})}
	events := s.Watch(t.Context(), "", nil)
	go func() {
		defer close(p.over)
		for e, err := range events {
			if err != nil {
				t.Errorf("after %d events: %v", p.events, err)
				return
			}
			p.events++
			key := string(e.Key)
			switch {
			case e.Kind == store.EventResync:
				p.resyncs++
			case e.Version < p.keys[key].Version:
				t.Errorf("event %d: key %x is at version %d after it was at %d", p.events, key, e.Version, p.keys[key].Version)
				return
			case e.Kind == store.EventDelete:
				p.keys[key] = store.Item{Version: e.Version}
			default:
				p.keys[key] = store.Item{Key: e.Key, Value: e.Value, Version: e.Version}
			}
			if key == p.end {
				return
			}
		}
	}()
	return p
}

// compare compares the picture with what is stored.
func (p *picture) compare(s store.Store) {
	p.t.Helper()
	mustCommit(p.t, s, put(p.end, "", store.Guard{}))
	<-p.over
	if p.resyncs > 0 {
		p.t.Errorf("the watch was told to resync %d times; nothing was compacted", p.resyncs)
	}
	for key, it := range p.keys {
		if it.Key == nil {
			delete(p.keys, key)
		}
	}
	items, err := s.Page(bg, store.Page{Limit: 1 << 30})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, it := range items {
		if seen := p.keys[string(it.Key)]; seen.Version != it.Version || string(seen.Value) != string(it.Value) {
			p.t.Fatalf("key %x is %.40q at version %d, and the watch has told of %.40q at version %d", it.Key, it.Value, it.Version, seen.Value, seen.Version)
		}
	}
	if len(items) != len(p.keys) {
		p.t.Errorf("%d keys are stored, and the watch has told of %d", len(items), len(p.keys))
	}
	p.t.Logf("a watch through all of it told of %d events", p.events)
}
