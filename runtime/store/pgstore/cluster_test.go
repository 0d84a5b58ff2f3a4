//go:build unix

package pgstore_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/internal/failrun"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore/pgtest"
)

// What happens to a primary and its two standbys costs time and no data.
func TestFailuresOfAClusterLoseNothing(t *testing.T) {
	if given := pgtest.Given(); given != "" {
		t.Skip("the server is given, and may not be stopped")
	}
	if small() {
		t.Skip("half a minute of failures; set KIXX_CI=1")
	}
	c, err := pgtest.StartCluster(2)
	if err != nil {
		pgtest.Skip(t, err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	var old *pgtest.Server
	const gap = 5 * time.Second
	const start = 30 * time.Second // what a server takes to start has nothing to do with the store
	failrun.Run(t, failrun.Options{
		Open: func(t testing.TB) store.Store { return open(t, c.URL()) },
		Events: []failrun.Event{
			{Name: "none", Gap: gap},
			{Name: "standby crashes", Gap: gap, Do: func() error { return c.Standbys[0].Crash() }},
			{Name: "standby returns", Gap: gap, Do: func() error { return c.Standbys[0].Begin() }},
			{Name: "primary crashes, a standby is promoted", Gap: gap, Do: func() (err error) {
				if err := c.Primary.Crash(); err != nil {
					return err
				}
				old, err = c.Failover()
				return err
			}},
			{Name: "the old primary returns as a standby", Gap: gap, Do: func() error { return c.Rejoin(old) }},
			{Name: "primary pauses", Gap: gap, Do: func() error {
				if err := c.Primary.Pause(); err != nil {
					return err
				}
				<-time.After(time.Second)
				return c.Primary.Resume()
			}},
			{Name: "both standbys crash", Outage: true, Do: func() error { return errors.Join(c.Standbys[0].Crash(), c.Standbys[1].Crash()) }},
			{Name: "both return", Gap: start, Do: func() error { return errors.Join(c.Standbys[0].Begin(), c.Standbys[1].Begin()) }},
			{Name: "primary restarts", Gap: start, Do: func() error { return errors.Join(c.Primary.Shut(), c.Primary.Begin()) }},
		},
	})
}

// Nor do connections that end at any moment.
func TestDroppedConnectionsLoseNothing(t *testing.T) {
	if os.Getenv("KIXX_LONG") == "" {
		t.Setenv("KIXX_CI", "") // ten seconds; a cluster has the minute
	}
	p, through := newProxy(t, pgtest.New(t))
	drop := func(f fault) failrun.Event {
		return failrun.Event{Name: f.String(), Gap: 5 * time.Second, Do: func() error {
			for range 50 {
				p.arm(f)
				<-time.After(5 * time.Millisecond)
			}
			p.arm(none)
			return nil
		}}
	}
	failrun.Run(t, failrun.Options{
		Open:   func(t testing.TB) store.Store { return open(t, through) },
		Events: []failrun.Event{drop(before), drop(half), drop(during), drop(after), drop(farewell)},
	})
}
