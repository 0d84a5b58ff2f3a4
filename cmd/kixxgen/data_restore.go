package main

import (
	"io"
	"os"

	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// restoreCommand is kixxgen data restore SOURCE DIR.
type restoreCommand struct {
	Source string `arg:"" help:"Directory of a backup, file with an archive, or - for one on standard input."`
	Dir    string `arg:"" help:"Directory to make. There must be nothing, or an empty one."`
}

// Help is shown by --help.
func (*restoreCommand) Help() string {
	return `All is verified before the directory gets its name: it is a whole database, or is not there.

    kixxgen data restore /backups/monday ./data
    gunzip < monday.tar.gz | kixxgen data restore - ./data`
}

// Run restores the backup.
func (c *restoreCommand) Run(env environment) error {
	p := newProgress(env)
	defer p.done()
	ctx := p.files(env, "restore", c.Source)
	var r io.Reader = env.stdin
	if c.Source != "-" {
		info, err := os.Stat(c.Source)
		if err != nil {
			return &exit{exitUsage, err}
		}
		if info.IsDir() {
			return dataError(env, filestore.RestoreDir(ctx, c.Dir, c.Source))
		}
		f, err := os.Open(c.Source)
		if err != nil {
			return &exit{exitUsage, err}
		}
		defer f.Close()
		r = f
	}
	return dataError(env, filestore.Restore(ctx, c.Dir, r))
}
