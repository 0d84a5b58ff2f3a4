// Package output writes the generated files of a run: all of them or none.
//
// [Plan] compares what should be there with what is, and [Apply] makes the difference. New contents are staged beside
// their targets and renamed when all of them are written; when a step fails, what was done is undone. After a crash
// between renames each file is whole, old or new, and the next run completes the set.
package output

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kixxgen/kixxgen/cmd/kixxgen/internal/load"
)

// A Directory says which generated files a directory should have.
type Directory struct {
	Path  string
	Files map[string][]byte // by base name, or by path with slashes; one in a directory below is never removed
	Keep  []string          // base names of files that are not made in this run, and stay
}

// A Change is a file that is not as it should be.
type Change struct {
	Path string
	Old  []byte // nil: it is not there
	New  []byte // nil: it should not be there
	mode fs.FileMode
}

// Plan returns what must change so that the directories are as they should be, sorted by path. Contents that differ in
// carriage returns alone are equal: a check-out may have added them. Generated files that nothing makes any more are to be
// removed; files of the user are never touched. The error is a [load.Problems]: a target that is no regular file, or a
// directory that cannot be read.
func Plan(dirs []Directory) ([]Change, error) {
	var changes []Change
	var problems load.Problems
	wrong := func(name string, err error) {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		problems = append(problems, load.Problem{File: name, Text: err.Error()})
	}
	for _, d := range dirs {
		for _, name := range sortedNames(d.Files) {
			path := filepath.Join(d.Path, filepath.FromSlash(name))
			old, mode, err := read(path)
			if err != nil {
				wrong(path, err)
				continue
			}
			if old == nil || !bytes.Equal(plain(old), plain(d.Files[name])) {
				changes = append(changes, Change{Path: path, Old: old, New: d.Files[name], mode: mode})
			}
		}
		entries, err := os.ReadDir(d.Path)
		if err != nil {
			wrong(d.Path, err)
			continue
		}
		for _, e := range entries {
			name := e.Name()
			if d.Files[name] != nil || slices.Contains(d.Keep, name) || !e.Type().IsRegular() {
				continue
			}
			schema := name == load.SchemaFile
			if !schema && !strings.HasSuffix(name, "_kixx.go") && !strings.HasSuffix(name, "_kixx_test.go") {
				continue
			}
			path := filepath.Join(d.Path, name)
			old, mode, err := read(path)
			switch {
			case err != nil:
				wrong(path, err)
			case schema || load.Ours(name, old):
				changes = append(changes, Change{Path: path, Old: old, mode: mode})
			}
		}
	}
	if problems != nil {
		return nil, problems
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return changes, nil
}

// Edit returns the change of a file of the user, at path, to the content that edit makes of its own; none if that would be the
// same. A link is followed, so that the file it leads to is changed.
func Edit(path string, edit func(old []byte) ([]byte, error)) ([]Change, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	content, err := edit(old)
	if err != nil || bytes.Equal(old, content) {
		return nil, err
	}
	return []Change{{Path: path, Old: old, New: content, mode: info.Mode().Perm()}}, nil
}

// Made returns the change of a file that is not there.
func Made(path string, content []byte) Change { return Change{Path: path, New: content, mode: 0o666} }

// read returns the content of a file, nil if it is not there, and its permissions.
func read(path string) ([]byte, fs.FileMode, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0o666, nil
	case err != nil:
		return nil, 0, err
	case info.IsDir():
		return nil, 0, errors.New("is a directory, where a generated file should be; move it away")
	case !info.Mode().IsRegular():
		return nil, 0, fmt.Errorf("is no regular file (%s), where a generated file should be; move it away", info.Mode().Type())
	}
	content, err := os.ReadFile(path)
	if content == nil {
		content = []byte{}
	}
	return content, info.Mode().Perm(), err
}

// plain returns b with the line ends of Unix.
func plain(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) }

// sortedNames returns the keys of files in order.
func sortedNames(files map[string][]byte) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// stagePrefix starts the names of staged files. Go ignores files that start with a dot.
const stagePrefix = ".kixxgen-"

// leftoverAge is how old a staged file is that no run can still be about to rename.
const leftoverAge = time.Minute

// A disk is what Apply does to files, so that tests can let each step fail.
type disk struct {
	write  func(path string, content []byte, mode fs.FileMode) error
	rename func(from, to string) error
	remove func(path string) error
}

// realDisk is the disk outside of tests.
var realDisk = disk{
	write: func(path string, content []byte, mode fs.FileMode) error {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if err != nil {
			return err
		}
		_, err = f.Write(content)
		return errors.Join(err, f.Close())
	},
	rename: os.Rename,
	remove: os.Remove,
}

// Apply makes the changes, all of them or none. If it returns an error, everything is as it was before, except what the
// error says could not be restored.
func Apply(changes []Change) error { return realDisk.apply(changes) }

func (d disk) apply(changes []Change) (err error) {
	stage := func(c Change) string {
		return filepath.Join(filepath.Dir(c.Path), fmt.Sprintf("%s%d-%s", stagePrefix, os.Getpid(), filepath.Base(c.Path)))
	}
	var staged []string
	done := 0
	defer func() {
		for _, path := range staged {
			d.remove(path) // those that were renamed are gone already
		}
		if err == nil {
			return
		}
		for _, c := range changes[:done] {
			if undone := d.undo(c, stage(c)); undone != nil {
				err = errors.Join(err, fmt.Errorf("%s: old content could not be put back: %w", c.Path, undone))
			}
		}
	}()
	removeLeftovers(changes)
	// Removals come last: a name may only change its case, which is one file on some systems.
	changes = slices.Clone(changes)
	slices.SortStableFunc(changes, func(a, b Change) int { return removal(a) - removal(b) })
	for _, c := range changes {
		if c.New == nil {
			continue
		}
		staged = append(staged, stage(c))
		if err := d.write(stage(c), c.New, c.mode); err != nil {
			return err
		}
	}
	for _, c := range changes {
		if c.New != nil {
			err = d.rename(stage(c), c.Path)
		} else {
			err = d.remove(c.Path)
		}
		if err != nil {
			return err
		}
		done++
	}
	return nil
}

// undo puts the old content of c back.
func (d disk) undo(c Change, stage string) error {
	if c.Old == nil {
		return d.remove(c.Path)
	}
	if err := d.write(stage, c.Old, c.mode); err != nil {
		return err
	}
	return d.rename(stage, c.Path)
}

// removal returns 1 if c removes a file.
func removal(c Change) int {
	if c.New == nil {
		return 1
	}
	return 0
}

// removeLeftovers removes what a run that was killed has staged.
func removeLeftovers(changes []Change) {
	seen := map[string]bool{}
	for _, c := range changes {
		dir := filepath.Dir(c.Path)
		if seen[dir] {
			continue
		}
		seen[dir] = true
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			info, err := e.Info()
			if err == nil && strings.HasPrefix(e.Name(), stagePrefix) && info.Mode().IsRegular() && time.Since(info.ModTime()) > leftoverAge {
				os.Remove(filepath.Join(dir, e.Name()))
			}
		}
	}
}
