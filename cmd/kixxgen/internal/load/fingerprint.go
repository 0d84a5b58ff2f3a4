package load

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/scanner"
	"go/token"
	"io"
	"slices"
	"strings"
)

// fingerprint returns a hash of the source of a function and of all that it reaches in the user's module: functions with
// their bodies, types with their methods, constants, variables. Comments and layout do not count. If it changes, the view
// is built anew: too often is safe, too seldom is not.
func (b *builder) fingerprint(p *pkg, name string) string {
	entities := map[ast.Node]bool{}
	for _, e := range b.entities {
		entities[e.spec] = true
	}
	texts := map[string]bool{}
	seen := map[ast.Node]bool{}
	selected := map[string]bool{} // names after a dot in what is reached: methods that may be called
	var reached []ref             // types
	todo := []ref{{p, name}}
	take := func(p *pkg, d *decl) {
		seen[d.node] = true
		texts[p.ImportPath+" "+tokens(d)] = true
		ast.Inspect(d.node, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				selected[sel.Sel.Name] = true
			}
			return true
		})
		b.refs(p, d, true, func(r ref) { todo = append(todo, r) })
	}
	for len(todo) > 0 {
		for len(todo) > 0 {
			r := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if !b.mine(r.pkg) || r.pkg.ImportPath == runtimePath { // of one module with the user only in this repository
				continue
			}
			b.parse(r.pkg)
			d := r.pkg.decls[r.name]
			if d == nil || seen[d.node] {
				continue
			}
			if _, ok := d.node.(*ast.TypeSpec); ok {
				reached = append(reached, r)
			}
			take(r.pkg, d)
		}
		// Of an entity, whose methods may reach the whole application, only those that can be meant.
		for _, r := range reached {
			isEntity := entities[r.pkg.decls[r.name].node]
			for method, d := range r.pkg.methods[r.name] {
				if !seen[d.node] && (!isEntity || selected[method] || slices.Contains(keptMethods[4:], method)) {
					take(r.pkg, d)
				}
			}
		}
	}
	h := sha256.New()
	for _, text := range slices.Sorted(keys(texts)) {
		fmt.Fprintf(h, "%d ", len(text))
		io.WriteString(h, text)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// tokens returns the tokens of a declaration, separated by blanks. What gofmt may add or leave out is left out: semicolons
// and commas before a closing bracket.
func tokens(d *decl) string {
	var b strings.Builder
	switch d.node.(type) {
	case *ast.TypeSpec:
		b.WriteString("type ")
	case *ast.ValueSpec:
		b.WriteString("var ")
	}
	src := d.file.src[d.file.offset(d.node.Pos()):d.file.offset(d.node.End())]
	fset := token.NewFileSet()
	var s scanner.Scanner
	s.Init(fset.AddFile("", -1, len(src)), src, func(token.Position, string) {}, 0)
	held := "" // a comma or semicolon that counts only if no bracket closes after it
	for {
		_, tok, lit := s.Scan()
		if tok == token.EOF {
			return b.String()
		}
		if tok == token.RPAREN || tok == token.RBRACK || tok == token.RBRACE {
			held = ""
		}
		b.WriteString(held)
		held = ""
		switch {
		case tok == token.SEMICOLON:
			held = "; "
		case tok == token.COMMA:
			held = ", "
		case lit != "" && (tok.IsLiteral() || tok.IsKeyword()):
			b.WriteString(lit + " ")
		default:
			b.WriteString(tok.String() + " ")
		}
	}
}
