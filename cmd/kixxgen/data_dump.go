package main

import (
	"bufio"

	"github.com/kixxgen/kixxgen/internal/inspect"
)

// dumpCommand is kixxgen data dump DIR.
type dumpCommand struct {
	location
	Entity  []string `help:"Entity to dump, all unless it is given." placeholder:"NAME"`
	Plain   bool     `help:"Write the documents alone, of one entity, without key and revision around them."`
	Deleted bool     `help:"Also documents that are marked as deleted."`
}

// Help is shown by --help.
func (*dumpCommand) Help() string {
	return `Each line is one document, in the order of the entities and of their keys, all as they were at one moment:

    {"entity":"item","key":"item:1","rev":"3-9f86d081","doc":{"id":"item:1","title":"Lamp",…}}

Load takes such lines, and stores the same documents with the same revisions. Times are RFC 3339, bytes are base64,
numbers have all their digits. What JSON has no form for is an object with one name that begins with $, as
{"$float":"NaN"}; fields that the schema does not know are in "$unknown". A document that lacks a migration, which
only the application has, is written without, with the "level" it is at.

The files stay as they are. The database must not be open elsewhere.

    kixxgen data dump ./data > all.jsonl
    kixxgen data dump ./data --entity item --plain | jq .title`
}

// Run writes the lines.
func (c *dumpCommand) Run(env environment) error {
	if c.Plain && len(c.Entity) != 1 {
		return usage("--plain wants one --entity")
	}
	return c.withDatabase(env, false, func(db *inspect.Database) error {
		names := c.Entity
		if len(names) == 0 {
			names = db.Names()
		}
		p := newProgress(env)
		defer p.done()
		return env.write(func(w *bufio.Writer) error {
			var line []byte
			n := 0
			for doc, err := range db.Dump(env.ctx, names, c.Deleted) {
				if err != nil {
					return err
				}
				if c.Plain {
					line, err = doc.AppendDoc(line[:0])
				} else {
					line, err = doc.AppendLine(line[:0])
				}
				if err != nil {
					return err
				}
				if _, err := w.Write(append(line, '\n')); err != nil {
					return err
				}
				n++
				p.show("%s", counted(n, "document"))
			}
			return nil
		})
	})
}
