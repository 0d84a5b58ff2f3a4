//go:build !unix && !windows

package main

import "os"

// isTerminal knows of no terminals on this system.
func isTerminal(*os.File) (watched, escapes bool) { return false, false }
