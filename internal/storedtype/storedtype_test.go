package storedtype

import "testing"

func TestCompatible(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"int", "int", true},
		{"int", "int64", false},
		{"[]string", "[]string", true},
		{"[]string", "[]bytes", false},
		{"[3]int", "[4]int", false},
		{"map[string]int", "map[int]int", false},
		{"*time", "time", false},
		{"struct{a int}", "struct{a int; b string}", true},
		{"struct{b string; a int}", "struct{a int}", true},
		{"struct{a int}", "struct{a string; b int}", false},
		{"struct{}", "struct{a string}", true},
		{"[]map[string]*struct{a int}", "[]map[string]*struct{a int; b struct{c int}}", true},
		{"[]map[string]*struct{a struct{c int}}", "[]map[string]*struct{a struct{c time}}", false},
		{`struct{"a b" int; next *^1}`, `struct{next *^1; "a b" int; more int}`, true},
		{`struct{"a b" int}`, `struct{"a b" time}`, false},
		{"struct{a int", "struct{a int}", false},
		{"future<int>", "future<int>", true},
		{"future<int>", "int", false},
	} {
		if got := Compatible(c.a, c.b); got != c.want {
			t.Errorf("Compatible(%s, %s) = %v, want %v", c.a, c.b, got, c.want)
		}
		if got := Compatible(c.b, c.a); got != c.want {
			t.Errorf("Compatible(%s, %s) = %v, want %v", c.b, c.a, got, c.want)
		}
	}
}

func FuzzCompatible(f *testing.F) {
	f.Add("struct{a int; b []map[string]*^1}", "struct{\"x y\" [3]time}")
	f.Fuzz(func(t *testing.T, a, b string) {
		if !Compatible(a, a) {
			t.Errorf("%q is not compatible with itself", a)
		}
		if Compatible(a, b) != Compatible(b, a) {
			t.Errorf("Compatible(%q, %q) depends on the order", a, b)
		}
	})
}
