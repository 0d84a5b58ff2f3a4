package filestore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
	"strconv"
	"strings"
)

// This file says what every byte on disk means. All integers are little-endian, every checksum is CRC-32C.
//
// # The directory
//
//	LOCK               the owner's process id and host, for people; the lock itself is the operating system's
//	MANIFEST           what belongs to the store; replaced as a whole, by renaming MANIFEST.tmp
//	seg-00000007.log   segment 7 of the log; grows at its end, is never changed elsewhere
//	run-0000002a.kv    run 42: sorted keys, with short values or places in segments
//	cut-00000007-00012a40.bin   bytes that a recovery cut from the end of segment 7, from that offset; only for people
//	RESERVE, RESERVE2  up to 1 MiB of nothing each: space that is given back when the disk is full, for deletes and compaction
//	*.tmp              unfinished; removed by the next opening
//
// # Segment
//
// A segment is a header and frames, each frame at an offset that is a multiple of 8. A segment ends with the first
// frame at or past the segment size, so a frame never spans two. In the newest segment, zeros may follow: space that
// was reserved ahead.
//
//	0         4     6     8             24    28     32     36     40     44     48          56      60     64
//	+---------+-----+-----+-------------+-----+------+------+------+------+------+-----------+-------+------+
//	| "KXSG"  | ver |flags| store UUID  | id  | salt | prev | prev | prev | prev | prev      | chain | CRC  |
//	|         | u16 | u16 | 16 bytes    |     |      | id   | salt | end  | sum  | seq u64   |       |      |
//	+---------+-----+-----+-------------+-----+------+------+------+------+------+-----------+-------+------+
//
// The header seals the segment before: its frames end at exactly prev end, with the commit prev seq, and prev sum is
// the CRC over the header checksums (4 bytes each) of all of them, so that a segment cannot be replaced by one of the
// same length from a copy of the store that went on by itself. What stands there beyond prev end does not belong to the
// log. The salt is random, and stands in every frame of the segment.
//
// The chain goes through the whole log: behind a commit it is the CRC over the payload checksums (4 bytes each) of that
// commit and of all before it; chain in a header is that behind the commit prev seq, 0 in the first segment. So the
// number of a commit with the chain behind it names the contents of the log up to there, in whichever frames they stand:
// a recovery that writes a commit anew keeps its chain, a copy of the store that goes on by itself has other ones.
//
// Flag 1 begins a new history: chain is a random number instead, since commits of which somebody may have been told are
// not in the log any more. No position of before, up to and with prev seq, is one of this history.
//
// # Frame
//
//	0         4        8       12      16         24          32     33      34    36     40
//	+---------+--------+-------+-------+----------+-----------+------+-------+-----+------+---------+-----+
//	| "KXFR"  | length | CRC   | salt  | seq      | durable   | kind | flags | 0   | CRC  | payload | 0…  |
//	|         | of the | of    |       | u64      | u64       | u8   | u8    | u16 |      |         |     |
//	|         | payload| it    |       |          |           |      |       |     |      |         |     |
//	+---------+--------+-------+-------+----------+-----------+------+-------+-----+------+---------+-----+
//
// The payload is followed by zeros up to a multiple of 8, and its checksum covers them. The checksum at 36 covers the
// bytes before it and the frame's offset in the segment (as u64), so that a frame is valid in its own place only.
//
// durable is the durable mark: the offset in this segment up to which a sync had returned when the header was made.
// A frame that cannot be read below a durable mark was on the disk once: it is damaged. One that no mark covers is the
// torn tail of a crash.
//
// Kinds: 1 commit, 2 move, 3 mark, 4 close. seq of a commit is that of the commit before it plus one; the other kinds
// carry the seq of the last commit. A move holds copies of values from a segment that is going to be removed; a mark
// (written when the store is idle, for its durable mark) and a close (the last frame of a store that was closed) have no
// payload.
//
// # Payload of a commit
//
//	+-----------------+------+------+------
//	| number of       | op 1 | op 2 | …        sorted by key, one for each key
//	| ops, uvarint    |      |      |
//	+-----------------+------+------+------
//
//	+------+----------------+----------------+----------+----------------------------------------------+
//	| kind | bytes shared   | length of the  | the rest | of a put: length of the value uvarint,       |
//	| u8   | with the key   | rest, uvarint  | of the   | value, checksum u32 if the value             |
//	|      | before, uvarint|                | key      | is longer than 64 bytes                      |
//	+------+----------------+----------------+----------+----------------------------------------------+
//
// Kinds: 1 put, 2 delete, 3 put of a value that equals the key of another op of the same frame: instead of the value
// its number, from 0, uvarint: an index entry's value is the key of its document. Those are in memory, shared with the
// key. Other values longer than 64 bytes stay on disk: in memory there is their place and checksum. Shorter ones are
// kept in memory. The checksum of a value is its CRC with the key before it, rotated left by 17 bits,
// plus 0x9b1d7e35.
//
// # Payload of a move
//
// As that of a commit, but an op is: bytes shared with the key before uvarint, length of the rest uvarint, the rest, the
// number of the commit that put the value uvarint, length of the value uvarint, the value, its checksum u32. It says that
// the value stands here as well, from now on; it counts if the key has the value of that commit, else it is too late.
//
// # Run
//
// A run is sorted keys with what was known of them when it was written: newer runs, and the log behind replay from, hide
// what is in it. It is never changed.
//
//	0         4     6     8             24    28     32    36     40
//	+---------+-----+-----+-------------+-----+------+-----+------+---------+-----+---------+-------+-----+
//	| "KXRN"  | ver |flags| store UUID  | id  | salt | 0   | CRC  | block 1 | …   | block n | index | end |
//	|         | u16 | u16 | 16 bytes    | u32 |      | u32 |      |         |     |         |       |     |
//	+---------+-----+-----+-------------+-----+------+-----+------+---------+-----+---------+-------+-----+
//
// A block has as many keys as make about 4 KiB of it:
//
//	+--------+-----------------+---------------+-------+-----+-------+-------------------+-----+
//	| keys n | prefix of all   | least commit  | key 1 | …   | key n | where the keys    | CRC |
//	| u16    | keys: length    | number,       |       |     |       | begin in the      | u32 |
//	|        | uvarint, bytes  | uvarint       |       |     |       | block, u16×n      |     |
//	+--------+-----------------+---------------+-------+-----+-------+-------------------+-----+
//
//	+-------+-----------------+-------------------+-----------------------------------------------------------+
//	| flags | rest of the key:| commit number     | of one that is deleted (flag 1): nothing                  |
//	| u8    | length uvarint, | above the least   | of one with flag 2: segment, offset and length of the     |
//	|       | bytes           | one, uvarint      |   value, uvarint each, and its checksum u32               |
//	|       |                 |                   | else: how much of the value is the beginning of the       |
//	|       |                 |                   |   block's first value and how much is the end of its own  |
//	|       |                 |                   |   key, uvarint each; what is between: length uvarint, bytes|
//	+-------+-----------------+-------------------+-----------------------------------------------------------+
//
// The index: the number of blocks; for each how many bytes its first key shares with the one before, the length of the
// rest, the rest, and the length of the block; length and bytes of the last key; the numbers of keys and of deleted ones,
// the least and the greatest commit number; the number of segments with values of the run, and for each its number, how
// many values and how many bytes of them. All numbers are uvarint.
//
// The end, 32 bytes: "KXRE", salt u32, offset of the index u64, its length u32, its checksum u32, 0 u32, CRC u32.
//
// The checksums of blocks, index and end are CRCs of the bytes before them in it, of its offset in the file (u64) and of
// the salt.
//
// # MANIFEST
//
//	  0         4     6     8             24          32            36       40       44       48         56
//	  +---------+-----+-----+-------------+-----------+-------------+--------+--------+--------+----------+--
//	  | "KXMF"  | ver |flags| store UUID  | generation| replay from | replay | replay | replay | replay   |
//	  |         | u16 | u16 | 16 bytes    | u64       | segment     | offset | sum    | chain  | seq u64  |
//	  +---------+-----+-----+-------------+-----------+-------------+--------+--------+--------+----------+--
//	  56         60         64         68     72          80     84         88
//	--+----------+----------+----------+------+-----------+------+----------+------------+-------------+-----+
//	  | floor    | floor    | floor    |floor | floor     | runs | segments | {id, salt, | {id, end,   | CRC |
//	  | segment  | salt     | end      |sum   | seq u64   | r    | n        | size u64,  | last u64}×n |     |
//	  |          |          |          |      |           |      |          | sum}×r     |             |     |
//	--+----------+----------+----------+------+-----------+------+----------+------------+-------------+-----+
//
// Opening replays the log from the segment and offset of replay from, behind commit replay seq: sum is that of the frames
// of the segment before it, chain that behind the commit. The commits before it are in the runs, which are named the newest
// first, with the checksums of their indexes. The floor is durable: the log must reach it, with the sum of the frames of
// that segment up to there, or it is damaged. The last list holds the sealed segments, with their ends and last commits.
//
// Flag 1, loose: commits are acknowledged before they are on the disk, and watchers are told of them. It is on the disk
// before the first one of them is made, and is taken back by a clean close. An opening that finds it cannot know what was
// lost, and begins a new history.
const (
	formatVersion = 1

	flagNewHistory = 1 // of a segment
	flagLoose      = 1 // of the manifest

	segmentMagic  = "KXSG"
	frameMagic    = "KXFR"
	manifestMagic = "KXMF"
	runMagic      = "KXRN"
	runEndMagic   = "KXRE"

	segmentHeaderSize = 64
	frameHeaderSize   = 40
	frameAlign        = 8
	runHeaderSize     = 40
	runEndSize        = 32

	manifestFixedSize   = 88 // without the lists and the checksum
	manifestRunSize     = 20
	manifestSegmentSize = 16

	// inlineMax is the length of the longest value that is kept in memory, and has no checksum of its own.
	inlineMax = 64
)

