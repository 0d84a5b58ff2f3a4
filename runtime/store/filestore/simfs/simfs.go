// Package simfs is a file system in memory for tests of what survives a crash. It is a [filestore.FS].
//
// It forgets what a disk would forget. The contents of a file, its size, and its entry in the directory are kept twice:
// as a process sees them, and as they are on the disk. What was written, and not synced since, is a list of changes;
// [FS.Crash] makes a new file system of the disk and any part of that list. Faults are injected by operation.
//
// An operation is every call that changes something or makes it durable, and every opening and reading of a file. Each
// has a number, from 1.
package simfs

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// An Op is one operation, as hooks see it.
type Op struct {
	N    int    // its number, from 1
	Kind string // "open", "create", "read", "write", "truncate", "reserve", "sync", "rename", "remove", "syncdir", "list"
	Name string // of the file; of a rename the old one
	To   string // of a rename
	Off  int64  // of a read, write or reserve; of a truncate the new size
	Len  int64
}

func (o Op) String() string {
	switch o.Kind {
	case "rename":
		return fmt.Sprintf("rename %s %s", o.Name, o.To)
	case "read", "write", "reserve":
		return fmt.Sprintf("%s %s %d+%d", o.Kind, o.Name, o.Off, o.Len)
	case "truncate":
		return fmt.Sprintf("truncate %s %d", o.Name, o.Off)
	}
	return strings.TrimSpace(o.Kind + " " + o.Name)
}

// A Fault is what goes wrong with an operation.
type Fault struct {
	Err error

	// Short is how many bytes of a write are written before it fails.
	Short int

	// LosePages makes a failed sync what it is on Linux: the pages count as clean from then on. They are read back as
	// they were written, later syncs do not write them, and a crash takes them.
	LosePages bool
}

// An FS is a simulated directory. It is safe for concurrent use.
type FS struct {
	mu      sync.Mutex
	n       int
	log     []string
	logging bool
	before  func(Op)        // called without the lock
	inject  func(Op) *Fault // called with it
	space   int64           // bytes that files may take; negative: no end
	entries map[string]*inode
	disk    map[string]*inode // the entries that are durable
	moved   []entryChange     // changes of entries that are not, in order
}

var _ filestore.FS = (*FS)(nil)

// entryChange is one change of one entry of the directory; to is nil if it goes.
type entryChange struct {
	name string
	to   *inode
}

// New returns an empty file system with unlimited space.
func New() *FS {
	return &FS{space: -1, entries: make(map[string]*inode), disk: make(map[string]*inode)}
}

// Before sets a function that is called before each operation, without a lock: it may call Crash. nil removes it.
func (f *FS) Before(hook func(Op)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = hook
}

// Inject sets a function that decides which operations fail; it returns nil for one that does not. It must not call f.
func (f *FS) Inject(fault func(Op) *Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inject = fault
}

// FailAt makes operation n fail with err, and none else.
func (f *FS) FailAt(n int, err error) {
	f.Inject(func(op Op) *Fault {
		if op.N == n {
			return &Fault{Err: err}
		}
		return nil
	})
}

// SetSpace sets how many bytes all files together may take, at least what they do now. A negative n is no end. Beyond
// it operations fail with ENOSPC; a write is written as far as there is space.
func (f *FS) SetSpace(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.space = n
}

// Used returns how many bytes all files together take.
func (f *FS) Used() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used()
}

func (f *FS) used() (n int64) {
	for _, in := range f.entries {
		n += int64(len(in.data))
	}
	return n
}

// Ops returns the number of operations so far.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// KeepLog starts the log of operations.
func (f *FS) KeepLog() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logging = true
}

// Log returns the operations since KeepLog, one a line.
func (f *FS) Log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// ReadFile returns a copy of the contents of a file as a process sees them; nil if there is none.
func (f *FS) ReadFile(name string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.entries[name]
	if in == nil {
		return nil
	}
	return append([]byte{}, in.data...)
}

// WriteFile makes the contents of a file b, durably, from outside: it is no operation. A nil b removes the file.
func (f *FS) WriteFile(name string, b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b == nil {
		delete(f.entries, name)
		delete(f.disk, name)
		return
	}
	in := &inode{data: slices.Clone(b), disk: slices.Clone(b)}
	f.entries[name], f.disk[name] = in, in
}

// Overwrite changes bytes of a file from outside, under those who have it open: it is no operation.
func (f *FS) Overwrite(name string, off int64, b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	copy(f.entries[name].data[off:], b)
}

// Cut makes a file n bytes long from outside, under those who have it open: it is no operation.
func (f *FS) Cut(name string, n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries[name].data = f.entries[name].data[:n]
}

