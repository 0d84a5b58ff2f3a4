package load

import (
	"go/ast"
	"go/types"
)

// noCopies are the types of the standard library that must not be copied once they were used.
var noCopies = set("sync.Mutex sync.RWMutex sync.Once sync.WaitGroup sync.Cond sync.Pool sync.Map sync.noCopy " +
	"sync/atomic.Bool sync/atomic.Int32 sync/atomic.Int64 sync/atomic.Uint32 sync/atomic.Uint64 sync/atomic.Uintptr sync/atomic.Pointer " +
	"sync/atomic.Value sync/atomic.noCopy strings.Builder")

// lockIn returns the name of a type inside t, by value, that must not be copied, as go vet has it: one of package sync, or one
// with methods Lock and Unlock on its pointer; "" if there is none.
func (b *builder) lockIn(t types.Type, seen map[types.Type]bool) string {
	t = types.Unalias(t)
	if seen[t] {
		return ""
	}
	seen[t] = true
	if named, ok := t.(*types.Named); ok && named.Obj().Pkg() != nil {
		at, name := named.Obj().Pkg().Path(), named.Obj().Name()
		if noCopies[at+"."+name] {
			return b.show(t)
		}
		if q := b.packages[at]; q != nil && onPointer(q.methods[name]["Lock"]) && onPointer(q.methods[name]["Unlock"]) {
			return b.show(t)
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Array:
		return b.lockIn(u.Elem(), seen)
	case *types.Struct:
		for i := range u.NumFields() {
			if lock := b.lockIn(u.Field(i).Type(), seen); lock != "" {
				return lock
			}
		}
	}
	return ""
}

// onPointer reports whether d is a method with a pointer receiver.
func onPointer(d *decl) bool {
	if d == nil {
		return false
	}
	fn, ok := d.node.(*ast.FuncDecl)
	if !ok || fn.Recv == nil || len(fn.Recv.List) != 1 {
		return false
	}
	_, ok = fn.Recv.List[0].Type.(*ast.StarExpr)
	return ok
}
