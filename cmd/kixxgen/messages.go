package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kixxgen/kixxgen/cmd/kixxgen/internal/load"
)

// messages says how mistakes and notes are printed.
type messages struct {
	Format string `help:"How mistakes are printed: text (file:line:col: what is wrong), caret (the same with the line of the source below), or github (annotations of a workflow); caret on a terminal, else text." placeholder:"FORMAT" enum:"auto,text,caret,github" default:"auto"`
}

// of returns the format to use.
func (m messages) of(env environment) string {
	switch {
	case m.Format != "auto" && m.Format != "":
		return m.Format
	case env.display.stderr:
		return "caret"
	}
	return "text"
}

// notes prints notes.
func (m messages) notes(env environment, notes load.Problems) { m.print(env, notes, true) }

// report prints the problems in err, and returns the error to exit with.
func (m messages) report(env environment, err error) error {
	var problems load.Problems
	if errors.As(err, &problems) {
		m.print(env, problems, false)
		return &exit{exitInput, nil}
	}
	var e *exit
	if errors.As(err, &e) {
		return e
	}
	return &exit{exitInput, err}
}

// print prints problems, each on a line of its own, as go vet does; note says that they are notes.
func (m messages) print(env environment, problems load.Problems, note bool) {
	var b strings.Builder
	sources := map[string][]string{}
	for _, p := range problems {
		switch m.of(env) {
		case "github":
			kind := "error"
			if note {
				kind = "notice"
			}
			b.WriteString(annotation(kind, workspace(env), p))
		case "caret":
			writeCaret(&b, env, p, note, sources)
		default:
			if note {
				b.WriteString("note: ")
			}
			b.WriteString(load.Problems{p}.Format(env.dir))
		}
	}
	fmt.Fprint(env.stderr, b.String())
}

// Colours of a terminal.
const (
	bold  = "\x1b[1m"
	red   = "\x1b[1;31m"
	cyan  = "\x1b[1;36m"
	plain = "\x1b[0m"
)

// writeCaret writes p, the line of the source where it is, and a caret below the column. sources are the lines of the files
// that were read.
func writeCaret(b *strings.Builder, env environment, p load.Problem, note bool, sources map[string][]string) {
	paint := func(color, text string) string {
		if !env.display.colors || text == "" {
			return text
		}
		return color + text + plain
	}
	mark := red
	if note {
		mark = cyan
		b.WriteString(paint(mark, "note:") + " ")
	}
	if at := p.Position(env.dir); at != "" {
		b.WriteString(paint(bold, at+":") + " ")
	}
	b.WriteString(p.Text + "\n")
	if p.Line == 0 {
		return
	}
	lines, ok := sources[p.File]
	if !ok {
		src, err := os.ReadFile(p.File)
		if err == nil {
			lines = strings.Split(string(src), "\n")
		}
		sources[p.File] = lines
	}
	if p.Line > len(lines) {
		return // it cannot be read any more, or is a shorter one now
	}
	text, at := excerpt(lines[p.Line-1], p.Col)
	b.WriteString("    " + text + "\n")
	if at >= 0 {
		b.WriteString("    " + strings.Repeat(" ", at) + paint(mark, "^") + "\n")
	}
}

// excerptWidth is how many columns of a line are shown at most.
const excerptWidth = 120

// excerpt returns what to show of a line of source, and in which column of that the byte at col is, which counts from 1.
// If col is 0, the column is -1. Tabs have become blanks, what a terminal would take for a command its number; indentation
// is left out, and of a long line all that is far from col.
func excerpt(line string, col int) (shown string, at int) {
	line = strings.TrimSuffix(line, "\r")
	type cell struct {
		text          string
		column, width int
	}
	var cells []cell
	width := 0
	at = -1
	for i, r := range line {
		if i == 0 && r == '\ufeff' {
			continue // a byte order mark
		}
		if col > 0 && at < 0 && i >= col-1 {
			at = width
		}
		c := cell{string(r), width, runeWidth(r)}
		switch {
		case r == '\t':
			c.text = "    "[width%4:]
			c.width = len(c.text)
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			c.text = strings.Trim(fmt.Sprintf("%+q", r), "'")
			c.width = len(c.text)
		}
		cells = append(cells, c)
		width += c.width
	}
	if col > 0 && at < 0 {
		at = width
	}
	from, to := 0, len(cells)
	for from < to && strings.TrimSpace(cells[from].text) == "" && (at < 0 || cells[from].column < at) {
		from++
	}
	before, behind := "", ""
	start := width
	if from < to {
		start = cells[from].column
	}
	if width-start > excerptWidth {
		left := max(start, min(at-excerptWidth/2, width-excerptWidth))
		for from < to && cells[from].column < left {
			before = "…"
			from++
		}
		for to > from && cells[to-1].column+cells[to-1].width > left+excerptWidth {
			behind = "…"
			to--
		}
		start = cells[from].column
	}
	for _, c := range cells[from:to] {
		shown += c.text
	}
	if at >= 0 {
		at += len([]rune(before)) - start
	}
	return before + shown + behind, at
}

// runeWidth returns how many columns of a terminal r takes: two for the scripts of East Asia and for pictures, none for what
// is put on the letter before it.
func runeWidth(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100 && r <= 0x115F, r >= 0x2E80 && r <= 0x303E, r >= 0x3041 && r <= 0xA4CF, r >= 0xAC00 && r <= 0xD7A3,
		r >= 0xF900 && r <= 0xFAFF, r >= 0xFE30 && r <= 0xFE6F, r >= 0xFF01 && r <= 0xFF60, r >= 0xFFE0 && r <= 0xFFE6,
		r >= 0x1F300 && r <= 0x1F64F, r >= 0x1F680 && r <= 0x1F6FF, r >= 0x1F900 && r <= 0x1F9FF, r >= 0x20000 && r <= 0x3FFFD:
		return 2
	}
	return 1
}

// workspace returns the directory that files of annotations are named from: that of the workflow, if the command runs in one.
func workspace(env environment) string {
	if root := env.getenv("GITHUB_WORKSPACE"); root != "" {
		if rel, err := filepath.Rel(root, env.dir); err == nil && filepath.IsLocal(rel) {
			return root
		}
	}
	return env.dir
}

// annotation returns a command of a GitHub workflow, with which p is shown at its line in a pull request.
//
// See https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands.
func annotation(kind, root string, p load.Problem) string {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	where := ""
	if p.File != "" {
		where = " file=" + property.Replace(filepath.ToSlash(load.Problem{File: p.File}.Position(root)))
		if p.Line > 0 {
			where += fmt.Sprintf(",line=%d", p.Line)
		}
		if p.Col > 0 {
			where += fmt.Sprintf(",col=%d", p.Col)
		}
	}
	return "::" + kind + where + "::" + data.Replace(p.Text) + "\n"
}
