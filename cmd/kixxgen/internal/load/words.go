package load

import (
	"strings"
	"unicode"
)

// words splits a Go name: UserID is User and ID, HTTPServer is HTTP and Server, stock_item is stock and item.
func words(name string) []string {
	var list []string
	runes := []rune(name)
	start := 0
	cut := func(end int) {
		if w := strings.Trim(string(runes[start:end]), "_"); w != "" {
			list = append(list, w)
		}
		start = end
	}
	for i := 1; i < len(runes); i++ {
		switch {
		case runes[i] == '_',
			unicode.IsUpper(runes[i]) && !unicode.IsUpper(runes[i-1]),
			unicode.IsUpper(runes[i]) && i+1 < len(runes) && unicode.IsLower(runes[i+1]) && !(runes[i+1] == 's' && i+2 == len(runes)):
			cut(i)
		}
	}
	cut(len(runes))
	return list
}

// lowerWord returns word as it stands within a sentence: item, but SKU.
func lowerWord(word string) string {
	if len(word) > 1 && strings.ToUpper(word) == word {
		return word
	}
	return strings.ToLower(word)
}

// plural returns the name of a type in a sentence about many: items, order lines, categories.
func plural(name string) string {
	list := words(name)
	for i, w := range list {
		list[i] = lowerWord(w)
	}
	if len(list) > 0 {
		list[len(list)-1] = pluralWord(list[len(list)-1])
	}
	return strings.Join(list, " ")
}

// pluralWord returns the plural of an English noun, as far as endings tell.
func pluralWord(w string) string {
	has := func(endings ...string) bool {
		for _, e := range endings {
			if strings.HasSuffix(w, e) {
				return true
			}
		}
		return false
	}
	switch {
	case w == "person":
		return "people"
	case w == "child":
		return "children"
	case has("ay", "ey", "oy", "uy"):
		return w + "s"
	case has("y"):
		return w[:len(w)-1] + "ies"
	case has("series", "news"):
		return w
	case has("s", "x", "z", "ch", "sh"):
		return w + "es"
	}
	return w + "s"
}

// singular returns the name of one element of what a field name stands for: Tag of Tags, Category of Categories.
func singular(name string) string {
	list := words(name)
	if len(list) == 0 {
		return name
	}
	last := list[len(list)-1]
	one := last
	cut := func(ending, instead string) bool {
		if strings.HasSuffix(last, ending) && len(last) > len(ending)+1 {
			one = strings.TrimSuffix(last, ending) + instead
			return true
		}
		return false
	}
	switch {
	case last == "People":
		one = "Person"
	case last == "Children":
		one = "Child"
	case strings.HasSuffix(last, "ss"), strings.HasSuffix(last, "us"), strings.HasSuffix(last, "series"), strings.HasSuffix(last, "news"):
	case cut("ies", "y"), cut("sses", "ss"), cut("xes", "x"), cut("ches", "ch"), cut("shes", "sh"), cut("s", ""):
	}
	return strings.TrimSuffix(name, last) + one
}

// lowerFirst returns name with its first word in small letters: sku, urlPath, createdAt.
func lowerFirst(name string) string {
	list := words(name)
	if len(list) == 0 {
		return name
	}
	first := list[0]
	if strings.TrimSuffix(first, "s") != strings.ToUpper(strings.TrimSuffix(first, "s")) || len([]rune(first)) == 1 {
		r := []rune(first)
		r[0] = unicode.ToLower(r[0])
		return strings.Replace(name, first, string(r), 1)
	}
	return strings.Replace(name, first, strings.ToLower(first), 1)
}

// lowerCapitals returns name with its leading capitals in small letters, but the one that begins the next word: item,
// urlMap. Names of variables start with it.
func lowerCapitals(name string) string {
	r := []rune(name)
	n := 0
	for n < len(r) && unicode.IsUpper(r[n]) {
		n++
	}
	if n > 1 && n < len(r) {
		n--
	}
	return strings.ToLower(string(r[:n])) + string(r[n:])
}

// upperFirst returns name with a capital first letter.
func upperFirst(name string) string {
	r := []rune(name)
	if len(r) > 0 {
		r[0] = unicode.ToUpper(r[0])
	}
	return string(r)
}
