package gen

import (
	"cmp"
	"math"
	"math/bits"
	"time"
)

// A Policy settles a field that both sides of a merge have changed to different values. It returns false if the value
// that it makes is none of the type.
type Policy[T any] = func(base, mine, theirs T) (T, bool)

// Ours takes the caller's value.
func Ours[T any](_, mine, _ T) (T, bool) { return mine, true }

// Theirs takes the stored value.
func Theirs[T any](_, _, theirs T) (T, bool) { return theirs, true }

// Max takes the greater value. A NaN is less than all others.
func Max[T cmp.Ordered](_, mine, theirs T) (T, bool) {
	return greater(mine, theirs, cmp.Compare(mine, theirs)), true
}

// Min takes the less value. A NaN is less than all others.
func Min[T cmp.Ordered](_, mine, theirs T) (T, bool) {
	return greater(mine, theirs, cmp.Compare(theirs, mine)), true
}

// MaxTime takes the later time.
func MaxTime(_, mine, theirs time.Time) (time.Time, bool) {
	return greater(mine, theirs, mine.Compare(theirs)), true
}

// MinTime takes the earlier time.
func MinTime(_, mine, theirs time.Time) (time.Time, bool) {
	return greater(mine, theirs, theirs.Compare(mine)), true
}

// MaxPtr takes the pointer to the greater value. nil is less than all values.
func MaxPtr[T cmp.Ordered](_, mine, theirs *T) (*T, bool) {
	return greater(mine, theirs, comparePtr(mine, theirs, cmp.Compare[T])), true
}

// MinPtr takes the pointer to the less value. nil is less than all values.
func MinPtr[T cmp.Ordered](_, mine, theirs *T) (*T, bool) {
	return greater(mine, theirs, comparePtr(theirs, mine, cmp.Compare[T])), true
}

// MaxTimePtr takes the pointer to the later time. nil is before all times.
func MaxTimePtr(_, mine, theirs *time.Time) (*time.Time, bool) {
	return greater(mine, theirs, comparePtr(mine, theirs, time.Time.Compare)), true
}

// MinTimePtr takes the pointer to the earlier time. nil is before all times.
func MinTimePtr(_, mine, theirs *time.Time) (*time.Time, bool) {
	return greater(mine, theirs, comparePtr(theirs, mine, time.Time.Compare)), true
}

// greater returns mine if order says that it is the greater one.
func greater[T any](mine, theirs T, order int) T {
	if order > 0 {
		return mine
	}
	return theirs
}

func comparePtr[T any](x, y *T, compare func(x, y T) int) int {
	switch {
	case x == nil && y == nil:
		return 0
	case x == nil:
		return -1
	case y == nil:
		return 1
	}
	return compare(*x, *y)
}

// SumInt adds both changes to base.
func SumInt[T Signed](base, mine, theirs T) (T, bool) {
	// In 128 bits nothing overflows on the way. The upper half of a negative number is all ones.
	half := func(v T) (hi, lo uint64) { return uint64(int64(v) >> 63), uint64(int64(v)) }
	baseHi, baseLo := half(base)
	mineHi, mineLo := half(mine)
	hi, lo := half(theirs)
	lo, carry := bits.Add64(lo, mineLo, 0)
	hi, _ = bits.Add64(hi, mineHi, carry)
	lo, borrow := bits.Sub64(lo, baseLo, 0)
	hi, _ = bits.Sub64(hi, baseHi, borrow)
	sum := int64(lo)
	return T(sum), hi == uint64(sum>>63) && int64(T(sum)) == sum
}

// SumUint adds both changes to base.
func SumUint[T Unsigned](base, mine, theirs T) (T, bool) {
	lo, hi := bits.Add64(uint64(theirs), uint64(mine), 0)
	lo, borrow := bits.Sub64(lo, uint64(base), 0)
	hi -= borrow
	return T(lo), hi == 0 && uint64(T(lo)) == lo
}

// SumFloat adds both changes to base. A result that is infinite or NaN is none.
func SumFloat[T ~float32 | ~float64](base, mine, theirs T) (T, bool) {
	b, m, t := float64(base), float64(mine), float64(theirs)
	sum := m + t - b
	if math.IsInf(sum, 0) {
		sum = 2 * (m/2 + t/2 - b/2) // m + t may be too large where the result is not
	}
	v := T(sum)
	return v, !math.IsInf(float64(v), 0) && v == v
}

// Union takes the elements of theirs and then those that are new in mine, without those that either side has removed.
func Union[S ~[]T, T comparable](base, mine, theirs S) (S, bool) {
	set := func(s S) map[T]bool {
		m := make(map[T]bool, len(s))
		for _, v := range s {
			m[v] = true
		}
		return m
	}
	inBase, inMine, there := set(base), set(mine), set(theirs)
	union := S{}
	for _, v := range theirs {
		if inMine[v] || !inBase[v] {
			union = append(union, v)
		}
	}
	for _, v := range mine {
		if !inBase[v] && !there[v] {
			union = append(union, v)
			there[v] = true
		}
	}
	return union, true
}
