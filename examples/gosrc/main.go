package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

func main() {
	dir := flag.String("dir", filepath.Join(os.TempDir(), "kixx-gosrc"), "directory of the database")
	src := flag.String("src", "", "tree to read (default: src of go env GOROOT)")
	imported := flag.String("import", "net/http", "package to ask for")
	flag.Parse()
	if *src == "" {
		root, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			log.Fatal("go env GOROOT: ", err)
		}
		*src = filepath.Join(strings.TrimSpace(string(root)), "src")
	}
	if err := run(context.Background(), os.Stdout, *dir, *src, *imported); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer, dir, src, imported string) error {
	db, err := kixx.Open(ctx, "file:"+dir)
	if err != nil {
		return err
	}
	if err := errors.Join(loadAndAsk(ctx, w, db, src, imported), db.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%d bytes on disk\n", diskUsage(dir))
	return err
}

func loadAndAsk(ctx context.Context, w io.Writer, db *kixx.DB, src, imported string) error {
	files, err := NewFileRepo(ctx, db)
	if err != nil {
		return err
	}
	if err := load(ctx, w, files, src); err != nil {
		return err
	}
	if err := importers(ctx, w, files, imported); err != nil {
		return err
	}
	return sizes(ctx, w, files)
}

// batch is how many files are compared and written at a time.
const batch = 100

// load reads the tree and stores what is new or changed.
func load(ctx context.Context, w io.Writer, files *FileRepo, src string) error {
	begin := time.Now()
	var read, wrote, skipped int
	var pending []*File
	flush := func() error {
		n, err := store(ctx, files, pending)
		wrote += n
		pending = pending[:0]
		return err
	}
	err := filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		f, err := parse(src, path)
		if err != nil {
			skipped++ // testdata holds files that are wrong on purpose
			return nil
		}
		read++
		if pending = append(pending, f); len(pending) == batch {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	took := time.Since(begin)
	fmt.Fprintf(w, "read %d files in %v, %.0f documents/s; wrote %d that are new or changed, left out %d that do not parse\n\n",
		read, took.Round(time.Millisecond), float64(read)/took.Seconds(), wrote, skipped)
	return nil
}

// store writes those of the files that differ from what is stored, with the revision that was compared.
func store(ctx context.Context, files *FileRepo, list []*File) (wrote int, err error) {
	paths := make([]string, len(list))
	for i, f := range list {
		paths[i] = f.Path
	}
	stored, err := files.GetMany(ctx, paths...)
	if err != nil {
		return 0, err
	}
	var changed []*File
	for i, f := range list {
		if old := stored[i]; old != nil {
			if old.Package == f.Package && old.Size == f.Size && old.Lines == f.Lines && old.Time.Equal(f.Time) && slices.Equal(old.Imports, f.Imports) {
				continue
			}
			f.Rev = old.Rev
		}
		changed = append(changed, f)
	}
	_, err = files.SetMany(ctx, changed...)
	return len(changed), err
}

// parse makes a document of a file.
func parse(src, path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	name, err := filepath.Rel(src, path)
	if err != nil {
		return nil, err
	}
	syntax, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	f := &File{Path: filepath.ToSlash(name), Package: syntax.Name.Name, Size: info.Size(), Lines: bytes.Count(text, []byte("\n")), Time: info.ModTime()}
	for _, spec := range syntax.Imports {
		if path, err := strconv.Unquote(spec.Path.Value); err == nil {
			f.Imports = append(f.Imports, path)
		}
	}
	return f, nil
}

// importers prints who imports a package, twenty at a time, the largest first.
func importers(ctx context.Context, w io.Writer, files *FileRepo, imported string) error {
	q := files.RangeByImportSize(imported).Everything().Limit(20)
	total, err := q.Count(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d files import %s, the largest first:\n", total, imported)
	for n := 1; n <= 2; n++ {
		page, err := q.Page(ctx)
		if err != nil {
			return err
		}
		for _, f := range page.Items {
			fmt.Fprintf(w, "  page %d %8d bytes  %s\n", n, f.Size, f.Path)
		}
		if page.Next == "" {
			return nil
		}
		q = q.After(page.Next)
	}
	return nil
}

// sizes counts the files of each size class, with the view.
func sizes(ctx context.Context, w io.Writer, files *FileRepo) error {
	fmt.Fprintln(w, "files by size:")
	for class := int64(1024); ; class *= 2 {
		n, err := files.QueryBySizeClass(class).Count(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			fmt.Fprintf(w, "  below %8d bytes %6d\n", class, n)
		}
		more, err := files.RangeBySizeClass().Above(class).Count(ctx)
		if err != nil || more == 0 {
			return err
		}
	}
}

// diskUsage adds up the files of a directory.
func diskUsage(dir string) (bytes int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				bytes += info.Size()
			}
		}
		return nil
	})
	return bytes
}
