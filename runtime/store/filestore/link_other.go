//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd && !openbsd

package filestore

import (
	"errors"
	"io"
)

// link is not there on this system, or needs a path: the file is copied.
func (o *osFS) link(io.ReaderAt, string, FS) error { return errors.ErrUnsupported }
