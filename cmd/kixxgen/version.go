package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCommand is kixxgen version.
type versionCommand struct{}

// Help is shown by --help.
func (versionCommand) Help() string {
	return `It is what a report of a mistake should have.

    kixxgen version`
}

// Run prints the version of the module that the command was built from.
func (versionCommand) Run(env environment) error {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
		for _, dep := range info.Deps { // go tool builds it as part of another module
			if dep.Path == "github.com/kixxgen/kixxgen" {
				version = dep.Version
			}
		}
	}
	_, err := fmt.Fprintf(env.stdout, "kixxgen %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
