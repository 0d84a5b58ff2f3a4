package gen

import (
	"bytes"
	"math"
	"testing"
	"time"
)

type id [16]byte

// TestUUIDs fixes the bytes, and reads what is one and what is none.
func TestUUIDs(t *testing.T) {
	v := id{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255}
	b := AppendUUID([]byte("before"), v)
	if want := append([]byte("before\xc4\x10"), v[:]...); !bytes.Equal(b, want) {
		t.Errorf("AppendUUID = % x, want % x", b, want)
	}
	b = append(b[len("before"):], 0xC1)
	if got, rest, err := ReadUUID[id](b); got != v || len(rest) != 1 || err != nil {
		t.Errorf("ReadUUID = %x, %d bytes are left, %v", got, len(rest), err)
	}
	asText := append([]byte{0xB0}, v[:]...)
	if got, _, err := ReadUUID[id](asText); got != v || err != nil {
		t.Errorf("ReadUUID of text of 16 bytes = %x, %v", got, err)
	}
	if got, rest, err := ReadUUID[id]([]byte{0xC0, 1}); got != (id{}) || len(rest) != 1 || err != nil {
		t.Errorf("ReadUUID of nil = %x, %v", got, err)
	}
	for n := range b[:len(b)-1] {
		if _, _, err := ReadUUID[id](b[:n]); err == nil {
			t.Errorf("ReadUUID of the first %d bytes gives no error", n)
		}
	}
	for i, row := range []struct {
		b    []byte
		want string
	}{
		{[]byte{0xC4, 2, 1, 2}, "want 16 bytes, found 2"},
		{append([]byte{0xC4, 17}, make([]byte, 17)...), "want 16 bytes, found 17"},
		{[]byte{7}, "want text, found int"},
	} {
		if _, _, err := ReadUUID[id](row.b); err == nil || err.Error() != row.want {
			t.Errorf("row %d: %v, want %s", i, err, row.want)
		}
	}
	if got, want := ParseUUID[id]("01234567-89ab-cdef-fedc-ba9876543210"),
		(id{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10}); got != want {
		t.Errorf("ParseUUID = %x, want %x", got, want)
	}
	ParseUUID[id]("no UUID, and longer than one: 01234567-89ab-cdef-fedc-ba9876543210")
	ParseUUID[id]("")
}

// TestKeyTimes makes times canonical, and refuses those whose order an encoded key does not keep.
func TestKeyTimes(t *testing.T) {
	there := time.FixedZone("there", 3600)
	for i, row := range []struct {
		t    time.Time
		good bool
	}{
		{time.Time{}, true},
		{time.Now(), true},
		{time.Date(-100_000, 1, 1, 0, 0, 0, 0, there), true},
		{time.Date(100_000, 1, 1, 0, 0, 0, 1, there), true},
		{time.Unix(0, 0), true},
		{time.Unix(0, -1), true},
		{time.Unix(math.MaxInt64-1<<37, 0), true},
		{time.Unix(math.MinInt64, 0), true},
		{time.Unix(math.MinInt64, 0).Add(-time.Second), false},
	} {
		got := row.t
		err := CanonKeyTime(&got, "At")
		if (err == nil) != row.good {
			t.Errorf("row %d: CanonKeyTime(%v): %v", i, row.t, err)
		}
		if err == nil && (got != row.t.UTC().Round(0) || !got.Equal(row.t)) {
			t.Errorf("row %d: CanonKeyTime(%v) = %#v", i, row.t, got)
		}
	}
}