// A frameKind says what a frame is.
type frameKind uint8

const (
	frameCommit frameKind = 1
	frameMove   frameKind = 2
	frameMark   frameKind = 3
	frameClose  frameKind = 4
)

func (k frameKind) String() string {
	switch k {
	case frameCommit:
		return "commit"
	case frameMove:
		return "move"
	case frameMark:
		return "mark"
	case frameClose:
		return "close"
	}
	return "kind " + strconv.Itoa(int(k))
}

// The kinds of the operations in a commit.
const (
	opPut    = 1
	opDelete = 2
	opPutKey = 3 // put, the value is the key of another operation
)

// A segID is the number of a segment. The first one is 1.
type segID uint32

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// valueChecksum is the checksum of a value that stays on disk: it covers the key, so that a value read from the wrong
// place is noticed.
//
// It is not the CRC itself: the CRC of bytes that are followed by their own CRC is the same whatever they are, so the
// checksum of a payload would not depend on the values in it. Turning the bits and adding a number prevents that.
func valueChecksum(key, value []byte) uint32 {
	crc := crc32.Update(crc32.Update(0, castagnoli, key), castagnoli, value)
	return bits.RotateLeft32(crc, 17) + 0x9b1d7e35
}

// zeros fill a frame up to where the next one may begin.
var zeros [frameAlign]byte

