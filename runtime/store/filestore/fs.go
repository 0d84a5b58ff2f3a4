package filestore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// An FS is the directory of a store: everything the store asks of a file system. Names are plain file names in it.
//
// The operating system's is what [Open] uses by default; package simfs has one that loses what was not synced. The
// contents of a file, its size and its entry in the directory are three things: the first two are durable when
// [File].Sync has returned, the third when SyncDir has. A rename is two entries. Implementations are safe for concurrent
// use.
type FS interface {
	// OpenFile opens a file for reading and writing, as os.OpenFile does with flag. A new file can be read by its owner
	// only.
	OpenFile(name string, flag int) (File, error)
	// Rename gives a file that is not open another name, and takes it from the file that has it.
	Rename(oldName, newName string) error
	// Remove removes a file.
	Remove(name string) error
	// List returns the names in the directory, in any order.
	List() ([]string, error)
	// SyncDir returns when the entries of the directory are durable.
	SyncDir() error
	// Close frees the directory. Open files stay open.
	Close() error
}

// A File is an open file of an [FS]. ReadAt and WriteAt keep the contracts of io.ReaderAt and io.WriterAt.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Size returns the length of the file.
	Size() (int64, error)
	// Reserve makes sure that the bytes from off up to off+n can be written without another allocation, and makes the
	// file at least so long; new bytes are zero. On an error the file may have any size of at least off.
	Reserve(off, n int64) error
	// Truncate makes the file size bytes long.
	Truncate(size int64) error
	// Sync returns when the contents and the size of the file are durable. After an error nobody knows what is, and
	// calling it again does not help.
	Sync() error
	// Lock takes the exclusive lock of the file, which ends with Close or with the process. It does not wait: if
	// another open file has the lock, it returns [ErrHeld].
	Lock() error
	// Close frees the file. A ReadAt under way ends first, a later one fails with os.ErrClosed.
	Close() error
}

// ErrHeld is returned by [File].Lock if the lock is taken.
var ErrHeld = errors.New("the file is locked")

// osFS is a directory of the operating system. All access goes through root, so that no symbolic link leads outside.
type osFS struct {
	root *os.Root
}

// Dir returns a directory of the operating system, which is made if it is not there. It is for an [Options].FS that wraps
// it: that of [Open] is such a one already.
func Dir(dir string) (FS, error) { return openOS(dir) }

// openOS opens the directory dir, and makes it if it is not there.
func openOS(dir string) (*osFS, error) {
	_, err := os.Stat(dir)
	made := errors.Is(err, os.ErrNotExist)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if made {
		// The new directory is an entry in its parent, which a power cut may take with all that is in it.
		if err := syncPath(filepath.Dir(filepath.Clean(dir))); err != nil {
			return nil, fmt.Errorf("sync the parent of %s: %w", dir, err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &osFS{root}, nil
}

// openToOthers reports whether everybody may write to the directory.
func (o *osFS) openToOthers() bool {
	info, err := o.root.Stat(".")
	return err == nil && info.Mode().Perm()&0o002 != 0 && worldWritableCounts
}

func (o *osFS) OpenFile(name string, flag int) (File, error) {
	f, err := o.root.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return &osFile{f}, nil
}

func (o *osFS) Rename(oldName, newName string) error { return o.root.Rename(oldName, newName) }
func (o *osFS) Remove(name string) error             { return o.root.Remove(name) }
func (o *osFS) Close() error                         { return o.root.Close() }

func (o *osFS) List() ([]string, error) {
	d, err := o.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

func (o *osFS) SyncDir() error {
	d, err := o.root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return syncDir(d)
}

func syncPath(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return syncDir(d)
}

// osFile is a file of the operating system.
type osFile struct {
	*os.File
}

func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *osFile) Sync() error { return syncFile(f.File) }

func (f *osFile) Lock() error { return lockFile(f.File) }

func (f *osFile) Reserve(off, n int64) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	return reserve(f.File, off, n, size)
}

// readFile returns the whole contents of a file.
func readFile(fsys FS, name string) (b []byte, err error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b = make([]byte, size)
	if n, err := f.ReadAt(b, 0); int64(n) < size {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

// writeTmp writes b to the new file name.tmp and syncs it. If it fails, the file is removed again.
func writeTmp(fsys FS, name string, b []byte) (err error) {
	name += tmpSuffix
	if err := fsys.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		// What is left is removed by the next opening, if not here.
		return errors.Join(err, ignoreAbsent(fsys.Remove(name)))
	}
	return nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
