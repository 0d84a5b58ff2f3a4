package gen

import (
	"bytes"
	"math"
	"time"
)

// Two values are equal for these functions if they are stored as the same bytes: nil is not empty, 0 is not -0, a NaN is
// itself, and of a time only the instant counts. They take pointers, so that structs are not copied.

// Equal compares values that == compares as they are stored: no floats.
func Equal[T comparable](x, y *T) bool { return *x == *y }

// EqualFloat compares floats by their bits.
func EqualFloat[T ~float32 | ~float64](x, y *T) bool {
	return math.Float64bits(float64(*x)) == math.Float64bits(float64(*y))
}

// EqualTime compares instants.
func EqualTime(x, y *time.Time) bool { return x.Equal(*y) }

// EqualBytes compares bytes.
func EqualBytes[T ~[]byte](x, y *T) bool {
	return (*x == nil) == (*y == nil) && bytes.Equal(*x, *y)
}

// EqualPtr compares what pointers point to.
func EqualPtr[T any](x, y *T, equal func(x, y *T) bool) bool {
	if x == nil || y == nil {
		return x == y
	}
	return equal(x, y)
}

// EqualSlice compares slices element by element.
func EqualSlice[T any](x, y []T, equal func(x, y *T) bool) bool {
	if len(x) != len(y) || (x == nil) != (y == nil) {
		return false
	}
	for i := range x {
		if !equal(&x[i], &y[i]) {
			return false
		}
	}
	return true
}

// EqualMap compares maps key by key.
func EqualMap[M ~map[K]V, K comparable, V any](x, y M, equal func(x, y *V) bool) bool {
	if len(x) != len(y) || (x == nil) != (y == nil) {
		return false
	}
	for key, v := range x {
		w, ok := y[key]
		if !ok || !equal(&v, &w) {
			return false
		}
	}
	return true
}

// EqualUnknown compares what structs that carry their unknown fields carry.
func EqualUnknown(x, y *Unknown) bool {
	if x == nil || y == nil || x.fields == nil || y.fields == nil {
		return (x == nil || x.fields == nil) && (y == nil || y.fields == nil)
	}
	a, b := x.fields, y.fields
	if a.of != b.of || !bytes.Equal(a.raw, b.raw) || len(a.inner) != len(b.inner) {
		return false
	}
	for i := range a.inner {
		if a.inner[i].name != b.inner[i].name || !EqualUnknown(&a.inner[i].unknown, &b.inner[i].unknown) {
			return false
		}
	}
	return true
}
