package load

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strconv"
)

// The walk from the entities to the declarations that they need. Only what it keeps is handed to go/types, from source
// and without function bodies: code elsewhere may be broken, or call methods that are not generated yet.

// keptMethods are the methods of a reached type that are kept with it. A name that is missing here is the one mistake of
// the walk that go/types would not notice.
var keptMethods = []string{
	"BeforeSet", "Validate", "AfterSet", "BeforeDelete",
	"MarshalText", "UnmarshalText", "AppendText", "MarshalBinary", "UnmarshalBinary", "AppendBinary", "MarshalJSON", "UnmarshalJSON",
	"IsZero", "String", "Value", "Scan", "Compare", "Equal", "Key",
}

// A ref names a package-level declaration.
type ref struct {
	pkg  *pkg
	name string
}

// reach keeps the named declaration and all that it refers to.
func (l *loader) reach(from *pkg, name string) {
	todo := []ref{{from, name}}
	for len(todo) > 0 {
		r := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		l.parse(r.pkg)
		d := r.pkg.decls[r.name]
		if d == nil || r.pkg.kept[d.node] {
			continue
		}
		r.pkg.kept[d.node] = true
		add := func(next ref) { todo = append(todo, next) }
		l.refs(r.pkg, d, false, add)
		if _, ok := d.node.(*ast.TypeSpec); ok {
			for _, name := range keptMethods {
				if m := r.pkg.methods[r.name][name]; m != nil && !r.pkg.kept[m.node] {
					r.pkg.kept[m.node] = true
					l.refs(r.pkg, m, false, add)
				}
			}
		}
	}
}

// reachWhole keeps all declarations of the packages that something was reached in, also for these declarations, as far as
// they are to be kept whole.
func (l *loader) reachWhole() {
	for again := true; again; {
		again = false
		for _, p := range append(slices.Collect(maps.Values(l.packages)), l.tests...) {
			if !p.parsed || len(p.kept) == 0 || !l.cfg.whole(p) {
				continue
			}
			for name, d := range p.decls {
				if !p.kept[d.node] {
					again = true
					l.reach(p, name)
				}
			}
			for _, methods := range p.methods {
				for _, m := range methods {
					if !p.kept[m.node] {
						again = true
						p.kept[m.node] = true
						l.refs(p, m, false, func(r ref) { l.reach(r.pkg, r.name) })
					}
				}
			}
		}
	}
}

// refs calls found for every package-level name that d may refer to: sometimes one too many (a local name that is also a
// package-level one), never one too few. Function bodies are looked into if bodies is set.
func (l *loader) refs(p *pkg, d *decl, bodies bool, found func(ref)) {
	var visit func(n ast.Node) bool
	walk := func(n ast.Node) { ast.Inspect(n, visit) }
	visit = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv != nil {
				walk(n.Recv)
			}
			walk(n.Type)
			if bodies && n.Body != nil {
				walk(n.Body)
			}
			return false
		case *ast.FuncLit:
			walk(n.Type)
			if bodies {
				walk(n.Body)
			}
			return false
		case *ast.Field: // names of fields, parameters and methods are no references
			if n.Type != nil {
				walk(n.Type)
			}
			return false
		case *ast.TypeSpec:
			if n.TypeParams != nil {
				walk(n.TypeParams)
			}
			walk(n.Type)
			return false
		case *ast.ValueSpec:
			if n.Type != nil {
				walk(n.Type)
			}
			for _, v := range n.Values {
				walk(v)
			}
			return false
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				if at, ok := d.file.imports[x.Name]; ok {
					if q := l.imported(p, at); q != nil {
						found(ref{q, n.Sel.Name})
					}
				}
			}
			walk(n.X)
			return false
		case *ast.Ident:
			if p.decls[n.Name] != nil {
				found(ref{p, n.Name})
			} else {
				for _, at := range d.file.dots {
					if q := l.imported(p, at); q != nil && ast.IsExported(n.Name) {
						l.parse(q)
						if q.decls[n.Name] != nil {
							found(ref{q, n.Name})
						}
					}
				}
			}
		}
		return true
	}
	walk(d.node)
}

