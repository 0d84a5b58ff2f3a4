package filestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// Whatever the umask, others cannot read a backup, what was restored from it, or what was repaired.
func TestBackupIsTheOwnersAlone(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077} {
		dir := memoryDir(t)
		s := openDir(t, filepath.Join(dir, "db"))
		put(t, s, "a", strings.Repeat("b", 100))
		was := syscall.Umask(mask)
		err := errors.Join(s.Backup(bg, filepath.Join(dir, "copy")),
			filestore.RestoreDir(bg, filepath.Join(dir, "back"), filepath.Join(dir, "copy")))
		_, repairErr := filestore.Repair(bg, filepath.Join(dir, "copy"), filepath.Join(dir, "repaired"))
		syscall.Umask(was)
		if err = errors.Join(err, repairErr); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, name := range []string{"copy", "back", "repaired"} {
			err := filepath.WalkDir(filepath.Join(dir, name), func(p string, d fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				want := fs.FileMode(0o600)
				if d.IsDir() {
					want = 0o700 | fs.ModeDir
				}
				if info, err := d.Info(); err != nil || info.Mode() != want {
					t.Errorf("umask %o: %s has %v, want %v; %v", mask, p, info.Mode(), want, err)
				}
				n++
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if n < 8 {
			t.Errorf("%d files", n)
		}
	}
}

// plantingFS puts symbolic links into a directory that was just found empty.
type plantingFS struct {
	filestore.FS
	dir, outside string
}

func (p plantingFS) List() ([]string, error) {
	names, err := p.FS.List()
	for _, name := range []string{"MANIFEST", "MANIFEST.tmp", "seg-00000001.log", "seg-00000002.log"} {
		err = errors.Join(err, os.Symlink(p.outside, filepath.Join(p.dir, name)))
	}
	return names, err
}

// A link that is planted in the directory of a backup leads nothing outside.
func TestBackupFollowsNoLinks(t *testing.T) {
	dir := memoryDir(t)
	outside := filepath.Join(dir, "outside")
	if err := os.WriteFile(outside, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openDir(t, filepath.Join(dir, "db"))
	put(t, s, "a", strings.Repeat("b", 100))
	to := filepath.Join(dir, "copy")
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	err := filestore.BackupInto(bg, s, plantingFS{osFS(t, to), to, outside})
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("a backup to a directory in which links are planted: %v", err)
	}
	if b, err := os.ReadFile(outside); err != nil || string(b) != "mine" {
		t.Errorf("the file outside is %q, %v", b, err)
	}

	// A link in place of a file of the store is not taken for the file.
	s = sealedStore(t, filepath.Join(dir, "db3"))
	seg := filepath.Join(dir, "db3", "seg-00000001.log")
	if err := os.Remove(seg); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, seg); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "copy3")
	if err := s.Backup(bg, copied); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(filepath.Join(copied, "seg-00000001.log")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("the copy of what was replaced by a link: %v, %v", info.Mode(), err)
	}
	if r, err := filestore.Verify(bg, copied); err != nil || r.Err() != nil {
		t.Errorf("the copy: %v, %v", r.Damages, err)
	}
}

// sealedStore returns a store with a segment that is not written to any more.
func sealedStore(t *testing.T, dir string) *filestore.Store {
	t.Helper()
	o := filestore.Options{SegmentSize: 1 << 10}
	o.Logger = (&quiet{}).logger()
	s, err := filestore.Open(bg, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for i := range 20 {
		put(t, s, fmt.Sprint(i), strings.Repeat("v", 200))
	}
	return s
}

// Neither a backup, nor a restore, a verification or a repair leaves a file open, whether it ends well or not.
func TestBackupLeavesNothingOpen(t *testing.T) {
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	dir := memoryDir(t)
	s := sealedStore(t, filepath.Join(dir, "db"))
	before := count()
	for i := range 3 {
		name := func(what string) string { return filepath.Join(dir, fmt.Sprint(what, i)) }
		var archive bytes.Buffer
		if err := errors.Join(s.Backup(bg, name("copy")), s.BackupTo(bg, &archive), filestore.RestoreDir(bg, name("a"), name("copy"))); err != nil {
			t.Fatal(err)
		}
		half := bytes.NewReader(archive.Bytes()[:archive.Len()/2])
		if filestore.Restore(bg, name("b"), half) == nil || filestore.RestoreDir(bg, name("b"), filepath.Join(dir, "db")) == nil || s.Backup(bg, name("copy")) == nil {
			t.Error("no error")
		}
		if err := filestore.Restore(bg, name("b"), &archive); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(name("b"), "seg-00000001.log"), 100); err != nil {
			t.Fatal(err)
		}
		if _, err := filestore.Repair(bg, name("b"), name("c")); err != nil {
			t.Fatal(err)
		}
		if _, err := filestore.Repair(bg, name("b"), name("c")); err == nil {
			t.Error("no error")
		}
		if r, err := filestore.Verify(bg, name("b")); err != nil || r.Err() == nil {
			t.Errorf("a cut file: %v, %v", r, err)
		}
	}
	if after := count(); after > before {
		t.Errorf("%d files are open, %d were before", after, before)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.tmp"))
	if err != nil || len(names) > 0 {
		t.Errorf("%q are left, %v", names, err)
	}
}
