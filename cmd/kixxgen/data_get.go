package main

import (
	"bufio"
	"fmt"
	"text/tabwriter"

	"github.com/kixxgen/kixxgen/internal/inspect"
)

// getCommand is kixxgen data get DIR ENTITY KEY.
type getCommand struct {
	location
	Entity  string `arg:"" help:"Name of the entity."`
	Key     string `arg:"" help:"Key of the document. The parts of one of several fields are separated by slashes: acme/hello."`
	Deleted bool   `help:"Also a document that is marked as deleted."`
	format
}

// Help is shown by --help.
func (*getCommand) Help() string {
	return `Times are written as 2006-01-02T15:04:05Z, UUIDs as usual. A part of a key with a slash in it is put in double quotes.

    kixxgen data get ./data item item:123
    kixxgen data get ./data post 'acme/"a/b"' --format json`
}

// Run shows the document.
func (c *getCommand) Run(env environment) error {
	return c.withDatabase(env, false, func(db *inspect.Database) error {
		doc, err := db.Get(env.ctx, c.Entity, c.Key, c.Deleted)
		if err != nil {
			return err
		}
		if c.of(env) != "table" {
			return c.documents(env, doc.Entity(), []*inspect.Doc{doc})
		}
		return env.write(func(w *bufio.Writer) error {
			cells, err := doc.Cells()
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			fmt.Fprintf(table, "_rev\t%s\n", doc.Rev)
			for i, name := range doc.Entity().Columns() {
				fmt.Fprintf(table, "%s\t%s\n", printable(name, 0), printable(cells[i], 0))
			}
			return table.Flush()
		})
	})
}
