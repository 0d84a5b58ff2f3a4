package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/internal/hint"
)

// SchemaFile is the base name of the file that pins stored names and types, beside the package.
//
// It is JSON and mergeable by lines: the first line is [{"kixx":1}, each further line begins with a comma and is one
// field or one migration, sorted by entity and field, and the last line is ]. Two branches that add fields add lines.
const SchemaFile = "kixx.schema.json"

// schemaStart is the first line of a schema file.
const schemaStart = `[{"kixx":1}`

// A schemaLine is one field of one entity in a schema file, or one migration.
type schemaLine struct {
	Entity  string   `json:"entity"`
	Field   string   `json:"field,omitempty"`
	Go      string   `json:"go,omitempty"`
	Type    string   `json:"type,omitempty"`
	Options string   `json:"options,omitempty"`
	Was     []string `json:"was,omitempty"`
	Default string   `json:"default,omitempty"`
	Migrate int      `json:"migrate,omitempty"` // level
	Func    string   `json:"func,omitempty"`

	number int // of the line in the file
}

// whole reports whether a line says all that it must.
func (s *schemaLine) whole() bool {
	if s.Migrate > 0 {
		return s.Entity != "" && s.Field == "" && s.Type == "" && s.Func != ""
	}
	return s.Entity != "" && s.Field != "" && s.Type != "" && s.Func == ""
}

// same reports whether two lines have the same contents.
func (s schemaLine) same(t schemaLine) bool {
	s.number = t.number
	return reflect.DeepEqual(s, t)
}

// schema checks the entities of p against its schema file, and returns the new content of it, or nil if there are no
// entities any more.
func (l *loader) schema(p *pkg, entities []*entity) []byte {
	name := filepath.Join(p.Dir, SchemaFile)
	old, good := l.readSchema(name)
	if !good {
		return nil
	}
	var lines []schemaLine
	present := map[string]bool{}
	for _, c := range p.keepCollections { // entities in excluded files: their lines stay as they are
		present[c] = true
		for _, line := range old {
			if line.Entity == c {
				lines = append(lines, line)
			}
		}
	}
	for _, e := range entities {
		present[e.collection] = true
		if e.model == nil {
			continue
		}
		var was []schemaLine
		for _, line := range old {
			if line.Entity == e.collection {
				was = append(was, line)
			}
		}
		now := e.schemaLines()
		l.compareSchema(e, was, now)
		lines = append(lines, now...)
	}
	gone := map[string]bool{}
	for _, line := range old {
		if !present[line.Entity] && !gone[line.Entity] {
			gone[line.Entity] = true
			l.notes = append(l.notes, Problem{File: name, Line: line.number, Text: fmt.Sprintf(
				"entity %q is not declared any more; its documents stay in the database, unread; a type that was renamed keeps them with //kixx:entity name=%s",
				line.Entity, line.Entity)})
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return formatSchema(lines)
}

// schemaLines returns the lines of e.
func (e *entity) schemaLines() []schemaLine {
	var lines []schemaLine
	for _, f := range e.model.Struct.Fields {
		if f.Type != nil {
			lines = append(lines, schemaLine{Entity: e.collection, Field: f.Stored, Go: strings.Join(f.Path, "."), Type: f.Lines, Options: f.Options, Was: f.Was, Default: f.Default})
		}
	}
	for _, name := range e.model.Struct.Dropped {
		lines = append(lines, schemaLine{Entity: e.collection, Field: name, Go: "_", Type: droppedType})
	}
	for _, m := range e.model.Migrations {
		lines = append(lines, schemaLine{Entity: e.collection, Migrate: m.Level, Func: m.Func})
	}
	return lines
}

// formatSchema returns the content of a schema file.
func formatSchema(lines []schemaLine) []byte {
	lines = slices.Clone(lines)
	slices.SortFunc(lines, func(a, b schemaLine) int {
		if c := strings.Compare(a.Entity, b.Entity); c != 0 {
			return c
		}
		if c := strings.Compare(a.Field, b.Field); c != 0 {
			return c
		}
		return a.Migrate - b.Migrate
	})
	var b bytes.Buffer
	b.WriteString(schemaStart + "\n")
	for _, line := range lines {
		b.WriteByte(',')
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.Encode(line) // ends the line; strings always encode
	}
	b.WriteString("]\n")
	return b.Bytes()
}

// readSchema reads a schema file. No file is no lines.
func (l *loader) readSchema(name string) (lines []schemaLine, good bool) {
	src, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true
	}
	if err != nil {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		l.problems = append(l.problems, Problem{File: name, Text: err.Error()})
		return nil, false
	}
	return l.parseSchema(name, src)
}

// parseSchema reads the content of the schema file of this name. Lines may be in any order and there twice, as a merge
// leaves them, also with the markers of a conflict: then the lines of both sides hold. A line that cannot be read, or two
// that say different things about one field, are reported.
func (l *loader) parseSchema(name string, src []byte) (lines []schemaLine, good bool) {
	good = true
	wrong := func(n int, format string, args ...any) {
		good = false
		l.problems = append(l.problems, Problem{File: name, Line: n, Col: 1, Text: fmt.Sprintf(format, args...)})
	}
	byField := map[string]schemaLine{}
	n, base := 0, false
	for text := range bytes.Lines(src) {
		n++
		line := strings.TrimRight(string(text), "\r\n\t ")
		switch {
		case isMarker(line):
			base = strings.HasPrefix(line, "|||||||") // what both sides have changed, up to the next marker
		case base, line == "", line == "]", line == schemaStart:
		case !strings.HasPrefix(line, ","):
			wrong(n, "unreadable line; want %s first, then one field per line: ,{\"entity\":…,\"field\":…,\"go\":…,\"type\":…}", schemaStart)
		default:
			var s schemaLine
			dec := json.NewDecoder(strings.NewReader(line[1:]))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&s); err != nil || dec.More() || !s.whole() {
				wrong(n, "unreadable line; want one field: ,{\"entity\":…,\"field\":…,\"go\":…,\"type\":…}; restore it from version control")
				continue
			}
			s.number = n
			key := fmt.Sprintf("%q %q %d", s.Entity, s.Field, s.Migrate)
			first, twice := byField[key]
			switch {
			case !twice:
				byField[key] = s
				lines = append(lines, s)
			case first.same(s):
			case s.Migrate > 0:
				wrong(n, "migration %d of %q is here twice, with the functions %s and %s; give one of them the next level, here and in its directive", s.Migrate, s.Entity, first.Func, s.Func)
			default:
				wrong(n, "field %q of %q is here twice, with different contents; keep the line that stored documents agree with", s.Field, s.Entity)
			}
		}
	}
	return lines, good
}