// check hands the kept declarations of p to go/types, after those of the packages it imports.
func (l *loader) check(p *pkg) *types.Package {
	if p.types != nil {
		return p.types
	}
	p.busy = true
	defer func() { p.busy = false }()
	cfg := types.Config{
		IgnoreFuncBodies: true,
		FakeImportC:      true,
		Importer:         importer{l, p},
		Sizes:            types.SizesFor("gc", l.arch),
		Error: func(err error) {
			if e, ok := err.(types.Error); ok {
				p.typeErrs = append(p.typeErrs, e)
			}
		},
	}
	var files []*ast.File
	for _, f := range p.files {
		if f := p.keptFile(f); f != nil {
			files = append(files, f)
		}
	}
	if len(files) == 0 && len(p.files) > 0 { // nothing is kept: a package with a name, in which everything is undefined
		empty := *p.files[0].syntax
		empty.Decls, empty.Imports = nil, nil
		files = append(files, &empty)
	}
	// The error of Check is the first one of those collected. Which of them matter is decided by what they spoil.
	p.types, _ = cfg.Check(p.ImportPath, l.fset, files, nil)
	p.types.MarkComplete()
	return p.types
}

// keptFile returns a copy of f with the kept declarations and the imports that they use, or nil if there is none.
func (p *pkg) keptFile(f *file) *ast.File {
	var decls []ast.Decl
	used := map[string]bool{}
	for _, node := range f.syntax.Decls {
		switch node := node.(type) {
		case *ast.FuncDecl:
			if p.kept[node] {
				fn := *node
				fn.Body = &ast.BlockStmt{Lbrace: node.End(), Rbrace: node.End()}
				decls = append(decls, &fn)
			}
		case *ast.GenDecl:
			switch node.Tok {
			case token.CONST:
				if p.kept[node] {
					decls = append(decls, node)
				}
			case token.TYPE, token.VAR:
				gen := *node
				gen.Specs = nil
				for _, spec := range node.Specs {
					if p.kept[spec] {
						gen.Specs = append(gen.Specs, spec)
					}
				}
				if len(gen.Specs) > 0 {
					decls = append(decls, &gen)
				}
			}
		}
	}
	if len(decls) == 0 {
		return nil
	}
	for _, d := range decls {
		ast.Inspect(d, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok {
					used[x.Name] = true
				}
			}
			return true
		})
	}
	imports := &ast.GenDecl{Tok: token.IMPORT, TokPos: f.syntax.Name.End(), Lparen: f.syntax.Name.End()}
	for _, spec := range f.syntax.Imports {
		keep := false
		switch {
		case spec.Path.Value == `"C"` || spec.Name != nil && spec.Name.Name == ".":
			keep = true
		case spec.Name != nil:
			keep = used[spec.Name.Name]
		default:
			for name, at := range f.imports {
				keep = keep || used[name] && at == p.resolve(unquoted(spec.Path.Value))
			}
		}
		if keep {
			imports.Specs = append(imports.Specs, spec)
		}
	}
	kept := *f.syntax
	kept.Decls = decls
	if len(imports.Specs) > 0 {
		kept.Decls = append([]ast.Decl{imports}, decls...)
	}
	return &kept
}

// An importer resolves the imports of one package.
type importer struct {
	l *loader
	p *pkg
}

// Import returns the package that at means in an import of the importer's package.
func (im importer) Import(at string) (*types.Package, error) {
	if at == "unsafe" {
		return types.Unsafe, nil
	}
	q := im.l.imported(im.p, im.p.resolve(at))
	switch {
	case q == nil:
		return nil, importError("package is not listed")
	case q.busy:
		return nil, importError("import cycle")
	}
	im.l.parse(q)
	if len(q.files) == 0 {
		if q.Error != nil {
			return nil, importError(q.Error.Err)
		}
		return nil, importError("it has no Go files but generated ones")
	}
	return im.l.check(q), nil
}

// An importError says why an import failed.
type importError string

func (e importError) Error() string { return string(e) }

// unquoted returns the value of a string literal in an import.
func unquoted(literal string) string {
	s, err := strconv.Unquote(literal)
	if err != nil {
		return literal
	}
	return s
}
