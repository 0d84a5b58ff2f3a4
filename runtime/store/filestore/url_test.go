package filestore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// worldReadableMatters says whether permission bits mean something.
const worldReadableMatters = runtime.GOOS != "windows"

func TestURL(t *testing.T) {
	always := store.Durability{}
	for _, c := range []struct {
		url   string
		dir   string
		d     store.Durability
		cache int64
		fail  string // part of the error
	}{
		{url: "file:./data?cache=3KiB", dir: "./data", cache: 3 << 10},
		{url: "file:./data?cache=64MiB&sync=none", dir: "./data", d: store.Durability{Mode: store.NoSync}, cache: 64 << 20},
		{url: "file:./data?cache=2GiB", dir: "./data", cache: 2 << 30},
		{url: "file:./data?cache=64", fail: "want a size like 64MiB"},
		{url: "file:./data?cache=-1MiB", fail: "want a size like 64MiB"},
		{url: "file:./data?cache=0MiB", fail: "want a size like 64MiB"},
		{url: "file:./data?cache=9999999999GiB", fail: "want a size like 64MiB"},
		{url: "file:./data", dir: "./data", d: always},
		{url: "file:data", dir: "data", d: always},
		{url: "file:../up/a%20b", dir: "../up/a b", d: always},
		{url: "file:///srv/data", dir: "/srv/data", d: always},
		{url: "file:/srv/data", dir: "/srv/data", d: always},
		{url: "file://localhost/srv/a%23b", dir: "/srv/a#b", d: always},
		{url: "file:./data?sync=always", dir: "./data", d: always},
		{url: "file:./data?sync=none", dir: "./data", d: store.Durability{Mode: store.NoSync}},
		{url: "file:./data?sync=periodic", dir: "./data", d: store.Durability{Mode: store.Periodic}},
		{url: "file:///d?sync=periodic&interval=2s", dir: "/d", d: store.Durability{Mode: store.Periodic, Interval: 2 * time.Second}},
		{url: "file:", fail: "no path"},
		{url: "file://data", fail: `write file:data for a relative path`},
		{url: "file:./a#b", fail: "%23"},
		{url: "file:./data?snyc=none", fail: `unknown parameter "snyc"; known are sync, interval and cache`},
		{url: "file:./data?sync=sometimes", fail: "want always, periodic or none"},
		{url: "file:./data?sync=none&sync=none", fail: "given 2 times"},
		{url: "file:./data?sync=periodic&interval=5", fail: "want a duration like 100ms"},
		{url: "file:./data?sync=periodic&interval=-5s", fail: "want a duration like 100ms"},
		{url: "file:./data?interval=5s", fail: "belongs to sync=periodic"},
		{url: "file:%zz", fail: "invalid URL escape"},
	} {
		dir, o, err := filestore.ParseURL(c.url, filestore.Options{})
		switch {
		case c.fail != "":
			if err == nil || !strings.Contains(err.Error(), c.fail) {
				t.Errorf("%s: error %v, want one with %q", c.url, err, c.fail)
			}
		case err != nil || dir != c.dir || o.Durability != c.d || o.BlockCache != c.cache:
			t.Errorf("%s: %q, %v, %v, want %q, %v", c.url, dir, o.Durability, err, c.dir, c.d)
		}
	}
}

func TestOpenByURL(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	url := "file:" + filepath.ToSlash(dir)
	s, err := store.Open(bg, url+"?sync=periodic&interval=10ms", store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", "v")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "MANIFEST")); err != nil {
		t.Error(err)
	}
	if _, err := store.Open(bg, url+"?x=1", store.Options{}); err == nil || !strings.Contains(err.Error(), `unknown parameter "x"`) {
		t.Errorf("unknown parameter: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for i, o := range []filestore.Options{
		{SegmentSize: 255},
		{SegmentSize: 2 << 30},
		{Reserve: -1},
		{Options: store.Options{Durability: store.Durability{Mode: 9}}},
		{Options: store.Options{Durability: store.Durability{Mode: store.Periodic, Interval: -1}}},
	} {
		if s, err := filestore.Open(bg, t.TempDir(), o); err == nil {
			s.Close()
			t.Errorf("options %d: no error", i)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := filestore.Open(bg, file, filestore.Options{}); err == nil || !strings.Contains(err.Error(), fmt.Sprint(file)) {
		t.Errorf("a file instead of a directory: %v", err)
	}
}
