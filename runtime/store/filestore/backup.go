package filestore

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// This file copies a store while it is used.
//
// A backup is a cut through the store: the runs of one version, and the log up to the last commit that is published then.
// Holding the version keeps the files of it there. Runs and sealed segments do not change; of the segment that is written
// to, the backup has the bytes up to the cut. So writers are held up at no time.
//
// Behind the cut the backup has a segment of its own, which begins a new history: tokens of the store that was copied are
// none of the copy's, although all commits up to the cut are the same. Its manifest, which is written last, makes it a store
// that was closed there.

var _ store.Backuper = (*Store)(nil)

// Backup copies the store to the directory dir, which is made if it is not there, and must be empty. Commits, reads and merges
// go on meanwhile. What was acknowledged before the call is in the copy, and so is all that it came after: the copy is the
// state behind one commit. Everything is on the disk when Backup has returned nil.
//
// The copy is a store that was closed: [Open] opens it, and [Verify] reads all of it. Files that do not change any more are
// shared with the store by hard links where the file system can do that; to have the bytes twice, use another file system or
// [Store.BackupTo]. A backup begins a new history, so that a watch with a token of this store begins with a resync there.
//
// If there is an error, or ctx ends, what was written is removed again. What a crash leaves is refused by Open as damaged; or
// it is an empty directory.
func (s *Store) Backup(ctx context.Context, dir string) error {
	if err := s.backup(ctx, dir); err != nil {
		return fmt.Errorf("filestore: back up %s to %s: %w", s.dir, dir, err)
	}
	return nil
}

func (s *Store) backup(ctx context.Context, dir string) (err error) {
	if err := s.readable(ctx); err != nil {
		return err
	}
	_, statErr := os.Lstat(dir)
	to, err := openOS(dir)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, to.Close())
		if err != nil && errors.Is(statErr, fs.ErrNotExist) {
			err = errors.Join(err, ignoreAbsent(os.Remove(dir)))
		}
	}()
	return s.backupInto(ctx, to)
}

// backupInto copies the store to an empty directory.
func (s *Store) backupInto(ctx context.Context, to FS) error {
	if names, err := to.List(); err != nil {
		return err
	} else if len(names) > 0 {
		return fmt.Errorf("the directory is not empty, there is %q; name a new one", names[0])
	}
	c, err := s.cut(ctx)
	if err != nil {
		return err
	}
	defer c.ver.release()
	w := dirWriter{to: to}
	if from, ok := s.fs.(linker); ok {
		w.from = from
	}
	err = c.write(ctx, &w)
	if err == nil {
		err = w.finish(c.manifest.append(nil))
	}
	if err != nil {
		return errors.Join(s.backupError(err), w.remove())
	}
	return nil
}

// BackupTo writes the store to w as a tar archive, in constant memory. What is in it is what [Store.Backup] copies, with the
// manifest as the last file, so that an archive that ends early is no backup. [Restore] makes a store of it.
func (s *Store) BackupTo(ctx context.Context, w io.Writer) error {
	if err := s.backupTo(ctx, w); err != nil {
		return fmt.Errorf("filestore: back up %s: %w", s.dir, err)
	}
	return nil
}

func (s *Store) backupTo(ctx context.Context, w io.Writer) error {
	if err := s.readable(ctx); err != nil {
		return err
	}
	c, err := s.cut(ctx)
	if err != nil {
		return err
	}
	defer c.ver.release()
	t := tarWriter{tar.NewWriter(w)}
	if err := c.write(ctx, t); err != nil {
		return s.backupError(err)
	}
	m := c.manifest.append(nil)
	if err := t.add(ctx, backupFile{name: manifestName, f: memoryFile(m), size: int64(len(m))}); err != nil {
		return s.backupError(err)
	}
	return t.Close()
}

// backupError returns what ends a backup that met err.
func (s *Store) backupError(err error) error {
	if errors.Is(err, os.ErrClosed) && s.closed.Load() {
		return store.ErrClosed
	}
	return markFull(err)
}

// markFull marks an error that says that the disk is full.
func markFull(err error) error {
	if isFull(err) && !errors.Is(err, store.ErrFull) {
		return full(err)
	}
	return err
}

// A cut is what a backup is made of. It holds a reference on the version.
type cut struct {
	ver      *version
	manifest manifest     // of the backup
	files    []backupFile // of the store: segments, then runs, ascending
	header   []byte       // of the segment that begins the new history
}

// A backupFile is a file of a backup, up to size.
type backupFile struct {
	name  string
	f     io.ReaderAt
	size  int64
	whole bool // the file does not change any more, and has nothing that matters behind size
}

// cut takes the state that is published. What is in it is on the disk as well.
func (s *Store) cut(ctx context.Context) (*cut, error) {
	for {
		m := s.commitLog.current()
		s.mu.RLock()
		ver, seg, end := s.ver.acquire(), s.endSeg, s.end
		s.mu.RUnlock()
		c, ok := newCut(ver, seg, end, m)
		if ok && s.commitLog.current().generation == m.generation {
			err := s.syncTo(seg, end.end)
			if err == nil {
				return c, nil
			}
			ver.release()
			return nil, err
		}
		// A flush, a merge or a compaction has written its manifest, and is about to publish its version.
		ver.release()
		if err := s.readable(ctx); err != nil {
			return nil, err
		}
		runtime.Gosched()
	}
}

// current returns the manifest that was written last.
func (l *commitLog) current() manifest {
	l.mmu.Lock()
	defer l.mmu.Unlock()
	return l.manifest
}

