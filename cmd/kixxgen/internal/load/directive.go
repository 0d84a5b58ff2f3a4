package load

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A directive is one //kixx: line.
type directive struct {
	at   int  // source offset of the "//"
	name word // "entity", "index", "view", "migrate"
	args []word
}

// parseDirective parses a line that starts with "//kixx:" at source offset at. Arguments are separated by blanks; one
// that holds blanks is written as a Go string, also after "name=". A quote that is not closed is an error, with its
// source offset: badAt is -1 if there is none.
func parseDirective(line string, at int) (d directive, badAt int) {
	line = strings.TrimRight(line, " \t\r\n")
	d = directive{at: at}
	rest := line[len("//kixx:"):]
	n := strings.IndexAny(rest, " \t")
	if n < 0 {
		n = len(rest)
	}
	d.name = word{rest[:n], at + len("//kixx:")}
	for i := len("//kixx:") + n; i < len(line); {
		if line[i] == ' ' || line[i] == '\t' {
			i++
			continue
		}
		w := word{at: at + i}
		var b strings.Builder
		for i < len(line) && line[i] != ' ' && line[i] != '\t' {
			if line[i] != '"' && line[i] != '`' {
				b.WriteByte(line[i])
				i++
				continue
			}
			text, err := strconv.QuotedPrefix(line[i:])
			if err != nil {
				return d, at + i
			}
			value, err := strconv.Unquote(text)
			if err != nil {
				return d, at + i
			}
			b.WriteString(value)
			i += len(text)
		}
		w.text = b.String()
		d.args = append(d.args, w)
	}
	return d, -1
}

// An argument is an argument of a directive: a bare word, or name=value.
type argument struct {
	word
	name, value string // both "" if there is no "="
	valueAt     int    // source offset of the value
}

// split returns w as an argument.
func (w word) split() argument {
	name, value, found := strings.Cut(w.text, "=")
	if !found {
		return argument{word: w}
	}
	return argument{w, name, value, w.at + len(name) + 1}
}

// exported reports whether name is an identifier that starts with a capital letter: it can follow QueryBy.
func exported(name string) bool {
	first, _ := utf8.DecodeRuneInString(name)
	if !unicode.IsUpper(first) {
		return false
	}
	for _, r := range name {
		if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return false
		}
	}
	return true
}
