// Package hint says what was probably meant.
package hint

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Typo reports whether given is known but for the case of its letters and one more mistake.
func Typo(given, known string) bool {
	return given != known && levenshtein.ComputeDistance(strings.ToLower(given), strings.ToLower(known)) <= 1
}

// Nearest returns a hint that names the known word most like the one given, if there is one like it, else all of them.
func Nearest(given string, known ...string) string {
	if best := Like(given, known...); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	if len(known) == 0 {
		return ""
	}
	return "; known: " + strings.Join(known, ", ")
}

// Like returns the known word most like the one given, or "" if none is like it.
func Like(given string, known ...string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(given), strings.ToLower(strings.Trim(k, "="))); d < distance && d < len(given) {
			best, distance = k, d
		}
	}
	return best
}
