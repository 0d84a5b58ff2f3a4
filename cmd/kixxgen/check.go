package main

import (
	"bytes"
	"fmt"
	"path/filepath"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/kixxgen/kixxgen/cmd/kixxgen/internal/load"
	"github.com/kixxgen/kixxgen/cmd/kixxgen/internal/output"
)

// checkCommand is kixxgen check [packages].
type checkCommand struct{ outcome }

// Help is shown by --help.
func (*checkCommand) Help() string {
	return `It writes nothing, needs no build, and exits with 0 if all is fresh, 1 and a diff if not, 2 if it is called in a wrong
way, and 3 if the packages have mistakes. So it can be the first step of a CI job.

    kixxgen check ./...
    kixxgen check --format=github --docs README.md ./...

What it asks for is made by kixxgen with the same packages and files.`
}

// Run prints a unified diff for each file that is stale, missing, or should not be there.
func (c *checkCommand) Run(env environment) error {
	changes, err := c.plan(env)
	if err != nil || len(changes) == 0 {
		return err
	}
	for _, change := range changes {
		env.stdout.Write(unified(env.dir, change))
	}
	if c.messages.of(env) == "github" {
		var stale load.Problems
		for _, change := range changes {
			stale = append(stale, load.Problem{File: change.Path, Text: "is stale; run kixxgen"})
		}
		c.messages.print(env, stale, false)
	}
	what := "file is stale"
	if len(changes) > 1 {
		what = "files are stale"
	}
	again := "kixxgen"
	for _, name := range c.Docs {
		again += " --docs " + name
	}
	return &exit{exitStale, fmt.Errorf("%d %s; run %s", len(changes), what, again)}
}

// unified returns a change as a unified diff. Paths inside dir are relative to it.
func unified(dir string, c output.Change) []byte {
	name := c.Path
	if rel, err := filepath.Rel(dir, name); err == nil && filepath.IsLocal(rel) {
		name = rel
	}
	name = filepath.ToSlash(name)
	from, to := name, name
	if c.Old == nil {
		from = "/dev/null"
	}
	if c.New == nil {
		to = "/dev/null"
	}
	return diff.Diff(from, bytes.ReplaceAll(c.Old, []byte("\r\n"), []byte("\n")), to, bytes.ReplaceAll(c.New, []byte("\r\n"), []byte("\n")))
}
