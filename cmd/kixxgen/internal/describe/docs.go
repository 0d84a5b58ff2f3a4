package describe

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/internal/hint"
)

// Markers of a place for a description. Between begin and --> may be a form, and names of entities.
const (
	beginMarker = "<!-- kixxgen:begin"
	endMarker   = "<!-- kixxgen:end -->"
)

// A DocsError is what is wrong with the markers of a document.
type DocsError struct {
	Line int // from 1; 0 for the document as a whole
	Text string
}

func (e *DocsError) Error() string { return e.Text }

// Docs returns a Markdown document in which what is between the markers is the description of today. Markers in a fenced block
// are none, so that a document can show them. Line ends are those of the document. The error is a [*DocsError].
func (d *Description) Docs(doc []byte) ([]byte, error) {
	newline := "\n"
	if bytes.Contains(doc, []byte("\r\n")) {
		newline = "\r\n"
	}
	var out strings.Builder
	fence, begun, places, number := "", 0, 0, 0
	for line := range strings.Lines(string(doc)) {
		number++
		text := strings.TrimSpace(line)
		if fence != "" || begun == 0 && (strings.HasPrefix(text, "```") || strings.HasPrefix(text, "~~~")) {
			marks := text[:len(text)-len(strings.TrimLeft(text, text[:min(1, len(text))]))]
			switch {
			case fence == "":
				fence = marks
			case strings.HasPrefix(text, fence) && marks == text:
				fence = ""
			}
			out.WriteString(line)
			continue
		}
		switch {
		case strings.HasPrefix(text, beginMarker):
			if begun > 0 {
				return nil, &DocsError{begun, "this place for a description has no " + endMarker + " before the next one begins"}
			}
			words, closed := strings.CutSuffix(strings.TrimPrefix(text, beginMarker), "-->")
			if !closed {
				return nil, &DocsError{number, "want the whole marker in one line: " + beginMarker + " -->"}
			}
			block, err := d.block(strings.Fields(words))
			if err != nil {
				return nil, &DocsError{number, err.Error()}
			}
			places++
			begun = number
			out.WriteString(strings.TrimRight(line, "\r\n") + newline + strings.ReplaceAll(block, "\n", newline))
		case text == endMarker:
			if begun == 0 {
				return nil, &DocsError{number, "there is no " + beginMarker + " --> above this"}
			}
			begun = 0
			out.WriteString(line)
		case begun == 0:
			out.WriteString(line)
		}
	}
	switch {
	case begun > 0:
		return nil, &DocsError{begun, "this place for a description has no end: add the line " + endMarker + " below it"}
	case places == 0:
		return nil, &DocsError{0, "there is no place for a description: add the lines " + beginMarker + " --> and " + endMarker}
	}
	return []byte(out.String()), nil
}

// forms are the forms that a description can have in a document, and the languages of their fenced blocks.
var forms = []struct {
	name, language string
	write          func(*Description, io.Writer) error
}{
	{"mermaid", "mermaid", (*Description).Mermaid},
	{"table", "text", (*Description).Table},
	{"sql", "sql", (*Description).SQL},
	{"json", "json", (*Description).JSON},
}

// block returns the fenced block for the words of a marker: a form, or mermaid if there is none, and names of entities.
func (d *Description) block(words []string) (string, error) {
	form := forms[0]
	known := d.Names()
	for _, f := range forms {
		if len(words) > 0 && words[0] == f.name {
			form, words = f, words[1:]
			break
		}
		known = append(known, f.name)
	}
	d, missing := d.Only(words...)
	if missing != "" {
		slices.Sort(known)
		return "", fmt.Errorf("there is no entity %q in the packages that are described%s", missing, hint.Nearest(missing, slices.Compact(known)...))
	}
	var b strings.Builder
	b.WriteString("```" + form.language + "\n")
	if err := form.write(d, &b); err != nil {
		return "", err
	}
	return b.String() + "```\n", nil
}
