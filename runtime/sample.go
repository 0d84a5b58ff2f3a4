package kixx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/kixxgen/kixxgen/internal/storedtype"
	"github.com/kixxgen/kixxgen/runtime/gen"
)

// ReadSample reads a sample document, which kixxgen wrote into testdata/kixx when an entity had some earlier version, with
// its schema as it is today. It says what does not come back: a document that cannot be read, or a field that has not the
// value that it had, though it is there, under its name or another one, with the same type, and no migration came between.
// It is called by package kixxtest.
func ReadSample[D any, K comparable](s *Schema[D, K], sample []byte) error {
	var file struct {
		Entity string  `json:"entity"`
		Level  int     `json:"level"`
		Fields []Field `json:"fields"`
		Stored []byte  `json:"stored"`
	}
	if err := json.Unmarshal(sample, &file); err != nil {
		return fmt.Errorf("kixx: a sample that cannot be read: %w", err)
	}
	own := newSchemaRecord(s.Fields, s.Migrate)
	theirs := newSchemaRecord(file.Fields, nil)
	theirs.Level = file.Level
	written, err := parseFields(file.Stored)
	if err != nil {
		return err
	}
	body := file.Stored
	if up := newUpcaster(&own, &theirs, s.Migrate, []schemaRecord{theirs, own}); up.err != nil {
		return up.err
	} else if body, err = up.apply(&Fields{list: append([]rawField(nil), written.list...)}, body); err != nil {
		return err
	}
	u := new(gen.Unknown)
	doc := s.New()
	if _, err := s.Read(doc, body, u); err != nil {
		return err
	}
	again, err := appendSample(s, doc, u.OrNil())
	if err != nil {
		return nil // a type that marshals itself has no text for its zero value, and samples have no other one
	}
	now, err := parseFields(again)
	if err != nil {
		return err
	}
	var errs []error
	for i := range theirs.Fields {
		f := &theirs.Fields[i]
		g := own.field(f.Name)
		for j := range own.Fields {
			if g == nil && own.Fields[j].Type != storedtype.Dropped && own.Fields[j].same(f) {
				g = &own.Fields[j]
			}
		}
		switch {
		case own.drops(f.Name) && now.has(f.Name):
			errs = append(errs, fmt.Errorf("field %s is dropped, and still written", f.Name))
		case g == nil && f.Type != storedtype.Dropped && !own.drops(f.Name) && own.Level == theirs.Level:
			errs = append(errs, fmt.Errorf("field %s is not read any more", f.Name))
		case !written.has(f.Name): // its type marshals itself
		case g != nil && g.Type == f.Type && own.Level == theirs.Level && !sameValue(written.raw(f.Name), now.raw(g.Name)):
			errs = append(errs, fmt.Errorf("field %s has not the value that was stored as %s", g.Name, f.Name))
		}
	}
	return errors.Join(errs...)
}

// appendSample appends a document.
func appendSample[D any, K comparable](s *Schema[D, K], doc D, u *gen.Unknown) (b []byte, err error) {
	defer refuse(s.Name, nil, &err)
	return s.Append(nil, doc, u), nil
}

// drops reports whether s drops the field of a name.
func (s *schemaRecord) drops(name string) bool {
	for i := range s.Fields {
		if s.Fields[i].Name == name && s.Fields[i].Type == storedtype.Dropped {
			return true
		}
	}
	return false
}

// sameValue reports whether b, as it is stored, is the value a of a sample. One number may be written in several ways, and
// samples of structs leave out the fields that marshal themselves.
func sameValue(a, b []byte) bool {
	if a == nil || b == nil {
		return false
	}
	x, _, errX := gen.ReadAny(a)
	y, _, errY := gen.ReadAny(b)
	if errX != nil || errY != nil { // maps whose keys are no text
		return bytes.Equal(a, b)
	}
	return covers(y, x)
}

// covers reports whether y is x, but for fields of maps that x has not.
func covers(y, x any) bool {
	switch x := x.(type) {
	case map[string]any:
		y, ok := y.(map[string]any)
		for k, v := range x {
			w, has := y[k]
			ok = ok && has && covers(w, v)
		}
		return ok
	case []any:
		y, ok := y.([]any)
		ok = ok && len(y) == len(x)
		for i := range x {
			ok = ok && covers(y[i], x[i])
		}
		return ok
	}
	return reflect.DeepEqual(x, y)
}
