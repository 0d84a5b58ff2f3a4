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
	_, err := fmt.Fprintf(env.stdout, "kixxgen %s %s %s/%s\n", ownVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// ownVersion returns the version of the module that the command was built from, or "(devel)".
func ownVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	for _, dep := range info.Deps { // go tool builds it as part of another module
		if dep.Path == modulePath {
			return dep.Version
		}
	}
	return info.Main.Version
}
