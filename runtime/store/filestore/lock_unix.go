//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package filestore

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes the lock with flock, which belongs to the open file: a second opening by the same process is refused
// as well.
func lockFile(f *os.File) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	err = c.Control(func(fd uintptr) {
		for {
			if opErr = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB); opErr != unix.EINTR {
				return
			}
		}
	})
	switch {
	case err != nil:
		return err
	case opErr == unix.EWOULDBLOCK:
		return ErrHeld
	case opErr != nil:
		return &os.PathError{Op: "flock", Path: f.Name(), Err: opErr}
	}
	return nil
}
