package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/kixxgen/kixxgen/internal/inspect"
)

// statsCommand is kixxgen data stats DIR.
type statsCommand struct {
	location
}

// Help is shown by --help.
func (*statsCommand) Help() string {
	return `Documents are counted, which reads the index of keys, or the documents of an entity that has none. Beside an index is its state if it is not ready.
What is needed of the log is known when keys have been moved to runs; until then nothing of it can be given back.

    kixxgen data stats ./data`
}

// Run shows what there is.
func (c *statsCommand) Run(env environment) error {
	size := dirSize(c.Dir)
	return c.withDatabase(env, false, func(db *inspect.Database) error {
		var all []*inspect.EntityStats
		for _, name := range db.Names() {
			s, err := db.Stats(env.ctx, name)
			if err != nil {
				return err
			}
			all = append(all, s)
		}
		return env.write(func(w *bufio.Writer) error {
			table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "entity\tdocuments\tdeleted\tlevel\tindexes")
			for _, s := range all {
				fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\n", s.Name, s.Live, s.Deleted, s.Level, strings.Join(s.Indexes, ", "))
			}
			if err := table.Flush(); err != nil {
				return err
			}
			f := db.Files()
			_, err := fmt.Fprintf(w, "\n%s in files\n%d segments of the log, %s, of which %s can be given back\n%d runs of keys, %s\n", bytesText(size),
				f.Segments, bytesText(f.SegmentBytes), bytesText(f.DeadBytes), f.Runs, bytesText(f.RunBytes))
			return err
		})
	})
}

// dirSize returns how much the files of a directory take.
func dirSize(dir string) (size int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0 // what is wrong is told when it is opened
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			size += info.Size()
		}
	}
	return size
}

// bytesText returns a size for people.
func bytesText(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
