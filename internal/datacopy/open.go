package datacopy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// Drivers are the schemes of the stores that are modules of their own. The command kixxcopy has them.
var Drivers = []string{"etcd", "etcds", "postgres", "postgresql", "tikv"}

// A DriverError says that a program has no store for a URL, and that kixxcopy has.
type DriverError struct{ Scheme string }

func (e *DriverError) Error() string {
	return fmt.Sprintf("the driver for %s: is not in this command", e.Scheme)
}

// errPlace matches errors about what a place was written as.
var errPlace = errors.New("wrong place")

// IsPlaceError reports whether an error is about how a place was written, and not about what is there.
func IsPlaceError(err error) bool {
	var driver *DriverError
	return errors.Is(err, errPlace) || errors.As(err, &driver)
}

// A placeError matches errPlace.
type placeError struct{ error }

func (placeError) Is(target error) bool { return target == errPlace }

// schemeOf returns the scheme of a URL; "file" for a path, also one that begins with the letter of a drive.
func schemeOf(place string) string {
	scheme, _, ok := strings.Cut(place, ":")
	if !ok || len(scheme) < 2 || strings.ContainsAny(scheme, `/\.`) {
		return "file"
	}
	return scheme
}

// fileURL returns the URL of a place in files, which may be a path.
func fileURL(place string) string {
	if strings.HasPrefix(place, "file:") {
		return place
	}
	return "file:" + (&url.URL{Path: filepath.ToSlash(place)}).EscapedPath()
}

// CheckPlace returns an error if no store of this program can be at a place.
func CheckPlace(place string) error {
	switch scheme := schemeOf(place); {
	case place == "" || scheme == "mem":
		return placeError{fmt.Errorf("%q is no place for a copy: a database in memory ends with its program", place)}
	case scheme == "file", slices.Contains(store.Schemes(), scheme):
		return nil
	case slices.Contains(Drivers, scheme):
		return &DriverError{scheme}
	default:
		return placeError{fmt.Errorf("no store for the URL scheme %q; known are file: %s:, and a path is a directory", scheme, strings.Join(Drivers, ": "))}
	}
}

// OpenSource opens what is to be copied: the URL of a store, or the directory of one in files, which stay as they are. The
// name is that for [Options].
func OpenSource(ctx context.Context, place string, logger *slog.Logger) (st store.Store, name string, err error) {
	return open(ctx, place, filestore.Options{Options: store.Options{Logger: logger}, Existing: true, Scratch: true})
}

// OpenTarget opens where to copy to. What is not there is made.
func OpenTarget(ctx context.Context, place string, logger *slog.Logger) (store.Store, error) {
	st, _, err := open(ctx, place, filestore.Options{Options: store.Options{Logger: logger}})
	return st, err
}

func open(ctx context.Context, place string, o filestore.Options) (store.Store, string, error) {
	if err := CheckPlace(place); err != nil {
		return nil, "", err
	}
	if schemeOf(place) != "file" {
		st, err := store.Open(ctx, place, o.Options)
		if err != nil {
			return nil, "", err
		}
		return st, Shown(place), nil
	}
	st, dir, err := filestore.OpenURL(ctx, fileURL(place), o)
	if err != nil {
		return nil, "", err
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return st, "file:" + dir, nil
}

// Shown returns what of a place may be shown: without user, password and parameters if it is a URL of a server.
func Shown(place string) string {
	if schemeOf(place) == "file" {
		return place
	}
	u, err := url.Parse(place)
	if err != nil {
		return schemeOf(place) + ":"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, Opaque: u.Opaque}).String()
}

// String says how far a copy is.
func (p Progress) String() string {
	what := "copied"
	if p.Pass > 1 {
		what = "compared"
	}
	return fmt.Sprintf("%s %d keys, %.1f MiB", what, p.Keys, float64(p.Bytes)/(1<<20))
}

// String says what both sides have.
func (r *Report) String() string {
	return fmt.Sprintf("%d keys, %d bytes, SHA-256 %s: the same on both sides", r.Keys, r.Bytes, r.Checksum)
}
