// Package storedtype reads the types of fields as schemas have them.
package storedtype

import (
	"fmt"
	"strconv"
	"strings"
)

// A Type is the type of a field as a schema has it: int16, *time, []string, [3]uint16, map[string]int,
// struct{w float64; h float64}, and ^n for the struct n levels up.
type Type struct {
	Head   string // "int16", "*", "[]", "[3]", "map", "struct", "^1"
	Parts  []Type
	Fields []string // of a struct, the names of its parts
}

// Dropped is the type of a field that a schema knows and does not keep.
const Dropped = "drop"

// compatible reports whether a value of one type can be read as the other one: they are the same, but for fields that
// only one of two structs has. What one of them drops is never read as anything.
func (a Type) compatible(b Type) bool {
	if a.Head == Dropped || b.Head == Dropped {
		return true
	}
	if a.Head != b.Head {
		return false
	}
	if a.Head != "struct" {
		for i := range a.Parts {
			if !a.Parts[i].compatible(b.Parts[i]) {
				return false
			}
		}
		return true
	}
	for i, name := range a.Fields {
		for j := range b.Fields {
			if b.Fields[j] == name && !a.Parts[i].compatible(b.Parts[j]) {
				return false
			}
		}
	}
	return true
}

// Compatible compares two texts. One that cannot be parsed, of a newer version, is compatible with itself alone.
func Compatible(a, b string) bool {
	if a == b {
		return true
	}
	x, restX, errX := Parse(a)
	y, restY, errY := Parse(b)
	return errX == nil && errY == nil && restX == "" && restY == "" && x.compatible(y)
}

// maxTypeDepth bounds the nesting of a text that comes from a database.
const maxTypeDepth = 100

// Parse reads one type from the start of s and returns what comes after it.
func Parse(s string) (t Type, rest string, err error) { return parse(s, 0) }

func parse(s string, depth int) (t Type, rest string, err error) {
	part := func(s string) (string, error) {
		p, rest, err := parse(s, depth+1)
		t.Parts = append(t.Parts, p)
		return rest, err
	}
	switch {
	case depth > maxTypeDepth:
		return t, s, fmt.Errorf("nested too deeply")
	case strings.HasPrefix(s, "*"):
		t.Head = "*"
		rest, err = part(s[1:])
		return t, rest, err
	case strings.HasPrefix(s, "["):
		n := strings.IndexByte(s, ']') + 1
		if n == 0 {
			return t, s, fmt.Errorf("no ] in %q", s)
		}
		t.Head = s[:n]
		rest, err = part(s[n:])
		return t, rest, err
	case strings.HasPrefix(s, "map["):
		t.Head = "map"
		if rest, err = part(s[len("map["):]); err != nil {
			return t, rest, err
		}
		if rest, err = cut(rest, "]"); err != nil {
			return t, rest, err
		}
		rest, err = part(rest)
		return t, rest, err
	case strings.HasPrefix(s, "struct{"):
		t.Head = "struct"
		rest = s[len("struct{"):]
		for !strings.HasPrefix(rest, "}") {
			if len(t.Fields) > 0 {
				if rest, err = cut(rest, "; "); err != nil {
					return t, rest, err
				}
			}
			var name string
			if quoted, qerr := strconv.QuotedPrefix(rest); qerr == nil {
				name, _ = strconv.Unquote(quoted)
				rest, err = cut(rest[len(quoted):], " ")
			} else if n := strings.IndexByte(rest, ' '); n > 0 {
				name, rest = rest[:n], rest[n+1:]
			} else {
				err = fmt.Errorf("no name in %q", rest)
			}
			if err != nil {
				return t, rest, err
			}
			t.Fields = append(t.Fields, name)
			if rest, err = part(rest); err != nil {
				return t, rest, err
			}
		}
		return t, rest[1:], nil
	}
	n := strings.IndexAny(s, "];} ")
	if n < 0 {
		n = len(s)
	}
	if n == 0 {
		return t, s, fmt.Errorf("no type in %q", s)
	}
	t.Head = s[:n]
	return t, s[n:], nil
}

// cut takes what s must begin with off it.
func cut(s, prefix string) (string, error) {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return s, fmt.Errorf("%q is not followed by %q", s, prefix)
	}
	return rest, nil
}
