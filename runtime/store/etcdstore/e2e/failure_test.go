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
			{Name: "the two come back", Gap: 2 * gap, Do: func() error { return errors.Join(c.Restart((victim+1)%3), back()) }},
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
}
