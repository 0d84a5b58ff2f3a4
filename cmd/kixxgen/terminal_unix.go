//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// isTerminal asks for the size of the window, which only a terminal has: /dev/null is a device with characters too.
func isTerminal(f *os.File) (watched, escapes bool) {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil, err == nil
}
