package filestore

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
)

const (
	// maxManifest is the length of the longest manifest that is read from an archive: it names a million segments.
	maxManifest = 16 << 20

	// maxSegmentFile is how long a segment can be: its last commit goes over the segment size.
	maxSegmentFile = maxSegmentSize + 2<<26
)

// Restore makes the store in the directory dir from an archive that [Store.BackupTo] has written. There must be nothing at dir,
// or an empty directory. All is written beside it, verified as [Verify] does, and made durable, before it gets the name: so a
// directory of the name is a whole store. It begins a history of its own, see [store.Token]. An archive that is damaged, not
// whole, or has anything else in it than a backup has, is refused, and nothing is left of it. What a crash leaves has a name
// that begins with that of dir and ends with ".tmp", and can be removed.
//
// The archive need not be trusted: no name in it becomes the name of a file if it is not one that a store has, and what is
// written is never more than what is read.
func Restore(ctx context.Context, dir string, r io.Reader) error {
	return restore(ctx, dir, func(to FS) error { return unpack(ctx, to, r) })
}

// RestoreDir is [Restore] from the directory from, which [Store.Backup] has made, or which is a copy of a store that was
// closed. It copies everything: the two share no bytes.
func RestoreDir(ctx context.Context, dir, from string) error {
	return restore(ctx, dir, func(to FS) error {
		src, err := openToRead(from)
		if err != nil {
			return err
		}
		defer src.Close()
		return copyClosed(ctx, to, src)
	})
}

func restore(ctx context.Context, dir string, fill func(to FS) error) error {
	d, err := makeDir(dir)
	if err == nil {
		if err = fill(d.fs); err == nil {
			err = settle(ctx, d.fs)
		}
		err = d.finish(err)
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("filestore: restore %s: %w", dir, markFull(err))
}

// settle makes the store of a directory that was filled.
func settle(ctx context.Context, fsys FS) error {
	m, ok, err := readManifest(fsys)
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("this is no backup: it has no manifest")
	}
	if err := complete(fsys, &m); err != nil {
		return err
	}
	report, err := verify(ctx, fsys)
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		return err
	}
	if m.floorSeg == math.MaxUint32 {
		return fmt.Errorf("there is no number for a segment behind %s", segmentName(m.floorSeg))
	}
	next, header := m.newHistory()
	if err := writeTmp(fsys, segmentName(next.floorSeg), header); err != nil {
		return err
	}
	if err := installTmp(fsys, segmentName(next.floorSeg)); err != nil {
		return err
	}
	return next.write(fsys)
}

// complete checks that a directory has the files of its manifest and no others, and ends where it was closed.
func complete(fsys FS, m *manifest) error {
	want := filesOf(m)
	names, err := fsys.List()
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, ok := want[name]; !ok && name != manifestName {
			return fmt.Errorf("there is a file %s, of which the manifest does not know", name)
		}
	}
	return closedAt(fsys, m)
}

