package load

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/templates"
)

// Import paths that generated code and annotations rely on.
const (
	runtimePath  = "github.com/kixxgen/kixxgen/runtime"
	kixxtestPath = runtimePath + "/kixxtest"
	genPath      = runtimePath + "/gen"
	orderedPath  = runtimePath + "/ordered"
	msgpPath     = "github.com/tinylib/msgp/msgp"
)

// A refusal says why a type cannot be stored. One that was reported where it belongs has no text.
type refusal struct {
	text string
}

// unresolvedType is what is said of a type if go/types says nothing about it.
const unresolvedType = "its type cannot be resolved"

// refuse returns a refusal.
func refuse(format string, args ...any) *refusal { return &refusal{fmt.Sprintf(format, args...)} }

// A builder makes the model of one package.
type builder struct {
	*loader
	pkg     *pkg
	structs map[string]*structInfo // by the type's full name
	order   []*structInfo          // as they were met
	names   map[string]string      // import paths that generated code may mention, and their package names
	under   map[*types.Named]bool  // types that are no structs and are being read
	within  string                 // what a struct type without a name that is met now is named after

	group []*entity // the entities that the model is made of
	taken *names    // shared with those whose code is compiled together with this one's
	made  *templates.Package
}

// A structInfo is a struct type with what the model does not have.
type structInfo struct {
	model  *templates.Struct
	typ    types.Type
	base   string       // of a type without a name: what its functions may be named after
	hidden []*fieldInfo // those that are not exported, and that nobody said are not meant to be stored
	fields []*fieldInfo // of model.Fields, and the rev
	bad    *refusal     // a field cannot be stored
	tagged bool         // a field of its own has a validate tag
	inside []*structInfo

	dropped []*fieldInfo // not kept any more
}

// typeOf returns the model of t, or why it cannot be stored.
func (b *builder) typeOf(t types.Type) (*templates.Type, *refusal) {
	t = types.Unalias(t)
	switch t := t.(type) {
	case *types.Named:
		return b.namedType(t)
	}
	return b.literalType(t)
}

// namedType returns the model of a type with a name.
func (b *builder) namedType(t *types.Named) (*templates.Type, *refusal) {
	obj := t.Obj()
	if obj.Pkg() == nil {
		return nil, refuse("%s: %s", obj.Name(), interfaceRefused) // error, comparable
	}
	at, shown := obj.Pkg().Path(), b.show(t)
	switch at + "." + obj.Name() {
	case "time.Time":
		b.mention(at)
		return &templates.Type{Kind: templates.Time, Name: &templates.Name{Path: at, Name: "Time"}}, nil
	case "encoding/json.RawMessage":
		b.mention(at)
		return &templates.Type{Kind: templates.Raw, Name: &templates.Name{Path: at, Name: "RawMessage"}}, nil
	case runtimePath + ".Rev":
		return nil, refuse(`kixx.Rev is the type of the field with kixx:"rev" alone; use kixx:"-" or a uint64 from Rev.Number`)
	case genPath + ".Unknown":
		return nil, refuse("kixx.Unknown is embedded, without a name and without a pointer")
	}
	if at != b.pkg.ImportPath && !obj.Exported() {
		return nil, refuse("%s: generated code cannot name an unexported type of another package", shown)
	}
	if msg := b.broken(t); msg != "" {
		return nil, refuse("%s", msg)
	}
	name := &templates.Name{Name: obj.Name()}
	if at != b.pkg.ImportPath {
		name.Path = at
		b.mention(at)
	}
	if args := t.TypeArgs(); args != nil {
		for i := range args.Len() {
			arg := b.goType(args.At(i))
			if arg == nil {
				return nil, refuse("%s: generated code cannot name the type argument %s", shown, b.show(args.At(i)))
			}
			name.Args = append(name.Args, arg)
		}
	}
	switch lock := b.lockIn(t, map[types.Type]bool{}); lock {
	case "":
	case shown:
		return nil, refuse("%s must not be copied, as documents are; store what it is made of", shown)
	default:
		return nil, refuse("%s holds a %s, which must not be copied, as documents are; store what it is made of", shown, lock)
	}
	if kind := b.marshalKind(t); kind != 0 {
		return &templates.Type{Kind: kind, Name: name, Shares: sharesMemory(t), Compares: types.Comparable(t) && !sharesMemory(t)}, nil
	}
	if _, ok := t.Underlying().(*types.Struct); ok {
		info, bad := b.structOf(t, name)
		if bad != nil {
			return nil, bad
		}
		return info.model.Type, nil
	}
	if b.under[t] {
		return nil, refuse("%s contains itself without a struct in between; make a struct of it", shown)
	}
	b.under[t] = true
	defer delete(b.under, t)
	under, bad := b.literalType(t.Underlying())
	if bad != nil {
		return nil, bad
	}
	if under.Kind == templates.StructKind { // type T struct{…} of a type parameter or an instance
		return nil, refuse(unresolvedType)
	}
	under.Name = name
	return under, nil
}

