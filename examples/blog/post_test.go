package blog_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/examples/blog"
	"github.com/kixxgen/kixxgen/examples/blog/v1"
	"github.com/kixxgen/kixxgen/examples/blog/v2"
	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/kixxtest"
)

func posts(t *testing.T, db *kixx.DB) *blog.PostRepo {
	t.Helper()
	r, err := blog.NewPostRepo(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// program runs what a program does with a database, from opening to closing it.
func program(t *testing.T, url string, does func(db *kixx.DB)) {
	t.Helper()
	db, err := kixx.Open(t.Context(), url, kixx.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	does(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// Programs of the first two versions write in turns, before today's reads what they have left.
func TestPostsOfEveryVersionAreReadAsThoseOfToday(t *testing.T) {
	url, ctx := "file:"+t.TempDir(), t.Context()
	for turn := range 5 {
		program(t, url, func(db *kixx.DB) {
			r, err := v1.NewPostRepo(ctx, db)
			if err != nil {
				t.Fatal(err)
			}
			for i := 2 * turn; i < 2*turn+2; i++ {
				p := &v1.Post{Blog: "b", Slug: fmt.Sprint("p", i), Name: fmt.Sprint("Name p", i), Author: "A B <a@example.com>", Posted: fmt.Sprintf("2025-01-%02d", i+1)}
				if _, err := r.Insert(ctx, p); err != nil {
					t.Fatal(err)
				}
			}
			// The first version keeps what it does not know.
			for p, err := range r.Query().All(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				if p.Body += "+"; p.Name != "Name "+p.Slug {
					t.Errorf("the first version reads the name %q of %s", p.Name, p.Slug)
				}
				if _, err := r.Set(ctx, p); err != nil {
					t.Fatal(err)
				}
			}
		})
		program(t, url, func(db *kixx.DB) {
			r, err := v2.NewPostRepo(ctx, db)
			if err != nil {
				t.Fatal(err)
			}
			key := v2.PostKey{Blog: "b", Slug: fmt.Sprint("p", 2*turn)}
			p, err := r.Update(ctx, key, func(p *v2.Post) error { p.Tags = []string{"even"}; return nil })
			if err != nil || p.Title != "Name "+p.Slug || p.Language != "en" {
				t.Fatalf("the second version reads %+v, %v", p, err)
			}
		})
	}
	program(t, url, func(db *kixx.DB) {
		r := posts(t, db)
		checkPosts(t, r, "before Migrate")
		report, err := r.Migrate(ctx, kixx.MigrateOptions{})
		if err != nil || report.Total != 10 || report.Migrated != 10 {
			t.Fatalf("Migrate = %+v, %v", report, err)
		}
		checkPosts(t, r, "after Migrate")
	})
	program(t, url, func(db *kixx.DB) {
		r, err := v2.NewPostRepo(ctx, db)
		if err == nil {
			_, err = r.Get(ctx, v2.PostKey{Blog: "b", Slug: "p1"})
		}
		if !errors.Is(err, kixx.ErrSchema) {
			t.Errorf("the second version meets a migrated post: %v, want ErrSchema", err)
		}
	})
}

// checkPosts compares the ten posts that the older versions have written with what they are to be today.
func checkPosts(t *testing.T, r *blog.PostRepo, when string) {
	t.Helper()
	ctx := t.Context()
	found, err := r.RangeByFeed("b").Everything().Collect(ctx)
	if err != nil || len(found) != 10 {
		t.Fatalf("%s: %d posts in the feed, %v, want 10", when, len(found), err)
	}
	for i, p := range found {
		n := 9 - i // the newest first
		var tags []string
		if n%2 == 0 {
			tags = []string{"even"}
		}
		day := time.Date(2025, 1, n+1, 0, 0, 0, 0, time.UTC)
		if p.Slug != fmt.Sprint("p", n) || p.Title != "Name "+p.Slug || p.Author != "A B" || p.Mail != "a@example.com" || !p.PublishedAt.Equal(day) ||
			p.Language != "en" || !slices.Equal(p.Tags, tags) || p.Body != strings.Repeat("+", 5-n/2) {
			t.Errorf("%s: post %d of the feed is %+v", when, i, p)
		}
	}
	for _, c := range []struct {
		what  string
		count func(context.Context) (int, error)
		want  int
	}{
		{"of one mail", r.QueryByMail("a@example.com").Count, 10},
		{"with a tag", r.QueryByTags("even").Count, 5},
		{"in English", r.QueryByLanguage("en").Count, 10},
		{"of a month", r.QueryByMonth("b 2025-01").Count, 10},
	} {
		if n, err := c.count(ctx); n != c.want || err != nil {
			t.Errorf("%s: %d posts %s, %v, want %d", when, n, c.what, err, c.want)
		}
	}
}

func TestEditsOfOneCopyComeTogether(t *testing.T) {
	r, ctx := posts(t, kixxtest.Open(t)), t.Context()
	base, err := r.Insert(ctx, &blog.Post{Blog: "b", Slug: "s", Title: "T", Tags: []string{"x"}, Reads: 5, Body: "body"})
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC)
	later := day.AddDate(0, 0, 1)
	mine, theirs := *base, *base
	theirs.Title, theirs.PublishedAt, theirs.Tags, theirs.Reads = "Theirs", &later, []string{"x", "y"}, 9
	mine.Title, mine.PublishedAt, mine.Tags, mine.Reads, mine.Body = "Mine", &day, []string{"x", "z"}, 7, "mine"
	if _, err := r.Set(ctx, &theirs); err != nil {
		t.Fatal(err)
	}
	m, err := r.Merge(ctx, base, &mine)
	if err != nil {
		t.Fatal(err)
	}
	tags := slices.Sorted(slices.Values(m.Tags))
	if m.Title != "Theirs" || !m.PublishedAt.Equal(later) || !slices.Equal(tags, []string{"x", "y", "z"}) || m.Reads != 9 || m.Body != "mine" {
		t.Errorf("merged: %+v", m)
	}
	mine.Body = "mine, again"
	var conflict *kixx.MergeError
	if _, err := r.Merge(ctx, base, &mine); !errors.As(err, &conflict) || !slices.Equal(conflict.Fields, []string{"Body"}) {
		t.Errorf("a body that both have changed: %v, want a MergeError that names Body", err)
	}
}

func TestDeletedPostsComeBack(t *testing.T) {
	r, ctx := posts(t, kixxtest.Open(t)), t.Context()
	key := blog.PostKey{Blog: "b", Slug: "s"}
	day := time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC)
	if _, err := r.Insert(ctx, &blog.Post{Blog: "b", Slug: "s", Title: "T", PublishedAt: &day}); err != nil {
		t.Fatal(err)
	}
	counts := func() (feed, month, all int) {
		t.Helper()
		feed, err1 := r.RangeByFeed("b").Everything().Count(ctx)
		month, err2 := r.QueryByMonth("b 2025-03").Count(ctx)
		all, err3 := r.WithDeleted().RangeByFeed("b").Everything().Count(ctx)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		return feed, month, all
	}
	if err := r.Delete(ctx, key); err != nil {
		t.Fatal(err)
	}
	if feed, month, all := counts(); feed != 0 || month != 0 || all != 1 {
		t.Errorf("deleted: %d in the feed, %d in the month, %d with the deleted; want 0, 0, 1", feed, month, all)
	}
	if _, err := r.Restore(ctx, key); err != nil {
		t.Fatal(err)
	}
	if feed, month, all := counts(); feed != 1 || month != 1 || all != 1 {
		t.Errorf("restored: %d in the feed, %d in the month, %d with the deleted; want 1, 1, 1", feed, month, all)
	}
	if err := r.Purge(ctx, key); err != nil {
		t.Fatal(err)
	}
	if feed, month, all := counts(); feed+month+all != 0 {
		t.Errorf("purged: %d in the feed, %d in the month, %d with the deleted; want none", feed, month, all)
	}
}

func TestCommentsLieWithTheirPost(t *testing.T) {
	db, ctx := kixxtest.Open(t), t.Context()
	r, err := blog.NewCommentRepo(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		at := time.Date(2025, 1, 1, 0, 5-i, 0, 0, time.UTC)
		if _, err := r.Insert(ctx, &blog.Comment{Blog: "b", Slug: []string{"s", "s2"}[i%2], At: at, By: "me", Text: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	found, err := r.RangeByKey("b", "s").Everything().Collect(ctx)
	if err != nil || len(found) != 3 || found[0].Text != "4" || found[2].Text != "0" {
		t.Errorf("comments of a post: %v, %v", found, err)
	}
}
