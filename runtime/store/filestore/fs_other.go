//go:build !linux && !darwin

package filestore

import "os"

// syncFile makes the data and the size durable.
func syncFile(f *os.File) error { return f.Sync() }

// reserve extends the file.
func reserve(f *os.File, off, n, size int64) error {
	if size >= off+n {
		return nil
	}
	return f.Truncate(off + n)
}
