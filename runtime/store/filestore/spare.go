package filestore

import (
	"errors"
	"log/slog"
	"os"
	"sync"
)

// A spare is space that the store has taken and does not use. When the disk is full it is given back, for what makes room. It
// is taken again when there is space. There are two: one for commits that only delete, and one for what a compaction needs:
// moves, small runs, the manifest.
type spare struct {
	fs   FS
	log  *slog.Logger
	name string
	size int64

	mu   sync.Mutex
	have bool
}

// spareSize is how much each of them has, with segments of the usual size.
const spareSize = 1 << 20

// take takes the space, if it is not there. If that cannot be done there is none for now.
func (p *spare) take() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.have || p.size == 0 {
		return
	}
	f, err := p.fs.OpenFile(p.name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return
	}
	size, err := f.Size()
	if err == nil && size < p.size {
		err = f.Reserve(size, p.size-size)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = p.fs.Remove(p.name) // a part of the space may have been taken
		return
	}
	p.have = true
}

// takeSpares takes both, what compaction needs first.
func (l *commitLog) takeSpares() {
	l.compactSpare.take()
	l.deleteSpare.take()
}

// whole reports whether all the space is there that is to be.
func (p *spare) whole() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.have || p.size == 0
}

// give gives the space back. It reports whether there was some.
func (p *spare) give() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.have {
		return false
	}
	p.have = false
	if err := p.fs.Remove(p.name); err != nil {
		return false
	}
	p.log.Warn("filestore: the disk is full; the reserve is used up for what makes room", "file", p.name, "bytes", p.size)
	return true
}

// with calls f, and again with the space given back if the disk is full.
func (p *spare) with(f func() error) error {
	err := f()
	if isFull(err) && p.give() {
		err = f()
	}
	return err
}

// spareFor returns what may be used for the commits: nil if one of them puts something, or is for a run that may not find
// room itself.
func (l *commitLog) spareFor(commits []*commit) *spare {
	p := &l.compactSpare
	for _, c := range commits {
		if c.aside {
			return nil
		}
		if c.conflict || c.moves {
			continue
		}
		p = &l.deleteSpare
		for i := range c.batch.Ops {
			if !c.batch.Ops[i].Delete {
				return nil
			}
		}
	}
	return p
}
