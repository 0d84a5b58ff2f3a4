package gen

import (
	"slices"
	"time"
)

// A three-way merge has base, which both sides began with, mine, and theirs, which is stored and becomes the result. A
// value that one side has changed is taken from there; what both sides have changed to different values is settled by a
// [Policy], or remembered as a conflict.

// A Merger remembers what a merge could not settle.
type Merger struct {
	Conflicts []string // paths of the fields, in Go names: Address.City
	Overflows []string // those of them whose type cannot hold the sum

	path string // of the struct that is being merged, with a dot at its end
}

// settle makes *theirs what policy says, or reports the field. Both sides have changed it.
func settle[T any](m *Merger, name string, theirs, base, mine *T, policy Policy[T]) {
	if policy != nil {
		v, ok := policy(*base, *mine, *theirs)
		if ok {
			*theirs = v
			return
		}
		m.Overflows = append(m.Overflows, m.path+name)
	}
	m.Conflicts = append(m.Conflicts, m.path+name)
}

// MergeValue merges a field whose values == compares as they are stored.
//
//go:noinline
func MergeValue[T comparable](m *Merger, name string, theirs, base, mine *T, policy Policy[T]) {
	MergeFunc(m, name, theirs, base, mine, Equal[T], policy)
}

// MergeFloat merges a float.
//
//go:noinline
func MergeFloat[T ~float32 | ~float64](m *Merger, name string, theirs, base, mine *T, policy Policy[T]) {
	MergeFunc(m, name, theirs, base, mine, EqualFloat[T], policy)
}

// MergeTime merges a time.
//
//go:noinline
func MergeTime(m *Merger, name string, theirs, base, mine *time.Time, policy Policy[time.Time]) {
	MergeFunc(m, name, theirs, base, mine, EqualTime, policy)
}

// MergeSlice merges a slice as one value. == compares its elements as they are stored.
//
//go:noinline
func MergeSlice[S ~[]T, T comparable](m *Merger, name string, theirs, base, mine *S, policy Policy[S]) {
	MergeFunc(m, name, theirs, base, mine, func(x, y *S) bool {
		return (*x == nil) == (*y == nil) && slices.Equal(*x, *y)
	}, policy)
}

// MergeFunc merges a field of any type as one value.
//
//go:noinline
func MergeFunc[T any](m *Merger, name string, theirs, base, mine *T, equal func(x, y *T) bool, policy Policy[T]) {
	switch {
	case equal(mine, base), equal(mine, theirs):
	case equal(theirs, base):
		*theirs = *mine
	default:
		settle(m, name, theirs, base, mine, policy)
	}
}

// MergeStruct merges a struct field by field.
//
//go:noinline
func MergeStruct[T any](m *Merger, name string, theirs, base, mine *T, merge func(m *Merger, theirs, base, mine *T)) {
	outside := m.path
	m.path += name + "."
	merge(m, theirs, base, mine)
	m.path = outside
}

// MergePtr merges a pointer to a struct: field by field where all three have one, else as one value.
//
//go:noinline
func MergePtr[T any](m *Merger, name string, theirs, base, mine **T, merge func(m *Merger, theirs, base, mine *T), equal func(x, y *T) bool) {
	if *theirs != nil && *base != nil && *mine != nil {
		MergeStruct(m, name, *theirs, *base, *mine, merge)
		return
	}
	MergeFunc(m, name, theirs, base, mine, func(x, y **T) bool { return EqualPtr(*x, *y, equal) }, nil)
}

// MergeMap merges a map key by key. A key that both sides have changed to different values, or that one has changed and
// the other removed, is reported as Field["key"].
//
//go:noinline
func MergeMap[M ~map[K]V, K comparable, V any](m *Merger, name string, theirs, base, mine *M, equal func(x, y *V) bool) {
	whole := func(x, y *M) bool { return EqualMap(*x, *y, equal) }
	switch {
	case whole(mine, base), whole(mine, theirs):
		return
	case whole(theirs, base):
		*theirs = *mine
		return
	}
	var conflicts []string
	same := func(x M, y M, key K) bool { // also where neither has the key
		v, inX := x[key]
		w, inY := y[key]
		return inX == inY && (!inX || equal(&v, &w))
	}
	merged := *theirs
	if merged == nil {
		merged = M{}
	}
	one := func(key K) {
		switch {
		case same(*mine, *base, key), same(*mine, merged, key):
		case !same(merged, *base, key):
			conflicts = append(conflicts, m.path+name+"["+showKey(key)+"]")
		default:
			if v, ok := (*mine)[key]; ok {
				merged[key] = v
			} else {
				delete(merged, key)
			}
		}
	}
	for key := range *mine {
		one(key)
	}
	for key := range *base {
		if _, done := (*mine)[key]; !done {
			one(key)
		}
	}
	slices.Sort(conflicts)
	m.Conflicts = append(m.Conflicts, conflicts...)
	*theirs = merged
}
