package templates

import (
	"strings"
	"unicode"
)

// Singular returns the name of the entity as words in a sentence: stock item.
func (e *Entity) Singular() string {
	var b strings.Builder
	runes := []rune(e.Name)
	for i, r := range runes {
		// A word begins at a capital after a small letter, and at the last capital of several: HTTPServer is http server.
		if i > 0 && unicode.IsUpper(r) && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// article returns "a" or "an", whichever comes before word.
func article(word string) string {
	if strings.ContainsAny(word[:1], "aeiouAEIOU") {
		return "an"
	}
	return "a"
}

// plural returns the name of a field for several of it: IDs.
func plural(name string) string {
	if strings.HasSuffix(name, "s") {
		return name
	}
	return name + "s"
}

// join returns "A", "A and B", "A, B and C".
func join(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	n := len(words) - 1
	return strings.Join(words[:n], ", ") + " and " + words[n]
}

// with returns what all documents of an equality query have in common: "with this Category and Price".
func with(fields []*IndexField) string {
	var same, among []string
	for _, f := range fields {
		if f.Each {
			among = append(among, f.Param+" among their "+f.Field.GoName())
		} else {
			same = append(same, f.Field.GoName())
		}
	}
	switch {
	case len(among) == 0:
		return "with this " + join(same)
	case len(same) == 0:
		return "with this " + join(among)
	}
	return "with this " + join(same) + " and this " + join(among)
}

// order returns the order of an index field: "in the order of Price, highest first".
func order(f *IndexField) string {
	name := f.Field.GoName()
	if f.Each {
		name = "their " + name
	}
	if !f.Desc {
		return "in the order of " + name
	}
	switch f.Key.Kind {
	case Time:
		return "in the order of " + name + ", latest first"
	case Int, Uint, Float:
		return "in the order of " + name + ", highest first"
	}
	return "in the descending order of " + name
}

// notFound returns a sentence about documents that have no entry in an index, or "".
func notFound(fields []*IndexField) string {
	var names []string
	for _, f := range fields {
		if f.Deref && !f.Each {
			names = append(names, f.Field.GoName())
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " One whose " + strings.Join(names, " or ") + " is nil is not found."
}

// capital returns word with a capital first letter.
func capital(word string) string { return strings.ToUpper(word[:1]) + word[1:] }
