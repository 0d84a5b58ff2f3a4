package filestore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
)

func init() {
	store.Register("file", func(ctx context.Context, u string, so store.Options) (store.Store, error) {
		s, _, err := OpenURL(ctx, u, Options{Options: so})
		if err != nil {
			return nil, err // not s: a nil *Store in a store.Store is not nil
		}
		return s, nil
	})
}

// OpenURL is [Open] of the directory that a URL names, which it returns too. The parameters of the URL win over o.
func OpenURL(ctx context.Context, url string, o Options) (s *Store, dir string, err error) {
	dir, o, err = parseURL(url, o)
	if err != nil {
		return nil, "", fmt.Errorf("filestore: %q: %w", url, err)
	}
	s, err = Open(ctx, dir, o)
	return s, dir, err
}

// parseURL returns the directory that a URL names, and o with what its parameters say.
func parseURL(s string, o Options) (dir string, _ Options, err error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", o, err
	}
	switch {
	case u.Fragment != "" || strings.HasSuffix(s, "#"):
		return "", o, fmt.Errorf("a fragment; write %%23 for a # in the path")
	case u.Host != "" && u.Host != "localhost" || u.User != nil:
		return "", o, fmt.Errorf("a host %q; write file:%s%s for a relative path, file:///… for an absolute one", u.Host, u.Host, u.Path)
	case u.Opaque != "":
		if dir, err = url.PathUnescape(u.Opaque); err != nil {
			return "", o, err
		}
	default:
		dir = u.Path
	}
	if dir == "" {
		return "", o, fmt.Errorf("no path; write file:./data for a directory beside the program")
	}
	if runtime.GOOS == "windows" && len(dir) > 2 && dir[0] == '/' && dir[2] == ':' {
		dir = dir[1:] // file:///C:/data
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", o, err
	}
	for name, values := range q {
		if len(values) > 1 {
			return "", o, fmt.Errorf("the parameter %s is given %d times", name, len(values))
		}
		if name != "sync" && name != "interval" && name != "cache" {
			return "", o, fmt.Errorf("unknown parameter %q; known are sync, interval and cache", name)
		}
	}
	if q.Has("sync") {
		switch v := q.Get("sync"); v {
		case "always":
			o.Durability = store.Durability{Mode: store.Sync}
		case "periodic":
			o.Durability = store.Durability{Mode: store.Periodic, Interval: o.Durability.Interval}
		case "none":
			o.Durability = store.Durability{Mode: store.NoSync}
		default:
			return "", o, fmt.Errorf("sync=%s; want always, periodic or none", v)
		}
	}
	if q.Has("interval") {
		d, err := time.ParseDuration(q.Get("interval"))
		if err != nil || d <= 0 {
			return "", o, fmt.Errorf("interval=%s; want a duration like 100ms", q.Get("interval"))
		}
		if o.Durability.Mode != store.Periodic {
			return "", o, fmt.Errorf("interval=%s belongs to sync=periodic", q.Get("interval"))
		}
		o.Durability.Interval = d
	}
	if q.Has("cache") {
		if o.BlockCache, err = parseSize(q.Get("cache")); err != nil {
			return "", o, fmt.Errorf("cache=%s; want a size like 64MiB or 1GiB, at least 1KiB", q.Get("cache"))
		}
	}
	return dir, o, nil
}

// parseSize returns the bytes of a text like "64MiB".
func parseSize(s string) (int64, error) {
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if digits, ok := strings.CutSuffix(s, unit); ok {
			n, err := strconv.ParseUint(digits, 10, 31)
			if err != nil || n == 0 {
				return 0, errors.New("no size")
			}
			return int64(n) << (10 * (i + 1)), nil
		}
	}
	return 0, errors.New("no unit")
}