const (
	lockName = "LOCK"

	deleteSpareName  = "RESERVE"
	compactSpareName = "RESERVE2"

	manifestName = "MANIFEST"
	tmpSuffix    = ".tmp"
)

func segmentName(id segID) string { return fmt.Sprintf("seg-%08x.log", uint32(id)) }

func runName(id runID) string { return fmt.Sprintf("run-%08x.kv", uint32(id)) }

func cutName(id segID, offset int64) string {
	return fmt.Sprintf("cut-%08x-%08x.bin", uint32(id), offset)
}

func isCutName(name string) bool {
	return strings.HasPrefix(name, "cut-") && strings.HasSuffix(name, ".bin")
}

// parseSegmentName returns the number in the name of a segment, and whether it is such a name.
func parseSegmentName(name string) (segID, bool) {
	digits, ok := strings.CutPrefix(name, "seg-")
	if !ok {
		return 0, false
	}
	digits, ok = strings.CutSuffix(digits, ".log")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || segmentName(segID(n)) != name {
		return 0, false
	}
	return segID(n), true
}

// parseRunName returns the number in the name of a run, and whether it is such a name.
func parseRunName(name string) (runID, bool) {
	digits, ok := strings.CutPrefix(name, "run-")
	if !ok {
		return 0, false
	}
	if digits, ok = strings.CutSuffix(digits, ".kv"); !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || runName(runID(n)) != name {
		return 0, false
	}
	return runID(n), true
}

