// Package geo has structs that documents of another package hold.
package geo

// A Point is a struct of another package, with a field that cannot be stored from there.
type Point struct {
	X, Y float64
	Tags []string

	cached bool
}

// Cached keeps the field in use.
func (p *Point) Cached() bool { return p.cached }

// A Pair is generic.
type Pair[A, B any] struct {
	First  A
	Second B
}

// A Base is embedded in documents of another package.
type Base struct {
	Origin  string
	Weights []float64
}

// A Zone is a named type of another package.
type Zone string