// literalType returns the model of a type without a name.
func (b *builder) literalType(t types.Type) (*templates.Type, *refusal) {
	switch t := t.(type) {
	case *types.Basic:
		return basicType(t)
	case *types.Slice:
		if basic, ok := types.Unalias(t.Elem()).(*types.Basic); ok && basic.Kind() == types.Uint8 {
			return &templates.Type{Kind: templates.Bytes}, nil
		}
		elem, bad := b.typeOf(t.Elem())
		if bad != nil {
			return nil, bad
		}
		return &templates.Type{Kind: templates.Slice, Elem: elem}, nil
	case *types.Array:
		if isUUID(t) {
			return &templates.Type{Kind: templates.UUID}, nil
		}
		elem, bad := b.typeOf(t.Elem())
		if bad != nil {
			return nil, bad
		}
		if t.Len() < 0 {
			return nil, refuse(unresolvedType)
		}
		return &templates.Type{Kind: templates.Array, Elem: elem, Len: t.Len()}, nil
	case *types.Map:
		key, bad := b.typeOf(t.Key())
		if bad != nil {
			return nil, bad
		}
		switch key.Kind {
		case templates.String, templates.Int, templates.Uint, templates.Bool, templates.UUID, templates.Time, templates.Text:
		default:
			return nil, refuse("map keys of type %s cannot be stored; they are texts, integers, bools, times, UUIDs or types with MarshalText and "+
				"UnmarshalText; make a slice of structs of it", b.show(t.Key()))
		}
		elem, bad := b.typeOf(t.Elem())
		if bad != nil {
			return nil, bad
		}
		return &templates.Type{Kind: templates.Map, Key: key, Elem: elem}, nil
	case *types.Pointer:
		elem, bad := b.typeOf(t.Elem())
		if bad != nil {
			return nil, bad
		}
		return &templates.Type{Kind: templates.Pointer, Elem: elem}, nil
	case *types.Struct:
		return b.namelessStruct(t)
	case *types.Interface:
		if t.Empty() {
			return &templates.Type{Kind: templates.Any}, nil
		}
		return nil, refuse(interfaceRefused)
	case *types.Chan:
		return nil, refuse("channels cannot be stored")
	case *types.Signature:
		return nil, refuse("functions cannot be stored")
	}
	return nil, refuse("type %s cannot be stored", b.show(t))
}

// interfaceRefused is why interfaces with methods are not stored.
const interfaceRefused = "interfaces with methods cannot be stored: nothing would say of which type to read a value; store a struct " +
	"with a field for each type, any, or json.RawMessage"

// namelessStruct returns the model of a struct type without a name.
func (b *builder) namelessStruct(t *types.Struct) (*templates.Type, *refusal) {
	for i := range t.NumFields() {
		if f := t.Field(i); !f.Exported() && f.Pkg() != nil && f.Pkg().Path() != b.pkg.ImportPath {
			return nil, refuse("%s: generated code cannot write this type, since field %s is not exported", b.show(t), f.Name())
		}
	}
	written := b.goType(t)
	if written == nil {
		return nil, refuse("%s: generated code cannot write this type, since it has types that are not exported", b.show(t))
	}
	info, bad := b.structOf(t, nil)
	if bad != nil {
		return nil, bad
	}
	info.model.Type.Go = written
	return info.model.Type, nil
}

// basicType returns the model of a predeclared type.
func basicType(t *types.Basic) (*templates.Type, *refusal) {
	switch t.Kind() {
	case types.Bool:
		return &templates.Type{Kind: templates.Bool}, nil
	case types.Int, types.Int8, types.Int16, types.Int32, types.Int64:
		return &templates.Type{Kind: templates.Int, Bits: bits(t)}, nil
	case types.Uint, types.Uint8, types.Uint16, types.Uint32, types.Uint64:
		return &templates.Type{Kind: templates.Uint, Bits: bits(t)}, nil
	case types.Float32, types.Float64:
		return &templates.Type{Kind: templates.Float, Bits: bits(t)}, nil
	case types.String:
		return &templates.Type{Kind: templates.String}, nil
	case types.Complex64:
		return &templates.Type{Kind: templates.Complex, Bits: 64}, nil
	case types.Complex128:
		return &templates.Type{Kind: templates.Complex, Bits: 128}, nil
	case types.Uintptr, types.UnsafePointer:
		return nil, refuse("type %s cannot be stored: it has no meaning in another process", t)
	}
	return nil, refuse(unresolvedType)
}

// bits returns the size at the end of a type's name: 32 of int32, 0 of int.
func bits(t *types.Basic) int {
	switch types.Typ[t.Kind()].Name()[strings.IndexAny(types.Typ[t.Kind()].Name()+"0", "0123456789"):] {
	case "8":
		return 8
	case "16":
		return 16
	case "32":
		return 32
	case "64":
		return 64
	}
	return 0
}

