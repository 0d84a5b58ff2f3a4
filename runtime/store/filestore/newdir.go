package filestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// A newDir is a directory that gets its name when all of it is there: until then it stands beside it, under another one.
type newDir struct {
	parent *os.Root
	name   string
	tmp    string
	fs     *osFS
}

// makeDir begins a directory that will be dir. There must be nothing, or an empty directory, which is not touched before.
func makeDir(dir string) (_ *newDir, err error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	d := &newDir{name: filepath.Base(path)}
	d.tmp = fmt.Sprintf("%s.%08x%s", d.name, newSalt(), tmpSuffix)
	above := filepath.Dir(path)
	if err := os.MkdirAll(above, 0o700); err != nil {
		return nil, err
	}
	if d.parent, err = os.OpenRoot(above); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.parent.Close()
		}
	}()
	if err := d.free(); err != nil {
		return nil, err
	}
	if err := d.parent.Mkdir(d.tmp, 0o700); err != nil {
		return nil, err
	}
	root, err := d.parent.OpenRoot(d.tmp)
	if err != nil {
		return nil, errors.Join(err, d.parent.Remove(d.tmp))
	}
	d.fs = &osFS{root}
	return d, nil
}

// free returns an error if something has the name.
func (d *newDir) free() error {
	info, err := d.parent.Lstat(d.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is there and is no directory; name a new one", d.name)
	}
	f, err := d.parent.Open(d.name)
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	if len(names) > 0 {
		return fmt.Errorf("%s is there and is not empty; name a new directory", d.name)
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// finish gives the directory its name, if err is nil, or removes it. It returns err, or what went wrong.
func (d *newDir) finish(err error) error {
	defer d.parent.Close()
	if err == nil {
		err = d.fs.SyncDir()
	}
	err = errors.Join(err, d.fs.Close())
	if err == nil {
		err = d.rename()
	}
	if err != nil {
		return errors.Join(err, d.parent.RemoveAll(d.tmp))
	}
	return syncRoot(d.parent)
}

func (d *newDir) rename() error {
	if err := d.free(); err != nil {
		return err
	}
	if err := ignoreAbsent(d.parent.Remove(d.name)); err != nil { // it is empty
		return err
	}
	return d.parent.Rename(d.tmp, d.name)
}

// syncRoot makes the entries of a directory durable.
func syncRoot(root *os.Root) error {
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return syncDir(d)
}
