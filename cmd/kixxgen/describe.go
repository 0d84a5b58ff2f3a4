package main

import (
	"bufio"

	"github.com/kixxgen/kixxgen/cmd/kixxgen/internal/describe"
	"github.com/kixxgen/kixxgen/cmd/kixxgen/internal/load"
	"github.com/kixxgen/kixxgen/templates"
)

// describeCommand is kixxgen describe [packages].
type describeCommand struct {
	selection
	Format string `help:"table, json, mermaid (a diagram that GitHub draws), sql or views; table unless it is given." placeholder:"FORMAT" enum:"auto,table,json,mermaid,sql,views" default:"auto"`
	SQL    bool   `name:"sql" help:"The same as --format sql: tables and indexes as a person would make them in PostgreSQL."`
}

// Help is shown by --help.
func (*describeCommand) Help() string {
	return `It shows the entities with the names and types under which fields are stored, the key, each index and view with its
methods, hooks and validation, and says which index another one makes superfluous. The packages need not build, and the
generated files need not be there.

    kixxgen describe
    kixxgen describe ./... --format mermaid
    kixxgen describe ./inventory --sql

With --format views it is SQL again: views with typed columns over the documents of a store in PostgreSQL that was opened
with json=on, for people and programs that read with SQL.

    kixxgen describe ./... --format views | psql "$DATABASE_URL"

kixxgen --docs README.md keeps the diagram in a file.`
}

// Run writes the description.
func (c *describeCommand) Run(env environment) error {
	format := c.Format
	if c.SQL {
		if format != "auto" && format != "sql" {
			return usage("--format %s and --sql: want one of them", format)
		}
		format = "sql"
	}
	result, err := c.load(env, messages{})
	if err != nil {
		return err
	}
	d := describe.New(models(result))
	return env.write(func(w *bufio.Writer) error {
		switch format {
		case "json":
			return d.JSON(w)
		case "mermaid":
			return d.Mermaid(w)
		case "sql":
			return d.SQL(w)
		case "views":
			return d.SQLViews(w)
		}
		return d.Table(w)
	})
}

// models returns the models of all packages.
func models(result *load.Result) []*templates.Package {
	var list []*templates.Package
	for _, p := range result.Packages {
		list = append(list, p.Models...)
	}
	return list
}
