package gen

// ClonePtr returns a pointer to a copy of *p, or nil. The copy is shallow: *p holds no pointers, slices or maps.
func ClonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// ClonePtrFunc returns a pointer to a copy of *p that clone makes, or nil.
func ClonePtrFunc[T any](p *T, clone func(T) T) *T {
	if p == nil {
		return nil
	}
	v := clone(*p)
	return &v
}

// CloneSlice returns a copy of s with elements that clone makes: nil for nil, and empty for empty.
func CloneSlice[S ~[]T, T any](s S, clone func(T) T) S {
	if s == nil {
		return nil
	}
	c := make(S, len(s))
	for i := range s {
		c[i] = clone(s[i])
	}
	return c
}

// CloneMap returns a copy of m with values that clone makes: nil for nil, and empty for empty.
func CloneMap[M ~map[K]V, K comparable, V any](m M, clone func(V) V) M {
	if m == nil {
		return nil
	}
	c := make(M, len(m))
	for key, v := range m {
		c[key] = clone(v)
	}
	return c
}

// CloneArray replaces the elements of s, which is all of an array that is a copy already, by what clone makes of them.
func CloneArray[T any](s []T, clone func(T) T) {
	for i := range s {
		s[i] = clone(s[i])
	}
}
