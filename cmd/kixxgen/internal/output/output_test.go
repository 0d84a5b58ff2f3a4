package output

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/cmd/kixxgen/internal/load"
)

const header = load.Header + "\n\npackage app\n"

// write writes the files of a directory.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

// contents returns the files of a directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(content)
	}
	return files
}

func TestPlanFindsWhatDiffers(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"same_kixx.go":    header,
		"crlf_kixx.go":    strings.ReplaceAll(header, "\n", "\r\n"),
		"old_kixx.go":     header,
		"empty_kixx.go":   "",
		"mine_kixx.go":    "package app\n",
		"late_kixx.go":    strings.Repeat("// x\n", 1000) + header,
		"marked_kixx.go":  "package app\n<<<<<<< HEAD\n=======\n>>>>>>> b\n",
		"kept_kixx.go":    header,
		"other.go":        header,
		"x_kixx_test.go":  header,
		"changed_kixx.go": header,
	})
	changes, err := Plan([]Directory{{Path: dir, Keep: []string{"kept_kixx.go"}, Files: map[string][]byte{
		"same_kixx.go": []byte(header), "crlf_kixx.go": []byte(header), "changed_kixx.go": []byte(header + "// more\n"), "new_kixx.go": []byte(header),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range changes {
		kind := "change"
		if c.Old == nil {
			kind = "add"
		} else if c.New == nil {
			kind = "remove"
		}
		got = append(got, kind+" "+filepath.Base(c.Path))
	}
	want := []string{"change changed_kixx.go", "remove empty_kixx.go", "remove marked_kixx.go", "add new_kixx.go", "remove old_kixx.go", "remove x_kixx_test.go"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Plan = %v, want %v", got, want)
	}
}

func TestPlanRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "a_kixx.go"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "b_kixx.go")); err != nil {
		t.Skip("no symbolic links:", err)
	}
	_, err := Plan([]Directory{{Path: dir, Files: map[string][]byte{"a_kixx.go": {}, "b_kixx.go": {}}}, {Path: filepath.Join(dir, "missing")}})
	var problems load.Problems
	if !errors.As(err, &problems) || len(problems) != 3 {
		t.Fatalf("Plan = %v, want three problems", err)
	}
	want := "a_kixx.go: is a directory, where a generated file should be; move it away\n" +
		"b_kixx.go: is no regular file (L---------), where a generated file should be; move it away\n" +
		"missing: "
	if got := problems.Format(dir); !strings.HasPrefix(got, want) { // the rest are the system's words
		t.Errorf("problems are\n%swant\n%s", got, want)
	}
}

