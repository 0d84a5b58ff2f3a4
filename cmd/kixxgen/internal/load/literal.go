package load

import (
	"bytes"
	"go/ast"
	"go/types"
	"slices"
	"strconv"
	"strings"

	"github.com/kixxgen/kixxgen/templates"
)

// literal lists the fields of t as they are declared, for the guard against stale code. It returns nil if the guard
// cannot be written: t is a type of another package with unexported fields, or with a type that cannot be named here.
func (b *builder) literal(t *types.Named) []templates.LiteralField {
	if t.TypeArgs() == nil && t.Obj().Pkg() != nil && t.Obj().Pkg().Path() == b.pkg.ImportPath {
		if d := b.pkg.decls[t.Obj().Name()]; d != nil {
			if spec, ok := d.node.(*ast.TypeSpec); ok {
				if st, ok := spec.Type.(*ast.StructType); ok {
					typ, _ := t.Underlying().(*types.Struct)
					return b.literalSource(d.file, st, typ)
				}
			}
		}
	}
	st, ok := t.Underlying().(*types.Struct)
	if !ok {
		return nil
	}
	fields := []templates.LiteralField{}
	own := t.Obj().Pkg() != nil && t.Obj().Pkg().Path() == b.pkg.ImportPath
	for i := range st.NumFields() {
		v := st.Field(i)
		written := b.goType(v.Type())
		if plain := b.unaliased(v.Type()); plain != nil && !v.Embedded() {
			written = plain
		}
		if written == nil || !own && !v.Exported() {
			return nil
		}
		f := templates.LiteralField{Name: v.Name(), Type: written}
		if v.Embedded() {
			f.Name = ""
		}
		fields = append(fields, f)
	}
	return fields
}

// literalSource lists the fields of a struct of the user's package as its source has them. Types of fields that are not
// stored need not resolve: they may be generated ones. typ is the struct as far as it is known.
func (b *builder) literalSource(f *file, st *ast.StructType, typ *types.Struct) []templates.LiteralField {
	known := map[ast.Expr]meaning{}
	if typ != nil {
		resolved(st, typ, known)
	}
	fields := []templates.LiteralField{}
	for _, field := range st.Fields.List {
		written := b.sourceType(f, field.Type, known)
		if written == nil {
			return nil
		}
		if len(field.Names) == 0 {
			fields = append(fields, templates.LiteralField{Type: written})
		}
		for _, name := range field.Names {
			fields = append(fields, templates.LiteralField{Name: name.Name, Type: written})
		}
	}
	return fields
}

// sourceType returns the type expression x of file f with its packages resolved and without comments, or nil if it names C
// or unsafe: generated code imports neither. Expressions of known are written as the types that they stand for: lengths of
// arrays and aliases may change while their names stay.
func (b *builder) sourceType(f *file, x ast.Expr, known map[ast.Expr]meaning) *templates.GoType {
	type cut struct {
		from, to int
		name     templates.Name
		parts    []templates.Name // in the place of name
	}
	var cuts []cut
	good := true
	ast.Inspect(x, func(n ast.Node) bool {
		if part, ok := n.(ast.Expr); ok {
			if parts := b.meant(known[part]); parts != nil {
				cuts = append(cuts, cut{from: f.offset(n.Pos()), to: f.offset(n.End()), parts: parts})
				return false
			}
		}
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if pkgName, ok := n.X.(*ast.Ident); ok {
				at, imported := f.imports[pkgName.Name]
				if at == "unsafe" {
					good = false
				} else if imported {
					cuts = append(cuts, cut{from: f.offset(n.Pos()), to: f.offset(n.End()), name: templates.Name{Path: at, Name: n.Sel.Name}})
				} else if pkgName.Name == "C" {
					good = false
				}
				return false
			}
		case *ast.Field:
			if n.Tag != nil { // a tag inside a struct literal: conversion ignores it
				cuts = append(cuts, cut{from: f.offset(n.Tag.Pos()), to: f.offset(n.Tag.Pos()) + literalLength(f, n.Tag)})
			}
		case *ast.Ident:
			for _, at := range f.dots {
				if q := b.imported(b.pkg, at); q != nil && b.pkg.decls[n.Name] == nil && q.decls[n.Name] != nil {
					cuts = append(cuts, cut{from: f.offset(n.Pos()), to: f.offset(n.End()), name: templates.Name{Path: at, Name: n.Name}})
				}
			}
		}
		return true
	})
	if !good {
		return nil
	}
	for _, group := range f.syntax.Comments {
		for _, c := range group.List {
			if x.Pos() <= c.Pos() && c.End() <= x.End() {
				from := f.offset(c.Pos())
				to := from + commentLength(f.src[from:])
				gap := " "
				if bytes.IndexByte(f.src[from:to], '\n') >= 0 { // it ends a field, as a line does
					gap = "\n"
				}
				cuts = append(cuts, cut{from: from, to: to, name: templates.Name{Name: gap}})
			}
		}
	}
	slices.SortFunc(cuts, func(a, b cut) int { return a.from - b.from })
	t := &templates.GoType{}
	at := f.offset(x.Pos())
	text := func(to int) {
		if at < to {
			t.Parts = append(t.Parts, templates.Name{Name: strings.ReplaceAll(string(f.src[at:to]), "\r", "")})
		}
	}
	for _, c := range cuts {
		if c.from < at { // a comment inside of what is replaced
			continue
		}
		text(c.from)
		t.Parts = append(t.Parts, c.parts...)
		if c.name.Name != "" {
			t.Parts = append(t.Parts, c.name)
		}
		if c.name.Path != "" {
			b.mention(c.name.Path)
		}
		at = c.to
	}
	text(f.offset(x.End()))
	return t
}

