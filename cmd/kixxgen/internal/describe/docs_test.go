package describe

import (
	"errors"
	"strings"
	"testing"

	"github.com/kixxgen/kixxgen/templates"
)

// described is a description of two entities that have a key and nothing else.
func described() *Description {
	text := &templates.Type{Kind: templates.String}
	var entities []*templates.Entity
	for _, name := range []string{"Item", "Order"} {
		id := &templates.Field{Path: []string{"ID"}, Stored: "id", Type: text, Lines: "string"}
		entities = append(entities, &templates.Entity{
			Name: name, Collection: strings.ToLower(name), Struct: &templates.Struct{Fields: []*templates.Field{id}},
			Keys: []*templates.IndexField{{Field: id, Key: text}}, Rev: &templates.Field{Path: []string{"Rev"}},
		})
	}
	return New([]*templates.Package{{Path: "example.com/app", Name: "app", Entities: entities}})
}

const diagram = "```mermaid\nerDiagram\n    Item {\n        string id PK\n    }\n```\n"

func TestDocsReplaceWhatIsBetweenMarkers(t *testing.T) {
	for _, test := range []struct{ name, doc, want string }{
		{"an empty place", "# App\n<!-- kixxgen:begin Item -->\n<!-- kixxgen:end -->\nend", "# App\n<!-- kixxgen:begin Item -->\n" + diagram + "<!-- kixxgen:end -->\nend"},
		{"what was there", "<!-- kixxgen:begin mermaid Item -->\n```mermaid\nold\n```\n\n~~~\n<!-- kixxgen:end -->", "<!-- kixxgen:begin mermaid Item -->\n" + diagram + "<!-- kixxgen:end -->"},
		{"a fence around markers", "```md\n<!-- kixxgen:begin -->\n<!-- kixxgen:end -->\n```\n<!-- kixxgen:begin Item -->\n<!-- kixxgen:end -->\n", "```md\n<!-- kixxgen:begin -->\n<!-- kixxgen:end -->\n```\n<!-- kixxgen:begin Item -->\n" + diagram + "<!-- kixxgen:end -->\n"},
		{"a long fence with a short one inside", "````\n```\n<!-- kixxgen:end -->\n````\n<!-- kixxgen:begin Item -->\n<!-- kixxgen:end -->\n", "````\n```\n<!-- kixxgen:end -->\n````\n<!-- kixxgen:begin Item -->\n" + diagram + "<!-- kixxgen:end -->\n"},
		{"carriage returns", "a\r\n<!-- kixxgen:begin Item -->\r\nold\r\n<!-- kixxgen:end -->\r\n", "a\r\n<!-- kixxgen:begin Item -->\r\n" + strings.ReplaceAll(diagram, "\n", "\r\n") + "<!-- kixxgen:end -->\r\n"},
		{"indented", "  <!-- kixxgen:begin Item -->\n  <!-- kixxgen:end -->\n", "  <!-- kixxgen:begin Item -->\n" + diagram + "  <!-- kixxgen:end -->\n"},
	} {
		got, err := described().Docs([]byte(test.doc))
		if err != nil || string(got) != test.want {
			t.Errorf("%s: Docs(%q) = %q, %v, want %q", test.name, test.doc, got, err, test.want)
			continue
		}
		again, err := described().Docs(got)
		if err != nil || string(again) != string(got) {
			t.Errorf("%s: Docs(%q) = %q, %v, want the same", test.name, got, again, err)
		}
	}
}

func TestDocsSayWhatIsWrongWithMarkers(t *testing.T) {
	for _, test := range []struct {
		doc  string
		line int
		text string
	}{
		{"# App\n", 0, "there is no place for a description: add the lines <!-- kixxgen:begin --> and <!-- kixxgen:end -->"},
		{"", 0, "there is no place for a description: add the lines <!-- kixxgen:begin --> and <!-- kixxgen:end -->"},
		{"a\n<!-- kixxgen:begin -->\n", 2, "this place for a description has no end: add the line <!-- kixxgen:end --> below it"},
		{"<!-- kixxgen:begin -->\n<!-- kixxgen:begin -->\n", 1, "this place for a description has no <!-- kixxgen:end --> before the next one begins"},
		{"a\nb\n<!-- kixxgen:end -->\n", 3, "there is no <!-- kixxgen:begin --> above this"},
		{"<!-- kixxgen:begin\n-->\n", 1, "want the whole marker in one line: <!-- kixxgen:begin -->"},
		{"<!-- kixxgen:begin Itm -->\n<!-- kixxgen:end -->\n", 1, `there is no entity "Itm" in the packages that are described; did you mean "Item"?`},
		{"<!-- kixxgen:begin mermiad -->\n<!-- kixxgen:end -->\n", 1, `there is no entity "mermiad" in the packages that are described; did you mean "mermaid"?`},
		{"<!-- kixxgen:begin sql Customer -->\n<!-- kixxgen:end -->\n", 1, `there is no entity "Customer" in the packages that are described; known: Item, Order, mermaid, table`},
	} {
		_, err := described().Docs([]byte(test.doc))
		var wrong *DocsError
		if !errors.As(err, &wrong) || wrong.Line != test.line || wrong.Text != test.text {
			t.Errorf("Docs(%q): %#v, want line %d: %s", test.doc, err, test.line, test.text)
		}
	}
}
