package kixxtest

import (
	"sync"
	"time"
)

// Step is how far the clocks of this package's databases go with every look at them.
const Step = time.Second

// Start is when the clocks of this package's databases start: 2026-01-02 03:04:05 UTC, which has another number in each
// place.
var Start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// A Clock goes a step with every look at it, so that no two documents have one time and every run has the same ones. Its
// method Now is for [kixx.WithClock]. It is safe for concurrent use.
type Clock struct {
	mu   sync.Mutex
	next time.Time
	step time.Duration
}

// NewClock returns a clock that says start first, and then each time step more. With a step of 0 it stands still.
func NewClock(start time.Time, step time.Duration) *Clock {
	return &Clock{next: start, step: step}
}

// Now returns the time, and goes on.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.next
	c.next = now.Add(c.step)
	return now
}

// Set makes t what the clock says next. It may go back.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = t
}

// Advance makes what the clock says next d later.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = c.next.Add(d)
}
