package describe

import (
	"strings"
	"testing"

	"github.com/kixxgen/kixxgen/templates"
)

func TestDiagramHasNamesThatItsLanguageTakes(t *testing.T) {
	line := &templates.Struct{Type: &templates.Type{Kind: templates.StructKind, Name: &templates.Name{Name: "Line", Args: []*templates.GoType{{Full: "int", Parts: []templates.Name{{Name: "int"}}}}}}}
	line.Type.Struct = line
	text := &templates.Type{Kind: templates.String}
	line.Fields = []*templates.Field{{Path: []string{"A"}, Stored: "1-a b\"c", Type: text}}
	id := &templates.Field{Path: []string{"ID"}, Stored: "größe", Type: &templates.Type{Kind: templates.Time, Name: &templates.Name{Path: "time", Name: "Time"}}}
	lines := &templates.Field{Path: []string{"Lines"}, Stored: "lines", Type: &templates.Type{Kind: templates.Map, Key: text, Elem: line.Type}}
	e := &templates.Entity{
		Name: "Class", Collection: "class", Struct: &templates.Struct{Fields: []*templates.Field{id, lines}},
		Keys: []*templates.IndexField{{Field: id, Key: id.Type}}, Rev: &templates.Field{Path: []string{"Rev"}},
		Views: []*templates.View{{Name: "ByX", Query: "X", Func: "f", Key: text, Value: &templates.Type{Kind: templates.Slice, Elem: &templates.Type{Kind: templates.Pointer, Elem: line.Type}}}},
	}
	var b strings.Builder
	if err := New([]*templates.Package{{Path: "example.com/app", Name: "app", Names: map[string]string{"time": "time"}, Entities: []*templates.Entity{e}}}).Mermaid(&b); err != nil {
		t.Fatal(err)
	}
	const want = `erDiagram
    "Class" {
        time_Time größe PK
        map_string_Line_int_ lines
    }
    Class_Line_int_ {
        string _-a_b_c
    }
    ClassByX {
        string key
        Line_int_[] value
    }
    "Class" ||--o{ Class_Line_int_ : "lines"
    "Class" ||--o{ ClassByX : "view ByX"
`
	if b.String() != want {
		t.Errorf("Mermaid writes\n%s\nwant\n%s", b.String(), want)
	}
}
