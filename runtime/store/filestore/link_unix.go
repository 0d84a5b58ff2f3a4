//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package filestore

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// link makes a hard link from one opened directory to another, so that no path is walked again. If the name stood for
// something else than f, a planted symbolic link for example, the link is removed again.
func (o *osFS) link(f io.ReaderAt, name string, to FS) error {
	dst, ok := to.(*osFS)
	src, isFile := f.(*osFile)
	if !ok || !isFile {
		return errors.ErrUnsupported
	}
	if err := linkBetween(o.root, dst.root, name); err != nil {
		return err
	}
	want, err := src.Stat()
	if err == nil {
		var got os.FileInfo
		if got, err = dst.root.Lstat(name); err == nil && !os.SameFile(want, got) {
			err = errors.New("the file with this name is another one")
		}
	}
	if err != nil {
		return errors.Join(err, dst.root.Remove(name))
	}
	return nil
}

func linkBetween(from, to *os.Root, name string) error {
	a, err := from.Open(".")
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := to.Open(".")
	if err != nil {
		return err
	}
	defer b.Close()
	return unix.Linkat(int(a.Fd()), name, int(b.Fd()), name, 0)
}