// A uuid names a store. It stands in every file, so that a file of another store is refused.
type uuid [16]byte

func (u uuid) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// segmentHeader is the first [segmentHeaderSize] bytes of a segment.
type segmentHeader struct {
	store    uuid
	id       segID
	salt     uint32
	prev     segID // 0: this is the first segment
	prevSalt uint32
	prevEnd  int64
	prevSum  uint32
	prevSeq  uint64
	chain    uint32 // behind prevSeq, or where the new history begins
	fresh    bool   // a new history begins here
}

func (h *segmentHeader) append(b []byte) []byte {
	start := len(b)
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint16(b, formatVersion)
	b = binary.LittleEndian.AppendUint16(b, flagIf(h.fresh, flagNewHistory))
	b = append(b, h.store[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.id))
	b = binary.LittleEndian.AppendUint32(b, h.salt)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.prev))
	b = binary.LittleEndian.AppendUint32(b, h.prevSalt)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.prevEnd))
	b = binary.LittleEndian.AppendUint32(b, h.prevSum)
	b = binary.LittleEndian.AppendUint64(b, h.prevSeq)
	b = binary.LittleEndian.AppendUint32(b, h.chain)
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

// parseSegmentHeader reads the header from the beginning of b. The error says what is wrong with it, without the file.
func parseSegmentHeader(b []byte) (h segmentHeader, err error) {
	if len(b) < segmentHeaderSize {
		return h, fmt.Errorf("a segment has a header of %d bytes, there are %d", segmentHeaderSize, len(b))
	}
	b = b[:segmentHeaderSize]
	if string(b[:4]) != segmentMagic {
		return h, fmt.Errorf("not a segment: it begins with %q, want %q", b[:4], segmentMagic)
	}
	if sum, want := checksum(b[:60]), binary.LittleEndian.Uint32(b[60:]); sum != want {
		return h, fmt.Errorf("checksum %08x does not match the segment header (%08x)", want, sum)
	}
	flags, err := checkVersion(b, flagNewHistory)
	if err != nil {
		return h, err
	}
	h.fresh = flags&flagNewHistory != 0
	copy(h.store[:], b[8:24])
	h.id = segID(binary.LittleEndian.Uint32(b[24:]))
	h.salt = binary.LittleEndian.Uint32(b[28:])
	h.prev = segID(binary.LittleEndian.Uint32(b[32:]))
	h.prevSalt = binary.LittleEndian.Uint32(b[36:])
	h.prevEnd = int64(binary.LittleEndian.Uint32(b[40:]))
	h.prevSum = binary.LittleEndian.Uint32(b[44:])
	h.prevSeq = binary.LittleEndian.Uint64(b[48:])
	h.chain = binary.LittleEndian.Uint32(b[56:])
	return h, nil
}

// checkVersion checks the format version of a file that begins with b, and returns its flags, which must be among known.
func checkVersion(b []byte, known uint16) (flags uint16, err error) {
	if v := binary.LittleEndian.Uint16(b[4:]); v != formatVersion {
		return 0, fmt.Errorf("format version %d, this program reads %d", v, formatVersion)
	}
	flags = binary.LittleEndian.Uint16(b[6:])
	if unknown := flags &^ known; unknown != 0 {
		return 0, fmt.Errorf("flags %#x are not known to this version", unknown)
	}
	return flags, nil
}

// flagIf returns flag if it is set, else 0.
func flagIf(set bool, flag uint16) uint16 {
	if set {
		return flag
	}
	return 0
}
