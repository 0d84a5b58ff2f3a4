package load

import (
	"go/scanner"
	"go/token"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// sourceText returns text as a quoted whose bytes stand at the offsets from 100 on.
func sourceText(text string) quoted {
	q := quoted{text: text}
	for i := range len(text) + 1 {
		q.at = append(q.at, 100+i)
	}
	return q
}

func TestUnquoteKnowsWhereEachByteStands(t *testing.T) {
	for _, test := range []struct {
		literal, text string
		at            []int
	}{
		{`"ab"`, "ab", []int{101, 102, 103}},
		{"`ab`", "ab", []int{101, 102, 103}},
		{"`a\r\nb`", "a\nb", []int{101, 103, 104, 105}},
		{`"a\"b"`, `a"b`, []int{101, 102, 104, 105}},
		{`"\u00e9x"`, "éx", []int{101, 101, 107, 108}},
		{`"éx"`, "éx", []int{101, 102, 103, 104}},
		{`"\xffx"`, "\xffx", []int{101, 105, 106}},
		{`"\\x"`, `\x`, []int{101, 103, 104}},
		{`""`, "", []int{101}},
	} {
		got, n, ok := unquote(sourceText(test.literal + "rest"))
		if !ok || n != len(test.literal) || got.text != test.text || !reflect.DeepEqual(got.at, test.at) {
			t.Errorf("unquote(%s) = %q %v, length %d, %v; want %q %v, length %d", test.literal, got.text, got.at, n, ok, test.text, test.at, len(test.literal))
		}
	}
}

func TestParseTagFindsWhatReflectDrops(t *testing.T) {
	for tag, badAt := range map[string]int{
		`json:"a" kixx:"index"`:       -1,
		`  json:"a"   kixx:"index"  `: -1,
		`json:"a"kixx:"index"`:        -1, // reflect takes it too
		`json:"a",kixx:"index"`:       -1, // a key ",kixx", which nobody looks up
		`kixx: "index"`:               100,
		`kixx:index`:                  100,
		`json:"a" kixx:"index`:        114,
		`json:"a" kixx`:               109,
		"json:\"a\"\tkixx:\"x\"":      108,
	} {
		_, got := parseTag(sourceText(tag))
		if got != badAt {
			t.Errorf("parseTag(%s) is bad at %d, want %d", tag, got, badAt)
		}
	}
}

// FuzzTag compares unquote with strconv.Unquote and parseTag with reflect.StructTag, and reads every kixx tag that comes up.
func FuzzTag(f *testing.F) {
	for _, seed := range []string{
		"`json:\"id\" kixx:\"key,auto\"`", `"json:\"id\" kixx:\"index:desc\""`, "`kixx:\"index:name=X,unique:name=Y\"`", "`a:\"\\u00e9\" kixx:\"-\"`",
		"`kixx:\",,::=\"`", `"\x80"`, "`a:\"b\"\r\nkixx:\"c\"`", "`", `"\`, "`kixx:\"index:name=\xff\"`",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, literal string) {
		value, n, ok := unquote(sourceText(literal))
		if want, err := strconv.Unquote(literal); err == nil && literal[0] != '\'' {
			if !ok || n != len(literal) || value.text != want {
				t.Fatalf("unquote(%q) = %q, %d, %v; strconv.Unquote has %q", literal, value.text, n, ok, want)
			}
		} else if ok && n == len(literal) && !strings.ContainsAny(literal, "\r\n") && scans(literal) {
			t.Fatalf("unquote(%q) = %q, strconv.Unquote: %v", literal, value.text, err)
		}
		if !ok {
			return
		}
		if len(value.at) != len(value.text)+1 {
			t.Fatalf("unquote(%q): %d places for %d bytes", literal, len(value.at), len(value.text))
		}
		pairs, _ := parseTag(value)
		first := map[string]bool{}
		for _, p := range pairs {
			if want, has := reflect.StructTag(value.text).Lookup(p.key); !first[p.key] && (!has || want != p.value.text) {
				t.Fatalf("parseTag(%q): %s is %q, reflect has %q, %v", value.text, p.key, p.value.text, want, has)
			}
			first[p.key] = true
			for _, at := range p.value.at {
				if at < 100 || at > 100+len(literal) {
					t.Fatalf("parseTag(%q): place %d is outside", value.text, at)
				}
			}
			for _, o := range parseOptions(p.value) {
				for _, w := range append(o.args, o.name) {
					if w.at < p.value.at[0] || w.at > p.value.at[len(p.value.text)] {
						t.Fatalf("parseOptions(%q): %q at %d is outside", p.value.text, w.text, w.at)
					}
				}
			}
		}
	})
}

// scans reports whether literal is one string literal for the compiler.
func scans(literal string) bool {
	fset := token.NewFileSet()
	bad := false
	var s scanner.Scanner
	s.Init(fset.AddFile("", -1, len(literal)), []byte(literal), func(token.Position, string) { bad = true }, 0)
	_, tok, lit := s.Scan()
	return tok == token.STRING && lit == literal && !bad
}

func TestParseDirective(t *testing.T) {
	for _, test := range []struct {
		line  string
		name  string
		args  []word
		badAt int
	}{
		{"//kixx:entity", "entity", nil, -1},
		{"//kixx:entity\r", "entity", nil, -1},
		{"//kixx:index  A\tB,C:desc  ", "index", []word{{"A", 14}, {"B,C:desc", 16}}, -1},
		{`//kixx:view X func="a b" y`, "view", []word{{"X", 12}, {"func=a b", 14}, {"y", 25}}, -1},
		{"//kixx:view `a\"b`", "view", []word{{`a"b`, 12}}, -1},
		{`//kixx:view func="a`, "view", nil, 17},
		{"//kixx:", "", nil, -1},
	} {
		d, badAt := parseDirective(test.line, 0)
		if d.name.text != test.name || badAt != test.badAt || !reflect.DeepEqual(d.args, test.args) {
			t.Errorf("parseDirective(%q) = %q %v, bad at %d; want %q %v, bad at %d", test.line, d.name.text, d.args, badAt, test.name, test.args, test.badAt)
		}
	}
}

// FuzzDirective checks that every argument stands where it says.
func FuzzDirective(f *testing.F) {
	for _, seed := range []string{"entity name=x", "index A B,C:desc unique version=2", `view X func="f g"`, "view `", "\t\"\\u00e9\" =", "é é=é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line := directivePrefix + text
		d, badAt := parseDirective(line, 0)
		if badAt >= len(line) {
			t.Fatalf("parseDirective(%q) is bad at %d", line, badAt)
		}
		end := 0
		for _, w := range d.args {
			if w.at < end || w.at >= len(line) {
				t.Fatalf("parseDirective(%q): %q at %d", line, w.text, w.at)
			}
			end = w.at + 1
			if !strings.ContainsAny(line, "\"`") && !strings.HasPrefix(line[w.at:], w.text) {
				t.Fatalf("parseDirective(%q): %q does not stand at %d", line, w.text, w.at)
			}
			if a := w.split(); a.name != "" && a.name+"="+a.value != w.text {
				t.Fatalf("split(%q) = %q, %q", w.text, a.name, a.value)
			}
		}
	})
}
