package load

import (
	"fmt"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

// A Problem is one mistake in the input, or a note about it.
type Problem struct {
	File string // absolute; "" if it concerns no file
	Line int    // from 1; 0 if it concerns no line
	Col  int    // in bytes, from 1; 0 if it concerns the whole line
	Text string // what is wrong and what would be right
}

// Problems are all the mistakes of a run, sorted by file, line and column, each one once. Load returns them as its error.
type Problems []Problem

// Error returns all problems, one per line, with absolute paths.
func (ps Problems) Error() string { return ps.Format("") }

// Format returns all problems, one per line and each line ended, as "file:line:col: text". Paths inside dir are relative
// to it.
func (ps Problems) Format(dir string) string {
	var b strings.Builder
	for _, p := range ps {
		if at := p.Position(dir); at != "" {
			b.WriteString(at + ": ")
		}
		b.WriteString(p.Text)
		b.WriteByte('\n')
	}
	return b.String()
}

// Position returns "file:line:col", without what is not known. A path inside dir is relative to it.
func (p Problem) Position(dir string) string {
	if p.File == "" {
		return ""
	}
	at := relative(dir, p.File)
	if p.Line > 0 {
		at += fmt.Sprintf(":%d", p.Line)
	}
	if p.Col > 0 {
		at += fmt.Sprintf(":%d", p.Col)
	}
	return at
}

// relative returns file as seen from dir, with slashes of the system, if dir contains it; else file.
func relative(dir, file string) string {
	if dir == "" {
		return file
	}
	if rel, err := filepath.Rel(dir, file); err == nil && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return rel
	}
	return file
}

// sorted returns ps by position, without repetitions.
func (ps Problems) sorted() Problems {
	slices.SortFunc(ps, func(a, b Problem) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		if a.Col != b.Col {
			return a.Col - b.Col
		}
		return strings.Compare(a.Text, b.Text)
	})
	return slices.Compact(ps)
}

// A report collects problems and notes.
type report struct {
	fset     *token.FileSet
	problems Problems
	notes    Problems
}

// at adds a problem at pos. A user's //line directives are not followed: they would send him to another file.
func (r *report) at(pos token.Pos, format string, args ...any) {
	r.problems = append(r.problems, r.problem(pos, format, args...))
}

// note adds a note at pos.
func (r *report) note(pos token.Pos, format string, args ...any) {
	r.notes = append(r.notes, r.problem(pos, format, args...))
}

func (r *report) problem(pos token.Pos, format string, args ...any) Problem {
	p := r.fset.PositionFor(pos, false)
	return Problem{File: p.Filename, Line: p.Line, Col: p.Column, Text: fmt.Sprintf(format, args...)}
}

// where returns pos as "file.go:12", for use inside a message.
func (r *report) where(pos token.Pos) string {
	p := r.fset.PositionFor(pos, false)
	return fmt.Sprintf("%s:%d", filepath.Base(p.Filename), p.Line)
}
