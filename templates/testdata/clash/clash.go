// Package clash declares names that generated code would like to use for itself.
package clash

import (
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	v "github.com/kixxgen/kixxgen/templates/testdata/clash/v"
)

type (
	b    string
	u    int
	name []string
	err  time.Duration
	c    map[string]string
	x2   float64
	i    struct{ E, V, K int }
	k    bool
	e    string
	key  string
	id   string
	dst  int
	src  int8
	doc  string
	// value, tuple and entry are those of a view.
	value struct{ B b }
	tuple string
	entry string
	gen   string
	depth struct{ More []depth }
)

// It has fields of all these types.
type It struct {
	ID  id
	Rev kixx.Rev
	B   b
	U   u
	N   name
	Err err
	C   c
	X   []x2
	XX  [][]x2
	I   []i
	K   map[k]e
	Key key
	Dst dst
	Src src
	Gen gen
	T   []time.Time
	V   v.V
	D   depth
	It  string
	E   string
	R   tuple
	Ent entry
	Doc doc
}

func emitIt(doc *It, emit kixx.Emit[tuple, value]) { emit(doc.R, value{doc.B}) }
