//go:build !windows

package filestore

import (
	"errors"
	"os"
	"syscall"
)

// worldWritableCounts says whether the permission bits of a directory mean something.
const worldWritableCounts = true

// syncDir makes the entries of the directory durable.
func syncDir(d *os.File) error { return d.Sync() }

// isFull reports whether err says that there is no space left, on the disk or in the owner's quota.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
