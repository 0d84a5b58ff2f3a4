package load

import (
	"strconv"
	"strings"
)

// A quoted is the text of a Go string literal that remembers where in the source each byte of it stands.
type quoted struct {
	text string
	at   []int // at[i] is the source offset of text[i]; one longer than text: the end
}

// part returns the part of q that starts at i and is n bytes long.
func (q quoted) part(i, n int) quoted {
	return quoted{q.text[i : i+n], q.at[i : i+n+1]}
}

// unquote reads the string literal that starts at q.text[0] and returns its value and its length in q.text. It reports
// false if there is none. Raw strings lose their carriage returns, as the compiler has it.
//
// It is used twice: for the literal of a tag in the source, and for the Go string of one key inside the tag's text.
func unquote(q quoted) (value quoted, length int, ok bool) {
	if q.text == "" {
		return quoted{}, 0, false
	}
	var b []byte
	var at []int
	quote := q.text[0]
	switch quote {
	case '`':
		for i := 1; i < len(q.text); i++ {
			switch q.text[i] {
			case '`':
				return quoted{string(b), append(at, q.at[i])}, i + 1, true
			case '\r':
			default:
				b, at = append(b, q.text[i]), append(at, q.at[i])
			}
		}
	case '"':
		rest := q.text[1:]
		for rest != "" {
			i := len(q.text) - len(rest)
			if rest[0] == '"' {
				return quoted{string(b), append(at, q.at[i])}, i + 1, true
			}
			r, multibyte, tail, err := strconv.UnquoteChar(rest, '"')
			if err != nil || rest[0] == '\n' {
				return quoted{}, 0, false
			}
			rest = tail
			char := string(r)
			if r < 256 && !multibyte {
				char = string([]byte{byte(r)})
			}
			plain := strings.HasPrefix(q.text[i:], char) // not an escape: each byte has its own place
			for j := range len(char) {
				b = append(b, char[j])
				if plain {
					at = append(at, q.at[i+j])
				} else {
					at = append(at, q.at[i])
				}
			}
		}
	}
	return quoted{}, 0, false
}

// literal returns the value of the string literal at offset in src.
func literal(src []byte, offset, length int) (quoted, bool) {
	at := make([]int, length+1)
	for i := range at {
		at[i] = offset + i
	}
	value, _, ok := unquote(quoted{string(src[offset : offset+length]), at})
	return value, ok
}

// A tagPair is one key:"value" of a struct tag.
type tagPair struct {
	key   string
	at    int // source offset of the key
	value quoted
}

// parseTag splits a struct tag by the rules of [reflect.StructTag]. What reflect would drop in silence is an error, with
// its source offset: badAt is -1 if there is none.
func parseTag(tag quoted) (pairs []tagPair, badAt int) {
	i := 0
	for {
		for i < len(tag.text) && tag.text[i] == ' ' {
			i++
		}
		if i == len(tag.text) {
			return pairs, -1
		}
		start := i
		for i < len(tag.text) && tag.text[i] > ' ' && tag.text[i] != ':' && tag.text[i] != '"' && tag.text[i] != 0x7f {
			i++
		}
		if i == start || i+1 >= len(tag.text) || tag.text[i] != ':' || tag.text[i+1] != '"' {
			return pairs, tag.at[start]
		}
		key := tag.text[start:i]
		i++
		value, n, ok := unquote(tag.part(i, len(tag.text)-i))
		if !ok {
			return pairs, tag.at[i]
		}
		pairs = append(pairs, tagPair{key, tag.at[start], value})
		i += n
	}
}

// A word is a piece of an annotation with its source offset.
type word struct {
	text string
	at   int
}

// An option is one option of a kixx tag: "index:desc", "index:name=X", "created".
type option struct {
	name word
	args []word // what follows after colons
}

// parseOptions splits the value of a kixx tag at its commas and colons. Empty options are kept: the caller reports them.
func parseOptions(value quoted) []option {
	var options []option
	for _, piece := range split(value, ',') {
		parts := split(piece, ':')
		o := option{name: word{parts[0].text, parts[0].at[0]}}
		for _, p := range parts[1:] {
			o.args = append(o.args, word{p.text, p.at[0]})
		}
		options = append(options, o)
	}
	return options
}

// split splits q at each separator.
func split(q quoted, sep byte) []quoted {
	var parts []quoted
	for start := 0; ; {
		n := strings.IndexByte(q.text[start:], sep)
		if n < 0 {
			return append(parts, q.part(start, len(q.text)-start))
		}
		parts = append(parts, q.part(start, n))
		start += n + 1
	}
}
