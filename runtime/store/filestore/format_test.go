package filestore

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// unhex reads bytes that are written with spaces and line ends.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testUUID() (u uuid) {
	for i := range u {
		u[i] = byte(i + 1)
	}
	return u
}

// The bytes of each format are fixed.
func TestGoldenBytes(t *testing.T) {
	long := strings.Repeat("0123456789", 7)
	b := &store.Batch{Ops: []store.Op{
		{Key: []byte("doc/1"), Value: []byte(long)},
		{Key: []byte("doc/2"), Delete: true},
		{Key: []byte("index/a"), Value: []byte("doc/1")},
		{Key: []byte("index/b"), Value: []byte{}},
	}}
	var e encoder
	e.encode(b)
	seg := &segment{id: 7, salt: 0xa1b2c3d4}
	e.finish(seg, 64, 64, 9)
	h := segmentHeader{store: testUUID(), id: 7, salt: 0xa1b2c3d4, prev: 6, prevSalt: 0x01020304, prevEnd: 4096, prevSum: 0x11223344, prevSeq: 8, chain: 0xccbbaa99}
	fresh := h
	fresh.fresh = true
	m := manifest{
		store: testUUID(), generation: 3, replaySeg: 6, replay: point{end: 0x80, sum: 0x99aabbcc, position: position{seq: 8, chain: 0xddeeff00}},
		floorSeg: 7, floorSalt: 0xa1b2c3d4, floorEnd: 0x1000, floorSum: 0x55667788, floorSeq: 9,
		runs:   []manifestRun{{id: 11, salt: 0x0a0b0c0d, size: 0x123456789a, sum: 0xcafebabe}, {id: 3, salt: 1, size: 2, sum: 3}},
		sealed: []sealedSegment{{id: 5, end: 0x2000, last: 7}, {id: 6, end: 0x3000, last: 8}},
	}
	loose := m
	loose.loose = true
	var moves encoder
	moves.encodeMoves([]moved{
		{key: "doc/1", seq: 4, location: location{n: 70, sum: valueChecksum([]byte("doc/1"), []byte(long))}, value: []byte(long)},
		{key: "doc/12", seq: 300, location: location{n: 70, sum: valueChecksum([]byte("doc/12"), []byte(long))}, value: []byte(long)},
	})
	moves.finish(seg, 208, 208, 9)
	mark := make([]byte, frameHeaderSize)
	(&frameHeader{payloadSum: checksum(nil), salt: 0xa1b2c3d4, seq: 9, durable: 208, kind: frameMark}).put(mark, 208)
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"commit frame", e.buf, goldenCommit},
		{"move frame", moves.buf, goldenMove},
		{"mark frame", mark, goldenMark},
		{"segment header", h.append(nil), goldenSegment},
		{"segment header that begins a history", fresh.append(nil), goldenFreshSegment},
		{"manifest", m.append(nil), goldenManifest},
		{"loose manifest", loose.append(nil), goldenLooseManifest},
	} {
		if want := unhex(t, c.want); !bytes.Equal(c.got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, hex.Dump(c.got), hex.Dump(want))
		}
	}
	for _, h := range []segmentHeader{h, fresh} {
		if got, err := parseSegmentHeader(h.append(nil)); err != nil || got != h {
			t.Errorf("segment header read back: %+v, %v, want %+v", got, err, h)
		}
	}
	for _, m := range []manifest{m, loose} {
		if got, err := parseManifest(m.append(nil)); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("manifest read back: %+v, %v, want %+v", got, err, m)
		}
	}
}