// closedAt checks that the log ends at the floor of the manifest.
func closedAt(fsys FS, m *manifest) error {
	name := segmentName(m.floorSeg)
	f, err := fsys.OpenFile(name, os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return (&segment{name: name}).corrupt(-1, "the file is missing")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err == nil && (size != m.floorEnd || m.loose) {
		err = fmt.Errorf("this is no backup: %s goes on behind offset %d, where the manifest ends; the store was not closed when it was copied", name, m.floorEnd)
	}
	return err
}

// filesOf returns how long the files are that a manifest names; the manifest itself is not one of them.
func filesOf(m *manifest) map[string]int64 {
	files := map[string]int64{segmentName(m.floorSeg): m.floorEnd}
	for _, k := range m.sealed {
		files[segmentName(k.id)] = k.end
	}
	for _, k := range m.runs {
		files[runName(k.id)] = k.size
	}
	return files
}

// unpack writes the files of an archive to an empty directory. The manifest must be the last one, and the archive must be whole.
func unpack(ctx context.Context, to FS, r io.Reader) error {
	counted := &countingReader{r: r}
	t := tar.NewReader(counted)
	w := dirWriter{to: to}
	for {
		h, err := t.Next()
		if err == io.EOF {
			return errors.New("the archive ends without a manifest: it is no backup, or not all of one")
		}
		if err != nil {
			return fmt.Errorf("read the archive: %w", err)
		}
		if err := checkEntry(h); err != nil {
			return err
		}
		err = w.add(ctx, backupFile{name: h.Name, f: &streamFile{r: t}, size: h.Size})
		switch {
		case errors.Is(err, os.ErrExist):
			return fmt.Errorf("the archive has the file %s twice", h.Name)
		case errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("the archive ends early, in %s: it is not all of a backup", h.Name)
		case err != nil:
			return err
		case h.Name == manifestName:
			return endOfArchive(t, counted, h.Size)
		}
	}
}

// checkEntry refuses what a backup does not have.
func checkEntry(h *tar.Header) error {
	var most int64
	_, isSegment := parseSegmentName(h.Name)
	_, isRun := parseRunName(h.Name)
	switch {
	case isSegment:
		most = maxSegmentFile
	case isRun:
		most = 1<<63 - 1
	case h.Name == manifestName:
		most = maxManifest
	default:
		return fmt.Errorf("the archive has %s, which is no file of a store", strconv.Quote(shorten(h.Name)))
	}
	for key := range h.PAXRecords {
		if key != "size" { // of a large file; others could make it one with holes
			return fmt.Errorf("the archive has %s with the record %s, which a backup does not have", h.Name, strconv.Quote(shorten(key)))
		}
	}
	if h.Typeflag != tar.TypeReg {
		return fmt.Errorf("the archive has %s as something else than a file (type %q)", h.Name, h.Typeflag)
	}
	if h.Size < 0 || h.Size > most {
		return fmt.Errorf("the archive has %s with %d bytes, which is more than it can have", h.Name, h.Size)
	}
	return nil
}

func shorten(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}

// endOfArchive checks that nothing follows the manifest, whose n bytes were read, but the two empty blocks that end an archive.
// The reader takes an archive that is cut before them for a whole one.
func endOfArchive(t *tar.Reader, r *countingReader, n int64) error {
	const block = 512
	before := r.n
	h, err := t.Next()
	switch {
	case err == nil:
		return fmt.Errorf("the archive has %s behind the manifest", strconv.Quote(shorten(h.Name)))
	case err != io.EOF:
		return fmt.Errorf("read the archive: %w", err)
	case r.n-before != -n&(block-1)+2*block:
		return errors.New("the archive ends early: it is not all of a backup")
	}
	return nil
}

// A countingReader counts what is read.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// A streamFile is a file that is read once from front to back.
type streamFile struct{ r io.Reader }

func (s *streamFile) ReadAt(b []byte, _ int64) (int, error) {
	n, err := io.ReadFull(s.r, b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// copyClosed copies the files of a closed store to an empty directory.
func copyClosed(ctx context.Context, to, from FS) error {
	m, ok, err := readManifest(from)
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("this is no backup: it has no manifest")
	}
	if err := closedAt(from, &m); err != nil {
		return err
	}
	w := dirWriter{to: to}
	files := filesOf(&m)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.copyFile(ctx, from, name, files[name]); err != nil {
			return err
		}
	}
	b := m.append(nil)
	return w.add(ctx, backupFile{name: manifestName, f: memoryFile(b), size: int64(len(b))})
}

// copyFile copies the first size bytes of a file.
func (w *dirWriter) copyFile(ctx context.Context, from FS, name string, size int64) error {
	f, err := from.OpenFile(name, os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return (&segment{name: name}).corrupt(-1, "the file is missing")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if have, err := f.Size(); err != nil || have < size {
		return errors.Join(err, (&segment{name: name}).corrupt(have, "the file ends here; it had at least %d bytes", size))
	}
	return w.add(ctx, backupFile{name: name, f: f, size: size})
}
