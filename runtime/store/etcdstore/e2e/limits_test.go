package e2e

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/etcdstore/e2e/etcdtest"
)

var withPrefix = clientv3.WithPrefix()

func isTooOld(err error) bool { return errors.Is(err, store.ErrSnapshotTooOld) }

// inUse returns how many bytes of memory are in use.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// wide returns a URL of an empty place whose path is as long as one may be.
func wide(t testing.TB) string {
	url := etcdtest.New(t) + "/"
	_, path, _ := strings.Cut(strings.TrimPrefix(url, "etcd://"), "/")
	return url + strings.Repeat("p", 256-len(path))
}

// key returns the key number i of the greatest length.
func key(i int) string { return fmt.Sprintf("%0*d", store.MaxKey, i) }

// What is within the limits fits into what a server takes, whatever it consists of.
func TestLimitsFitTheServer(t *testing.T) {
	s := open(t, wide(t))
	l := s.Limits()
	fill := func(b *store.Batch) { // with as many bytes of values as there may be
		room := l.Bytes
		for _, op := range b.Ops {
			room -= len(op.Key)
		}
		for _, c := range append(b.Checks, b.Fences...) {
			room -= len(c.Key)
		}
		for i := range b.Ops {
			n := min(room, l.Value)
			b.Ops[i].Value = make([]byte, n)
			room -= n
		}
	}
	var guarded, spread store.Batch
	for i := range l.Ops {
		guarded.Ops = append(guarded.Ops, put(key(i), "", store.At(store.Absent)))
		c := store.Check{Key: []byte(key(1000 + i))}
		switch {
		case i < 4:
			spread.Ops = append(spread.Ops, put(key(1000+i), "", store.At(store.Absent)))
		case i%2 == 0:
			spread.Checks = append(spread.Checks, c)
		default:
			spread.Fences = append(spread.Fences, c)
		}
	}
	for name, b := range map[string]*store.Batch{"guards": &guarded, "checks and fences": &spread} {
		fill(b)
		if _, err := s.Commit(bg, b); err != nil {
			t.Errorf("Commit of the greatest batch of %s = %v", name, err)
		}
		// And where it is refused, the answer fits too, and names the first key.
		var ce *store.ConflictError
		if _, err := s.Commit(bg, b); !errors.As(err, &ce) || string(ce.Key) != string(b.Ops[0].Key) {
			t.Errorf("the same of %s again = %.200v, want a conflict about its first key", name, err)
		}
	}
}

// Keys that a range was read to have count as operations.
func TestRangeChecksAreLimited(t *testing.T) {
	s := open(t, etcdtest.New(t))
	max := s.Limits().Ops
	var ops []store.Op
	for i := range max {
		ops = append(ops, put(fmt.Sprintf("r%03d", i), "", store.Guard{}))
	}
	v := mustCommit(t, s, ops...)
	at := token(t, s)
	check := func(n int) error {
		b := batchOf(put("k", "", store.Guard{}))
		r := store.RangeCheck{Lo: []byte("r"), Hi: fmt.Appendf(nil, "r%03d", n), Token: at}
		for i := range n {
			r.Seen = append(r.Seen, store.Check{Key: ops[i].Key, Version: v})
		}
		b.Ranges = []store.RangeCheck{r}
		_, err := s.Commit(bg, b)
		return err
	}
	if err := check(max - 1); err != nil {
		t.Errorf("Commit with a range of %d keys and its check = %v", max-1, err)
	}
	var le *store.LimitError
	if err := check(max); !errors.As(err, &le) || le.Have != max+1 || le.Max != max || le.What != "operations" {
		t.Errorf("Commit with a range of %d keys and its check = %v, want a *store.LimitError", max, err)
	}
	for i, op := range []store.Op{remove("r050"), put("r050", "", store.Guard{}), put("r0495", "", store.Guard{})} {
		mustCommit(t, s, op)
		var ce *store.ConflictError
		if err := check(max - 1); !errors.As(err, &ce) || string(ce.Key) != string(op.Key) {
			t.Errorf("after change %d of a range: %v, want a conflict about %s", i, err, op.Key)
		}
	}
	many := batchOf(put("k", "", store.Guard{}))
	for i := range max - 1 { // ranges whose bounds are as long as keys may be are too many bytes for a server
		many.Ranges = append(many.Ranges, store.RangeCheck{Lo: []byte(key(i)), Hi: []byte(key(i + 1)), Token: at})
	}
	many.Ops[0].Value = make([]byte, s.Limits().Value)
	if _, err := s.Commit(bg, many); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Commit of 1 MiB and %d long ranges = %v, want ErrTooLarge", max-1, err)
	}
}

// Reads have no limit.
func TestLongReads(t *testing.T) {
	s := open(t, etcdtest.New(t))
	const n = 1300
	var ops []store.Op
	for i := range n {
		ops = append(ops, put(fmt.Sprintf("e%05d", i), fmt.Sprintf("d%05d", n-i), store.Guard{}))
	}
	for i := range n {
		ops = append(ops, put(fmt.Sprintf("d%05d", i), fmt.Sprint(i), store.Guard{}))
	}
	for len(ops) > 0 {
		chunk := ops[:min(len(ops), s.Limits().Ops)]
		ops = ops[len(chunk):]
		for i := range chunk { // sorted
			for j := i; j > 0 && string(chunk[j].Key) < string(chunk[j-1].Key); j-- {
				chunk[j], chunk[j-1] = chunk[j-1], chunk[j]
			}
		}
		mustCommit(t, s, chunk...)
	}
	for _, count := range []int{0, 1, 128, 129, 4096, 4097, 9000} {
		keys := make([][]byte, count)
		for i := range keys {
			keys[i] = fmt.Appendf(nil, "d%05d", i%(2*n)) // half of them are absent
		}
		items, err := s.Get(bg, keys...)
		if err != nil || len(items) != count {
			t.Fatalf("Get of %d keys = %d items, %v", count, len(items), err)
		}
		for i, it := range items {
			if string(it.Key) != string(keys[i]) || (it.Version != 0) != (i%(2*n) < n) || it.Version != 0 && string(it.Value) != fmt.Sprint(i%(2*n)) {
				t.Fatalf("Get of %d keys: item %d is %+v", count, i, it)
			}
		}
	}
	for _, limit := range []int{499, 500, 501, 1000, n, n + 1, 100_000} {
		for _, reverse := range []bool{false, true} {
			items, err := s.Page(bg, store.Page{Lo: []byte("e"), Limit: limit, Deref: true, Reverse: reverse})
			if err != nil || len(items) != min(limit, n) {
				t.Fatalf("a page of %d = %d items, %v", limit, len(items), err)
			}
			for i, it := range items {
				if reverse {
					i = n - 1 - i
				}
				if string(it.Entry) != fmt.Sprintf("e%05d", i) || string(it.Key) != fmt.Sprintf("d%05d", n-i) || (it.Version == 0) != (i == 0) {
					t.Fatalf("a page of %d, reverse %v: item %d is %+v", limit, reverse, i, it)
				}
			}
		}
	}
}
