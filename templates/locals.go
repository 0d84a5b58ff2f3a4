package templates

import (
	"strconv"
	"strings"
	"unicode"
)

// locals are the names of parameters and variables of generated functions. None is the name of a package, type or
// function that generated code mentions, or of a document; those that occur beside parameters for fields are none of
// these either.
type locals struct {
	repo, ctx, db, scope, query, peek string // r, ctx, db, s, q, p: of the repository's methods
	bytes, unknown, depth             string // b, u, depth: of the codec
	name, err                         string // of a field that is read
	value, copied                     string // v, c: a struct
	element, position, mapKey         string // x, i, k: of the outermost of nested loops
	entries                           string // e
	key, rest, id                     string // of the schema and of a key of several fields
	merger, base, mine, other         string // m, base, mine: of a merge; y: what x is compared with
	tuple, stored, document, emitted  string // tuple, value, doc, entry: of a view
}

// newLocals returns the locals of the file of e. mentioned are the names that files of the package mention.
func newLocals(mentioned names, e *Entity) locals {
	own := names{}
	free := func(name string) string {
		for mentioned.has(name) || own.has(name) {
			name += "_"
		}
		return name
	}
	var l locals
	l.repo, l.ctx, l.db, l.scope = free("r"), free("ctx"), free("db"), free("s")
	l.query, l.peek = free("q"), free("p")
	own.add(e.Var)
	l.bytes, l.unknown, l.depth = free("b"), free("u"), free("depth")
	l.name, l.err = free("name"), free("err")
	l.value, l.copied = free("v"), free("c")
	l.element, l.position, l.mapKey = free("x"), free("i"), free("k")
	l.key, l.rest, l.id = free("key"), free("rest"), free("id")
	l.merger, l.base, l.mine, l.other = free("m"), free("base"), free("mine"), free("y")
	l.tuple, l.stored, l.document, l.emitted = free("tuple"), free("value"), free("doc"), free("entry")
	for _, ix := range e.Indexes {
		for _, f := range ix.Fields {
			own.add(f.Param)
		}
	}
	l.entries = free("e")
	return l
}

// names is a set of names, without the digits at their ends: has x says that x, or what nested may make of it, is there.
type names map[string]bool

func (n names) add(name string)      { n[strings.TrimRight(name, "0123456789")] = true }
func (n names) has(name string) bool { return n[name] }

// mentioned returns the names of packages, types and functions that generated code of the package mentions.
func mentioned(s *shared) names {
	n := names{}
	for _, imports := range []map[string]string{s.p.Names, s.p.Aliases} {
		for _, name := range imports {
			n.add(name)
		}
	}
	for st := range s.facts {
		n.addType(st.Type)
		for _, f := range st.Fields {
			n.addType(f.Type)
		}
	}
	for _, e := range s.p.Entities {
		for _, v := range e.Views {
			n.add(v.Func)
			n.addType(v.Key)
			n.addType(v.Value)
		}
	}
	return n
}

// addType adds the names that it takes to mention t.
func (n names) addType(t *Type) {
	if t == nil {
		return
	}
	if t.Name != nil {
		if t.Name.Path == "" {
			n.add(t.Name.Name)
		}
		for _, arg := range t.Name.Args {
			n.addGoType(arg)
		}
	}
	n.addGoType(t.Go)
	n.addType(t.Elem)
	n.addType(t.Key)
}

// addGoType adds the words that t is written with.
func (n names) addGoType(t *GoType) {
	if t == nil {
		return
	}
	for _, part := range t.Parts {
		if part.Path != "" {
			continue
		}
		for _, word := range strings.FieldsFunc(part.Name, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			n.add(word)
		}
	}
}

// nested returns name for the loop at a level of nesting: x, x2, x3.
func nested(name string, level int) string {
	if level == 0 {
		return name
	}
	return name + strconv.Itoa(level+1)
}