// What was encoded is decoded, as the same changes.
func TestPayloadRoundTrip(t *testing.T) {
	long := strings.Repeat("v", 65)
	for _, ops := range [][]store.Op{
		{},
		{{Key: []byte("k")}},
		{{Key: []byte("k"), Delete: true}},
		{{Key: []byte("a"), Value: []byte("b")}, {Key: []byte("b"), Value: []byte("a")}}, // each the key of the other
		{{Key: []byte("a"), Value: []byte("a")}},
		{{Key: []byte("a"), Value: []byte(long)}, {Key: []byte(long), Value: []byte(long[:64])}},
		{{Key: bytes.Repeat([]byte{0}, store.MaxKey-1), Value: []byte{0}}, {Key: bytes.Repeat([]byte{0}, store.MaxKey), Value: bytes.Repeat([]byte{1}, 3000)}},
		{{Key: []byte{0}}, {Key: []byte{0, 0}}, {Key: []byte{0, 1}}, {Key: []byte{1}}, {Key: []byte{0xff}}, {Key: []byte{0xff, 0xff}}},
	} {
		var e encoder
		e.encode(&store.Batch{Ops: ops})
		h, err := parseFrameHeader(e.buf, 0, 0)
		if err != nil || h.size() != int64(len(e.buf)) {
			t.Fatalf("header of %d operations: %+v, %v", len(ops), h, err)
		}
		got, err := decodePayload(e.buf[frameHeaderSize:][:h.length], &arena{}, nil)
		if err != nil || len(got) != len(ops) {
			t.Fatalf("decode of %d operations: %d, %v", len(ops), len(got), err)
		}
		for i, c := range got {
			op, enc := ops[i], e.changes[i]
			if c.key != string(op.Key) || enc.key != c.key || (c.entry == nil) != op.Delete || (enc.entry == nil) != op.Delete {
				t.Errorf("operation %d: key %q, want %q", i, c.key, op.Key)
			}
			if op.Delete {
				continue
			}
			if *c.entry != *enc.entry {
				t.Errorf("operation %d: decoded %+v, encoded %+v", i, *c.entry, *enc.entry)
			}
			v := c.entry.value
			if c.entry.n > 0 {
				v = string(e.buf[c.entry.off:][:c.entry.n])
			}
			if v != string(op.Value) {
				t.Errorf("operation %d: value %q, want %q", i, v, op.Value)
			}
		}
	}
}

// A payload that no encoder makes is refused, with a reason.
func TestBadPayloads(t *testing.T) {
	for _, c := range []struct{ hex, want string }{
		{"", "ends in the middle"},
		{"02 01 00 01 61 00", "ends in the middle"},
		{"01 01 00 01 61 05 00", "ends in the middle"},
		{"01 01 00 00 00", "a key of 0 bytes"},
		{"01 01 01 01 61 00", "a key of 1 bytes and 1 of the key before, which has 0"},
		{"02 01 00 01 62 00 01 00 01 61 00", "does not sort"},
		{"02 01 00 01 61 00 01 00 01 61 00", "does not sort"},
		{"02 01 00 02 6162 00 01 01 00 00", "does not sort"},
		{"01 04 00 01 61", "operation kind 4 is not known"},
		{"01 03 00 01 61 01", "the key of operation 1 of 1"},
		{"01 02 00 01 61 00", "1 bytes behind the last operation"},
		{"ff ff ff ff ff ff ff ff ff 01", "operations in 10 bytes"},
		{"01 01 00 01 61 41 " + strings.Repeat("00", 65) + "00000000", "does not match the value"},
		{"01 01 00 81 08 " + strings.Repeat("61", 1025) + " 00", "a key of 1025 bytes"},
	} {
		_, err := decodePayload(unhex(t, c.hex), &arena{}, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40s: error %v, want one with %q", c.hex, err, c.want)
		}
	}
}

// What a later version may write is refused, not skipped.
func TestUnknownIsRefused(t *testing.T) {
	for _, c := range []struct {
		h        frameHeader
		reserved uint16
		want     string
	}{
		{frameHeader{kind: 0}, 0, "frame kind 0 is not known"},
		{frameHeader{kind: 5}, 0, "frame kind 5 is not known"},
		{frameHeader{kind: frameCommit, flags: 1}, 0, "flags 0x1"},
		{frameHeader{kind: frameCommit}, 1, "0x1 are not known"},
		{frameHeader{kind: frameClose, length: 8}, 0, "a close frame with a payload"},
		{frameHeader{kind: frameMark, length: 8}, 0, "a mark frame with a payload"},
	} {
		if err := c.h.check(c.reserved); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one with %q", c.h, err, c.want)
		}
	}
	m := manifest{store: testUUID(), replaySeg: 1, replay: point{end: segmentHeaderSize}}
	for _, c := range []struct {
		at   int
		want string
	}{
		{4, "format version"},
		{6, "flags"},
		{56, "no such place"},
		{80, "32 runs and 0 segments, and has 0 bytes"},
		{84, "0 runs and 32 segments, and has 0 bytes"},
	} {
		b := m.append(nil)
		b[c.at] ^= 0x20
		b = append(b[:len(b)-4], 0, 0, 0, 0)
		sum := checksum(b[:len(b)-4])
		for i := range 4 {
			b[len(b)-4+i] = byte(sum >> (8 * i))
		}
		if _, err := parseManifest(b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("manifest with byte %d changed: error %v, want one with %q", c.at, err, c.want)
		}
	}
}

