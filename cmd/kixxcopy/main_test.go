package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kixxgen/kixxgen/internal/datacopy"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

var bg = context.Background()

// command runs the command, and returns what it writes.
func command(args ...string) (status int, stdout, stderr string) {
	var out, err strings.Builder
	status = run(bg, args, &out, &err)
	return status, out.String(), err.String()
}

// copied runs a copy, which must succeed, and returns its report.
func copied(t *testing.T, args ...string) string {
	t.Helper()
	status, stdout, stderr := command(args...)
	if status != 0 {
		t.Fatalf("kixxcopy = status %d, %s", status, stderr)
	}
	return stdout
}

// fill makes a store in a directory with many keys.
func fill(t *testing.T, dir string) {
	t.Helper()
	st, err := datacopy.OpenTarget(bg, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		b := &store.Batch{ID: [8]byte{byte(i)}}
		for j := range 500 {
			b.Ops = append(b.Ops, store.Op{Key: fmt.Appendf(nil, "\x01%d%04d\xff\x00", i, j), Value: []byte(strings.Repeat("\x00v", j))})
		}
		if _, err := st.Commit(bg, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestToPostgreSQLAndBack(t *testing.T) {
	url := pgtest.New(t)
	dir := t.TempDir()
	from, back := filepath.Join(dir, "from"), filepath.Join(dir, "back")
	fill(t, from)
	there := copied(t, from, url)
	if !strings.HasPrefix(there, "2500 keys, ") {
		t.Errorf("kixxcopy wrote %q", there)
	}
	if again := copied(t, url, "file:"+back); again != there {
		t.Errorf("the copy back wrote %q, the copy there %q; it has the same keys and values", again, there)
	}
	if status, _, stderr := command(from, url); status != 1 || !strings.Contains(stderr, "is not empty") {
		t.Errorf("a second copy = status %d, %s", status, stderr)
	}
}

func TestACopyToPostgreSQLGoesOn(t *testing.T) {
	url := pgtest.New(t)
	from := filepath.Join(t.TempDir(), "from")
	fill(t, from)
	ctx, cancel := context.WithCancel(bg)
	src, name, err := datacopy.OpenSource(bg, from, nil)
	if err != nil {
		t.Fatal(err)
	}
	dst, err := datacopy.OpenTarget(bg, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := datacopy.Copy(ctx, src, &cutting{dst, 3, cancel}, datacopy.Options{Name: name}); err == nil {
		t.Fatal("the copy was not cut off")
	}
	for _, st := range []store.Store{src, dst} {
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
	status, stdout, stderr := command(from, url)
	if status != 0 || !strings.Contains(stderr, "gone on with") || !strings.HasPrefix(stdout, "2500 keys, ") {
		t.Errorf("kixxcopy again = status %d, %s%s", status, stdout, stderr)
	}
}

// A cutting store ends a context with a commit.
type cutting struct {
	store.Store
	left int
	cut  func()
}

func (c *cutting) Commit(ctx context.Context, b *store.Batch) (store.Version, error) {
	if c.left--; c.left == 0 {
		c.cut()
	}
	return c.Store.Commit(ctx, b)
}

func TestWrongArguments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"", 2, "usage: "}, {"a", 2, "usage: "}, {"a b c", 2, "usage: "}, {"-new a b", 2, "not defined"},
		{"-h", 0, ""}, {"mem: " + dir, 2, "in memory"}, {"redis:x " + dir, 2, `scheme "redis"`}, {dir + " " + dir + "2", 2, "no such file"},
		{dir + " tikv://h", 2, "no such file"},
	} {
		if status, _, stderr := command(strings.Fields(c.args)...); status != c.status || !strings.Contains(stderr, c.want) {
			t.Errorf("kixxcopy %s = status %d, %s; want %d, %s", c.args, status, stderr, c.status, c.want)
		}
	}
}
