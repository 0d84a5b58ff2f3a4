package describe

import (
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kixxgen/kixxgen/templates"
)

// SQLViews writes a view for each entity over the documents of a store in PostgreSQL that was opened with json=on. Columns have
// the names of the stored fields and the types that [Description.SQL] gives them.
func (d *Description) SQLViews(w io.Writer) error {
	s := sqler{names: map[string]bool{}}
	s.line("-- Views over the documents of a store in PostgreSQL that was opened with json=on. Run it in the schema of the store, again")
	s.line("-- after the entities have changed. A document is in the view with nulls alone if a program wrote it that had opened the")
	s.line("-- store before json=on. Documents that are marked as deleted are there, with the time. To read them, nobody needs rights to")
	s.line("-- anything but the views.")
	for _, e := range d.Entities {
		stored := e.Stored
		if s.names[cutName(stored)] {
			stored = snake(e.Package[strings.LastIndexByte(e.Package, '/')+1:]) + "_" + stored
		}
		s.documents(e, s.name(stored))
	}
	_, err := io.WriteString(w, s.b.String())
	return err
}

// documents writes the view of e.
func (s *sqler) documents(e *Entity, name string) {
	columns := sqler{names: map[string]bool{}} // for names that no other column has
	lines := []string{"namespace AS " + columns.name("_namespace")}
	for _, f := range e.Fields {
		lines = append(lines, columnOf(f.is, literal(f.Stored))+" AS "+columns.name(f.Stored))
	}
	if e.Revision != "" {
		lines = append(lines, "(doc->>'_rev')::bigint AS "+columns.name("_rev"))
	}
	s.line("\n-- %s of %s", e.Name, e.Package)
	s.line("DROP VIEW IF EXISTS %s;", name)
	s.line("CREATE VIEW %s AS SELECT", name)
	s.columns(lines, make([]string, len(lines)))
	s.line("FROM kixx_documents WHERE entity = %s;", literal(e.Stored))
}

// columnOf returns what makes a column of type t of the member of a document.
func columnOf(t *templates.Type, member string) string {
	for t.Kind == templates.Pointer {
		t = t.Elem
	}
	list := "doc->" + member
	switch typ := sqlType(t); {
	case typ == "jsonb":
		return "nullif(doc->" + member + ", 'null')"
	case strings.HasSuffix(typ, "[]"):
		return "CASE WHEN jsonb_typeof(" + list + ") = 'array' THEN ARRAY(SELECT " + cast("v", strings.TrimSuffix(typ, "[]")) +
			" FROM jsonb_array_elements_text(" + list + ") WITH ORDINALITY AS e(v, n) ORDER BY n) END"
	default:
		return cast("doc->>"+member, typ)
	}
}

// cast returns a text as a value of a type.
func cast(expression, typ string) string {
	switch typ {
	case "text":
		return expression
	case "bytea":
		return "decode(" + expression + ", 'base64')"
	}
	return "(" + expression + ")::" + typ
}

// literal returns a text as SQL writes it. PostgreSQL has no zero bytes; what stands for them is what stands for them in JSON.
func literal(s string) string {
	return "'" + strings.NewReplacer("'", "''", "\x00", "\ufffd").Replace(s) + "'"
}

// maxIdentifier is how many bytes of a name PostgreSQL keeps.
const maxIdentifier = 63

// cutName returns a name as PostgreSQL keeps it.
func cutName(name string) string {
	name = strings.ReplaceAll(strings.ToValidUTF8(name, "\ufffd"), "\x00", "\ufffd")
	return cutAt(name, maxIdentifier)
}

func cutAt(name string, n int) string {
	for len(name) > n {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}

// numbered returns a name with a number behind, within the bytes that there are.
func numbered(name string, n int) string {
	suffix := "_" + strconv.Itoa(n)
	return cutAt(name, maxIdentifier-len(suffix)) + suffix
}