func TestApplyWritesAllAndKeepsModes(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a_kixx.go": "old", "gone_kixx.go": header, ".kixxgen-1-young": "staged", ".kixxgen-2-old": "left over"})
	past := time.Now().Add(-2 * leftoverAge)
	if err := os.Chtimes(filepath.Join(dir, ".kixxgen-2-old"), past, past); err != nil {
		t.Fatal(err)
	}
	err := Apply([]Change{
		{Path: filepath.Join(dir, "gone_kixx.go"), Old: []byte(header), mode: 0o640},
		{Path: filepath.Join(dir, "a_kixx.go"), Old: []byte("old"), New: []byte("new"), mode: 0o640},
		{Path: filepath.Join(dir, "b_kixx.go"), New: []byte("added"), mode: 0o666},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a_kixx.go": "new", "b_kixx.go": "added", ".kixxgen-1-young": "staged"}
	if got := contents(t, dir); !maps.Equal(got, want) {
		t.Errorf("directory holds %v, want %v", got, want)
	}
	if info, err := os.Stat(filepath.Join(dir, "a_kixx.go")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode is %v, %v, want that of before", info.Mode(), err)
	}
}

// TestApplyIsAllOrNothing lets each operation fail in turn: afterwards every file is as it was.
func TestApplyIsAllOrNothing(t *testing.T) {
	broken := errors.New("broken")
	for fail := 1; ; fail++ {
		dir := t.TempDir()
		before := map[string]string{"a_kixx.go": "old a", "b_kixx.go": "old b", "gone_kixx.go": header, "later_kixx.go": header}
		write(t, dir, before)
		path := func(name string) string { return filepath.Join(dir, name) }
		changes := []Change{
			{Path: path("gone_kixx.go"), Old: []byte(header), mode: 0o640},
			{Path: path("a_kixx.go"), Old: []byte("old a"), New: []byte("new a"), mode: 0o640},
			{Path: path("b_kixx.go"), Old: []byte("old b"), New: []byte("new b"), mode: 0o640},
			{Path: path("c_kixx.go"), New: []byte("new c"), mode: 0o666},
			{Path: path("later_kixx.go"), Old: []byte(header), mode: 0o640},
		}
		n := 0
		step := func() error {
			if n++; n == fail {
				return broken
			}
			return nil
		}
		d := disk{
			write: func(path string, content []byte, mode fs.FileMode) error {
				if err := step(); err != nil {
					os.WriteFile(path, content[:len(content)/2], mode) // a full disk leaves a part
					return fmt.Errorf("%s: %w", path, err)
				}
				return realDisk.write(path, content, mode)
			},
			rename: func(from, to string) error {
				if err := step(); err != nil {
					return err
				}
				return os.Rename(from, to)
			},
			remove: func(path string) error {
				if strings.HasPrefix(filepath.Base(path), stagePrefix) {
					return os.Remove(path)
				}
				if err := step(); err != nil {
					return err
				}
				return os.Remove(path)
			},
		}
		err := d.apply(changes)
		if n < fail {
			if err != nil {
				t.Fatalf("nothing failed, and apply = %v", err)
			}
			t.Logf("%d operations, each failed once", n)
			return
		}
		if !errors.Is(err, broken) {
			t.Fatalf("operation %d failed, and apply = %v", fail, err)
		}
		if got := contents(t, dir); !maps.Equal(got, before) {
			t.Fatalf("operation %d failed, and the directory holds %v, want %v", fail, got, before)
		}
	}
}

// A sample in a directory below is made with the directory, is compared like any other file, and is never removed.
func TestFilesInADirectoryBelow(t *testing.T) {
	dir := t.TempDir()
	at := filepath.Join(dir, "testdata", "kixx", "item.1.json")
	want := []Directory{{Path: dir, Files: map[string][]byte{"testdata/kixx/item.1.json": []byte("{}\n")}}}
	for _, step := range []struct {
		want    []Directory
		changes int
	}{{want, 1}, {want, 0}, {[]Directory{{Path: dir}}, 0}} {
		changes, err := Plan(step.want)
		if err != nil || len(changes) != step.changes {
			t.Fatalf("Plan = %v, %v, want %d changes", changes, err, step.changes)
		}
		if err := Apply(changes); err != nil {
			t.Fatal(err)
		}
		if content, err := os.ReadFile(at); err != nil || string(content) != "{}\n" {
			t.Fatalf("%s holds %q, %v", at, content, err)
		}
	}
	if err := os.WriteFile(at, []byte("changed by hand"), 0o644); err != nil {
		t.Fatal(err)
	}
	if changes, err := Plan(want); err != nil || len(changes) != 1 {
		t.Errorf("Plan of a sample that was changed = %v, %v, want 1 change", changes, err)
	}
}

// A file of the user is changed where it is: with its permissions, and through a link. What need not change is not a change.
func TestEditKeepsPermissionsAndLinks(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "README.md"), filepath.Join(dir, "docs.md")
	if err := os.WriteFile(file, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("README.md", link); err != nil {
		t.Skip(err)
	}
	same := func(old []byte) ([]byte, error) { return old, nil }
	if changes, err := Edit(link, same); err != nil || len(changes) > 0 {
		t.Errorf("Edit without a change = %v, %v", changes, err)
	}
	changes, err := Edit(link, func(old []byte) ([]byte, error) { return append(old, "new\n"...), nil })
	if err != nil || len(changes) != 1 {
		t.Fatalf("Edit = %v, %v, want one change", changes, err)
	}
	if err := Apply(changes); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link is %v, %v", info, err)
	}
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v, want permissions 600", info.Mode(), err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "old\nnew\n" {
		t.Errorf("the file holds %q, %v", b, err)
	}
	if _, err := Edit(filepath.Join(dir, "none"), same); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Edit of nothing: %v", err)
	}
}

// TestApplySaysWhatItCouldNotPutBack lets a disk fail for good behind the first rename.
func TestApplySaysWhatItCouldNotPutBack(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a_kixx.go": "old a", "b_kixx.go": "old b"})
	n := 0
	d := realDisk
	d.rename = func(from, to string) error {
		if n++; n > 1 {
			return errors.New("broken")
		}
		return os.Rename(from, to)
	}
	err := d.apply([]Change{
		{Path: filepath.Join(dir, "a_kixx.go"), Old: []byte("old a"), New: []byte("new a"), mode: 0o640},
		{Path: filepath.Join(dir, "b_kixx.go"), Old: []byte("old b"), New: []byte("new b"), mode: 0o640},
	})
	want := "broken\n" + filepath.Join(dir, "a_kixx.go") + ": old content could not be put back: broken"
	if err == nil || err.Error() != want {
		t.Errorf("apply = %v, want %s", err, want)
	}
}
