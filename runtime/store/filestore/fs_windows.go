package filestore

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// worldWritableCounts says whether the permission bits of a directory mean something.
const worldWritableCounts = false

// syncDir does nothing: a directory cannot be synced here, NTFS writes its own log.
func syncDir(*os.File) error { return nil }

// isFull reports whether err says that there is no space left, on the disk or in the owner's quota.
func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED) || errors.Is(err, syscall.ENOSPC)
}
