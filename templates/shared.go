package templates

import "slices"

// shared is what all files of a package have in common. It is only read once it is made.
type shared struct {
	p         *Package
	facts     map[*Struct]*facts
	owned     map[*Entity][]*Struct // structs whose functions are in the file of an entity, its own first
	guards    map[*Entity]guards
	mentioned names
}

// facts are what the emitters need to know of a struct and of what is inside it.
type facts struct {
	recursive bool // it contains itself
	partial   bool // it, or a struct inside, has fields that are not stored
	clone     bool // a copy by assignment is not enough
	canon     bool // it holds something that may be read back other than it was
	document  bool // it is in documents, not only in the values of views: copies and canonical forms are asked for
	merge     bool // it is merged field by field
	equal     bool // it is compared
	entity    *Entity
}

func newShared(p *Package) *shared {
	s := &shared{p: p, facts: map[*Struct]*facts{}, owned: map[*Entity][]*Struct{}}
	for _, e := range p.Entities {
		s.own(e, e.Struct)
		for _, v := range e.Views {
			s.ownType(e, v.Value)
		}
	}
	for st, f := range s.facts {
		all := s.inside(st, map[*Struct]bool{})
		f.recursive = all[st]
		all[st] = true
		for one := range all {
			f.partial = f.partial || one.Partial
			for _, field := range one.Fields {
				f.clone = f.clone || holdsReference(field.Type)
				f.canon = f.canon || holdsCanon(field.Type)
			}
		}
		f.clone = f.clone || f.partial
	}
	for _, e := range p.Entities {
		for st := range s.inside(e.Struct, map[*Struct]bool{e.Struct: true}) {
			s.facts[st].document = true
		}
		s.facts[e.Struct].entity = e
		s.facts[e.Struct].clone = true // the runtime always asks for one
	}
	for _, e := range p.Entities {
		s.merges(e.Struct)
	}
	s.guards = s.guardsOf()
	s.mentioned = mentioned(s)
	return s
}

// own gives the functions of st and of the structs inside it to e, those that no entity before it has.
func (s *shared) own(e *Entity, st *Struct) {
	if s.facts[st] != nil {
		return
	}
	s.facts[st] = &facts{}
	s.owned[e] = append(s.owned[e], st)
	for _, f := range st.Fields {
		s.ownType(e, f.Type)
	}
}

func (s *shared) ownType(e *Entity, t *Type) {
	if t == nil {
		return
	}
	if t.Struct != nil {
		s.own(e, t.Struct)
	}
	s.ownType(e, t.Elem)
}

// merges notes that st is merged field by field, and what that asks of the structs inside.
func (s *shared) merges(st *Struct) {
	if s.facts[st].merge {
		return
	}
	s.facts[st].merge = true
	for _, f := range s.mergedFields(st) {
		t := f.Type
		byField := mergesByField(f)
		switch {
		case byField && t.Kind == StructKind:
			s.merges(t.Struct)
			continue
		case byField:
			s.merges(t.Elem.Struct)
		}
		s.compares(t)
	}
}

// compares notes that values of t are compared.
func (s *shared) compares(t *Type) {
	for ; t != nil; t = t.Elem {
		if t.Struct == nil || s.facts[t.Struct].equal {
			continue
		}
		s.facts[t.Struct].equal = true
		for _, f := range t.Struct.Fields {
			s.compares(f.Type)
		}
	}
}

// inside returns the structs inside st; st itself only if it contains itself.
func (s *shared) inside(st *Struct, seen map[*Struct]bool) map[*Struct]bool {
	for _, f := range st.Fields {
		for t := f.Type; t != nil; t = t.Elem {
			if t.Struct != nil && !seen[t.Struct] {
				seen[t.Struct] = true
				s.inside(t.Struct, seen)
			}
		}
	}
	return seen
}

// holdsReference reports whether a value of t shares memory with its copy, structs inside left out.
func holdsReference(t *Type) bool {
	switch t.Kind {
	case Bytes, Raw, Slice, Map, Pointer, Any:
		return true
	case Text, Binary, JSON:
		return t.Shares
	case Array:
		return holdsReference(t.Elem)
	}
	return false
}

// isCanon reports whether values of t, which has no parts, may be read back other than they are: a time, which comes back
// in UTC, an any, and what marshals itself.
func isCanon(t *Type) bool { return t.Kind == Time || t.Kind == Any || marshals(t) }

// holdsCanon reports whether there is such a value in one of t, structs inside left out.
func holdsCanon(t *Type) bool {
	for ; t != nil; t = t.Elem {
		if isCanon(t) || t.Key != nil && isCanon(t.Key) {
			return true
		}
	}
	return false
}

// needsClone reports whether a value of t is copied by more than an assignment.
func (s *shared) needsClone(t *Type) bool {
	switch t.Kind {
	case StructKind:
		return s.facts[t.Struct].clone
	case Array:
		return s.needsClone(t.Elem)
	}
	return holdsReference(t)
}

// needsCanon reports whether there is such a value anywhere in one of t.
func (s *shared) needsCanon(t *Type) bool {
	for ; t != nil; t = t.Elem {
		if isCanon(t) || t.Key != nil && isCanon(t.Key) || t.Kind == StructKind && s.facts[t.Struct].canon {
			return true
		}
	}
	return false
}

// isScalar reports whether a value of t contains no slices of other things, maps or structs.
func isScalar(t *Type) bool {
	return !slices.Contains([]Kind{Slice, Array, Map, Pointer, StructKind}, t.Kind)
}
