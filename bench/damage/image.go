package damage

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A Flip is one changed bit. The zero Flip changes nothing.
type Flip struct {
	File   string `json:"file"`
	Offset int    `json:"offset"`
	Bit    uint8  `json:"bit"` // 0 to 7
}

// An image is the files of a closed database, in the order of their names.
type image []imageFile

// An imageFile is one file. The zeros at its end, which are space that was reserved ahead, are left out of data.
type imageFile struct {
	name string
	data []byte
	size int64
}

// readImage reads the files of the directory.
func readImage(dir string) (image, error) {
	var im image
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if !e.Type().IsRegular() {
			return fmt.Errorf("%s is not a regular file", path)
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		im = append(im, imageFile{name: name, data: bytes.TrimRight(data, "\x00"), size: int64(len(data))})
		return nil
	})
	return im, err
}

// write writes the files to the directory, with the flip.
func (im image) write(dir string, flip Flip) error {
	for _, f := range im {
		path := filepath.Join(dir, f.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		data := f.data
		if f.name == flip.File {
			data = bytes.Clone(data)
			data[flip.Offset] ^= 1 << flip.Bit
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return err
		}
		if err := os.Truncate(path, f.size); err != nil {
			return err
		}
	}
	return nil
}

// bytes returns how many bytes can be flipped.
func (im image) bytes() int {
	n := 0
	for _, f := range im {
		n += len(f.data)
	}
	return n
}

// flips returns a flip in every every-th byte, counted over all files together, so that small files are not left out.
// All bits of a byte have their turns.
func (im image) flips(every int) []Flip {
	var flips []Flip
	next := every / 2
	for _, f := range im {
		for ; next < len(f.data); next += every {
			flips = append(flips, Flip{File: f.name, Offset: next, Bit: uint8(len(flips) % 8)})
		}
		next -= len(f.data)
	}
	return flips
}

// every returns a distance of flips that gives about n of them. It is odd: a power of two would meet the same bytes of
// every record.
func (im image) every(n int) int { return im.bytes()/n | 1 }
