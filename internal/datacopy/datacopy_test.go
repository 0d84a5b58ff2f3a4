package datacopy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/kixxgen/kixxgen/internal/datacopy"
	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
	"github.com/kixxgen/kixxgen/runtime/store/storetest"
)

var bg = context.Background()

// times returns how often to do something: small by default, full with KIXX_CI, ten times that with KIXX_LONG.
func times(small, full int) int {
	switch {
	case os.Getenv("KIXX_LONG") != "":
		return 10 * full
	case os.Getenv("KIXX_CI") != "":
		return full
	}
	return small
}

// fill puts n keys of random lengths, as they come in databases and as they do not.
func fill(t testing.TB, s store.Store, seed uint64, n int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range n {
		key := fmt.Appendf(nil, "%s%d", []string{"\x01a", "\x01b\x00", "\xff", "\x00", "\x00d"}[r.IntN(5)], i)
		value := bytes.Repeat([]byte{byte(i)}, []int{0, 1, 20, 300, 5000}[r.IntN(5)])
		set(t, s, string(key), string(value))
	}
}

func set(t testing.TB, s store.Store, key, value string) {
	t.Helper()
	try(t, s, store.Op{Key: []byte(key), Value: []byte(value)})
}

func try(t testing.TB, s store.Store, op store.Op) {
	t.Helper()
	for range 1000 {
		if _, err := s.Commit(bg, &store.Batch{ID: [8]byte{1}, Ops: []store.Op{op}}); err == nil {
			return
		} else if !errors.Is(err, store.ErrUnknown) {
			t.Fatal(err)
		}
	}
	t.Fatal("unknown again and again")
}

func mem() store.Store { return memstore.New(store.Options{}) }

