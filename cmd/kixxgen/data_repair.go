package main

import (
	"bufio"
	"fmt"

	"github.com/kixxgen/kixxgen/internal/inspect"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// repairCommand is kixxgen data repair DIR TARGET.
type repairCommand struct {
	Dir    string `arg:"" help:"Directory of the damaged database. It is only read."`
	Target string `arg:"" help:"Directory to make. There must be nothing, or an empty one."`
}

// Help is shown by --help.
func (*repairCommand) Help() string {
	return `A document whose newest state cannot be read is left out, and listed; no older one takes its place. Indexes are set to
stale, since they may not fit the documents any more: the application builds them anew when it opens the database. The
exit status is 1 if anything is lost. A backup, if there is one, is better.

    kixxgen data repair ./data ./mended`
}

// Run repairs, and lists what is lost.
func (c *repairCommand) Run(env environment) error {
	p := newProgress(env)
	report, err := filestore.Repair(p.files(env, "repair", c.Dir), c.Dir, c.Target)
	p.done()
	if err != nil {
		return dataError(env, noDatabase(c.Dir, err))
	}
	if err := inspect.Stale(env.ctx, c.Target, env.logger()); err != nil {
		return dataError(env, fmt.Errorf("%s was made, but its indexes may be wrong, and could not be set to stale: %w", c.Target, err))
	}
	err = env.write(func(w *bufio.Writer) error {
		for _, d := range report.Damages {
			fmt.Fprintf(w, "damaged: %s\n", printable(d.String(), 0))
		}
		for _, d := range report.Lost {
			fmt.Fprintf(w, "lost: %s\n", printable(d.String(), 0))
		}
		return nil
	})
	switch n := len(report.Lost); {
	case err != nil:
	case n > 0:
		err = fmt.Errorf("%s is a database, without what is listed as lost: %s", c.Target, counted(n, "place"))
	default:
		fmt.Fprintf(env.stderr, "%s is a database with %d keys; nothing is lost\n", c.Target, report.Keys)
	}
	return dataError(env, err)
}
