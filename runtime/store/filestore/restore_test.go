package filestore_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// archived returns the archive of a store with runs and several segments, and what is in it.
func archived(t testing.TB, commits int) (archive []byte, want map[string]string, tokens []store.Token) {
	t.Helper()
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	o.FlushKeys = 30
	s := mustOpen(t, o)
	rng := rand.New(rand.NewPCG(1, 14))
	h := &history{states: []map[string]string{{}}}
	for i := range commits {
		doc := fmt.Sprintf("d/%02d", rng.IntN(40))
		sets := []set{{key: "n", value: fmt.Sprint(i)}, {key: doc, value: value(rng, doc, rng.IntN(300))}}
		h.next(sets)
		if _, err := s.Commit(bg, batch(sets...)); err != nil {
			t.Fatal(err)
		}
		filestore.Settle(s)
	}
	tokens = append(tokens, tokenOf(t, s))
	var out bytes.Buffer
	if err := s.BackupTo(bg, &out); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), h.now(), tokens
}

// openDir opens a store of the operating system's directory.
func openDir(t testing.TB, dir string) *filestore.Store {
	t.Helper()
	o := filestore.Options{}
	o.Logger = (&quiet{}).logger()
	s, err := filestore.Open(bg, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Archives made while others write come back as the state behind one commit, not before those acknowledged when they were begun;
// so do directories.
func TestRestoreOfABusyStoreIsOneState(t *testing.T) {
	dir := memoryDir(t)
	o := filestore.Options{SegmentSize: 16 << 10, FlushKeys: 50}
	o.Durability.Mode = store.NoSync
	o.Logger = (&quiet{}).logger()
	s, err := filestore.Open(bg, filepath.Join(dir, "db"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, stop := busy(t, s, 4)
	var archives []bytes.Buffer
	var least []store.Version
	n := size(5, 20, 100)
	for i := range n {
		c.await(store.Version(100 * (i + 1)))
		least = append(least, c.last())
		archives = append(archives, bytes.Buffer{})
		if err := s.BackupTo(bg, &archives[i]); err != nil {
			t.Fatal(err)
		}
	}
	least = append(least, c.last())
	if err := s.Backup(bg, filepath.Join(dir, "copy")); err != nil {
		t.Fatal(err)
	}
	stop()
	filestore.Settle(s) // no file goes any more
	if err := s.Backup(bg, filepath.Join(dir, "still")); err != nil {
		t.Fatal(err)
	}
	for i := range archives {
		back := filepath.Join(dir, fmt.Sprint("back", i))
		if err := filestore.Restore(bg, back, &archives[i]); err != nil {
			t.Fatal(err)
		}
		checkCopy(t, c, least[i], filestore.Options{FS: osFS(t, back)})
	}
	back := filepath.Join(dir, "back")
	if err := filestore.RestoreDir(bg, back, filepath.Join(dir, "copy")); err != nil {
		t.Fatal(err)
	}
	checkCopy(t, c, least[n], filestore.Options{FS: osFS(t, back)})
	// A backup shares what does not change with the store, a restored one shares nothing with the backup.
	shared := func(a, b string) bool {
		list, err := os.ReadDir(filepath.Join(dir, a))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			x, errA := os.Stat(filepath.Join(dir, a, e.Name()))
			y, errB := os.Stat(filepath.Join(dir, b, e.Name()))
			if errA == nil && errB == nil && os.SameFile(x, y) {
				return true
			}
		}
		return false
	}
	if !shared("db", "still") || shared("copy", "back") {
		t.Errorf("the backup shares its files with the store: %v, the restored one with the backup: %v; want only the first", shared("db", "still"), shared("copy", "back"))
	}
}

// Each restore begins a history of its own: neither the tokens of the store that was copied are its, nor those of another restore.
func TestRestoreIsAnotherHistory(t *testing.T) {
	archive, _, tokens := archived(t, 60)
	dir := t.TempDir()
	for i := range 3 {
		back := filepath.Join(dir, fmt.Sprint(i))
		if err := filestore.Restore(bg, back, bytes.NewReader(archive)); err != nil {
			t.Fatal(err)
		}
		s := openDir(t, back)
		mine := tokenOf(t, s)
		checkResync(t, s, tokens)
		tokens = append(tokens, mine)
	}
}

// An archive that is cut anywhere is refused, and nothing is left of it.
func TestRestoreOfACutArchive(t *testing.T) {
	archive, want, _ := archived(t, 40)
	for n := 0; n < len(archive); n++ {
		if n%64 != 0 && n < len(archive)-1200 && size(1, 0, 0) == 1 {
			continue
		}
		if err := filestore.UnpackInto(bg, simfs.New(), bytes.NewReader(archive[:n])); err == nil {
			t.Fatalf("an archive cut to %d of %d bytes is restored", n, len(archive))
		}
	}
	dir := t.TempDir()
	if err := filestore.Restore(bg, filepath.Join(dir, "back"), bytes.NewReader(archive[:len(archive)-1])); err == nil {
		t.Error("a cut archive is restored")
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("%v are left, %v", names, err)
	}
	to := simfs.New()
	if err := filestore.UnpackInto(bg, to, bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
	if got, err := openDamaged(to.Crash(simfs.LoseAll, nil)); err != nil || !equal(got, want) {
		t.Errorf("restored, after a power cut: %v%s", err, show(got))
	}
}

// A damaged archive is refused, or the byte did not matter.
func TestRestoreOfADamagedArchive(t *testing.T) {
	archive, want, _ := archived(t, 40)
	refused, harmless := 0, 0
	for i := 0; i < len(archive); i += size(5, 1, 1) {
		b := bytes.Clone(archive)
		b[i] ^= 1 << (i % 8)
		to := simfs.New()
		if err := filestore.UnpackInto(bg, to, bytes.NewReader(b)); err != nil {
			refused++
			continue
		}
		harmless++
		if got, err := openDamaged(to); err != nil || !equal(got, want) {
			t.Fatalf("byte %d: %v%s", i, err, show(got))
		}
	}
	t.Logf("%d refused, %d harmless", refused, harmless)
	if refused < harmless {
		t.Errorf("%d refused, %d harmless", refused, harmless)
	}
}

// An entry is one file of an archive.
type entry struct {
	tar.Header
	data []byte
}

func entries(t testing.TB, archive []byte) (list []entry) {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, entry{*h, b})
	}
}

func packed(t testing.TB, list []entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range list {
		if e.Typeflag == tar.TypeReg {
			e.Size = int64(len(e.data))
		}
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.data); err != nil && e.Typeflag == tar.TypeReg {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What no backup has is refused: other names, other kinds of files, files twice, missing, too many, in another order.
func TestRestoreOfAHostileArchive(t *testing.T) {
	archive, _, _ := archived(t, 40)
	list := entries(t, archive)
	first := list[0].Name
	file := func(name string, data string) entry {
		return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600}, []byte(data)}
	}
	before := func(e ...entry) []byte { return packed(t, append(e, list...)) }
	huge := func(size int64) []byte {
		h := list[0].Header
		h.Size, h.Format = size, tar.FormatUnknown
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		return append(out.Bytes(), make([]byte, 4096)...)
	}
	link := func(kind byte, name, to string) entry {
		return entry{tar.Header{Typeflag: kind, Name: name, Linkname: to, Mode: 0o600}, nil}
	}
	record := list[0]
	record.Format = tar.FormatPAX
	record.PAXRecords = map[string]string{"KIXX.comment": "x"}
	for _, c := range []struct {
		what    string
		archive []byte
		want    string
	}{
		{"nothing", nil, "without a manifest"},
		{"no archive", bytes.Repeat([]byte("x"), 2048), "read the archive"},
		{"an absolute name", before(file("/etc/passwd", "x")), `"/etc/passwd", which is no file of a store`},
		{"a name above", before(file("../seg-00000001.log", "x")), "which is no file of a store"},
		{"a name below", before(file("x/MANIFEST", "x")), "which is no file of a store"},
		{"a name with a dot", before(file("./seg-00000001.log", "x")), "which is no file of a store"},
		{"a name in capitals", before(file("seg-0000000A.log", "x")), "which is no file of a store"},
		{"a temporary name", before(file("MANIFEST.tmp", "x")), "which is no file of a store"},
		{"a lock", before(file("LOCK", "x")), "which is no file of a store"},
		{"an empty name", before(file("", "x")), "which is no file of a store"},
		{"a directory", before(link(tar.TypeDir, "seg-00000099.log", "")), "as something else"},
		{"a symbolic link", before(link(tar.TypeSymlink, "seg-00000099.log", "/etc/passwd")), "as something else"},
		{"a symbolic link to a file of it", before(link(tar.TypeSymlink, first, "MANIFEST")), "as something else"},
		{"a hard link", before(link(tar.TypeLink, "run-00000099.kv", "/etc/passwd")), "as something else"},
		{"a fifo", before(link(tar.TypeFifo, "run-00000099.kv", "")), "as something else"},
		{"a file twice", before(list[0]), "twice"},
		{"an unknown run", before(file("run-00000099.kv", "x")), "of which the manifest does not know"},
		{"an unknown segment", before(file("seg-00000099.log", "x")), "of which the manifest does not know"},
		{"a file missing", packed(t, list[1:]), "the file is missing"},
		{"a file behind the manifest", packed(t, append(list[:len(list):len(list)], file("seg-00000099.log", "x"))), "behind the manifest"},
		{"two manifests", packed(t, append(list[:len(list):len(list)], list[len(list)-1])), "behind the manifest"},
		{"the manifest alone", packed(t, list[len(list)-1:]), "the file is missing"},
		{"no manifest", packed(t, list[:len(list)-1]), "without a manifest"},
		{"a record", before(record), "with the record"},
		{"a segment of an exabyte", huge(1 << 60), "more than it can have"},
		{"a segment of a gigabyte", huge(1 << 30), "ends early"},
	} {
		err := filestore.UnpackInto(bg, simfs.New(), bytes.NewReader(c.archive))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
	if err := filestore.UnpackInto(bg, simfs.New(), bytes.NewReader(packed(t, list))); err != nil {
		t.Errorf("packed again: %v", err)
	}
}

// What is there is not touched: a restore needs a name that is free.
func TestRestoreTouchesNothing(t *testing.T) {
	archive, want, _ := archived(t, 40)
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	s := openDir(t, path("db"))
	put(t, s, "mine", "x")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path("file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path("empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("empty", path("link")); err != nil {
		t.Fatal(err)
	}
	tree := func() (names []string) {
		if err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			info, _ := d.Info()
			names = append(names, fmt.Sprint(p, info.Mode(), info.ModTime()))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return names[1:] // without the time of dir itself
	}
	before := tree()
	for name, want := range map[string]string{"db": "not empty", "file": "no directory", "link": "no directory"} {
		if err := filestore.Restore(bg, path(name), bytes.NewReader(archive)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("to %s: %v, want %q", name, err, want)
		}
		if err := filestore.RestoreDir(bg, path(name), path("db")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("to %s: %v, want %q", name, err, want)
		}
	}
	if err := filestore.RestoreDir(bg, path("new"), path("empty")); err == nil || !strings.Contains(err.Error(), "no backup") {
		t.Errorf("from an empty directory: %v", err)
	}
	if err := filestore.RestoreDir(bg, path("new"), path("nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("from no directory: %v", err)
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if err := filestore.Restore(ctx, path("new"), bytes.NewReader(archive)); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	if after := tree(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("there is\n%q\nbefore there was\n%q", after, before)
	}
	if err := filestore.Restore(bg, path("empty"), bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
	if got, err := dump(openDir(t, path("empty"))); err != nil || !equal(got, want) {
		t.Errorf("to an empty directory: %v%s", err, show(got))
	}
}

// A store that was not closed is no backup.
func TestRestoreOfAStoreThatIsOpen(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, filepath.Join(dir, "db"))
	put(t, s, "a", "b")
	if err := filestore.RestoreDir(bg, filepath.Join(dir, "back"), filepath.Join(dir, "db")); err == nil || !strings.Contains(err.Error(), "not closed") {
		t.Errorf("of an open store: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := filestore.RestoreDir(bg, filepath.Join(dir, "back"), filepath.Join(dir, "db")); err != nil {
		t.Errorf("of a closed store: %v", err)
	}
}

// An error at any operation of a restore is returned, or did not matter.
func TestErrorAtEveryOperationOfARestore(t *testing.T) {
	archive, want, _ := archived(t, 40)
	read := 0
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		for n := 1; ; n++ {
			to := simfs.New()
			to.FailAt(n, cause)
			err := filestore.UnpackInto(bg, to, bytes.NewReader(archive))
			if to.Ops() < n {
				if err != nil || n < 30 {
					t.Errorf("without an error: %v after %d operations", err, n)
				}
				if read > n/4 {
					t.Errorf("%d of %d errors did not matter", read, n)
				}
				read = 0
				break
			}
			if err == nil { // it was a read, which was tried again
				if got, err := openDamaged(to); err != nil || !equal(got, want) {
					t.Fatalf("%v at operation %d, restored, and then %v%s", cause, n, err, show(got))
				}
				read++
			}
		}
	}
}

// Whatever an archive says, Restore does not fall over, and what it accepts can be opened.
func FuzzRestore(f *testing.F) {
	archive, _, _ := archived(f, 20)
	list := entries(f, archive)
	f.Add(archive, 0, byte(0))
	f.Add(packed(f, list[1:]), 100, byte(1))
	f.Add(packed(f, list[len(list)-1:]), 600, byte(255))
	f.Add(archive[:len(archive)/2], 3, byte(7))
	f.Fuzz(func(t *testing.T, b []byte, at int, x byte) {
		if len(b) > 0 && at >= 0 {
			b = bytes.Clone(b)
			b[at%len(b)] ^= x
		}
		to := simfs.New()
		if err := filestore.UnpackInto(bg, to, bytes.NewReader(b)); err != nil {
			return
		}
		if _, err := openDamaged(to); err != nil {
			t.Fatalf("restored, and then: %v", err)
		}
	})
}
