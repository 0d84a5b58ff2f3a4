package filestore

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile takes the lock of one byte far behind the end of the file: locks are mandatory here, and who finds the lock
// taken wants to read whose it is.
func lockFile(f *os.File) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	err = c.Control(func(fd uintptr) {
		at := windows.Overlapped{OffsetHigh: 1 << 30}
		opErr = windows.LockFileEx(windows.Handle(fd), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	})
	switch {
	case err != nil:
		return err
	case opErr == windows.ERROR_LOCK_VIOLATION || opErr == windows.ERROR_IO_PENDING:
		return ErrHeld
	case opErr != nil:
		return &os.PathError{Op: "LockFileEx", Path: f.Name(), Err: opErr}
	}
	return nil
}
