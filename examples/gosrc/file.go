// Command gosrc keeps a catalogue of the Go source tree that is on every Go developer's machine, and asks it who imports
// what.
//
//	go run ./examples/gosrc [-dir DIR] [-src DIR] [-import net/http]
//
// A second run reads the tree again and writes only what has changed.
package main

import (
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

//go:generate go run github.com/kixxgen/kixxgen/cmd/kixxgen

// File is a file of Go source.
//
//kixx:entity
//kixx:index ImportSize Imports,Size:desc
//kixx:view BySizeClass func=emitSizeClass
type File struct {
	Path    string    `json:"path" kixx:"key"` // within the tree
	Rev     kixx.Rev  `json:"_rev" kixx:"rev"`
	Package string    `json:"package" kixx:"index" validate:"required"`
	Size    int64     `json:"size" kixx:"index:desc" validate:"gte=0"`
	Lines   int       `json:"lines"`
	Time    time.Time `json:"time"`
	Imports []string  `json:"imports" kixx:"index"`
}

// emitSizeClass puts a file into the power of two that its size is below, so that classes sort by size.
func emitSizeClass(f *File, emit kixx.Emit[int64, int]) {
	class := int64(1024)
	for class <= f.Size {
		class *= 2
	}
	emit(class, f.Lines)
}
