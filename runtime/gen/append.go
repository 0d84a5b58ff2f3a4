package gen

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// AppendListHeader appends the header of a slice with n elements, or nil; the elements follow.
func AppendListHeader(b []byte, isNil bool, n int) []byte {
	if isNil {
		return msgp.AppendNil(b)
	}
	return msgp.AppendArrayHeader(b, uint32(n))
}

// AppendMapHeader appends the header of a Go map with n entries, or nil; the keys and values follow.
func AppendMapHeader(b []byte, isNil bool, n int) []byte {
	if isNil {
		return msgp.AppendNil(b)
	}
	return msgp.AppendMapHeader(b, uint32(n))
}

// SortedKeys returns the keys of m in ascending order, so that equal maps become equal bytes.
func SortedKeys[M ~map[K]V, K cmp.Ordered, V any](m M) []K {
	if len(m) == 0 {
		return nil
	}
	keys := make([]K, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// SortedBools returns the keys of m, false first.
func SortedBools[M ~map[K]V, K ~bool, V any](m M) []K {
	keys := make([]K, 0, 2)
	for _, key := range []K{false, true} {
		if _, ok := m[key]; ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// SortedUUIDs returns the keys of m in the order of their bytes.
func SortedUUIDs[M ~map[K]V, K ~[uuidSize]byte, V any](m M) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b K) int { return bytes.Compare(a[:], b[:]) })
	return keys
}

// SortedTimes returns the keys of m from the earliest to the latest.
func SortedTimes[M ~map[time.Time]V, V any](m M) []time.Time {
	keys := make([]time.Time, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, time.Time.Compare)
	return keys
}
