package peers

import (
	"context"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// What is in this file makes every sync take longer, as a disk does that is far away.

// openDelayed opens a database whose syncs take at least delay longer.
func openDelayed(ctx context.Context, dir string, delay time.Duration, o kixx.Option, d kixx.Option) (*kixx.DB, error) {
	if delay == 0 {
		return kixx.Open(ctx, "file:"+dir, o, d)
	}
	fs, err := filestore.Dir(dir)
	if err != nil {
		return nil, err
	}
	// The durability is that of the store, which is opened here; all that are opened so are durable.
	st, err := filestore.Open(ctx, dir, filestore.Options{FS: slowFS{fs, delay}})
	if err != nil {
		return nil, err
	}
	return kixx.OpenStore(ctx, st, o)
}

// A slowFS is a directory whose syncs take longer.
type slowFS struct {
	filestore.FS
	delay time.Duration
}

func (fs slowFS) OpenFile(name string, flag int) (filestore.File, error) {
	f, err := fs.FS.OpenFile(name, flag)
	if err != nil {
		return nil, err
	}
	return slowFile{f, fs.delay}, nil
}

type slowFile struct {
	filestore.File
	delay time.Duration
}

func (f slowFile) Sync() error {
	time.Sleep(f.delay)
	return f.File.Sync()
}

// slowVFS is the same for pebble.
type slowVFS struct {
	vfs.FS
	delay time.Duration
}

func (fs slowVFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.slow(fs.FS.Create(name, category))
}

func (fs slowVFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return fs.slow(fs.FS.OpenReadWrite(name, category, opts...))
}

func (fs slowVFS) ReuseForWrite(oldName, newName string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.slow(fs.FS.ReuseForWrite(oldName, newName, category))
}

func (fs slowVFS) slow(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return slowVFile{f, fs.delay}, nil
}

type slowVFile struct {
	vfs.File
	delay time.Duration
}

func (f slowVFile) Sync() error {
	time.Sleep(f.delay)
	return f.File.Sync()
}

func (f slowVFile) SyncData() error {
	time.Sleep(f.delay)
	return f.File.SyncData()
}

func (f slowVFile) SyncTo(length int64) (bool, error) {
	time.Sleep(f.delay)
	return f.File.SyncTo(length)
}
