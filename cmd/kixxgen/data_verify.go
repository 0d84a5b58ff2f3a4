package main

import (
	"bufio"
	"fmt"

	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// verifyCommand is kixxgen data verify DIR.
type verifyCommand struct {
	Dir string `arg:"" help:"Directory of the database, or of a backup."`
}

// Help is shown by --help.
func (*verifyCommand) Help() string {
	return `Every byte of the files is read and held against its checksums, and what they say of each other. It changes nothing, takes
no lock, and may run while an application has the database open. The exit status is 1 if something is damaged: a line for
each damage, with file and offset. Whether indexes fit the documents only the application can tell: Verify of its database.

    kixxgen data verify ./data`
}

// Run lists the damages.
func (c *verifyCommand) Run(env environment) error {
	p := newProgress(env)
	report, err := filestore.Verify(p.files(env, "verify", c.Dir), c.Dir)
	p.done()
	if err != nil {
		return dataError(env, noDatabase(c.Dir, err))
	}
	err = env.write(func(w *bufio.Writer) error {
		printDamages(w, report.Damages, report.More)
		if len(report.Damages) > 0 {
			return nil
		}
		_, err := fmt.Fprintf(w, "%s, %s and %s, with %d keys: nothing is damaged\n", counted(report.Segments, "segment"),
			counted(report.Runs, "run"), counted(int(report.Commits), "commit"), report.Keys)
		return err
	})
	if n := len(report.Damages) + report.More; err == nil && n > 0 {
		err = fmt.Errorf("%s: %s; restore a backup", c.Dir, counted(n, "damage"))
	}
	return dataError(env, err)
}

// printDamages prints a line for each damage, and how many more there are.
func printDamages(w *bufio.Writer, damages []filestore.Damage, more int) {
	for _, d := range damages {
		fmt.Fprintln(w, printable(d.String(), 0))
	}
	if more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
}
