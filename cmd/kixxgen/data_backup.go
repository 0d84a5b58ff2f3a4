package main

import (
	"errors"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// backupCommand is kixxgen data backup DIR TARGET.
type backupCommand struct {
	Dir    string `arg:"" help:"Directory of the database."`
	Target string `arg:"" help:"Directory to make, or - for a tar archive on standard output."`
}

// Help is shown by --help.
func (*backupCommand) Help() string {
	return `The database must not be open elsewhere: an application makes a backup while it runs with Backup of its database.
A directory shares files with the database by hard links where it can; to have the bytes twice, write an archive, or
another file system. Both are opened by restore, the directory also as it is.

    kixxgen data backup ./data /backups/monday
    kixxgen data backup ./data - | gzip > monday.tar.gz`
}

// Run makes the backup.
func (c *backupCommand) Run(env environment) error {
	if c.Target == "-" && env.display.stdout {
		return usage("an archive is nothing for a terminal; redirect it to a file")
	}
	st, err := filestore.Open(env.ctx, c.Dir, filestore.Options{Options: store.Options{Logger: env.logger()}, Existing: true})
	if err != nil {
		return dataError(env, noDatabase(c.Dir, err))
	}
	p := newProgress(env)
	ctx := p.files(env, "backup", c.Dir)
	if c.Target == "-" {
		err = st.BackupTo(ctx, env.stdout)
	} else {
		err = st.Backup(ctx, c.Target)
	}
	p.done()
	return dataError(env, errors.Join(err, st.Close()))
}