// newCut returns the cut through a version and the log up to end of seg. ok is false if the manifest is not the one of the
// version: it was read after it.
func newCut(ver *version, seg *segment, end point, m manifest) (c *cut, ok bool) {
	c = &cut{ver: ver}
	if !slices.EqualFunc(m.runs, ver.runs, func(k manifestRun, r *run) bool { return k.id == r.id }) {
		return nil, false
	}
	var sealed []sealedSegment
	for _, g := range ver.segs {
		f := backupFile{name: g.name, f: g.f}
		switch {
		case g == seg:
			f.size = end.end
		default:
			k, ok := m.sealedAs(g.id)
			if !ok {
				return nil, false
			}
			f.size, f.whole = k.end, true
			sealed = append(sealed, k)
		}
		c.files = append(c.files, f)
	}
	for _, r := range slices.Backward(ver.runs) {
		c.files = append(c.files, backupFile{name: r.name, f: r.f, size: r.size, whole: true})
	}
	m.sealed = sealed
	m = m.withFloor(seg, end)
	m.loose = false
	c.manifest, c.header = m.newHistory()
	return c, true
}

// newHistory returns the manifest of the store of m with a segment behind the floor, which begins a new history, and the
// header of it, which is all that is in it. The store was closed at the floor.
func (m manifest) newHistory() (manifest, []byte) {
	next := &segment{id: m.floorSeg + 1, salt: newSalt()}
	h := segmentHeader{
		store: m.store, id: next.id, salt: next.salt,
		prev: m.floorSeg, prevSalt: m.floorSalt, prevEnd: m.floorEnd, prevSum: m.floorSum, prevSeq: m.floorSeq,
		chain: newSalt(), fresh: true,
	}
	last := sealedSegment{m.floorSeg, m.floorEnd, m.floorSeq}
	m = m.withFloor(next, point{end: segmentHeaderSize, position: position{h.prevSeq, h.chain}})
	m.sealed = append(m.sealed, last)
	return m, h.append(nil)
}

// A fileWriter takes the files of a backup, one after the other.
type fileWriter interface {
	add(ctx context.Context, f backupFile) error
}

// write hands all files to w but the manifest.
func (c *cut) write(ctx context.Context, w fileWriter) error {
	for _, f := range c.files {
		if err := w.add(ctx, f); err != nil {
			return err
		}
	}
	return w.add(ctx, backupFile{name: segmentName(c.manifest.floorSeg), f: memoryFile(c.header), size: int64(len(c.header))})
}

// A memoryFile is a file that is made of bytes.
type memoryFile []byte

func (m memoryFile) ReadAt(b []byte, off int64) (int, error) {
	if off >= int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(b, m[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// copyBuffer is how many bytes are copied at a time.
const copyBuffer = 1 << 20

// copyTo hands the bytes of f to put, in order.
func (f *backupFile) copyTo(ctx context.Context, put func(b []byte, off int64) error) error {
	b := make([]byte, min(f.size, copyBuffer))
	for off := int64(0); off < f.size; off += int64(len(b)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		b = b[:min(f.size-off, copyBuffer)]
		if n, err := f.f.ReadAt(b, off); n < len(b) {
			return fmt.Errorf("read %s at offset %d: %w", f.name, off+int64(n), err)
		}
		if err := put(b, off); err != nil {
			return err
		}
		progressed(ctx, int64(len(b)))
	}
	return nil
}

// A linker is an [FS] that can give its files a second name in another directory.
type linker interface {
	// link gives the file f, which has the name here, the same name in to. It returns an error if the file with the name
	// is another one, or if it cannot be done.
	link(f io.ReaderAt, name string, to FS) error
}

// A dirWriter writes the files of a backup to a directory.
type dirWriter struct {
	to   FS
	from linker // where the files come from; nil if they are copied
	made []string
}

// add adds a file, and makes its contents durable.
func (w *dirWriter) add(ctx context.Context, f backupFile) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.from != nil && f.whole && w.from.link(f.f, f.name, w.to) == nil {
		w.made = append(w.made, f.name)
		progressed(ctx, f.size)
		return w.sync(f.name)
	}
	out, err := w.to.OpenFile(f.name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	w.made = append(w.made, f.name)
	err = f.copyTo(ctx, func(b []byte, off int64) error {
		_, err := out.WriteAt(b, off)
		return err
	})
	if err == nil {
		err = out.Sync()
	}
	if e := out.Close(); err == nil {
		err = e
	}
	return err
}

// sync makes the contents of a file durable, which they are most likely.
func (w *dirWriter) sync(name string) error {
	f, err := w.to.OpenFile(name, os.O_RDWR)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// finish makes the files durable in the directory, and then adds the manifest: without it nothing of them counts.
func (w *dirWriter) finish(manifest []byte) error {
	if err := w.to.SyncDir(); err != nil {
		return fmt.Errorf("sync the directory: %w", err)
	}
	if err := writeTmp(w.to, manifestName, manifest); err != nil {
		return err
	}
	w.made = append(w.made, manifestName+tmpSuffix, manifestName)
	return installTmp(w.to, manifestName)
}

// remove removes what was written, the newest first.
func (w *dirWriter) remove() error {
	var errs []error
	for _, name := range slices.Backward(w.made) {
		errs = append(errs, ignoreAbsent(w.to.Remove(name)))
	}
	return errors.Join(errs...)
}

// A tarWriter writes the files of a backup to an archive.
type tarWriter struct{ *tar.Writer }

func (w tarWriter) add(ctx context.Context, f backupFile) error {
	// Without a time: one state of a store makes one archive.
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: f.size, Mode: 0o600}); err != nil {
		return err
	}
	return f.copyTo(ctx, func(b []byte, _ int64) error {
		_, err := w.Write(b)
		return err
	})
}
