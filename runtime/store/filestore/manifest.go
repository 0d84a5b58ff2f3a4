package filestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A manifest says which files make up the store. It is a value: a new one replaces the file as a whole.
type manifest struct {
	store      uuid
	generation uint64

	loose bool // commits may have been acknowledged and lost since the floor was written

	// Opening replays the log from here: what is before it is in the runs. It is the end of a frame that was on the disk
	// before the runs were.
	replaySeg segID
	replay    point

	// The durable floor: the log reaches at least to floorEnd of floorSeg, where the sum of the segment's frames is
	// floorSum and the last commit is floorSeq. floorSeg 0 is a store whose first segment is not made yet.
	floorSeg  segID
	floorSalt uint32
	floorEnd  int64
	floorSum  uint32
	floorSeq  uint64

	runs   []manifestRun   // the newest first
	sealed []sealedSegment // ascending
}

// A sealedSegment is a segment that gets no more frames.
type sealedSegment struct {
	id   segID
	end  int64
	last uint64 // its last commit, or the one before it if it has none
}

func (m *manifest) append(b []byte) []byte {
	start := len(b)
	b = append(b, manifestMagic...)
	b = binary.LittleEndian.AppendUint16(b, formatVersion)
	b = binary.LittleEndian.AppendUint16(b, flagIf(m.loose, flagLoose))
	b = append(b, m.store[:]...)
	b = binary.LittleEndian.AppendUint64(b, m.generation)
	b = binary.LittleEndian.AppendUint32(b, uint32(m.replaySeg))
	b = binary.LittleEndian.AppendUint32(b, uint32(m.replay.end))
	b = binary.LittleEndian.AppendUint32(b, m.replay.sum)
	b = binary.LittleEndian.AppendUint32(b, m.replay.chain)
	b = binary.LittleEndian.AppendUint64(b, m.replay.seq)
	b = binary.LittleEndian.AppendUint32(b, uint32(m.floorSeg))
	b = binary.LittleEndian.AppendUint32(b, m.floorSalt)
	b = binary.LittleEndian.AppendUint32(b, uint32(m.floorEnd))
	b = binary.LittleEndian.AppendUint32(b, m.floorSum)
	b = binary.LittleEndian.AppendUint64(b, m.floorSeq)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.runs)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.sealed)))
	for _, r := range m.runs {
		b = binary.LittleEndian.AppendUint32(b, uint32(r.id))
		b = binary.LittleEndian.AppendUint32(b, r.salt)
		b = binary.LittleEndian.AppendUint64(b, uint64(r.size))
		b = binary.LittleEndian.AppendUint32(b, r.sum)
	}
	for _, s := range m.sealed {
		b = binary.LittleEndian.AppendUint32(b, uint32(s.id))
		b = binary.LittleEndian.AppendUint32(b, uint32(s.end))
		b = binary.LittleEndian.AppendUint64(b, s.last)
	}
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

