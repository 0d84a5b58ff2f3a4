// Kixxcopy copies a database from one store to another one, whatever their engines are: it is kixxgen data copy with the
// drivers of servers in it.
//
//	kixxcopy [-anew] SOURCE TARGET
//
// A place is the URL that an application opens, or a directory:
//
//	go run github.com/kixxgen/kixxgen/cmd/kixxcopy@latest ./data postgres://app@db/shop
//	go run github.com/kixxgen/kixxgen/cmd/kixxcopy@latest postgres://app@db/shop ./data
//
// The schemes are file:, postgres:, postgresql:, etcd:, etcds: and tikv:.
//
// Everything is copied byte for byte: documents with their revisions, indexes, all namespaces. Nothing is changed in the
// source. In the end both sides are read as a whole and compared, and their number of keys and their checksum are shown.
//
// Stop the applications that write to the source. What they write all the same is copied too, and noticed: if the source
// changes again and again, the copy is not finished.
//
// A copy that was cut off goes on where it was when the same command is run again. Until it is finished, no application
// can open the target. One of another source is refused unless -anew is given, which begins with the first key and replaces
// what the other one has left.
//
// A value that is larger than the target takes ends the copy, with its key. So does everything else that goes wrong. The
// exit status is 0 if both sides are the same, 1 if something went wrong, and 2 for what was asked in a wrong way.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/kixxgen/kixxgen/internal/datacopy"

	_ "github.com/kixxgen/kixxgen/runtime/store/etcdstore" // etcd: and etcds:
	_ "github.com/kixxgen/kixxgen/runtime/store/pgstore"   // postgres: and postgresql:
	_ "github.com/kixxgen/kixxgen/runtime/store/tikvstore" // tikv:
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second ctrl-C ends what does not listen to the first
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

const usage = `usage: kixxcopy [-anew] SOURCE TARGET
A place is a URL, postgres://app@db/shop, or a directory, ./data. The manual: go doc github.com/kixxgen/kixxgen/cmd/kixxcopy
`

// run copies and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("kixxcopy", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	anew := flags.Bool("anew", false, "")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return 0
	}
	if err != nil || flags.NArg() != 2 {
		if err != nil {
			fmt.Fprintln(stderr, "kixxcopy:", err)
		}
		fmt.Fprint(stderr, usage)
		return 2
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))) // of the drivers too
	source, target := flags.Arg(0), flags.Arg(1)
	report, err := copyAll(ctx, source, target, *anew, stderr)
	var other *datacopy.OtherError
	switch {
	case err == nil:
		if report.Resumed {
			fmt.Fprintln(stderr, "an unfinished copy was gone on with")
		}
		fmt.Fprintln(stdout, report)
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		err = errors.New("interrupted; run the same again to go on")
	case errors.Is(err, datacopy.ErrNotEmpty):
		err = fmt.Errorf("%s: %w, and has no unfinished copy", datacopy.Shown(target), err)
	case errors.As(err, &other):
		err = fmt.Errorf("%s: %w; -anew begins again from the first key", datacopy.Shown(target), err)
	}
	fmt.Fprintln(stderr, "kixxcopy:", err)
	if datacopy.IsPlaceError(err) || errors.Is(err, os.ErrNotExist) {
		return 2
	}
	return 1
}

func copyAll(ctx context.Context, source, target string, anew bool, stderr io.Writer) (_ *datacopy.Report, err error) {
	for _, place := range []string{source, target} {
		if err := datacopy.CheckPlace(place); err != nil {
			return nil, err
		}
	}
	src, name, err := datacopy.OpenSource(ctx, source, nil)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := datacopy.OpenTarget(ctx, target, nil)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	show, done := progress(stderr)
	defer done()
	return datacopy.Copy(ctx, src, dst, datacopy.Options{Name: name, Anew: anew, Progress: show})
}

// progress returns what tells how far a copy is: on a terminal in one line that is written over, else in a line now and then.
func progress(w io.Writer) (show func(datacopy.Progress), done func()) {
	every, format, end := 10*time.Second, "%v\n", ""
	if f, ok := w.(*os.File); ok && os.Getenv("TERM") != "dumb" {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			every, format, end = 200*time.Millisecond, "\r\x1b[K%v", "\r\x1b[K"
		}
	}
	last, shown := time.Now(), false
	show = func(p datacopy.Progress) {
		if time.Since(last) >= every {
			last, shown = time.Now(), true
			fmt.Fprintf(w, format, p)
		}
	}
	return show, func() {
		if shown {
			fmt.Fprint(w, end)
		}
	}
}
