package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// isTerminal asks for the mode of the console, which only a console has.
func isTerminal(f *os.File) (watched, escapes bool) {
	var mode uint32
	err := windows.GetConsoleMode(windows.Handle(f.Fd()), &mode)
	return err == nil, err == nil && mode&windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING != 0
}