// parseManifest reads a whole manifest. The error says what is wrong, without the file.
func parseManifest(b []byte) (m manifest, err error) {
	if len(b) < manifestFixedSize+4 {
		return m, fmt.Errorf("a manifest has at least %d bytes, there are %d", manifestFixedSize+4, len(b))
	}
	if string(b[:4]) != manifestMagic {
		return m, fmt.Errorf("not a manifest: it begins with %q, want %q", b[:4], manifestMagic)
	}
	body := b[:len(b)-4]
	if sum, want := checksum(body), binary.LittleEndian.Uint32(b[len(body):]); sum != want {
		return m, fmt.Errorf("checksum %08x does not match the manifest (%08x)", want, sum)
	}
	flags, err := checkVersion(b, flagLoose)
	if err != nil {
		return m, err
	}
	m.loose = flags&flagLoose != 0
	copy(m.store[:], b[8:24])
	m.generation = binary.LittleEndian.Uint64(b[24:])
	m.replaySeg = segID(binary.LittleEndian.Uint32(b[32:]))
	m.replay.end = int64(binary.LittleEndian.Uint32(b[36:]))
	m.replay.sum = binary.LittleEndian.Uint32(b[40:])
	m.replay.chain = binary.LittleEndian.Uint32(b[44:])
	m.replay.seq = binary.LittleEndian.Uint64(b[48:])
	m.floorSeg = segID(binary.LittleEndian.Uint32(b[56:]))
	m.floorSalt = binary.LittleEndian.Uint32(b[60:])
	m.floorEnd = int64(binary.LittleEndian.Uint32(b[64:]))
	m.floorSum = binary.LittleEndian.Uint32(b[68:])
	m.floorSeq = binary.LittleEndian.Uint64(b[72:])
	runs, segs := int64(binary.LittleEndian.Uint32(b[80:])), int64(binary.LittleEndian.Uint32(b[84:]))
	list := body[manifestFixedSize:]
	if int64(len(list)) != runs*manifestRunSize+segs*manifestSegmentSize {
		return m, fmt.Errorf("the manifest says %d runs and %d segments, and has %d bytes for them", runs, segs, len(list))
	}
	if m.replaySeg == 0 || m.replay.end < segmentHeaderSize {
		return m, fmt.Errorf("replay from offset %d of segment %d: no such place", m.replay.end, m.replaySeg)
	}
	if m.floorSeg != 0 && (m.floorSeg < m.replaySeg || m.floorEnd < segmentHeaderSize) {
		return m, fmt.Errorf("durable up to offset %d of segment %d: no such place", m.floorEnd, m.floorSeg)
	}
	seen := make(map[runID]bool)
	for range runs {
		r := manifestRun{
			id:   runID(binary.LittleEndian.Uint32(list)),
			salt: binary.LittleEndian.Uint32(list[4:]),
			size: int64(binary.LittleEndian.Uint64(list[8:])),
			sum:  binary.LittleEndian.Uint32(list[16:]),
		}
		if r.id == 0 || r.size < 0 || seen[r.id] {
			return m, fmt.Errorf("the manifest's entry for run %d is there twice or has no size", r.id)
		}
		seen[r.id] = true
		m.runs = append(m.runs, r)
		list = list[manifestRunSize:]
	}
	for len(list) > 0 {
		s := sealedSegment{
			id:   segID(binary.LittleEndian.Uint32(list)),
			end:  int64(binary.LittleEndian.Uint32(list[4:])),
			last: binary.LittleEndian.Uint64(list[8:]),
		}
		if k := len(m.sealed); k > 0 && m.sealed[k-1].id >= s.id || s.end < segmentHeaderSize {
			return m, fmt.Errorf("the manifest's entry for segment %d is out of order or has no end", s.id)
		}
		m.sealed = append(m.sealed, s)
		list = list[manifestSegmentSize:]
	}
	return m, nil
}

// readManifest reads MANIFEST. ok is false if there is none.
func readManifest(fsys FS) (m manifest, ok bool, err error) {
	b, err := readFile(fsys, manifestName)
	if errors.Is(err, os.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, false, err
	}
	m, err = parseManifest(b)
	if err != nil {
		return m, false, &store.CorruptError{File: manifestName, Offset: 0, What: err.Error()}
	}
	return m, true, nil
}

// write makes m durable in place of the manifest before it: a temporary file, synced, renamed, and the directory synced.
// A crash leaves the old one or the new one.
func (m *manifest) write(fsys FS) error {
	if err := writeTmp(fsys, manifestName, m.append(nil)); err != nil {
		return notRenamed{err}
	}
	return installTmp(fsys, manifestName)
}

// notRenamed is an error after which the manifest on the disk is certainly the one before.
type notRenamed struct{ error }

func (e notRenamed) Unwrap() error { return e.error }

// installTmp gives name.tmp its name and makes that durable.
func installTmp(fsys FS, name string) error {
	if err := fsys.Rename(name+tmpSuffix, name); err != nil {
		return err
	}
	return fsys.SyncDir()
}
