package load

import (
	"go/types"

	"github.com/kixxgen/kixxgen/templates"
)

// A form is a pair of methods by which values marshal themselves.
type form struct {
	kind               templates.Kind
	marshal, unmarshal string
}

// forms are the pairs in the order in which one of several is taken.
var forms = []form{
	{templates.Text, "MarshalText", "UnmarshalText"},
	{templates.Binary, "MarshalBinary", "UnmarshalBinary"},
	{templates.JSON, "MarshalJSON", "UnmarshalJSON"},
}

// marshalKind returns how values of t marshal themselves where they are stored so, else 0. A struct that is nothing but
// fields that can be stored is stored by them: nothing is lost then, whatever its methods leave out. A pair of which one half
// is missing, and methods that an embedded field lends to a struct that has more, do not count: they would store a part.
func (b *builder) marshalKind(t *types.Named) templates.Kind {
	if isUUID(t) {
		return 0
	}
	if _, ok := t.Underlying().(*types.Interface); ok {
		return 0
	}
	for _, f := range forms {
		if hasPair(t, f) {
			if b.complete(t.Underlying(), map[types.Type]bool{}) {
				return 0
			}
			return f.kind
		}
	}
	return 0
}

// hasPair reports whether t has both methods of f, and as its own.
func hasPair(t *types.Named, f form) bool {
	methods := types.NewMethodSet(types.NewPointer(t))
	st, isStruct := t.Underlying().(*types.Struct)
	for _, name := range []string{f.marshal, f.unmarshal} {
		m := methods.Lookup(nil, name)
		if m == nil || len(m.Index()) > 1 && !(isStruct && st.NumFields() == 1) {
			return false
		}
		sig, ok := m.Type().(*types.Signature)
		if !ok || !isMarshalMethod(sig, name == f.marshal) {
			return false
		}
	}
	return true
}

// isMarshalMethod reports whether sig is func() ([]byte, error), or func([]byte) error.
func isMarshalMethod(sig *types.Signature, marshal bool) bool {
	bytes, results := sig.Params(), 1
	if marshal {
		bytes, results = sig.Results(), 2
	}
	if sig.Variadic() || sig.Params().Len() != 2-results || sig.Results().Len() != results || bytes.Len() == 0 {
		return false
	}
	return types.Identical(bytes.At(0).Type(), types.NewSlice(types.Typ[types.Byte])) &&
		types.Identical(sig.Results().At(results-1).Type(), types.Universe.Lookup("error").Type())
}

// complete reports whether t is a struct of exported fields alone, all of which can be stored.
func (b *builder) complete(t types.Type, seen map[types.Type]bool) bool {
	st, ok := t.(*types.Struct)
	if !ok {
		return false
	}
	for i := range st.NumFields() {
		v := st.Field(i)
		if !v.Exported() || !b.storable(v.Type(), seen) {
			return false
		}
	}
	return st.NumFields() > 0
}

// storable reports whether a value of t can be stored so that nothing of it is lost.
func (b *builder) storable(t types.Type, seen map[types.Type]bool) bool {
	t = types.Unalias(t)
	if seen[t] {
		return true
	}
	seen[t] = true
	if named, ok := t.(*types.Named); ok {
		if obj := named.Obj(); obj.Pkg() != nil && obj.Pkg().Path()+"."+obj.Name() == "time.Time" {
			return true
		}
		for _, f := range forms {
			if hasPair(named, f) {
				return true
			}
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		_, bad := basicType(u)
		return bad == nil
	case *types.Slice:
		return b.storable(u.Elem(), seen)
	case *types.Array:
		return b.storable(u.Elem(), seen)
	case *types.Pointer:
		return b.storable(u.Elem(), seen)
	case *types.Map:
		return b.storable(u.Key(), seen) && b.storable(u.Elem(), seen)
	case *types.Interface:
		return u.Empty()
	case *types.Struct:
		return b.complete(u, seen)
	}
	return false
}

// immutable are types whose copies may share memory, since nobody can change it.
var immutable = set("time.Time net/netip.Addr net/netip.AddrPort net/netip.Prefix")

// sharesMemory reports whether a copy of a value of t by assignment shares memory with it that could be changed.
func sharesMemory(t types.Type) bool {
	t = types.Unalias(t)
	if named, ok := t.(*types.Named); ok && named.Obj().Pkg() != nil && immutable[named.Obj().Pkg().Path()+"."+named.Obj().Name()] {
		return false
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return u.Kind() == types.UnsafePointer
	case *types.Array:
		return sharesMemory(u.Elem())
	case *types.Struct:
		for i := range u.NumFields() {
			if sharesMemory(u.Field(i).Type()) {
				return true
			}
		}
		return false
	}
	return true
}