// A meaning is what an expression stands for: a type, or the length of an array.
type meaning struct {
	alias  types.Type
	length *types.Array
}

// meant returns m as it is written, or nil if it is nothing that could be.
func (b *builder) meant(m meaning) []templates.Name {
	if m.length != nil {
		return []templates.Name{{Name: strconv.FormatInt(m.length.Len(), 10)}}
	}
	if m.alias != nil {
		if written := b.unaliased(m.alias); written != nil {
			return written.Parts
		}
	}
	return nil
}

// unaliased returns what t stands for, if it is an alias, or nil if that cannot be written in the user's package.
func (b *builder) unaliased(t types.Type) *templates.GoType {
	written := b.goType(types.Unalias(t))
	if written == nil || slices.ContainsFunc(written.Parts, func(part templates.Name) bool { return !b.importable(part.Path) }) {
		return nil
	}
	return written
}

// importable reports whether the user's package may import a package: of other modules not those that are internal.
func (b *builder) importable(at string) bool {
	return b.mine(b.packages[at]) || !slices.Contains(strings.Split(at, "/"), "internal")
}

// resolved finds the expressions inside x, whose type is t, that are written as what they stand for: lengths of arrays that are
// no numbers, and aliases. Those of embedded fields stay, since the field has their name.
func resolved(x ast.Expr, t types.Type, known map[ast.Expr]meaning) {
	switch x := x.(type) {
	case *ast.ParenExpr:
		resolved(x.X, t, known)
	case *ast.Ident, *ast.SelectorExpr:
		if alias, ok := t.(*types.Alias); ok && alias.Obj().Pkg() != nil {
			known[x] = meaning{alias: t}
		}
	case *ast.StarExpr:
		if p, ok := t.(*types.Pointer); ok {
			resolved(x.X, p.Elem(), known)
		}
	case *ast.MapType:
		if m, ok := t.(*types.Map); ok {
			resolved(x.Key, m.Key(), known)
			resolved(x.Value, m.Elem(), known)
		}
	case *ast.ArrayType:
		switch t := t.(type) {
		case *types.Slice:
			resolved(x.Elt, t.Elem(), known)
		case *types.Array:
			if _, number := x.Len.(*ast.BasicLit); !number && t.Len() >= 0 {
				known[x.Len] = meaning{length: t}
			}
			resolved(x.Elt, t.Elem(), known)
		}
	case *ast.StructType:
		st, ok := t.(*types.Struct)
		if !ok {
			return
		}
		i := 0
		for _, field := range x.Fields.List {
			if i < st.NumFields() && len(field.Names) > 0 {
				resolved(field.Type, st.Field(i).Type(), known)
			}
			i += max(1, len(field.Names))
		}
	}
}

// embeds notes that a struct has the fields of t, which it embeds.
func (b *builder) embeds(info *structInfo, t *types.Named) {
	if info.typ == nil { // its fields alone are asked for
		return
	}
	name := &templates.Name{Name: t.Obj().Name()}
	if at := t.Obj().Pkg().Path(); at != b.pkg.ImportPath {
		if name.Path = at; !t.Obj().Exported() || !b.importable(at) {
			return
		}
		b.mention(at)
	}
	for arg := range t.TypeArgs().Types() {
		written := b.goType(arg)
		if written == nil {
			return
		}
		name.Args = append(name.Args, written)
	}
	info.model.Embeds = append(info.model.Embeds, &templates.Struct{
		Type: &templates.Type{Kind: templates.StructKind, Name: name}, Literal: b.literal(t)})
}

// commentLength returns the length of the comment that src starts with. That of an [ast.Comment] does not count carriage
// returns.
func commentLength(src []byte) int {
	end := "\n"
	if src[1] == '*' {
		end = "*/"
	}
	n := bytes.Index(src[2:], []byte(end))
	switch {
	case n < 0:
		return len(src)
	case end == "\n":
		return n + 2
	}
	return n + 4
}

// goType returns t as it is written in the user's package, or nil if it cannot be named there.
func (b *builder) goType(t types.Type) *templates.GoType {
	const mark = "\x00"
	var paths []string
	text := types.TypeString(t, func(p *types.Package) string {
		if p.Path() == b.pkg.ImportPath {
			return ""
		}
		paths = append(paths, p.Path())
		return mark
	})
	if strings.Contains(text, "invalid type") {
		return nil
	}
	pieces := strings.Split(text, mark+".")
	written := &templates.GoType{Full: types.TypeString(t, nil)}
	if pieces[0] != "" {
		written.Parts = append(written.Parts, templates.Name{Name: pieces[0]})
	}
	for i, piece := range pieces[1:] {
		n := 0
		for n < len(piece) && (piece[n] == '_' || piece[n] >= 0x80 || '0' <= piece[n] && piece[n] <= '9' || 'a' <= piece[n]|0x20 && piece[n]|0x20 <= 'z') {
			n++
		}
		if !ast.IsExported(piece[:n]) {
			return nil
		}
		written.Parts = append(written.Parts, templates.Name{Path: paths[i], Name: piece[:n]})
		b.mention(paths[i])
		if piece[n:] != "" {
			written.Parts = append(written.Parts, templates.Name{Name: piece[n:]})
		}
	}
	return written
}

// mention notes that generated code may import a package.
func (b *builder) mention(at string) {
	if at != b.pkg.ImportPath {
		b.names[at] = b.nameOf(at)
	}
}
