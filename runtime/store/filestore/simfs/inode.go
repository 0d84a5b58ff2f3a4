package simfs

import (
	"math/rand/v2"
	"slices"
)

// An inode is a file: what a process reads, what is on the disk, and how the one came from the other.
type inode struct {
	data    []byte
	disk    []byte
	pending []change
	owner   *file // has the lock
}

type changeKind uint8

const (
	written changeKind = iota
	sized
)

// A change is a write, or a new size.
type change struct {
	kind changeKind
	off  int64 // of sized: the size
	data []byte
}

func (in *inode) change(c change) {
	in.data = c.apply(in.data)
	in.pending = append(in.pending, c)
}

// apply makes the change in b and returns b, which may have been moved.
func (c change) apply(b []byte) []byte {
	end := c.off + int64(len(c.data))
	if c.kind == sized || end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[c.off:], c.data)
	return b
}

// resize makes b n bytes long, with zeros behind what there was.
func resize(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		clear(b[n:])
		return b[:n]
	}
	old := len(b)
	b = slices.Grow(b, int(n)-old)[:n]
	clear(b[old:])
	return b
}

// sector is what a disk writes as a whole, most of the time.
const sector = 512

// crash returns what a crash leaves of the file.
//
// The sectors of a write and the size that it gave the file are kept or lost each on its own. Sectors behind the size
// are lost.
func (in *inode) crash(loss Loss, rng *rand.Rand) []byte {
	switch loss {
	case LoseAll:
		return slices.Clone(in.disk)
	case KeepAll:
		return slices.Clone(in.data)
	}
	var parts []change
	for _, c := range in.pending {
		parts = c.parts(parts)
	}
	tear := -1
	if loss == LoseSome && len(parts) > 0 && rng.IntN(2) == 0 {
		tear = rng.IntN(len(parts))
	}
	b := slices.Clone(in.disk)
	size := int64(len(b))
	for i, p := range parts {
		if !keep(loss, rng, i, len(parts)) && i != tear {
			continue
		}
		switch {
		case p.kind == sized && p.data == nil && p.off < 0: // a write made the file at least so long
			size = max(size, -p.off)
		case p.kind == sized:
			size = p.off
			if size < int64(len(b)) {
				clear(b[size:])
			}
		case i == tear:
			n := 1 + rng.IntN(len(p.data))
			if rng.IntN(2) == 0 {
				p.data = p.data[:n]
			} else {
				p.off += int64(len(p.data) - n)
				p.data = p.data[len(p.data)-n:]
			}
			fallthrough
		default:
			if end := p.off + int64(len(p.data)); end > int64(len(b)) {
				b = resize(b, end)
			}
			copy(b[p.off:], p.data)
		}
	}
	return resize(b, size)
}

// parts appends the parts of c that are kept or lost on their own: sectors, and the size. The size of a write is a
// sized change with the negative size.
func (c change) parts(to []change) []change {
	if c.kind == sized {
		return append(to, c)
	}
	for off, b := c.off, c.data; len(b) > 0; {
		n := min(len(b), int(sector-off%sector))
		to = append(to, change{kind: written, off: off, data: b[:n]})
		off += int64(n)
		b = b[n:]
	}
	return append(to, change{kind: sized, off: -(c.off + int64(len(c.data)))})
}
