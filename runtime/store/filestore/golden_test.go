package filestore

import (
	"bytes"
	"errors"
	"io"
)

// memFile is a file that can only be read.
type memFile []byte

var errReadOnly = errors.New("this file can only be read")

func (m memFile) ReadAt(b []byte, off int64) (int, error)  { return bytes.NewReader(m).ReadAt(b, off) }
func (m memFile) WriteAt(b []byte, off int64) (int, error) { return 0, errReadOnly }
func (m memFile) Size() (int64, error)                     { return int64(len(m)), nil }
func (m memFile) Reserve(off, n int64) error               { return errReadOnly }
func (m memFile) Truncate(size int64) error                { return errReadOnly }
func (m memFile) Sync() error                              { return errReadOnly }
func (m memFile) Lock() error                              { return errReadOnly }
func (m memFile) Close() error                             { return nil }

var _ io.ReaderAt = memFile(nil)

// The bytes of the formats, as they are for ever. See format.go for what they mean.
const (
	goldenCommit = `
		4b 58 46 52 68 00 00 00 f3 af 0f 52 d4 c3 b2 a1
		09 00 00 00 00 00 00 00 40 00 00 00 00 00 00 00
		01 00 00 00 e8 c5 27 13 04 01 00 05 64 6f 63 2f
		31 46 30 31 32 33 34 35 36 37 38 39 30 31 32 33
		34 35 36 37 38 39 30 31 32 33 34 35 36 37 38 39
		30 31 32 33 34 35 36 37 38 39 30 31 32 33 34 35
		36 37 38 39 30 31 32 33 34 35 36 37 38 39 30 31
		32 33 34 35 36 37 38 39 0b 94 eb 5a 02 04 01 32
		03 00 07 69 6e 64 65 78 2f 61 00 01 06 01 62 00`
	goldenMove = `
		4b 58 46 52 a4 00 00 00 b0 0c 5c f4 d4 c3 b2 a1
		09 00 00 00 00 00 00 00 d0 00 00 00 00 00 00 00
		02 00 00 00 ee bf ba a9 02 00 05 64 6f 63 2f 31
		04 46 30 31 32 33 34 35 36 37 38 39 30 31 32 33
		34 35 36 37 38 39 30 31 32 33 34 35 36 37 38 39
		30 31 32 33 34 35 36 37 38 39 30 31 32 33 34 35
		36 37 38 39 30 31 32 33 34 35 36 37 38 39 30 31
		32 33 34 35 36 37 38 39 0b 94 eb 5a 05 01 32 ac
		02 46 30 31 32 33 34 35 36 37 38 39 30 31 32 33
		34 35 36 37 38 39 30 31 32 33 34 35 36 37 38 39
		30 31 32 33 34 35 36 37 38 39 30 31 32 33 34 35
		36 37 38 39 30 31 32 33 34 35 36 37 38 39 30 31
		32 33 34 35 36 37 38 39 ef 88 c7 b2 00 00 00 00`
	goldenMark = `
		4b 58 46 52 00 00 00 00 00 00 00 00 d4 c3 b2 a1
		09 00 00 00 00 00 00 00 d0 00 00 00 00 00 00 00
		03 00 00 00 b2 8c d0 b1`
	goldenSegment = `
		4b 58 53 47 01 00 00 00 01 02 03 04 05 06 07 08
		09 0a 0b 0c 0d 0e 0f 10 07 00 00 00 d4 c3 b2 a1
		06 00 00 00 04 03 02 01 00 10 00 00 44 33 22 11
		08 00 00 00 00 00 00 00 99 aa bb cc 4e 4b 9e e3`
	goldenFreshSegment = `
		4b 58 53 47 01 00 01 00 01 02 03 04 05 06 07 08
		09 0a 0b 0c 0d 0e 0f 10 07 00 00 00 d4 c3 b2 a1
		06 00 00 00 04 03 02 01 00 10 00 00 44 33 22 11
		08 00 00 00 00 00 00 00 99 aa bb cc e7 fd 73 e9`
	goldenBlock = `
		04 00 04 64 6f 63 2f ab 02 02 01 31 01 07 64 46
		44 33 22 11 01 01 32 00 00 03 61 2f 31 01 00 02
		03 64 6f 63 00 03 62 2f 31 02 04 02 01 78 09 00
		14 00 18 00 24 00 7c 94 92 ef`
	goldenManifest = `
		4b 58 4d 46 01 00 00 00 01 02 03 04 05 06 07 08
		09 0a 0b 0c 0d 0e 0f 10 03 00 00 00 00 00 00 00
		06 00 00 00 80 00 00 00 cc bb aa 99 00 ff ee dd
		08 00 00 00 00 00 00 00 07 00 00 00 d4 c3 b2 a1
		00 10 00 00 88 77 66 55 09 00 00 00 00 00 00 00
		02 00 00 00 02 00 00 00 0b 00 00 00 0d 0c 0b 0a
		9a 78 56 34 12 00 00 00 be ba fe ca 03 00 00 00
		01 00 00 00 02 00 00 00 00 00 00 00 03 00 00 00
		05 00 00 00 00 20 00 00 07 00 00 00 00 00 00 00
		06 00 00 00 00 30 00 00 08 00 00 00 00 00 00 00
		93 41 ab ce`
	goldenLooseManifest = `
		4b 58 4d 46 01 00 01 00 01 02 03 04 05 06 07 08
		09 0a 0b 0c 0d 0e 0f 10 03 00 00 00 00 00 00 00
		06 00 00 00 80 00 00 00 cc bb aa 99 00 ff ee dd
		08 00 00 00 00 00 00 00 07 00 00 00 d4 c3 b2 a1
		00 10 00 00 88 77 66 55 09 00 00 00 00 00 00 00
		02 00 00 00 02 00 00 00 0b 00 00 00 0d 0c 0b 0a
		9a 78 56 34 12 00 00 00 be ba fe ca 03 00 00 00
		01 00 00 00 02 00 00 00 00 00 00 00 03 00 00 00
		05 00 00 00 00 20 00 00 07 00 00 00 00 00 00 00
		06 00 00 00 00 30 00 00 08 00 00 00 00 00 00 00
		47 9a 1d 43`
)
