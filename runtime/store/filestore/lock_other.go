//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package filestore

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

// lockFile refuses: without a lock two processes could write to one directory.
func lockFile(*os.File) error {
	return fmt.Errorf("locking files on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
