package filestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
)

// openExisting opens the directory of a store that must be there: nothing is made.
func openExisting(dir string) (*osFS, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if _, err := root.Stat(manifestName); err != nil {
		root.Close()
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("no store is there: %w", err)
		}
		return nil, err
	}
	return &osFS{root}, nil
}

// A scratchFS shows a directory and leaves it as it is, see [Options.Scratch]: what is written, renamed and removed is that
// in a directory for temporary files in front of it. A file is copied there before it is changed. There is no such
// directory as long as nothing is changed, as after a clean close.
//
// The lock is that of the directory itself, if it has a file for it.
type scratchFS struct {
	below *osFS

	mu     sync.Mutex
	dir    string // for temporary files, "" as long as there is none
	above  *osFS
	copied map[string]bool // names that are above
	hidden map[string]bool // names that are not to be seen below
}

func newScratchFS(below *osFS) *scratchFS {
	return &scratchFS{below: below, copied: make(map[string]bool), hidden: make(map[string]bool)}
}

// up returns the directory for temporary files. mu is held.
func (s *scratchFS) up() (_ *osFS, err error) {
	if s.above == nil {
		if s.dir, err = os.MkdirTemp("", "kixx-scratch-"); err != nil {
			return nil, err
		}
		root, err := os.OpenRoot(s.dir)
		if err != nil {
			return nil, err
		}
		s.above = &osFS{root}
	}
	return s.above, nil
}

func (s *scratchFS) OpenFile(name string, flag int) (File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == lockName {
		f, err := s.below.OpenFile(name, os.O_RDWR)
		if errors.Is(err, fs.ErrPermission) {
			f, err = s.below.OpenFile(name, os.O_RDONLY) // enough for the lock; the owner cannot be written
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	if s.copied[name] {
		return s.above.OpenFile(name, flag)
	}
	if !s.hidden[name] {
		f, err := s.below.OpenFile(name, os.O_RDONLY)
		switch {
		case err == nil && flag&os.O_EXCL != 0:
			f.Close()
			return nil, &os.PathError{Op: "open", Path: name, Err: fs.ErrExist}
		case err == nil:
			return &scratchFile{File: f, fs: s, name: name}, nil
		case !errors.Is(err, fs.ErrNotExist) || flag&os.O_CREATE == 0:
			return nil, err
		}
	}
	if flag&os.O_CREATE == 0 {
		return nil, &os.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	up, err := s.up()
	if err != nil {
		return nil, err
	}
	f, err := up.OpenFile(name, flag)
	if err == nil {
		s.copied[name] = true
	}
	return f, err
}

// copyUp copies a file that is below, and returns the copy. mu is held.
func (s *scratchFS) copyUp(name string, f io.ReaderAt, size int64) (_ File, err error) {
	up, err := s.up()
	if err != nil {
		return nil, err
	}
	to, err := up.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(to, io.NewSectionReader(f, 0, size)); err != nil {
		to.Close()
		return nil, err
	}
	s.copied[name] = true
	return &osFile{to}, nil
}

func (s *scratchFS) Rename(oldName, newName string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.copied[oldName] {
		return &os.LinkError{Op: "rename", Old: oldName, New: newName, Err: errors.ErrUnsupported} // the store renames what it has just written
	}
	if err := s.above.Rename(oldName, newName); err != nil {
		return err
	}
	delete(s.copied, oldName)
	s.copied[newName], s.hidden[newName], s.hidden[oldName] = true, true, true
	return nil
}

func (s *scratchFS) Remove(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.copied[name] {
		if err := s.above.Remove(name); err != nil {
			return err
		}
		delete(s.copied, name)
	} else if _, err := s.below.root.Lstat(name); err != nil || s.hidden[name] {
		return &os.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	s.hidden[name] = true
	return nil
}

func (s *scratchFS) List() ([]string, error) {
	names, err := s.below.List()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	names = slices.DeleteFunc(names, func(name string) bool { return s.hidden[name] || s.copied[name] })
	for name := range s.copied {
		names = append(names, name)
	}
	return names, nil
}

func (s *scratchFS) SyncDir() error { return nil }

func (s *scratchFS) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.below.Close()
	if s.above != nil {
		err = errors.Join(err, s.above.Close())
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// A scratchFile is a file below, and its copy from the first change on.
type scratchFile struct {
	fs   *scratchFS
	name string

	mu sync.RWMutex
	File
	own bool // it is the copy
}

// change calls f with a file that can be changed.
func (c *scratchFile) change(f func(File) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.own {
		size, err := c.File.Size()
		if err != nil {
			return err
		}
		c.fs.mu.Lock()
		own, err := c.fs.copyUp(c.name, c.File, size)
		c.fs.mu.Unlock()
		if err != nil {
			return err
		}
		c.File.Close()
		c.File, c.own = own, true
	}
	return f(c.File)
}

func (c *scratchFile) WriteAt(b []byte, off int64) (n int, err error) {
	err = c.change(func(f File) (err error) {
		n, err = f.WriteAt(b, off)
		return err
	})
	return n, err
}

func (c *scratchFile) Reserve(off, n int64) error {
	return c.change(func(f File) error { return f.Reserve(off, n) })
}

func (c *scratchFile) Truncate(size int64) error {
	return c.change(func(f File) error { return f.Truncate(size) })
}

func (c *scratchFile) ReadAt(b []byte, off int64) (int, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.File.ReadAt(b, off)
}

func (c *scratchFile) Size() (int64, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.File.Size()
}

func (c *scratchFile) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.File.Close()
}

func (c *scratchFile) Sync() error { return nil }
