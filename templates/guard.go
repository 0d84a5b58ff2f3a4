package templates

import "github.com/dave/jennifer/jen"

// Guards are at the end of a file. Code that was generated for another form of a type does not compile, since it would leave
// out a field or cut a number; the comment beside the line that the compiler names says what to do.

// emitGuards emits the guards of the types that the functions of e are for, those that no file before has.
func (w *writer) emitGuards() {
	g := w.guards[w.e]
	for _, st := range g.structs {
		w.emitGuard(st)
	}
	w.emitTypesGuard(g.types)
}

// emitGuard emits
//
//	// If this does not compile, Item has changed since its code was generated: run go generate, or kixxgen.
//	func _() {
//		_ = Item(struct {
//			ID   string
//			Tags []string
//		}{})
//	}
//
// A conversion takes no heed of field tags, so that they are left out. Of a struct with fields that this package must not
// name it emits
//
//	// The compiler cannot tell whether geo.Place has changed since its code was generated, as not all its fields can be
//	// written here; kixxgen check can.
func (w *writer) emitGuard(st *Struct) {
	name := st.Type.Name.Name
	if at := st.Type.Name.Path; at != "" {
		name = w.p.Names[at] + "." + name
	}
	if st.Literal == nil {
		w.Line()
		w.doc("The compiler cannot tell whether %s has changed since its code was generated, as not all its fields can be written here; kixxgen check can.", name)
		return
	}
	var fields []jen.Code
	for _, f := range st.Literal {
		field := jen.Null()
		if f.Name != "" {
			field = jen.Id(f.Name)
		}
		fields = append(fields, field.Add(f.Type.code()))
	}
	w.doc("If this does not compile, %s has changed since its code was generated: run go generate, or kixxgen.", name)
	w.Func().Id("_").Params().Block(
		jen.Id("_").Op("=").Add(w.typ(st.Type)).Parens(jen.Struct(fields...).Values()))
}

// emitTypesGuard emits
//
//	// If this does not compile, a type has changed since the code for its values was generated: run go generate, or kixxgen.
//	var (
//		_ = (*int16)((*Level)(nil))
//		_ = (*[3]float64)((*Vector)(nil))
//	)
//
// A conversion of pointers asks for what is behind the name to be the same, where one of values takes any number for another.
func (w *writer) emitTypesGuard(list []*Type) {
	if len(list) == 0 {
		return
	}
	var lines []jen.Code
	for _, t := range list {
		under := *t
		under.Name = nil
		lines = append(lines, jen.Id("_").Op("=").Parens(jen.Op("*").Add(w.typ(&under))).
			Parens(jen.Parens(jen.Op("*").Add(w.typ(t))).Parens(jen.Nil())))
	}
	w.doc("If this does not compile, a type has changed since the code for its values was generated: run go generate, or kixxgen.")
	w.Var().Defs(lines...)
}

// guards are the types that a file guards.
type guards struct {
	structs []*Struct // also those that are embedded, whose fields are promoted
	types   []*Type   // with a name, and no structs
}

// guardsOf returns what each file guards: a type is guarded once in the package.
func (s *shared) guardsOf() map[*Entity]guards {
	made := map[*Entity]guards{}
	seen := map[string]bool{}
	first := func(t *Type) bool {
		name := t.Name.text()
		again := seen[name]
		seen[name] = true
		return !again
	}
	for _, e := range s.p.Entities {
		var g guards
		add := func(t *Type) {
			for ; t != nil; t = t.Elem {
				for _, one := range []*Type{t, t.Key} {
					if one != nil && guardedByName(one) && first(one) {
						g.types = append(g.types, one)
					}
				}
			}
		}
		for _, st := range s.owned[e] {
			for _, one := range append([]*Struct{st}, st.Embeds...) {
				if one.Type.Name != nil && first(one.Type) {
					g.structs = append(g.structs, one)
				}
			}
			for _, f := range st.Fields {
				add(f.Type)
			}
		}
		for _, v := range e.Views {
			add(v.Key)
			add(v.Value)
		}
		made[e] = g
	}
	return made
}

// guardedByName reports whether t is a type with a name whose values are stored as those of the type behind the name. What
// marshals itself is not: it is stored as its methods say. Package time keeps its types.
func guardedByName(t *Type) bool {
	if t.Name == nil || t.Name.Path == "time" {
		return false
	}
	switch t.Kind {
	case StructKind, Raw, Time, Text, Binary, JSON:
		return false
	}
	return true
}

// text returns n as a text that is the same for the same type.
func (n *Name) text() string {
	text := n.Path + "." + n.Name
	for _, arg := range n.Args {
		text += "," + arg.Full
	}
	return text
}
