package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/kixxgen/kixxgen/cmd/kixxgen/internal/describe"
	"github.com/kixxgen/kixxgen/cmd/kixxgen/internal/load"
	"github.com/kixxgen/kixxgen/cmd/kixxgen/internal/output"
	"github.com/kixxgen/kixxgen/templates"
)

// selection says what to generate for. Every command that reads packages has it.
type selection struct {
	Tags     string   `help:"Build tags, separated by commas." placeholder:"LIST"`
	GOOS     string   `name:"goos" help:"Operating system to generate for." placeholder:"OS"`
	Packages []string `arg:"" optional:"" help:"Packages, as for go build; the one in the working directory if there are none."`
}

// outcome says which files the packages are held against. Generating and checking have the same, so that one makes what the
// other asks for.
type outcome struct {
	selection
	messages
	Docs []string `help:"Markdown file in which to keep a description between the lines <!-- kixxgen:begin --> and <!-- kixxgen:end -->." placeholder:"FILE"`
}

// generateCommand is kixxgen [packages].
type generateCommand struct{ outcome }

// Help is shown by --help.
func (*generateCommand) Help() string {
	return `For each struct with the comment //kixx:entity a file is written beside it, all of them or none. The manual has the
annotations: go doc github.com/kixxgen/kixxgen/cmd/kixxgen.

    kixxgen
    kixxgen ./...
    kixxgen --docs README.md ./...

A package that is called as a command is named by its path: kixxgen ./check.`
}

// Run writes the files that are stale, all of them or none.
func (c *generateCommand) Run(env environment) error {
	changes, err := c.plan(env)
	if err != nil {
		return err
	}
	if err := output.Apply(changes); err != nil {
		return &exit{exitStale, err}
	}
	return nil
}

// load loads the packages. Mistakes and notes are printed.
func (s *selection) load(env environment, m messages) (*load.Result, error) {
	patterns := s.Packages
	if len(patterns) == 0 {
		patterns = []string{"."}
	}
	for _, p := range patterns {
		if strings.HasPrefix(p, "-") {
			return nil, usage("unknown flag %s", p)
		}
	}
	debug.SetGCPercent(400) // memory that a short run would not need again: a tenth less time for 90 MB
	result, err := load.Load(env.ctx, load.Config{Dir: env.dir, Patterns: patterns, Tags: s.Tags, GOOS: s.GOOS})
	if err != nil {
		return nil, m.report(env, s.explained(env, err))
	}
	m.notes(env, result.Notes)
	return result, nil
}

// plan loads the packages, renders their files and returns which of those on disk must change. Mistakes and notes are
// printed.
func (o *outcome) plan(env environment) ([]output.Change, error) {
	result, err := o.load(env, o.messages)
	if err != nil {
		return nil, err
	}
	var wants []output.Directory
	for _, p := range result.Packages {
		want := output.Directory{Path: p.Dir, Keep: p.Keep, Files: map[string][]byte{}}
		for _, model := range p.Models {
			files, err := templates.Render(model)
			if err != nil {
				return nil, &exit{exitInput, fmt.Errorf("package %s: %w", model.Path, err)}
			}
			for name, content := range files {
				want.Files[name] = content
			}
		}
		if p.Schema != nil {
			want.Files[load.SchemaFile] = p.Schema
		}
		for name, content := range p.Samples {
			want.Files[name] = content
		}
		wants = append(wants, want)
	}
	changes, err := output.Plan(wants)
	if err != nil {
		return nil, o.report(env, err)
	}
	edits, err := o.docs(env, result)
	return append(changes, edits...), err
}

// docs returns which files of documentation must change. What is wrong with their markers is printed.
func (o *outcome) docs(env environment, result *load.Result) ([]output.Change, error) {
	d := describe.New(models(result))
	var changes []output.Change
	var problems load.Problems
	for _, name := range o.Docs {
		if !filepath.IsAbs(name) {
			name = filepath.Join(env.dir, name)
		}
		edits, err := output.Edit(name, d.Docs)
		var wrong *describe.DocsError
		var failed *fs.PathError
		switch {
		case errors.As(err, &wrong):
			problems = append(problems, load.Problem{File: name, Line: wrong.Line, Text: wrong.Text})
		case errors.As(err, &failed):
			problems = append(problems, load.Problem{File: name, Text: failed.Err.Error()})
		case err != nil:
			return nil, err
		}
		changes = append(changes, edits...)
	}
	if problems != nil {
		return nil, o.report(env, problems)
	}
	return changes, nil
}
