// Package v has the name that generated code likes best.
package v

// V is a struct.
type V struct{ V []int }
