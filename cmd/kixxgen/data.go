package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/kixxgen/kixxgen/internal/inspect"
	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// dataCommands are the subcommands of kixxgen data, each in a file of its own.
type dataCommands struct {
	Stats   statsCommand   `cmd:"" help:"Show which entities and indexes a database has, and how large it is."`
	Get     getCommand     `cmd:"" help:"Show one document."`
	Query   queryCommand   `cmd:"" help:"Show what an index or a view finds."`
	Dump    dumpCommand    `cmd:"" help:"Write all documents as lines of JSON."`
	Load    loadCommand    `cmd:"" help:"Store documents from lines of JSON."`
	Copy    copyCommand    `cmd:"" help:"Copy a database to another store."`
	Compact compactCommand `cmd:"" help:"Give back the space of what was overwritten and deleted."`
	Verify  verifyCommand  `cmd:"" help:"Read all files and list what is damaged."`
	Repair  repairCommand  `cmd:"" help:"Save what can be read of a damaged database to a new one."`
	Backup  backupCommand  `cmd:"" help:"Copy a database to a directory or an archive."`
	Restore restoreCommand `cmd:"" help:"Make a database of a backup."`
}

// A location is the database that a command works on.
type location struct {
	Dir       string `arg:"" help:"Directory of the database."`
	Namespace string `help:"Namespace in the database; it need not be given if there is one only, or for the one without a name." placeholder:"NAME"`
}

// withDatabase opens a database, for writing if write says so, and calls f.
func (l *location) withDatabase(env environment, write bool, f func(db *inspect.Database) error) (err error) {
	db, err := inspect.Open(env.ctx, l.Dir, inspect.Options{Namespace: l.Namespace, Write: write, Logger: env.logger()})
	if err == nil {
		err = f(db)
		err = errors.Join(err, db.Close())
	}
	return dataError(env, err)
}

// noDatabase returns err, as a mistake of the caller if it is that there is nothing at dir.
func noDatabase(dir string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &exit{exitUsage, fmt.Errorf("there is no database in %s: %w", dir, err)}
	}
	return err
}

// dataError returns the error to exit with.
func dataError(env environment, err error) error {
	var line *inspect.LineError
	var e *exit
	stored := errors.Is(err, kixx.ErrCorrupt) || errors.Is(err, kixx.ErrFull) || errors.Is(err, kixx.ErrFailed) || errors.Is(err, kixx.ErrUnknown)
	switch {
	case err == nil || errors.As(err, &e):
		return err
	case env.ctx.Err() != nil && errors.Is(err, context.Canceled):
		return &exit{exitData, errors.New("interrupted")}
	case errors.Is(err, inspect.ErrAsked):
		return &exit{exitUsage, err}
	case errors.As(err, &line) && !stored:
		return &exit{exitInput, err}
	case errors.Is(err, kixx.ErrLocked):
		return &exit{exitData, fmt.Errorf("%w; it must be closed there first", err)}
	}
	return &exit{exitData, err}
}

// logger returns where a database logs: what is of no concern to a person is left out.
func (env environment) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(env.stderr, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

// write calls f with a buffered standard output.
func (env environment) write(f func(w *bufio.Writer) error) error {
	w := bufio.NewWriterSize(env.stdout, 64<<10)
	if err := f(w); err != nil {
		return errors.Join(err, w.Flush())
	}
	return w.Flush()
}

// A progress tells on standard error how far a command is: on a terminal in one line that is written over, else in a line
// now and then.
type progress struct {
	w        io.Writer
	terminal bool
	last     time.Time
	shown    bool
}

func newProgress(env environment) *progress {
	return &progress{w: env.stderr, terminal: env.display.rewrites, last: time.Now()}
}

func (p *progress) show(format string, args ...any) {
	every := 10 * time.Second
	if p.terminal {
		every = 200 * time.Millisecond
	}
	if time.Since(p.last) < every {
		return
	}
	p.last = time.Now()
	if p.terminal {
		p.shown = true
		fmt.Fprintf(p.w, "\r\x1b[K"+format, args...)
		return
	}
	fmt.Fprintf(p.w, format+"\n", args...)
}

// files returns a context with which the work on the files of dir is told of.
func (p *progress) files(env environment, what, dir string) context.Context {
	of := ""
	if size := dirSize(dir); size > 0 {
		of = ", of files with " + bytesText(size)
	}
	return filestore.WithProgress(env.ctx, func(done int64) { p.show("%s: %s read%s", what, bytesText(done), of) })
}

// done takes away the line of a terminal.
func (p *progress) done() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// printable returns text without what a terminal would take for a command, shortened to what fits beside other columns.
func printable(text string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; most > 0 && n > most {
			b.WriteString("…")
			break
		}
		if r < ' ' || r == 0x7F || r >= 0x80 && r < 0xA0 {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// counted returns a number with its noun: 1 document, 2 documents.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
