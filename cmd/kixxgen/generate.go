package main

import (
	"fmt"
	"strings"

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

// generateCommand is kixxgen [packages].
type generateCommand struct {
	selection
	messages
}

// Run writes the files that are stale, all of them or none.
func (c *generateCommand) Run(env environment) error {
	changes, err := c.plan(env, c.messages)
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
	result, err := load.Load(env.ctx, load.Config{Dir: env.dir, Patterns: patterns, Tags: s.Tags, GOOS: s.GOOS})
	if err != nil {
		return nil, m.report(env, err)
	}
	m.notes(env, result.Notes)
	return result, nil
}

// plan loads the packages, renders their files and returns which of those on disk must change.
func (s *selection) plan(env environment, m messages) ([]output.Change, error) {
	result, err := s.load(env, m)
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
		return nil, m.report(env, err)
	}
	return changes, nil
}
