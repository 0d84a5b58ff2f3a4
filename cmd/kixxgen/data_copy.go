package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/kixxgen/kixxgen/internal/datacopy"
)

// copyCommand is kixxgen data copy SOURCE TARGET.
type copyCommand struct {
	Source string `arg:"" help:"Directory of a database, or its URL."`
	Target string `arg:"" help:"Directory or URL of an empty one, or of an unfinished copy of the same source."`
	Anew   bool   `help:"Begin with the first key, also if the target has an unfinished copy of another source."`
}

// Help is shown by --help.
func (*copyCommand) Help() string {
	return `Everything of the source is copied byte for byte, with revisions, indexes and all namespaces, and compared in the end: both
sides have been read as a whole then, and their number of keys and their checksum are shown. Nothing is changed in the
source. An application must not write to it meanwhile; that it did is noticed.

A copy that was cut off goes on where it was when the same command is run again. Until it is finished, no application
can open the target.

This command has no drivers of servers. One that has them, for postgres:, tikv: and others, takes the same arguments:

    kixxgen data copy ./data /mnt/disk2/data
    kixxgen data copy file:./data file:/mnt/disk2/data
    go run ` + kixxcopy + ` ./data postgres://app@db/shop`
}

// kixxcopy is the command with the drivers.
const kixxcopy = "github.com/kixxgen/kixxgen/cmd/kixxcopy@latest"

// Run copies.
func (c *copyCommand) Run(env environment) (err error) {
	for _, place := range []string{c.Source, c.Target} {
		if err := datacopy.CheckPlace(place); err != nil {
			return c.failed(env, err)
		}
	}
	src, name, err := datacopy.OpenSource(env.ctx, c.Source, env.logger())
	if err != nil {
		return c.failed(env, noDatabase(c.Source, err))
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := datacopy.OpenTarget(env.ctx, c.Target, env.logger())
	if err != nil {
		return c.failed(env, err)
	}
	p := newProgress(env)
	report, err := datacopy.Copy(env.ctx, src, dst, datacopy.Options{
		Name:     name,
		Anew:     c.Anew,
		Progress: func(at datacopy.Progress) { p.show("%v", at) },
	})
	p.done()
	if err = errors.Join(err, dst.Close()); err != nil {
		return c.failed(env, err)
	}
	if report.Resumed {
		fmt.Fprintln(env.stderr, "an unfinished copy was gone on with")
	}
	fmt.Fprintln(env.stdout, report)
	return nil
}

// failed returns the error to exit with.
func (c *copyCommand) failed(env environment, err error) error {
	var driver *datacopy.DriverError
	var other *datacopy.OtherError
	switch {
	case errors.As(err, &driver):
		return usage("%w; run\n    go run %s %s %s", err, kixxcopy, datacopy.Shown(c.Source), datacopy.Shown(c.Target))
	case datacopy.IsPlaceError(err):
		return &exit{exitUsage, err}
	case env.ctx.Err() != nil && errors.Is(err, context.Canceled):
		return &exit{exitData, errors.New("interrupted; run the same again to go on")}
	case errors.Is(err, datacopy.ErrNotEmpty):
		return &exit{exitData, fmt.Errorf("%s: %w, and has no unfinished copy", datacopy.Shown(c.Target), err)}
	case errors.As(err, &other):
		return &exit{exitData, fmt.Errorf("%s: %w; --anew begins again from the first key", datacopy.Shown(c.Target), err)}
	}
	return dataError(env, err)
}