// compareSchema reports what stored documents would not survive, and which annotation would let them.
func (l *loader) compareSchema(e *entity, was, now []schemaLine) {
	if len(was) == 0 {
		return
	}
	c := &comparison{loader: l, e: e, was: was, now: now}
	for _, line := range was {
		c.before = max(c.before, line.Migrate)
	}
	for _, line := range now {
		c.after = max(c.after, line.Migrate)
	}
	for _, old := range was {
		if old.Migrate > 0 {
			if old.Migrate > c.after && len(e.migrates) < old.Migrate {
				l.at(e.pos(), "migration %d of %s, func=%s, is gone, and documents from before it could not be read any more: put it back", old.Migrate, e.name, old.Func)
			}
			continue
		}
		c.field(old)
	}
	for _, line := range now {
		for _, name := range line.Was {
			if !c.everStored(name) {
				var known []string
				for _, old := range was {
					if old.Field != "" && old.Type != droppedType && !c.has(old.Field) {
						known = append(known, old.Field)
					}
				}
				l.at(c.position(line.Field), "field %s: was=%s: no field of %s was ever stored under this name%s", line.Go, name, e.name, hint.Nearest(name, known...))
			}
		}
	}
}

// A comparison holds the lines of an entity in the schema file against those of its struct.
type comparison struct {
	*loader
	e             *entity
	was, now      []schemaLine
	before, after int // levels of migration
}

// migrates returns the annotation that lets a migration do what no other one can.
func (c *comparison) migrates() string {
	return fmt.Sprintf("//kixx:migrate %d func=%s", c.after+1, migrationName(c.e, c.after+1))
}

// has reports whether the struct has a field of this stored name.
func (c *comparison) has(stored string) bool {
	return slices.ContainsFunc(c.now, func(line schemaLine) bool { return line.Field == stored })
}

// everStored reports whether the schema file knows a field of this name, or that there was one.
func (c *comparison) everStored(name string) bool {
	return slices.ContainsFunc(c.was, func(line schemaLine) bool { return line.Field == name || slices.Contains(line.Was, name) })
}

