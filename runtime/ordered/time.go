package ordered

import (
	"encoding/binary"
	"time"
)

const (
	timeSize = 12
	uuidSize = 16
)

// AppendTime appends the encoding of the instant v to b, 12 bytes, and returns the extended slice. Every time.Time can
// be encoded, the zero one included. Location and monotonic reading are left out. It does not allocate if b has the
// capacity.
func AppendTime(b []byte, v time.Time) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(v.Unix())^signBit)
	return binary.BigEndian.AppendUint32(b, uint32(v.Nanosecond()))
}

// AppendTimeDesc is [AppendTime] for a descending component.
func AppendTimeDesc(b []byte, v time.Time) []byte {
	b = binary.BigEndian.AppendUint64(b, ^(uint64(v.Unix()) ^ signBit))
	return binary.BigEndian.AppendUint32(b, ^uint32(v.Nanosecond()))
}

// ReadTime reads an instant from the beginning of b and returns it, in UTC, with what comes after it. If b does not
// begin with the encoding of a time, the error matches [ErrMalformed] and rest is nil.
func ReadTime(b []byte) (v time.Time, rest []byte, err error) {
	if len(b) < timeSize {
		return time.Time{}, nil, short(Time, len(b), timeSize)
	}
	return toTime(binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:]), b, Time)
}

// ReadTimeDesc is [ReadTime] for a descending component.
func ReadTimeDesc(b []byte) (v time.Time, rest []byte, err error) {
	if len(b) < timeSize {
		return time.Time{}, nil, short(Time|Desc, len(b), timeSize)
	}
	return toTime(^binary.BigEndian.Uint64(b), ^binary.BigEndian.Uint32(b[8:]), b, Time|Desc)
}

func toTime(sec uint64, ns uint32, b []byte, k Kind) (time.Time, []byte, error) {
	if ns >= uint32(time.Second) {
		return time.Time{}, nil, malformed(k, 8, "%d nanoseconds are a second or more", ns)
	}
	return time.Unix(int64(sec^signBit), int64(ns)).UTC(), b[timeSize:], nil
}

// AppendUUID appends the 16 bytes of v to b and returns the extended slice. It does not allocate if b has the capacity.
func AppendUUID[T ~[16]byte](b []byte, v T) []byte {
	a := [uuidSize]byte(v)
	return append(b, a[:]...)
}

// AppendUUIDDesc is [AppendUUID] for a descending component.
func AppendUUIDDesc[T ~[16]byte](b []byte, v T) []byte {
	n := len(b)
	b = AppendUUID(b, v)
	invert(b[n:])
	return b
}

// ReadUUID reads 16 bytes from the beginning of b and returns them with what comes after them. If b is shorter, the
// error matches [ErrMalformed] and rest is nil.
func ReadUUID[T ~[16]byte](b []byte) (v T, rest []byte, err error) {
	if len(b) < uuidSize {
		return v, nil, short(UUID, len(b), uuidSize)
	}
	return T(b[:uuidSize]), b[uuidSize:], nil
}

// ReadUUIDDesc is [ReadUUID] for a descending component.
func ReadUUIDDesc[T ~[16]byte](b []byte) (v T, rest []byte, err error) {
	if len(b) < uuidSize {
		return v, nil, short(UUID|Desc, len(b), uuidSize)
	}
	a := [uuidSize]byte(b)
	invert(a[:])
	return T(a), b[uuidSize:], nil
}