// Clone returns a copy of f without its hooks, faults and locks, as a process sees it, and all of it durable.
func (f *FS) Clone() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := New()
	for name, in := range f.entries {
		c.entries[name] = &inode{data: slices.Clone(in.data), disk: slices.Clone(in.data)}
		c.disk[name] = c.entries[name]
	}
	return c
}

// Names returns the names of all files, sorted.
func (f *FS) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make([]string, 0, len(f.entries))
	for name := range f.entries {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// start counts an operation and returns its fault. It returns with the lock held.
func (f *FS) start(op Op) *Fault {
	f.mu.Lock()
	f.n++
	op.N = f.n
	if f.logging {
		f.log = append(f.log, op.String())
	}
	if before := f.before; before != nil {
		f.mu.Unlock()
		before(op)
		f.mu.Lock()
	}
	if f.inject != nil {
		return f.inject(op)
	}
	return nil
}

func pathError(op, name string, err error) error { return &os.PathError{Op: op, Path: name, Err: err} }

// OpenFile opens a file, see [filestore.FS].
func (f *FS) OpenFile(name string, flag int) (filestore.File, error) {
	kind := "open"
	if flag&os.O_CREATE != 0 {
		kind = "create"
	}
	fault := f.start(Op{Kind: kind, Name: name})
	defer f.mu.Unlock()
	if fault != nil {
		return nil, pathError(kind, name, fault.Err)
	}
	in := f.entries[name]
	switch {
	case in == nil && flag&os.O_CREATE == 0:
		return nil, pathError(kind, name, os.ErrNotExist)
	case in != nil && flag&os.O_EXCL != 0:
		return nil, pathError(kind, name, os.ErrExist)
	case in == nil:
		in = &inode{}
		f.setEntry(name, in)
	}
	return &file{fs: f, in: in, name: name}, nil
}

func (f *FS) setEntry(name string, in *inode) {
	if in == nil {
		delete(f.entries, name)
	} else {
		f.entries[name] = in
	}
	f.moved = append(f.moved, entryChange{name, in})
}

// Rename renames a file: the entry that comes and the one that goes are two changes, and a crash may keep either.
func (f *FS) Rename(oldName, newName string) error {
	fault := f.start(Op{Kind: "rename", Name: oldName, To: newName})
	defer f.mu.Unlock()
	if fault != nil {
		return pathError("rename", oldName, fault.Err)
	}
	in := f.entries[oldName]
	if in == nil {
		return pathError("rename", oldName, os.ErrNotExist)
	}
	f.setEntry(newName, in)
	f.setEntry(oldName, nil)
	return nil
}

// Remove removes a file, see [filestore.FS].
func (f *FS) Remove(name string) error {
	fault := f.start(Op{Kind: "remove", Name: name})
	defer f.mu.Unlock()
	if fault != nil {
		return pathError("remove", name, fault.Err)
	}
	if f.entries[name] == nil {
		return pathError("remove", name, os.ErrNotExist)
	}
	f.setEntry(name, nil)
	return nil
}

// List lists the directory, see [filestore.FS].
func (f *FS) List() ([]string, error) {
	fault := f.start(Op{Kind: "list"})
	defer f.mu.Unlock()
	if fault != nil {
		return nil, pathError("list", ".", fault.Err)
	}
	names := make([]string, 0, len(f.entries))
	for name := range f.entries {
		names = append(names, name)
	}
	return names, nil
}

// SyncDir makes the entries durable. It does not touch the contents of the files.
func (f *FS) SyncDir() error {
	fault := f.start(Op{Kind: "syncdir"})
	defer f.mu.Unlock()
	if fault != nil {
		return pathError("syncdir", ".", fault.Err)
	}
	for _, c := range f.moved {
		c.apply(f.disk)
	}
	f.moved = nil
	return nil
}

func (c entryChange) apply(entries map[string]*inode) {
	if c.to == nil {
		delete(entries, c.name)
	} else {
		entries[c.name] = c.to
	}
}

// Close does nothing.
func (f *FS) Close() error { return nil }

// file is an open file.
type file struct {
	fs     *FS
	in     *inode
	name   string
	closed bool
}

func (h *file) op(kind string, off, n int64) Op {
	return Op{Kind: kind, Name: h.name, Off: off, Len: n}
}

func (h *file) check(fault *Fault, kind string) error {
	switch {
	case h.closed:
		return pathError(kind, h.name, os.ErrClosed)
	case fault != nil:
		return pathError(kind, h.name, fault.Err)
	}
	return nil
}

func (h *file) ReadAt(b []byte, off int64) (int, error) {
	fault := h.fs.start(h.op("read", off, int64(len(b))))
	defer h.fs.mu.Unlock()
	if err := h.check(fault, "read"); err != nil {
		return 0, err
	}
	if off >= int64(len(h.in.data)) {
		return 0, io.EOF
	}
	n := copy(b, h.in.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *file) WriteAt(b []byte, off int64) (int, error) {
	fault := h.fs.start(h.op("write", off, int64(len(b))))
	defer h.fs.mu.Unlock()
	err := h.check(fault, "write")
	n := len(b)
	if h.closed {
		return 0, err
	}
	if err != nil {
		n = min(n, fault.Short)
	}
	if grown := off + int64(n) - int64(len(h.in.data)); grown > 0 && h.fs.space >= 0 {
		if free := h.fs.space - h.fs.used(); free < grown {
			err = pathError("write", h.name, syscall.ENOSPC)
			n = int(max(0, int64(n)-(grown-max(free, 0))))
		}
	}
	if n > 0 {
		h.in.change(change{kind: written, off: off, data: slices.Clone(b[:n])})
	}
	return n, err
}

func (h *file) Reserve(off, n int64) error {
	fault := h.fs.start(h.op("reserve", off, n))
	defer h.fs.mu.Unlock()
	if err := h.check(fault, "reserve"); err != nil {
		return err
	}
	size := int64(len(h.in.data))
	if h.fs.space >= 0 {
		if free := h.fs.space - h.fs.used(); off+n-size > free {
			// Some file systems leave what there was.
			if free > 0 {
				h.in.change(change{kind: sized, off: size + free})
			}
			return pathError("reserve", h.name, syscall.ENOSPC)
		}
	}
	if off+n > size {
		h.in.change(change{kind: sized, off: off + n})
	}
	return nil
}

func (h *file) Truncate(size int64) error {
	fault := h.fs.start(h.op("truncate", size, 0))
	defer h.fs.mu.Unlock()
	if err := h.check(fault, "truncate"); err != nil {
		return err
	}
	h.in.change(change{kind: sized, off: size})
	return nil
}

func (h *file) Sync() error {
	fault := h.fs.start(h.op("sync", 0, 0))
	defer h.fs.mu.Unlock()
	if err := h.check(fault, "sync"); err != nil {
		if fault != nil && fault.LosePages {
			h.in.pending = nil
		}
		return err
	}
	for _, c := range h.in.pending {
		h.in.disk = c.apply(h.in.disk)
	}
	h.in.pending = nil
	return nil
}

func (h *file) Size() (int64, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return int64(len(h.in.data)), h.check(nil, "stat")
}

func (h *file) Lock() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.in.owner != nil {
		return filestore.ErrHeld
	}
	h.in.owner = h
	return nil
}

func (h *file) Close() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.closed {
		return pathError("close", h.name, os.ErrClosed)
	}
	h.closed = true
	if h.in.owner == h {
		h.in.owner = nil
	}
	return nil
}