// isUUID reports whether t is made of [16]byte, as the UUIDs of all packages are. They are stored as these bytes, whatever
// methods they have.
func isUUID(t types.Type) bool {
	array, ok := t.Underlying().(*types.Array)
	if !ok || array.Len() != 16 {
		return false
	}
	elem, ok := types.Unalias(array.Elem()).(*types.Basic)
	return ok && elem.Kind() == types.Uint8
}

// show returns t as a user writes it, with package names.
func (b *builder) show(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p.Path() == b.pkg.ImportPath {
			return ""
		}
		return p.Name()
	})
}

// broken returns go/types' message about the declaration of t, if that is why its underlying type is not known, else "".
func (b *builder) broken(t *types.Named) string {
	if basic, ok := t.Underlying().(*types.Basic); !ok || basic.Kind() != types.Invalid {
		return ""
	}
	if q := b.imported(b.pkg, t.Obj().Pkg().Path()); q != nil {
		if d := q.decls[t.Obj().Name()]; d != nil {
			if msg := q.complaint(d.file, d.node); msg != "" {
				return fmt.Sprintf("type %s: %s", b.show(t), msg)
			}
		}
	}
	return fmt.Sprintf("type %s cannot be resolved", b.show(t))
}

// complaint returns what go/types said about the part of file f under node, or why a package that it names could not be
// imported. Only what makes a field, key or signature unusable is ever asked for; go/types' other complaints concern code
// that is not stored.
func (p *pkg) complaint(f *file, node ast.Node) string {
	var text []string
	for _, e := range p.typeErrs {
		if node.Pos() <= e.Pos && e.Pos <= node.End() {
			if more, ok := strings.CutPrefix(e.Msg, "\t"); ok && len(text) > 0 {
				text[len(text)-1] += "; " + more // the second half of the message before it
			} else {
				text = append(text, e.Msg)
			}
		}
	}
	if len(text) > 0 {
		return strings.Join(text, "; ")
	}
	msg := ""
	ast.Inspect(node, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && msg == "" {
			if x, ok := sel.X.(*ast.Ident); ok {
				msg = p.importComplaint(f, x.Name)
			}
		}
		return msg == ""
	})
	return msg
}

// importComplaint returns why the package that f imports as name could not be imported, or "".
func (p *pkg) importComplaint(f *file, name string) string {
	for _, spec := range f.syntax.Imports {
		at := unquoted(spec.Path.Value)
		if spec.Name != nil && spec.Name.Name != name || spec.Name == nil && f.imports[name] != p.resolve(at) {
			continue
		}
		for _, e := range p.typeErrs {
			if spec.Pos() <= e.Pos && e.Pos <= spec.End() {
				msg := strings.TrimPrefix(e.Msg, "could not import "+at+" (")
				return fmt.Sprintf("package %s: %s", at, strings.TrimSuffix(msg, ")"))
			}
		}
	}
	return ""
}

// fieldAt is the place of a field's declaration.
type fieldAt struct {
	pkg  *pkg
	file *file
	node *ast.Field
}

// fieldsAt finds the fields of all struct types in the kept declarations of p by the position that go/types gives them.
func (p *pkg) fieldsAt() map[token.Pos]fieldAt {
	if p.fieldIndex != nil {
		return p.fieldIndex
	}
	p.fieldIndex = map[token.Pos]fieldAt{}
	for _, f := range p.files {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			st, ok := n.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range st.Fields.List {
				at := fieldAt{p, f, field}
				for _, name := range field.Names {
					p.fieldIndex[name.Pos()] = at
				}
				if len(field.Names) == 0 {
					p.fieldIndex[embeddedPos(field.Type)] = at
				}
			}
			return true
		})
	}
	return p.fieldIndex
}

// embeddedPos returns the position of the name of an embedded field.
func embeddedPos(x ast.Expr) token.Pos {
	for {
		switch t := x.(type) {
		case *ast.StarExpr:
			x = t.X
		case *ast.ParenExpr:
			x = t.X
		case *ast.IndexExpr:
			x = t.X
		case *ast.IndexListExpr:
			x = t.X
		case *ast.SelectorExpr:
			return t.Sel.Pos()
		default:
			return x.Pos()
		}
	}
}

// place returns where a field is declared; its pkg is nil if that is not known.
func (b *builder) place(v *types.Var) fieldAt {
	if v.Pkg() == nil || b.imported(b.pkg, v.Pkg().Path()) == nil {
		return fieldAt{}
	}
	return b.imported(b.pkg, v.Pkg().Path()).fieldsAt()[v.Pos()]
}

// mine reports whether p belongs to the user's module: mistakes in it are reported where they are. Others are reported
// where the user's code reaches them.
func (b *builder) mine(p *pkg) bool {
	if p == nil || p.Standard {
		return false
	}
	if p == b.pkg || slices.Contains(b.roots, p) {
		return true
	}
	return p.Module != nil && b.pkg.Module != nil && p.Module.Path == b.pkg.Module.Path
}
