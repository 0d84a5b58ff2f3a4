package gen

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// Extension types of a time: the standard timestamp, and what package msgp writes by itself.
const (
	timestampExtension = 0xFF // -1
	msgpTimeExtension  = msgp.TimeExtension
)

// AppendTime appends the instant t as the standard timestamp extension, in the shortest of its three forms:
//
//	D6 FF  seconds, 4 bytes                            no fraction, 1970 to 2106
//	D7 FF  nanoseconds, 30 bits; seconds, 34 bits      1970 to 2514
//	C7 0C FF  nanoseconds, 4 bytes; seconds, 8 bytes   every time.Time
//
// Location and monotonic reading are left out.
func AppendTime(b []byte, t time.Time) []byte {
	sec, ns := t.Unix(), uint32(t.Nanosecond())
	switch {
	case uint64(sec) < 1<<32 && ns == 0:
		return binary.BigEndian.AppendUint32(append(b, 0xD6, timestampExtension), uint32(sec))
	case uint64(sec) < 1<<34:
		return binary.BigEndian.AppendUint64(append(b, 0xD7, timestampExtension), uint64(ns)<<34|uint64(sec))
	}
	b = binary.BigEndian.AppendUint32(append(b, 0xC7, 12, timestampExtension), ns)
	return binary.BigEndian.AppendUint64(b, uint64(sec))
}

// ReadTime reads a time in one of the standard forms or in that of package msgp, and returns it in UTC. nil is the zero
// time.
func ReadTime(b []byte) (t time.Time, rest []byte, err error) {
	if len(b) > 0 && b[0] == isNil {
		return time.Time{}, b[1:], nil
	}
	typ, data, rest, err := readExtension(b)
	if err != nil {
		return time.Time{}, nil, err
	}
	var sec int64
	var ns uint32
	switch {
	case typ == timestampExtension && len(data) == 4:
		sec = int64(binary.BigEndian.Uint32(data))
	case typ == timestampExtension && len(data) == 8:
		both := binary.BigEndian.Uint64(data)
		sec, ns = int64(both&(1<<34-1)), uint32(both>>34)
	case typ == timestampExtension && len(data) == 12:
		sec, ns = int64(binary.BigEndian.Uint64(data[4:])), binary.BigEndian.Uint32(data)
	case typ == msgpTimeExtension && len(data) == 12:
		sec, ns = int64(binary.BigEndian.Uint64(data)), binary.BigEndian.Uint32(data[8:])
	default:
		return time.Time{}, nil, fmt.Errorf("want a time, found extension %d of %d bytes", int8(typ), len(data))
	}
	if ns >= uint32(time.Second) {
		return time.Time{}, nil, fmt.Errorf("the %d nanoseconds of a time are a second or more", ns)
	}
	return time.Unix(sec, int64(ns)).UTC(), rest, nil
}

// readExtension returns the type and the contents of an extension.
func readExtension(b []byte) (typ byte, data, rest []byte, err error) {
	if len(b) == 0 {
		return 0, nil, nil, errShort
	}
	n, head := 0, 2
	switch lead := b[0]; {
	case lead >= 0xD4 && lead <= 0xD8: // fixext 1, 2, 4, 8, 16
		n = 1 << (lead - 0xD4)
	case lead == 0xC7: // ext 8
		if len(b) < 2 {
			return 0, nil, nil, errShort
		}
		n, head = int(b[1]), 3
	default:
		return 0, nil, nil, mismatch("a time", b)
	}
	if len(b) < head+n {
		return 0, nil, nil, errShort
	}
	return b[head-1], b[head : head+n], b[head+n:], nil
}

// CanonTime returns t as [ReadTime] returns it: in UTC, without the monotonic reading.
func CanonTime(t time.Time) time.Time { return t.UTC() }

// CanonKeyTime makes *t, which the field of a key has, what [ReadTime] returns. A time whose order keys do not keep is
// refused: its seconds since 1970 do not fit into 64 bits, which is so 292 billion years from now.
func CanonKeyTime(t *time.Time, field string) error {
	if (t.Unix() < 0) != t.Before(time.Unix(0, 0)) {
		return fmt.Errorf("the time in %s is too far from 1970 to be in a key", field)
	}
	*t = CanonTime(*t)
	return nil
}
