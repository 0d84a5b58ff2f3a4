package main

import (
	"fmt"

	"github.com/kixxgen/kixxgen/internal/inspect"
)

// compactCommand is kixxgen data compact DIR.
type compactCommand struct {
	Dir string `arg:"" help:"Directory of the database."`
}

// Help is shown by --help.
func (*compactCommand) Help() string {
	return `A database compacts itself when much is to be gained; this gives back all that can be, and reads and writes about as
much as there is. The database must not be open elsewhere: an application calls Compact of its own.

    kixxgen data compact ./data`
}

// Run compacts.
func (c *compactCommand) Run(env environment) error {
	before := dirSize(c.Dir)
	p := newProgress(env)
	err := inspect.Compact(p.files(env, "compact", c.Dir), c.Dir, env.logger())
	p.done()
	if err != nil {
		return dataError(env, err)
	}
	fmt.Fprintf(env.stdout, "%s before, %s after\n", bytesText(before), bytesText(dirSize(c.Dir)))
	return nil
}