// A Loss says what a crash takes of what was not synced.
type Loss uint8

const (
	// LoseAll: everything that was not synced.
	LoseAll Loss = iota
	// LoseSome: any part of it: each sector of 512 bytes, each size, each entry by the toss of a coin, and one sector
	// is torn inside.
	LoseSome
	// LoseEarly: the first half, while the later one is kept.
	LoseEarly
	// KeepAll: nothing, as when the process alone dies.
	KeepAll
)

// Losses are the losses of a power cut.
var Losses = []Loss{LoseAll, LoseSome, LoseEarly}

func (l Loss) String() string {
	return [...]string{"lose all", "lose some", "lose early", "keep all"}[l]
}

// Crash returns the file system that a crash at this moment leaves. f stays as it is. rng is used by LoseSome.
func (f *FS) Crash(loss Loss, rng *rand.Rand) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	entries := make(map[string]*inode, len(f.disk))
	for name, in := range f.disk {
		entries[name] = in
	}
	for i, c := range f.moved {
		if keep(loss, rng, i, len(f.moved)) {
			c.apply(entries)
		}
	}
	after := New()
	copies := make(map[*inode]*inode)
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	slices.Sort(names) // one seed, one crash
	for _, name := range names {
		in := entries[name]
		if copies[in] == nil {
			data := in.crash(loss, rng)
			copies[in] = &inode{data: data, disk: slices.Clone(data)}
		}
		after.entries[name], after.disk[name] = copies[in], copies[in]
	}
	return after
}

// keep decides about one of n things that were not synced.
func keep(loss Loss, rng *rand.Rand, i, n int) bool {
	switch loss {
	case LoseSome:
		return rng.IntN(2) == 0
	case LoseEarly:
		return i >= n/2 && n > 1
	}
	return loss == KeepAll
}