func everything(t testing.TB, s store.Store) []store.Item {
	t.Helper()
	items, err := s.Page(bg, store.Page{Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// same fails t unless both stores have the same keys and values, as many as the report says.
func same(t testing.TB, src, dst store.Store, report *datacopy.Report) {
	t.Helper()
	want, got := everything(t, src), everything(t, dst)
	if len(got) != len(want) || report.Keys != int64(len(want)) {
		t.Fatalf("the copy has %d keys, the source %d, the report says %d", len(got), len(want), report.Keys)
	}
	for i := range want {
		if !bytes.Equal(got[i].Key, want[i].Key) || !bytes.Equal(got[i].Value, want[i].Value) {
			t.Fatalf("key %d of the copy is %q = %.40q, of the source %q = %.40q", i, got[i].Key, got[i].Value, want[i].Key, want[i].Value)
		}
	}
}

func TestCopyIsTheSameInEveryByte(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 3000} {
		for _, weak := range []string{"neither", "source", "target", "both"} {
			src, dst := mem(), mem()
			fill(t, src, uint64(n), n)
			from, to := src, dst
			if weak == "source" || weak == "both" {
				from = storetest.Weak(src, 1)
			}
			if weak == "target" || weak == "both" {
				to = storetest.Weak(dst, 2)
			}
			report, err := datacopy.Copy(bg, from, to, datacopy.Options{Name: "test"})
			if err != nil {
				t.Fatalf("%d keys, weak is %s: Copy = %v", n, weak, err)
			}
			same(t, src, dst, report)
			if report.Resumed || report.Passes < 2 && n > 0 || len(report.Checksum) != 64 {
				t.Errorf("report = %+v", report)
			}
		}
	}
}

// errCut ends a copy as a kill would.
var errCut = errors.New("cut off")

// A cutting store fails with a commit, which it applies or not, and with all that come after.
type cutting struct {
	store.Store
	left    int
	applies bool
}

func (c *cutting) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	if c.left--; c.left > 0 {
		return c.Store.Commit(ctx, b)
	}
	if c.left == 0 && c.applies {
		if _, err := c.Store.Commit(ctx, b); err != nil {
			return 0, err
		}
	}
	return 0, errCut
}

func TestACopyThatIsCutOffGoesOn(t *testing.T) {
	src := mem()
	fill(t, src, 1, 4000)
	commits := 0
	for _, applies := range []bool{false, true} {
		for cut := 1; ; cut++ {
			dst := mem()
			_, err := datacopy.Copy(bg, src, &cutting{dst, cut, applies}, datacopy.Options{Name: "test"})
			if err == nil {
				commits = max(commits, cut)
				break
			}
			if !errors.Is(err, errCut) {
				t.Fatalf("Copy with an error at commit %d = %v", cut, err)
			}
			if items := everything(t, dst); len(items) > 0 && string(items[0].Key) == datacopy.Key {
				if _, err := kixx.OpenStore(bg, dst); !errors.Is(err, kixx.ErrLocked) {
					t.Fatalf("OpenStore of an unfinished copy = %v, want ErrLocked", err)
				}
			}
			// The second one is cut off too, a bit later.
			if _, err := datacopy.Copy(bg, src, &cutting{dst, 2, !applies}, datacopy.Options{Name: "test"}); err != nil && !errors.Is(err, errCut) && !errors.Is(err, datacopy.ErrNotEmpty) {
				t.Fatalf("Copy that went on after commit %d = %v", cut, err)
			}
			report, err := datacopy.Copy(bg, src, dst, datacopy.Options{Name: "test"})
			if errors.Is(err, datacopy.ErrNotEmpty) {
				// It was the last commit that was cut off, after it was applied: the copy is finished.
				report, err = &datacopy.Report{Keys: 4000}, nil
			}
			if err != nil {
				t.Fatalf("Copy that went on after commit %d = %v", cut, err)
			}
			same(t, src, dst, report)
		}
	}
	t.Logf("cut off at each of %d commits", commits-1)
}

func TestASourceThatChangesIsCopiedToo(t *testing.T) {
	// A source that others write to, once while it is copied, and then no more.
	src, dst := mem(), mem()
	fill(t, src, 1, times(2000, 5000))
	from := storetest.WeakWith(src, 1, storetest.Rates{})
	changed := false
	report, err := datacopy.Copy(bg, from, dst, datacopy.Options{Name: "test", Progress: func(p datacopy.Progress) {
		if !changed {
			changed = true
			set(t, src, "\x00aa", "new")
			set(t, src, "\x01a2", "changed")
			try(t, src, store.Op{Key: everything(t, src)[3].Key, Delete: true})
		}
	}})
	if err != nil || !changed {
		t.Fatalf("Copy = %v, changed %v", err, changed)
	}
	same(t, src, dst, report)
	if report.Passes < 3 {
		t.Errorf("%d passes; what had changed meanwhile cannot be in two", report.Passes)
	}

	// One that never stops.
	n := 0
	_, err = datacopy.Copy(bg, &busy{from, func() { n++; set(t, src, "\x01busy", fmt.Sprint(n)) }}, mem(), datacopy.Options{Name: "test"})
	if err == nil || !strings.Contains(err.Error(), "stop what writes to it") {
		t.Errorf("Copy of a source that changes again and again = %v", err)
	}
}

// A busy store changes with each snapshot.
type busy struct {
	store.Store
	change func()
}

func (b *busy) Snapshot(ctx context.Context, f func(store.SnapshotReader) error) error {
	defer b.change()
	return b.Store.Snapshot(ctx, f)
}

func TestWhatIsRefused(t *testing.T) {
	src := mem()
	fill(t, src, 1, 100)
	dst := mem()
	set(t, dst, "k", "there")
	if _, err := datacopy.Copy(bg, src, dst, datacopy.Options{}); !errors.Is(err, datacopy.ErrNotEmpty) {
		t.Errorf("Copy to a store with a key = %v, want ErrNotEmpty", err)
	}
	if items := everything(t, dst); len(items) != 1 {
		t.Errorf("a target that was refused has %d keys, want 1", len(items))
	}

	dst = mem()
	if _, err := datacopy.Copy(bg, src, &cutting{dst, 2, false}, datacopy.Options{Name: "one"}); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	var other *datacopy.OtherError
	if _, err := datacopy.Copy(bg, src, dst, datacopy.Options{Name: "two"}); !errors.As(err, &other) || other.Source != "one" {
		t.Errorf("Copy over an unfinished copy of another source = %v, want an OtherError", err)
	}
	if _, err := datacopy.Copy(bg, dst, mem(), datacopy.Options{}); err == nil {
		t.Errorf("an unfinished copy was copied")
	}
	report, err := datacopy.Copy(bg, src, dst, datacopy.Options{Name: "two", Anew: true})
	if err != nil {
		t.Fatalf("Copy anew = %v", err)
	}
	same(t, src, dst, report)

	set(t, src, "\x01large", strings.Repeat("v", 70_000))
	if _, err := datacopy.Copy(bg, src, storetest.Weak(mem(), 1), datacopy.Options{}); !errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), fmt.Sprintf("%x", "\x01large")) {
		t.Errorf("Copy of a value that the target does not take = %v, want ErrTooLarge with the key", err)
	}
}