// syncOnce is a file whose first sync fails, and whose later ones say that all is well.
type syncOnce struct {
	memFile
	syncs int
}

func (f *syncOnce) Sync() error {
	if f.syncs++; f.syncs == 1 {
		return errReadOnly
	}
	return nil
}

// A sync that failed is not tried again: the second one would lie.
func TestFailedSyncIsNotTriedAgain(t *testing.T) {
	f := &syncOnce{}
	seg := &segment{name: "seg", f: f}
	for range 3 {
		if err := seg.sync(100); !errors.Is(err, errReadOnly) {
			t.Errorf("sync: %v, want the first error", err)
		}
	}
	if f.syncs != 1 || seg.durable.Load() != 0 {
		t.Errorf("%d syncs, durable up to %d, want 1 and 0", f.syncs, seg.durable.Load())
	}
}

func TestFileNames(t *testing.T) {
	for _, id := range []segID{1, 42, 1 << 31} {
		if got, ok := parseSegmentName(segmentName(id)); !ok || got != id {
			t.Errorf("parseSegmentName(%q) = %d, %v", segmentName(id), got, ok)
		}
	}
	for _, name := range []string{"", "seg-1.log", "seg-0000000A.log", "seg-000000001.log", "seg-00000001.log.tmp", "seg-+0000001.log"} {
		if id, ok := parseSegmentName(name); ok {
			t.Errorf("parseSegmentName(%q) = %d, want none", name, id)
		}
	}
	for _, c := range []struct {
		text, host string
		pid        int
	}{{formatOwner(12, "a b"), "a b", 12}, {"", "", 0}, {"x", "", 0}, {"-5 h\n", "", 0}, {"7", "", 7}} {
		if pid, host := parseOwner(c.text); pid != c.pid || host != c.host {
			t.Errorf("parseOwner(%q) = %d, %q, want %d, %q", c.text, pid, host, c.pid, c.host)
		}
	}
}

// A scan of any bytes ends, without a panic, and finds no frame that is not there.
func FuzzSegment(f *testing.F) {
	var e encoder
	e.encode(&store.Batch{Ops: []store.Op{{Key: []byte("a"), Value: bytes.Repeat([]byte("x"), 70)}, {Key: []byte("b"), Value: []byte("a")}}})
	seg := &segment{salt: 5}
	e.finish(seg, 0, 0, 1)
	one := bytes.Clone(e.buf)
	mark := make([]byte, frameHeaderSize)
	(&frameHeader{payloadSum: checksum(nil), salt: 5, seq: 1, durable: int64(len(one)), kind: frameMark}).put(mark, int64(len(one)))
	f.Add(append(one, mark...))
	f.Add(one[:len(one)-1])
	f.Add([]byte(frameMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		seg := &segment{salt: 5, name: "seg", f: memFile(b)}
		s := scanner{seg: seg, size: int64(len(b))}
		off := int64(0)
		for {
			fr, err := s.frame(off)
			if err != nil {
				break
			}
			if fr.end() <= off || fr.end() > int64(len(b)) || checksum(b[off+frameHeaderSize:fr.end()]) != fr.payloadSum {
				t.Fatalf("frame at %d: %+v", off, fr.frameHeader)
			}
			if fr.kind == frameCommit {
				checkDecode(t, fr.payload)
			}
			off = fr.end()
		}
		if _, _, err := s.laterMark(off); err != nil {
			t.Fatal(err)
		}
		if end, err := s.lastNonZero(off); err != nil || end < off || end > off && b[end-1] == 0 {
			t.Fatalf("lastNonZero(%d) = %d, %v", off, end, err)
		}
	})
}

// Any payload is decoded or refused; a decoded one is sorted, and encodes to something that decodes to the same.
func FuzzPayload(f *testing.F) {
	for _, s := range []string{"", "01 01 00 01 61 00", "02 01 00 01 61 01 62 03 00 01 62 00", "01 02 00 01 61"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkDecode(t, b) })
}

