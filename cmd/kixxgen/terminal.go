package main

import (
	"io"
	"os"
)

// A display says what a person sees of the output. Whatever looks different on a terminal asks it, and nothing else does.
type display struct {
	stdout, stderr bool // a person watches it
	rewrites       bool // a line of stderr can be written over
	colors         bool // stderr shows colours
}

// displayOf returns the display of two streams. getenv is asked for TERM and for NO_COLOR (https://no-color.org), which turns
// colours off whatever its value is.
func displayOf(stdout, stderr io.Writer, getenv func(string) string) display {
	var d display
	d.stdout, _ = terminalOf(stdout)
	watched, escapes := terminalOf(stderr)
	d.stderr = watched
	d.rewrites = watched && escapes && getenv("TERM") != "dumb"
	d.colors = d.rewrites && getenv("NO_COLOR") == ""
	return d
}

// terminalOf reports whether w is a terminal, and whether it knows escape sequences.
func terminalOf(w io.Writer) (watched, escapes bool) {
	f, ok := w.(*os.File)
	if !ok {
		return false, false
	}
	return isTerminal(f)
}
