package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/etcdstore/e2e/etcdtest"
)

// A cluster whose revisions go back, as after a restore that did not see to it that they do not, is noticed where it can be.
func TestRevisionsThatGoBackAreNoticed(t *testing.T) {
	t.Parallel()
	c, err := etcdtest.Start(1, etcdtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	do := func(steps ...error) {
		t.Helper()
		if err := errors.Join(steps...); err != nil {
			t.Fatal(err)
		}
	}
	path := "/restored"
	s := open(t, c.URL(path[1:]))
	mustCommit(t, s, put("k", "kept", store.Guard{}))
	do(c.Kill(0))
	back, err := c.Keep(0)
	do(err, c.Restart(0), c.Wait(0))

	p := newProxy(t, c.Hosts()[0])
	lossy := open(t, through(path, p))
	b := batchOf(put("k", "lost", store.Guard{}))
	p.arm(after)
	if _, err := lossy.Commit(bg, b); !errors.Is(err, store.ErrUnknown) {
		t.Fatalf("Commit = %v, want ErrUnknown", err)
	}
	if _, err := lossy.Commit(bg, b); err != nil { // in a new epoch
		t.Fatal(err)
	}
	from := token(t, s)
	do(c.Kill(0), back(), c.Restart(0), c.Wait(0))

	p.drop()
	get(t, lossy, "k") // on another connection
	if _, err := lossy.Commit(bg, batchOf(put("k", "new", store.Guard{}))); err == nil || !strings.Contains(err.Error(), "open it anew") {
		t.Errorf("Commit in an epoch that there has not been = %v, want an error that says what to do", err)
	}
	if told, _ := tell(t, s, from, 1); told[0] != fmt.Sprintf("%d =", store.EventResync) {
		t.Errorf("a watch from a token of the future told %q, want a resync", told)
	}
	if it := get(t, s, "k"); string(it.Value) != "kept" {
		t.Errorf("k = %q", it.Value)
	}
}
