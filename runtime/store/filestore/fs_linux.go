package filestore

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncFile makes the data and the size durable. fdatasync leaves out the times of the file, which fsync would write.
func syncFile(f *os.File) error {
	return control(f, "fdatasync", unix.Fdatasync)
}

// reserve allocates space with fallocate, which lets a full disk be met here and not when data is written. A file
// system that cannot do it gets the size alone.
func reserve(f *os.File, off, n, size int64) error {
	err := control(f, "fallocate", func(fd int) error { return unix.Fallocate(fd, 0, off, n) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		if size < off+n {
			return f.Truncate(off + n)
		}
		return nil
	}
	return err
}

// control calls op with the descriptor of f, again as long as a signal interrupts it.
func control(f *os.File, name string, op func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	err = c.Control(func(fd uintptr) {
		for {
			if opErr = op(int(fd)); opErr != unix.EINTR {
				return
			}
		}
	})
	if err == nil {
		err = opErr
	}
	if err != nil {
		return &os.PathError{Op: name, Path: f.Name(), Err: err}
	}
	return nil
}
