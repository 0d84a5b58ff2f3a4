package filestore

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncFile makes the data and the size durable. os.File.Sync is F_FULLFSYNC here; the cheaper F_BARRIERFSYNC promises
// an order only.
func syncFile(f *os.File) error { return f.Sync() }

// reserve allocates space with F_PREALLOCATE, which does not change the size, and then extends the file.
func reserve(f *os.File, off, n, size int64) error {
	if size >= off+n {
		return nil
	}
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	err = c.Control(func(fd uintptr) {
		want := unix.Fstore_t{Flags: unix.F_ALLOCATEALL, Posmode: unix.F_PEOFPOSMODE, Length: off + n - size}
		opErr = unix.FcntlFstore(fd, unix.F_PREALLOCATE, &want)
	})
	if err == nil && errors.Is(opErr, unix.ENOSPC) {
		err = &os.PathError{Op: "preallocate", Path: f.Name(), Err: opErr}
	}
	if err != nil {
		return err
	}
	return f.Truncate(off + n) // any other error: a file system without preallocation gets the size alone
}
