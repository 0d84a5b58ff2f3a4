// Command demo lets three versions of a blog run after one another on one database: the first writes posts, the second edits
// and deletes some, and today's reads them all, rewrites what is in an old form, and brings two edits of one copy together.
//
//	go run ./examples/blog/demo
//
// The database is a new one in a temporary directory, and is removed at the end.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/kixxgen/kixxgen/examples/blog"
	"github.com/kixxgen/kixxgen/examples/blog/v1"
	"github.com/kixxgen/kixxgen/examples/blog/v2"
	kixx "github.com/kixxgen/kixxgen/runtime"
)

func main() {
	dir, err := os.MkdirTemp("", "kixx-blog-")
	if err != nil {
		log.Fatal(err)
	}
	err = run(context.Background(), os.Stdout, "file:"+dir)
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer, url string) error {
	for _, version := range []struct {
		name string
		run  func(context.Context, io.Writer, *kixx.DB) error
	}{
		{"the first version", first}, {"the second version", second}, {"today's version", today},
	} {
		fmt.Fprintf(w, "== %s\n", version.name)
		// Each is a program of its own: it opens the database, and closes it.
		db, err := kixx.Open(ctx, url)
		if err != nil {
			return err
		}
		if err := errors.Join(version.run(ctx, w, db), db.Close()); err != nil {
			return fmt.Errorf("%s: %w", version.name, err)
		}
	}
	return nil
}

func first(ctx context.Context, w io.Writer, db *kixx.DB) error {
	posts, err := v1.NewPostRepo(ctx, db)
	if err != nil {
		return err
	}
	for _, p := range []*v1.Post{
		{Blog: "engines", Slug: "notes", Name: "Notes", Author: "Ada Byron <ada@example.com>", Posted: "2024-10-18", Summary: "On an engine", Body: "The engine weaves."},
		{Blog: "engines", Slug: "numbers", Name: "Bernoulli numbers", Author: "Ada Byron <ada@example.com>", Posted: "2024-11-02", Body: "By twenty-five operations."},
		{Blog: "engines", Slug: "mill", Name: "The mill", Author: "Charles", Posted: "soon", Body: "A draft."},
		{Blog: "ships", Slug: "bugs", Name: "A bug", Author: "Grace Hopper <grace@example.com>", Posted: "2024-11-09", Body: "In a relay."},
	} {
		if _, err := posts.Insert(ctx, p); err != nil {
			return err
		}
		fmt.Fprintf(w, "written        %s/%s by %s\n", p.Blog, p.Slug, p.Author)
	}
	return nil
}

func second(ctx context.Context, w io.Writer, db *kixx.DB) error {
	posts, err := v2.NewPostRepo(ctx, db)
	if err != nil {
		return err
	}
	p, err := posts.Update(ctx, v2.PostKey{Blog: "engines", Slug: "notes"}, func(p *v2.Post) error {
		p.Tags = []string{"engine"}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "edited         %s, in %q, with the tags %q\n", p.Title, p.Language, p.Tags)
	if err := posts.Delete(ctx, v2.PostKey{Blog: "ships", Slug: "bugs"}); err != nil {
		return err
	}
	n, err := posts.Count(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "deleted        ships/bugs; %d posts are left\n", n)
	return nil
}

func today(ctx context.Context, w io.Writer, db *kixx.DB) error {
	posts, err := blog.NewPostRepo(ctx, db)
	if err != nil {
		return err
	}
	comments, err := blog.NewCommentRepo(ctx, db)
	if err != nil {
		return err
	}

	// A migration tells what it would do, then does it. What cannot be migrated stays as it is, and is reported.
	plan, err := posts.Migrate(ctx, kixx.MigrateOptions{DryRun: true})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "to migrate     %d of %d\n", plan.Migrated, plan.Total)
	report, err := posts.Migrate(ctx, kixx.MigrateOptions{})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "migrated       %d, unchanged %d, failed %d\n", report.Migrated, report.Unchanged, len(report.Failed))
	for _, f := range report.Failed {
		fmt.Fprintf(w, "not migrated   %s/%s: %v\n", f.Key.Blog, f.Key.Slug, f.Err)
	}

	// The newest first, of one blog.
	for p, err := range posts.RangeByFeed("engines").Everything().All(ctx) {
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "feed           %s  %s, by %s <%s>\n", p.PublishedAt.Format(time.DateOnly), p.Title, p.Author, p.Mail)
	}
	for e, err := range posts.QueryByMonth("engines 2024-11").All(ctx) {
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "in 2024-11     %s\n", e.Value)
	}

	// Two people edit the same copy. The tags of both are kept, and the changes of different fields.
	key := blog.PostKey{Blog: "engines", Slug: "numbers"}
	base, err := posts.Get(ctx, key)
	if err != nil {
		return err
	}
	ada, charles := *base, *base
	ada.Body, ada.Tags = base.Body+" Corrected.", []string{"mathematics"}
	charles.Title, charles.Tags = "On Bernoulli's numbers", []string{"engine"}
	if _, err := posts.Merge(ctx, base, &ada); err != nil {
		return err
	}
	merged, err := posts.Merge(ctx, base, &charles)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "merged         %s %q: %s\n", merged.Title, merged.Tags, merged.Body)

	// What was deleted can be looked at, and comes back.
	bugs := blog.PostKey{Blog: "ships", Slug: "bugs"}
	gone, err := posts.WithDeleted().Get(ctx, bugs)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "was deleted    %s: %t\n", gone.Title, gone.DeletedAt != nil)
	if _, err := posts.Restore(ctx, bugs); err != nil {
		return err
	}

	// A comment has the key of its post and a time.
	for i, text := range []string{"First!", "How many operations?"} {
		c := &blog.Comment{Blog: "engines", Slug: "numbers", At: time.Date(2024, 11, 3, 9, i, 0, 0, time.UTC), By: "Mary", Text: text}
		if _, err := comments.Overwrite(ctx, c); err != nil {
			return err
		}
	}
	for c, err := range comments.RangeByKey("engines", "numbers").Everything().Reverse().All(ctx) {
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "comment        %s %s: %s\n", c.At.Format(time.TimeOnly), c.By, c.Text)
	}
	return nil
}
