package tikvstore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tikv/client-go/v2/tikvrpc"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/tikvstore"
)

func put(key, value string) store.Op { return store.Op{Key: []byte(key), Value: []byte(value)} }

func putNew(key, value string) store.Op {
	return store.Op{Key: []byte(key), Value: []byte(value), Guard: store.At(store.Absent)}
}

func batch(id byte, ops ...store.Op) *store.Batch { return &store.Batch{ID: [8]byte{id}, Ops: ops} }

func commit(t testing.TB, s store.Store, b *store.Batch) store.Version {
	t.Helper()
	v, err := s.Commit(bg, b)
	if err != nil {
		t.Fatalf("Commit = %v", err)
	}
	return v
}

// value returns what is at key, "-" if nothing is.
func value(t testing.TB, s store.Store, key string) string {
	t.Helper()
	items, err := s.Get(bg, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	if items[0].Version == store.Absent {
		return "-"
	}
	return string(items[0].Value)
}

// errBroken is what the client takes for the end of its own call, so that it does not try again for a minute.
var errBroken = context.Canceled

// breakCommits answers the requests to commit with an error, after they were carried out or not.
func breakCommits(carryOut bool) fault {
	return func(_ context.Context, req *tikvrpc.Request, send func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error) {
		if req.Type != tikvrpc.CmdCommit {
			return send()
		}
		if carryOut {
			if _, err := send(); err != nil {
				return nil, err
			}
		}
		return nil, errBroken
	}
}

func TestALostAnswerIsLookedUp(t *testing.T) {
	c := newCluster(t)
	s := c.open(t)
	c.inject(t, breakCommits(true))
	v, err := s.Commit(bg, batch(1, putNew("k", "1"), put("z", "1")))
	if err != nil {
		t.Fatalf("Commit whose answer was lost, and which was applied = %v; the primary says so", err)
	}
	c.inject(t, breakCommits(false))
	if _, err := s.Commit(bg, batch(2, put("k", "2"))); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnknown) {
		t.Fatalf("Commit whose request was lost = %v, want ErrUnavailable", err)
	}
	c.inject(t, nil)
	items, err := s.Get(bg, []byte("k"), []byte("z"))
	if err != nil || items[0].Version != v || items[1].Version != v || string(items[0].Value) != "1" {
		t.Errorf("Get = %+v, %v; want k and z = 1 at version %d", items, err, v)
	}
	if n := s.Lost(); n != 0 {
		t.Errorf("%d transactions are undecided, want 0", n)
	}
}

// TestASecondCommitDecidesTheFirst holds a request to commit back until the same batch was committed again, and undone.
func TestASecondCommitDecidesTheFirst(t *testing.T) {
	for _, what := range []string{"the commit", "the commit, which arrives before", "both phases"} {
		t.Run(what, func(t *testing.T) {
			c := newCluster(t)
			s := c.open(t)
			var (
				mu    sync.Mutex
				late  []func() (*tikvrpc.Response, error)
				dead  = true
				phase = map[tikvrpc.CmdType]bool{tikvrpc.CmdCommit: true, tikvrpc.CmdCheckTxnStatus: true}
			)
			c.inject(t, func(_ context.Context, req *tikvrpc.Request, send func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				if !dead || !phase[req.Type] {
					return send()
				}
				if req.Type == tikvrpc.CmdCommit {
					late = append(late, send)
				}
				return nil, errBroken
			})
			b := batch(1, putNew("k", "x"))
			if _, err := s.Commit(bg, b); !errors.Is(err, store.ErrUnknown) {
				t.Fatalf("Commit = %v, want ErrUnknown: nobody answers", err)
			}
			if s.Lost() != 1 || len(late) == 0 {
				t.Fatalf("%d transactions are undecided, %d requests held back; want 1 and some", s.Lost(), len(late))
			}
			mu.Lock()
			dead = false
			mu.Unlock()
			if what == "the commit, which arrives before" {
				if _, err := late[0](); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Commit(bg, b); !errors.Is(err, store.ErrConflict) {
					t.Fatalf("the second Commit = %v, want a conflict with the first", err)
				}
			} else {
				commit(t, s, b)
			}
			commit(t, s, batch(2, store.Op{Key: []byte("k"), Delete: true}))
			for _, send := range late {
				if _, err := send(); err != nil {
					t.Fatal(err)
				}
			}
			if got := value(t, s, "k"); got != "-" {
				t.Errorf("k = %q: the first commit was applied after the second, and after it was undone", got)
			}
			if n := s.Lost(); n != 0 {
				t.Errorf("%d transactions are undecided, want 0", n)
			}
		})
	}
}

