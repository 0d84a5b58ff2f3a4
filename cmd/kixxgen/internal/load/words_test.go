package load

import (
	"testing"

	"github.com/kixxgen/kixxgen/templates"
)

func TestNamesReadAsAPersonWouldWriteThem(t *testing.T) {
	for _, test := range []struct{ name, plural, lower, singular, document string }{
		{"Item", "items", "item", "Item", "it"},
		{"Post", "posts", "post", "Post", "p"},
		{"OrderLine", "order lines", "orderLine", "OrderLine", "ol"},
		{"Category", "categories", "category", "Category", "ca"},
		{"Day", "days", "day", "Day", "d"},
		{"Box", "boxes", "box", "Box", "bo"},
		{"Address", "addresses", "address", "Address", "a"},
		{"Event", "events", "event", "Event", "ev"},
		{"Iffy", "iffies", "iffy", "Iffy", "iff"},
		{"SKU", "SKUs", "sku", "SKU", "sk"},
		{"APIKey", "API keys", "apiKey", "APIKey", "ak"},
		{"HTTPServer", "HTTP servers", "httpServer", "HTTPServer", "hs"},
		{"Status", "statuses", "status", "Status", "st"},
		{"X", "xes", "x", "X", "document"},
		{"Person", "people", "person", "Person", "p"},
	} {
		if got := plural(test.name); got != test.plural {
			t.Errorf("plural(%s) = %q, want %q", test.name, got, test.plural)
		}
		if got := lowerFirst(test.name); got != test.lower {
			t.Errorf("lowerFirst(%s) = %q, want %q", test.name, got, test.lower)
		}
		if got := singular(test.name); got != test.singular {
			t.Errorf("singular(%s) = %q, want %q", test.name, got, test.singular)
		}
		if got := documentVar(test.name, func(string) bool { return false }); got != test.document {
			t.Errorf("documentVar(%s) = %q, want %q", test.name, got, test.document)
		}
	}
	for name, want := range map[string]string{"Item": "item", "URLMap": "urlMap", "SKU": "sku", "Übel": "übel", "ÄÖX": "äöx", "ÄÖXe": "äöXe"} {
		if got := lowerCapitals(name); got != want {
			t.Errorf("lowerCapitals(%s) = %q, want %q", name, got, want)
		}
	}
	for _, test := range []struct{ field, lower, one string }{
		{"Tags", "tags", "Tag"}, {"Categories", "categories", "Category"}, {"Boxes", "boxes", "Box"}, {"IDs", "ids", "ID"},
		{"UserIDs", "userIDs", "UserID"}, {"Addresses", "addresses", "Address"}, {"Radius", "radius", "Radius"}, {"Loss", "loss", "Loss"},
		{"Children", "children", "Child"}, {"CreatedAt", "createdAt", "CreatedAt"}, {"Matches", "matches", "Match"},
	} {
		if got := lowerFirst(test.field); got != test.lower {
			t.Errorf("lowerFirst(%s) = %q, want %q", test.field, got, test.lower)
		}
		if got := singular(test.field); got != test.one {
			t.Errorf("singular(%s) = %q, want %q", test.field, got, test.one)
		}
	}
}

func TestTypeTextHasNoGoNames(t *testing.T) {
	node := &templates.Struct{}
	nodeType := &templates.Type{Kind: templates.StructKind, Name: &templates.Name{Name: "Node"}, Struct: node}
	inner := &templates.Struct{}
	innerType := &templates.Type{Kind: templates.StructKind, Name: &templates.Name{Name: "Inner"}, Struct: inner}
	inner.Fields = []*templates.Field{{Stored: "up", Type: &templates.Type{Kind: templates.Pointer, Elem: nodeType}}}
	node.Fields = []*templates.Field{
		{Stored: "n", Type: &templates.Type{Kind: templates.Int, Bits: 64, Name: &templates.Name{Path: "time", Name: "Duration"}}},
		{Stored: "a b", Type: &templates.Type{Kind: templates.Slice, Elem: nodeType}},
		{Stored: "in", Type: &templates.Type{Kind: templates.Map, Key: &templates.Type{Kind: templates.String}, Elem: innerType}},
		{Stored: "x", Type: &templates.Type{Kind: templates.Array, Len: 3, Elem: &templates.Type{Kind: templates.Uint, Bits: 8}}},
	}
	want := `struct{n int64; "a b" []^1; in map[string]struct{up *^2}; x [3]uint8}`
	if got := typeText(nodeType); got != want {
		t.Errorf("typeText = %s, want %s", got, want)
	}
}

func TestChangedFindsWhatDocumentsWouldNotSurvive(t *testing.T) {
	for _, test := range []struct {
		was, is string
		want    retype
		bad     bool
	}{
		{"int", "int", retype{}, false},
		{"int", "int64", retype{"", "int", "int64"}, true},
		{"[]int", "[]int", retype{}, false},
		{"[]int", "[3]int", retype{"", "[]int", "[3]int"}, true},
		{"map[string]int", "map[int]int", retype{"", "string", "int"}, true},
		{"map[string]struct{a int}", "map[string]struct{a int; b int}", retype{}, false},
		{"struct{a int; b string}", "struct{b string; c time; a int}", retype{}, false},
		{"struct{a int; b string}", "struct{b string}", retype{"a", "int", ""}, true},
		{"struct{a *struct{b [][]int}}", "struct{a *struct{b []int}}", retype{"a.b", "[]int", "int"}, true},
		{`struct{"a b;}" int; c int}`, `struct{c int; "a b;}" bool}`, retype{"a b;}", "int", "bool"}, true},
		{"struct{a []^1; b int}", "struct{a []^1; b int; c int}", retype{}, false},
		{"struct{a []^1}", "struct{a []^2}", retype{"a", "^1", "^2"}, true},
		{"string", "*string", retype{"", "string", "*string"}, true},
		{"int]", "int", retype{"", "int]", "int"}, true},
	} {
		got, bad := changed(test.was, test.is)
		if bad != test.bad || got != test.want {
			t.Errorf("changed(%s, %s) = %+v, %v; want %+v, %v", test.was, test.is, got, bad, test.want, test.bad)
		}
	}
}

// FuzzChanged checks that a text that was edited by hand, however badly, ends in an answer, and that no text differs from
// itself.
func FuzzChanged(f *testing.F) {
	for _, seed := range []string{"int", "struct{a int; b map[string]*^1}", "struct{", "map[", "[", "[]", `struct{"a`, "struct{a struct{b; }", "]", "*"} {
		f.Add(seed, "struct{a int}")
	}
	f.Fuzz(func(t *testing.T, was, is string) {
		changed(was, is)
		changed(is, was)
		if r, bad := changed(was, was); bad {
			t.Fatalf("changed(%q, itself) = %+v", was, r)
		}
	})
}
