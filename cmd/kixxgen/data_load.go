package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/kixxgen/kixxgen/internal/inspect"
)

// loadCommand is kixxgen data load DIR FILE.
type loadCommand struct {
	location
	File      string `arg:"" help:"File with lines of JSON, - for standard input."`
	Entity    string `help:"Entity of all lines. Without it each line says its own." placeholder:"NAME"`
	Plain     bool   `help:"A line is a document, with nothing around it."`
	Keep      bool   `help:"Documents that are there already stay." xor:"existing"`
	Replace   bool   `help:"Documents that are there already are written over; their revisions count on." xor:"existing"`
	DryRun    bool   `help:"Check everything, and change nothing."`
	From      int    `help:"Line to begin with." default:"1" placeholder:"LINE"`
	Unchecked bool   `help:"Load although the application runs hooks or validation on what it writes."`
	Rebuild   bool   `help:"Load although there are views, which only the application can keep: it builds them anew when it opens the database."`
}

// Help is shown by --help.
func (*loadCommand) Help() string {
	return `Lines are those of dump, or documents alone with --plain. Fields that are missing have their zero values; one that the
schema does not have is an error. Indexes and unique values are kept right. A document of a dump keeps its revision and
its times.

The code of the application is not here. So what it checks and changes on writing is not done, which --unchecked allows,
and views and other indexes that are made by its functions are not kept, which --rebuild allows.

A load stops at the first line that is refused, and says which one; all lines before it are in. Go on with --from, or
begin again with --keep. The database must not be open elsewhere.

    kixxgen data load ./data all.jsonl --dry-run
    kixxgen data load ./data items.jsonl --entity item --plain`
}

// Run stores the documents.
func (c *loadCommand) Run(env environment) error {
	if c.Plain && c.Entity == "" {
		return usage("--plain wants --entity")
	}
	if c.From < 1 {
		return usage("--from %d: lines begin with 1", c.From)
	}
	name, r := "standard input", io.Reader(env.stdin)
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return &exit{exitUsage, err}
		}
		defer f.Close()
		name, r = c.File, f
	}
	return c.withDatabase(env, !c.DryRun, func(db *inspect.Database) error {
		p := newProgress(env)
		in, err := db.Load(env.ctx, r, inspect.LoadOptions{
			Entity:    c.Entity,
			Plain:     c.Plain,
			Keep:      c.Keep,
			Replace:   c.Replace,
			Unchecked: c.Unchecked,
			Rebuild:   c.Rebuild,
			First:     c.From,
			Now:       time.Now,
			Progress: func(in inspect.Loaded) {
				p.show("%s, up to line %d", counted(in.Docs, "document"), in.Lines)
			},
		})
		p.done()
		switch {
		case c.DryRun && err == nil:
			fmt.Fprintf(env.stderr, "%s can be loaded\n", counted(in.Docs, "document"))
		case c.DryRun:
		case err == nil:
			fmt.Fprintf(env.stderr, "%s loaded\n", counted(in.Docs, "document"))
		case in.Docs > 0:
			fmt.Fprintf(env.stderr, "%s up to line %d are loaded; go on with --from %d\n", counted(in.Docs, "document"), in.Lines, in.Lines+1)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return err
	})
}