// TestAMovedCommitReadsItsFencesAgain has a reader move the commit on to a later timestamp, before which the fence changes.
func TestAMovedCommitReadsItsFencesAgain(t *testing.T) {
	for _, change := range []bool{true, false} {
		c := newCluster(t)
		s, other := c.open(t), c.open(t)
		// Each of one key, so that the client has nothing left to do when it returns.
		fence := commit(t, s, batch(1, put("fence", "1")))
		commit(t, s, batch(1, put("k", "old")))
		var once sync.Once
		c.inject(t, func(_ context.Context, req *tikvrpc.Request, send func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error) {
			if req.Type == tikvrpc.CmdCommit {
				once.Do(func() {
					c.inject(t, nil)
					if items, err := other.Get(bg, []byte("k"), []byte("a")); err != nil || string(items[0].Value) != "old" {
						t.Errorf("a read beside the commit = %+v, %v; want what was there", items, err)
					}
					if change {
						commit(t, other, batch(2, put("fence", "2")))
					}
				})
			}
			return send()
		})
		b := batch(3, put("k", "new"))
		b.Fences = []store.Check{{Key: []byte("fence"), Version: fence}}
		_, err := s.Commit(bg, b)
		var conflict *store.ConflictError
		switch {
		case change && (!errors.As(err, &conflict) || string(conflict.Key) != "fence"):
			t.Errorf("Commit = %v; a reader has moved it on beyond a change of its fence, want a conflict about the fence", err)
		case change && value(t, other, "k") != "old":
			t.Errorf("k was changed by a commit whose fence did not hold")
		case !change && (err != nil || value(t, other, "k") != "new"):
			t.Errorf("Commit = %v; a reader has moved it on, and its fence holds", err)
		}
	}
}

func TestAFenceThatCannotBeReadStopsTheCommit(t *testing.T) {
	c := newCluster(t)
	s := c.open(t)
	fence := commit(t, s, batch(1, put("fence", "1")))
	c.inject(t, func(_ context.Context, req *tikvrpc.Request, send func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error) {
		switch req.Type {
		case tikvrpc.CmdGet, tikvrpc.CmdBatchGet:
			return nil, errBroken
		case tikvrpc.CmdCommit:
			t.Errorf("the commit was sent, and its fence was not read")
		}
		return send()
	})
	b := batch(2, put("k", "new"))
	b.Fences = []store.Check{{Key: []byte("fence"), Version: fence}}
	if _, err := s.Commit(bg, b); err == nil || errors.Is(err, store.ErrUnknown) {
		t.Errorf("Commit = %v, want an error of a commit that was not applied", err)
	}
	c.inject(t, nil)
	if got := value(t, s, "k"); got != "-" {
		t.Errorf("k = %q", got)
	}
}

func TestASnapshotBehindTheSafePointIsTooOld(t *testing.T) {
	s := newCluster(t).open(t)
	commit(t, s, batch(1, put("k", "1")))
	err := s.Snapshot(bg, func(r store.SnapshotReader) error {
		if _, err := r.Get(bg, []byte("k")); err != nil {
			return err
		}
		safe, err := s.KV().CurrentTimestamp("global")
		if err != nil {
			return err
		}
		s.KV().UpdateSPCache(safe, time.Now())
		if _, err := r.Page(bg, store.Page{Limit: 1}); !errors.Is(err, store.ErrSnapshotTooOld) {
			t.Errorf("Page behind the safe point = %v, want ErrSnapshotTooOld", err)
		}
		_, err = r.Get(bg, []byte("k"))
		return err
	})
	if !errors.Is(err, store.ErrSnapshotTooOld) {
		t.Errorf("Get behind the safe point = %v, want ErrSnapshotTooOld", err)
	}
}

func TestWhatElseIsInTheClusterIsRefused(t *testing.T) {
	c := newCluster(t)
	s := c.open(t)
	set := func(key []byte, value string) {
		t.Helper()
		txn, err := s.KV().Begin()
		if err == nil {
			err = txn.Set(key, []byte(value))
		}
		if err == nil {
			err = txn.Commit(bg)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	set(s.ClusterKey("k"), "short")
	if _, err := s.Get(bg, []byte("k")); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Get of a key without a version = %v, want ErrCorrupt", err)
	}
	if _, err := s.Page(bg, store.Page{Limit: 9}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Page with a key without a version = %v, want ErrCorrupt", err)
	}
	set([]byte("kixx/later/i"), "2")
	if _, err := tikvstore.New(bg, c.kv(t), "later", store.Options{}); err == nil {
		t.Errorf("a store of a format that is not known was opened")
	}
}