// FuzzMoves checks that payloads of moves are refused, or say what encoding them again says.
func FuzzMoves(f *testing.F) {
	move := unhex(f, goldenMove)
	f.Add(move[frameHeaderSize : frameHeaderSize+int(binary.LittleEndian.Uint32(move[4:]))])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		changes, err := decodeMoves(payload, &arena{}, nil)
		if err != nil {
			return
		}
		var moves []moved
		for i, c := range changes {
			if i > 0 && changes[i-1].key >= c.key || c.key == "" || len(c.key) > store.MaxKey || c.entry == nil || c.entry.n <= inlineMax {
				t.Fatalf("change %d of %q: %+v", i, c.key, c.entry)
			}
			v := payload[c.entry.off-frameHeaderSize:][:c.entry.n]
			moves = append(moves, moved{key: c.key, seq: c.entry.seq, location: location{n: c.entry.n, sum: c.entry.sum}, value: v})
		}
		var e encoder
		e.encodeMoves(moves)
		h, err := parseFrameHeader(e.buf, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeMoves(e.buf[frameHeaderSize:][:h.length], &arena{}, nil)
		if err != nil || len(again) != len(changes) {
			t.Fatalf("encoded again: %d changes, %v, want %d", len(again), err, len(changes))
		}
		for i, c := range again {
			if w := changes[i]; c.key != w.key || c.entry.seq != w.entry.seq || c.entry.n != w.entry.n || c.entry.sum != w.entry.sum {
				t.Fatalf("change %d is %q %+v, was %q %+v", i, c.key, c.entry, w.key, w.entry)
			}
		}
	})
}

func checkDecode(t *testing.T, payload []byte) {
	changes, err := decodePayload(payload, &arena{}, nil)
	if err != nil {
		return
	}
	var b store.Batch
	for i, c := range changes {
		if i > 0 && changes[i-1].key >= c.key || c.key == "" || len(c.key) > store.MaxKey {
			t.Fatalf("keys %q and %q", changes[max(i-1, 0)].key, c.key)
		}
		op := store.Op{Key: []byte(c.key), Delete: c.entry == nil}
		if c.entry != nil {
			op.Value = []byte(c.entry.value)
			if c.entry.n > 0 {
				op.Value = payload[c.entry.off-frameHeaderSize:][:c.entry.n]
			}
		}
		b.Ops = append(b.Ops, op)
	}
	var e encoder
	e.encode(&b)
	h, err := parseFrameHeader(e.buf, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	again, err := decodePayload(e.buf[frameHeaderSize:][:h.length], &arena{}, nil)
	if err != nil || len(again) != len(changes) {
		t.Fatalf("encoded again: %d changes, %v, want %d", len(again), err, len(changes))
	}
	for i, c := range again {
		if c.key != changes[i].key || (c.entry == nil) != (changes[i].entry == nil) {
			t.Fatalf("change %d is %q, was %q", i, c.key, changes[i].key)
		}
		if c.entry != nil && (c.entry.value != changes[i].entry.value || c.entry.sum != changes[i].entry.sum || c.entry.n != changes[i].entry.n) {
			t.Fatalf("value of %q is %+v, was %+v", c.key, *c.entry, *changes[i].entry)
		}
	}
}

// Any manifest is read or refused; what is read is written as the same bytes.
func FuzzManifest(f *testing.F) {
	f.Add(unhex(f, goldenManifest))
	f.Add([]byte(manifestMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		// A right checksum lets the fuzzer get behind it.
		if len(b) > 4 {
			sum := checksum(b[:len(b)-4])
			b = fmt.Appendf(bytes.Clone(b[:len(b)-4]), "%c%c%c%c", 0, 0, 0, 0)
			for i := range 4 {
				b[len(b)-4+i] = byte(sum >> (8 * i))
			}
		}
		m, err := parseManifest(b)
		if err == nil && !bytes.Equal(m.append(nil), b) {
			t.Fatalf("%x is read as %+v, which is written as %x", b, m, m.append(nil))
		}
	})
}

// Any segment header is read or refused; what is read is written as the same bytes.
func FuzzSegmentHeader(f *testing.F) {
	f.Add(unhex(f, goldenSegment))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= segmentHeaderSize {
			b = bytes.Clone(b[:segmentHeaderSize])
			sum := checksum(b[:60])
			for i := range 4 {
				b[60+i] = byte(sum >> (8 * i))
			}
		}
		h, err := parseSegmentHeader(b)
		if err == nil && !bytes.Equal(h.append(nil), b) {
			t.Fatalf("%x is read as %+v, which is written as %x", b, h, h.append(nil))
		}
	})
}
