package describe

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/kixxgen/kixxgen/templates"
)

// SQL writes the tables and indexes that a person would make in PostgreSQL for the same documents and queries. What SQL
// cannot say is in comments. It is for reading: no store of this project is made of such tables.
func (d *Description) SQL(w io.Writer) error {
	s := sqler{names: map[string]bool{}}
	s.line("-- What the entities would be in PostgreSQL. Texts are in the order of their bytes, as with COLLATE \"C\"; times have")
	s.line("-- nanoseconds, and those of timestamptz end with microseconds. Views over the documents that a store in PostgreSQL has")
	s.line("-- are another thing: kixxgen describe --format views.")
	for _, e := range d.Entities {
		s.entity(e)
	}
	_, err := io.WriteString(w, s.b.String())
	return err
}

type sqler struct {
	b     strings.Builder
	names map[string]bool // of tables and indexes

	columnNames map[string]string // of the entity at hand, by the stored names of its fields
}

func (s *sqler) line(format string, args ...any) {
	s.b.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

// name returns a name for a table or an index that no other one has.
func (s *sqler) name(name string) string {
	name = cutName(name)
	for n, first := 2, name; s.names[name]; n++ {
		name = numbered(first, n)
	}
	s.names[name] = true
	return quoted(name)
}

// nameColumns gives each field of e a name that no other column of it has. Some names are longer than PostgreSQL keeps.
func (s *sqler) nameColumns(e *Entity) {
	columns := sqler{names: map[string]bool{"_rev": true}}
	s.columnNames = make(map[string]string)
	for _, f := range e.Fields {
		s.columnNames[f.Stored] = columns.name(f.Stored)
	}
}

// entity writes the table of e, its indexes, and what it has beside them.
func (s *sqler) entity(e *Entity) {
	stored := e.Stored
	if s.names[stored] {
		stored = snake(e.Package[strings.LastIndexByte(e.Package, '/')+1:]) + "_" + stored
	}
	table := s.name(stored)
	s.nameColumns(e)
	s.line("\n-- %s of %s", e.Name, e.Package)
	for _, hook := range e.Hooks {
		s.line("-- %s of %s runs %s.", hook, e.Name, map[string]string{
			"BeforeSet": "before each write", "Validate": "on what is written, and may refuse it", "AfterSet": "after each commit", "BeforeDelete": "before each deletion",
		}[hook])
	}
	for _, m := range e.Migrations {
		s.line("-- %s brings rows that were written before to level %d.", m.Func, m.Level)
	}
	var lines, comments []string
	for _, f := range e.Fields {
		line, comment := s.column(e, f)
		lines, comments = append(lines, line), append(comments, comment)
	}
	if e.Revision != "" {
		lines, comments = append(lines, "_rev bigint NOT NULL"), append(comments, "each UPDATE has SET _rev = _rev + 1 … WHERE _rev = the one that was read")
	}
	var keys []string
	for _, k := range e.Key.Fields {
		keys = append(keys, s.columnNames[k.Stored])
	}
	lines, comments = append(lines, "PRIMARY KEY ("+strings.Join(keys, ", ")+")"), append(comments, "")
	s.line("CREATE TABLE %s (", table)
	s.columns(lines, comments)
	s.line(");")
	for _, ix := range e.Indexes {
		s.index(e, stored, table, keys, ix)
	}
	for _, v := range e.Views {
		s.line("-- View %s: %s emits the entries of a row. A table that triggers keep:", v.Name, v.Func)
		s.line("-- CREATE TABLE %s (key %s, value %s, %s, n smallint, PRIMARY KEY (key, %s, n));",
			s.name(snake(stored+"_"+v.Name)), sqlType(v.key), sqlType(v.value), strings.Join(s.keyColumns(e), ", "), strings.Join(keys, ", "))
	}
}

// columns writes lines that end with commas, but for the last one, and their comments below each other.
func (s *sqler) columns(lines, comments []string) {
	width := 0
	for i, line := range lines {
		if comments[i] != "" {
			width = max(width, len([]rune(line))+1)
		}
	}
	for i, line := range lines {
		if i < len(lines)-1 {
			line += ","
		}
		if comments[i] != "" {
			line += strings.Repeat(" ", width-len([]rune(line))) + " -- " + strings.NewReplacer("\n", " ", "\r", " ").Replace(comments[i])
		}
		s.line("    %s", line)
	}
}

// column returns the column of a field, and what SQL cannot say of it.
func (s *sqler) column(e *Entity, f *Field) (line, comment string) {
	t := f.is
	nullable := t.Kind == templates.Pointer
	if nullable {
		t = t.Elem
	}
	line = s.columnNames[f.Stored] + " " + sqlType(t)
	switch t.Kind {
	case templates.Slice, templates.Map, templates.Bytes, templates.Raw, templates.Any:
	default:
		if !nullable {
			line += " NOT NULL"
		}
	}
	if f.Default != "" {
		switch t.Kind {
		case templates.String, templates.Time:
			line += " DEFAULT '" + strings.ReplaceAll(f.Default, "'", "''") + "'"
		case templates.Bool, templates.Uint, templates.Float:
			line += " DEFAULT " + f.Default
		case templates.Int:
			if t.Name == nil || t.Name.Path != "time" {
				line += " DEFAULT " + f.Default
			}
		}
	}
	if t.Kind == templates.Uint {
		line += " CHECK (" + s.columnNames[f.Stored] + " >= 0)"
	}
	if t.Kind == templates.String && len(e.Key.Fields) == 1 && e.Key.Fields[0].Name == f.Name {
		line += " CHECK (" + s.columnNames[f.Stored] + " <> '')"
	}
	notes := e.roles(f)
	notes = slices.DeleteFunc(notes, func(note string) bool { return strings.HasPrefix(note, "key") && !strings.Contains(note, "made") })
	if structOf(t) != nil || t.Kind == templates.Map || t.Name != nil && t.Name.Path == "time" && t.Kind == templates.Int {
		notes = append(notes, f.GoType)
	}
	if f.Validate != "" {
		notes = append(notes, "validate "+f.Validate)
	}
	if f.Merge != "" {
		notes = append(notes, "merge "+f.Merge)
	}
	return line, strings.Join(notes, "; ")
}

// index writes an index. One over the elements of a slice is a table of its own.
func (s *sqler) index(e *Entity, stored, table string, keys []string, ix *Index) {
	unique := ""
	if ix.Unique {
		unique = "UNIQUE "
	}
	var columns, where, names []string
	each := false
	for _, f := range ix.Fields {
		column := s.columnNames[f.Stored]
		names = append(names, column+" "+sqlType(f.is)+" NOT NULL")
		if f.Optional && !f.Each {
			where = append(where, column+" IS NOT NULL")
		}
		if f.Descending {
			column += " DESC"
		}
		columns = append(columns, column)
		each = each || f.Each
	}
	for _, f := range e.Fields {
		if f.Name == e.Deleted && !ix.Unique { // a unique value of a deleted document stays taken
			where = append(where, s.columnNames[f.Stored]+" IS NULL")
		}
	}
	if !ix.Unique { // equal ones are in the order of the keys
		for i, k := range e.Key.Fields {
			if !slices.ContainsFunc(ix.Fields, func(f *IndexField) bool { return f.Name == k.Name }) {
				columns = append(columns, keys[i])
			}
		}
	}
	methods := strings.Join(ix.Methods, ", ")
	if ix.Superfluous != nil {
		methods += "; superfluous, see " + ix.Superfluous.By
	}
	s.line("-- %s", methods)
	name := s.name(snake(stored + "_" + ix.Name))
	if each {
		s.line("-- A row for each element, which SQL keeps in a table of its own, by triggers or by who writes.")
		for i, k := range e.Key.Fields {
			if !slices.ContainsFunc(ix.Fields, func(f *IndexField) bool { return f.Name == k.Name }) {
				names = append(names, keys[i]+" "+sqlType(k.is)+" NOT NULL")
			}
		}
		names = append(names, fmt.Sprintf("FOREIGN KEY (%s) REFERENCES %s ON DELETE CASCADE", strings.Join(keys, ", "), table))
		s.line("CREATE TABLE %s (", name)
		s.columns(names, make([]string, len(names)))
		s.line(");")
		table, name = name, s.name(snake(stored+"_"+ix.Name+"_order"))
		unique = "UNIQUE " // equal elements of one document are one entry
		where = nil        // of another table
	}
	suffix := ""
	if len(where) > 0 {
		suffix = " WHERE " + strings.Join(where, " AND ")
	}
	s.line("CREATE %sINDEX %s ON %s (%s)%s;", unique, name, table, strings.Join(columns, ", "), suffix)
}

// keyColumns returns the columns of the key.
func (s *sqler) keyColumns(e *Entity) []string {
	var columns []string
	for _, k := range e.Key.Fields {
		columns = append(columns, s.columnNames[k.Stored]+" "+sqlType(k.is))
	}
	return columns
}

// sqlType returns the type of a column.
func sqlType(t *templates.Type) string {
	switch t.Kind {
	case templates.Pointer:
		return sqlType(t.Elem)
	case templates.Bool:
		return "boolean"
	case templates.Int:
		switch t.Bits {
		case 8, 16:
			return "smallint"
		case 32:
			return "integer"
		}
		return "bigint"
	case templates.Uint:
		switch t.Bits {
		case 8:
			return "smallint"
		case 16:
			return "integer"
		case 32:
			return "bigint"
		}
		return "numeric(20)"
	case templates.Float:
		if t.Bits == 32 {
			return "real"
		}
		return "double precision"
	case templates.String, templates.Text:
		return "text"
	case templates.Bytes, templates.Binary:
		return "bytea"
	case templates.Time:
		return "timestamptz"
	case templates.UUID:
		return "uuid"
	case templates.Slice, templates.Array:
		if elem := sqlType(t.Elem); elem != "jsonb" && !strings.HasSuffix(elem, "]") && t.Elem.Kind != templates.Pointer {
			return elem + "[]"
		}
	}
	return "jsonb"
}

// snake returns a Go name in small letters: CategoryPrice as category_price.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && runes[i-1] != '_' && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

var simple = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// reserved are the words that PostgreSQL does not take for names of tables and columns.
var reserved = strings.Fields(`all analyse analyze and any array as asc asymmetric authorization binary both case cast check
	collate collation column concurrently constraint create cross current_catalog current_date current_role current_schema
	current_time current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign
	freeze from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit
	localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references
	returning right select session_user similar some symmetric system_user table tablesample then to trailing true union unique
	user using variadic verbose when where window with`)

// quoted returns a name, in quotes if it needs them.
func quoted(name string) string {
	if simple.MatchString(name) && !slices.Contains(reserved, name) {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