// position returns where the field of a stored name is declared.
func (c *comparison) position(stored string) token.Pos {
	pos := c.e.pos()
	for _, f := range append(slices.Clone(c.e.fields.fields), c.e.fields.dropped...) {
		if f.model.Stored == stored {
			pos = f.pos()
			if f.depth > 0 {
				pos = f.outer.Pos()
			}
		}
	}
	return pos
}

// field compares an old line with what the struct has in its place.
func (c *comparison) field(old schemaLine) {
	e := c.e
	i := slices.IndexFunc(c.now, func(line schemaLine) bool { return line.Field == old.Field })
	if i < 0 {
		i = slices.IndexFunc(c.now, func(line schemaLine) bool { return slices.Contains(line.Was, old.Field) })
	}
	if i < 0 {
		if c.after == c.before && !e.refused(old.Go) {
			c.gone(old)
		}
		return
	}
	now := c.now[i]
	at := c.position(now.Field)
	for _, name := range old.Was {
		if !slices.Contains(now.Was, name) && c.after == c.before {
			c.at(at, "field %s: it was stored as %q before, and documents from then would be read without it: keep kixx:\"was=%s\"", now.Go, name, name)
		}
	}
	if old.Default != "" && now.Default == "" && now.Type != droppedType && c.after == c.before {
		c.at(at, "field %s: documents from before it was added have %s by default=%s, and would now have none: keep the option", now.Go, old.Default, old.Default)
	}
	switch {
	case now.Type == droppedType:
	case old.Type == droppedType:
		c.at(at, "field %s: %q was dropped, and documents from before that may still have values of it: store the new field under another name", now.Go, old.Field)
		return
	default:
		if r, bad := changed(old.Type, now.Type); bad && c.after == c.before {
			c.at(at, "field %s: %s", now.Go, c.retyped(r))
		}
	}
	if keyPlace(old.Options) != keyPlace(now.Options) {
		c.at(at, "field %s: the key of %s cannot change while documents are stored by it: declare another entity, and copy them", now.Go, e.name)
	}
}

// gone reports a field that nothing stands for any more.
func (c *comparison) gone(old schemaLine) {
	e := c.e
	if old.Type == droppedType {
		c.at(e.pos(), "field %q of %s was dropped, and documents from before that would carry it again: put it back: _ struct{} `kixx:\"drop=%s\"`", old.Field, e.name, old.Field)
		return
	}
	renamed := slices.IndexFunc(c.now, func(line schemaLine) bool {
		return line.Go == old.Go && !slices.ContainsFunc(c.was, func(o schemaLine) bool { return o.Field == line.Field })
	})
	if renamed >= 0 {
		name := c.now[renamed].Field
		c.at(c.position(name), "field %s is stored as %q and would now be stored as %q, so that stored values are lost: add kixx:\"was=%s\", or keep json:%q", old.Go, old.Field, name, old.Field, old.Field)
		return
	}
	c.at(e.pos(), "field %s, stored as %q, is gone from %s, so that stored values are lost: put it back; or let another field have them, kixx:\"was=%s\"; "+
		"or give them up, _ struct{} `kixx:\"drop=%s\"`; or move them, %s", old.Go, old.Field, e.name, old.Field, old.Field, c.migrates())
}

// retyped says what a change of a type would do, and what would let it.
func (c *comparison) retyped(r retype) string {
	where := ""
	if r.path != "" {
		where = " in " + r.path
	}
	switch {
	case r.is == "":
		return fmt.Sprintf("%s is stored and would now be gone: put it back; or give its values up, _ struct{} `kixx:\"drop=%s\"`; or move them, %s",
			r.path, r.path[strings.LastIndexByte(r.path, '.')+1:], c.migrates())
	case r.was == droppedType:
		return fmt.Sprintf("%s was dropped, and documents from before that may still have values of it: store the new field under another name", r.path)
	}
	return fmt.Sprintf("%s is stored%s and would now be %s: put it back, or convert stored values, %s", r.was, where, r.is, c.migrates())
}

// refused reports whether a field is still there, but of a type that cannot be stored: that was reported.
func (e *entity) refused(path string) bool {
	for _, f := range e.refusedFields {
		if f == path {
			return true
		}
	}
	return false
}
