package main

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/kixxgen/kixxgen/internal/inspect"
)

// queryCommand is kixxgen data query DIR ENTITY [INDEX [VALUE…]].
type queryCommand struct {
	location
	Entity  string   `arg:"" help:"Name of the entity."`
	Index   string   `arg:"" optional:"" help:"Index or view; the order of the keys unless it is given."`
	Values  []string `arg:"" optional:"" name:"value" help:"Values of the leading fields of the index."`
	From    string   `help:"Least value of the field behind them." placeholder:"VALUE"`
	To      string   `help:"Greatest value of it." placeholder:"VALUE"`
	Limit   int      `help:"Most documents to show, up to 10000." default:"100" placeholder:"N"`
	After   string   `help:"Go on behind a page: what was printed below it." placeholder:"CURSOR"`
	Reverse bool     `help:"Against the order of the index."`
	Deleted bool     `help:"Also documents that are marked as deleted."`
	format
}

// Help is shown by --help.
func (*queryCommand) Help() string {
	return `Stats lists the indexes. If there is more than a page, the way to the next one is printed on standard error.

    kixxgen data query ./data item
    kixxgen data query ./data item Category electronics --limit 20
    kixxgen data query ./data item CategoryPrice electronics --from 10 --to 50 --format csv`
}

// Run shows a page.
func (c *queryCommand) Run(env environment) error {
	if c.Limit < 1 || c.Limit > 10_000 {
		return usage("--limit %d: want 1 to 10000", c.Limit)
	}
	return c.withDatabase(env, false, func(db *inspect.Database) error {
		page, err := db.Query(env.ctx, inspect.Query{
			Entity: c.Entity, Index: c.Index, Values: c.Values, From: c.From, To: c.To,
			Reverse: c.Reverse, Limit: c.Limit, After: c.After, Deleted: c.Deleted,
		})
		if err != nil {
			return err
		}
		if page.View {
			err = c.entries(env, page.Entries)
		} else {
			e, eerr := db.Entity(c.Entity)
			if eerr != nil {
				return eerr
			}
			err = c.documents(env, e, page.Docs)
		}
		if err == nil && page.Next != "" {
			fmt.Fprintf(env.stderr, "there is more: --after %s\n", page.Next)
		}
		return err
	})
}

// A format is how documents are shown.
type format struct {
	Format string `help:"table, json (lines as those of dump) or csv; table on a terminal, else json." placeholder:"FORMAT" enum:"table,json,csv,auto" default:"auto"`
}

// of returns the format to use.
func (f *format) of(env environment) string {
	switch {
	case f.Format != "auto":
		return f.Format
	case env.display.stdout:
		return "table"
	}
	return "json"
}

// documents shows documents of one entity.
func (f *format) documents(env environment, e *inspect.Entity, docs []*inspect.Doc) error {
	header := append(append([]string{}, e.Columns()...), "_rev")
	return f.rows(env, header, len(docs), func(i int) ([]string, error) {
		cells, err := docs[i].Cells()
		return append(cells, docs[i].Rev.String()), err
	}, func(j []byte, i int) ([]byte, error) { return docs[i].AppendLine(j) })
}

// entries shows entries of a view.
func (f *format) entries(env environment, entries []*inspect.Entry) error {
	return f.rows(env, []string{"key", "id", "value"}, len(entries), func(i int) ([]string, error) {
		return entries[i].Cells(), nil
	}, func(j []byte, i int) ([]byte, error) { return entries[i].AppendLine(j) })
}

// rows shows n rows: row returns the cells of one, line its JSON.
func (f *format) rows(env environment, header []string, n int, row func(i int) ([]string, error), line func(j []byte, i int) ([]byte, error)) error {
	return env.write(func(w *bufio.Writer) error {
		var put func(cells []string) error
		var finish func() error
		switch f.of(env) {
		case "json":
			for i := range n {
				j, err := line(nil, i)
				if err != nil {
					return err
				}
				w.Write(append(j, '\n'))
			}
			return nil
		case "csv":
			c := csv.NewWriter(w)
			put = c.Write
			finish = func() error {
				c.Flush()
				return c.Error()
			}
		default:
			table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			put = func(cells []string) error {
				for i := range cells {
					cells[i] = printable(cells[i], 40)
				}
				_, err := fmt.Fprintln(table, strings.Join(cells, "\t"))
				return err
			}
			finish = table.Flush
		}
		if err := put(header); err != nil {
			return err
		}
		for i := range n {
			cells, err := row(i)
			if err != nil {
				return err
			}
			if err := put(cells); err != nil {
				return err
			}
		}
		return finish()
	})
}
