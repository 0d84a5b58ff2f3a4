// Package blog is a blog whose posts have outlived two versions of their struct, which are in packages v1 and v2. Documents of
// either are read as those of today. Programs of the first two versions can run beside each other, as long as no post is
// deleted; today's migrates, so that older programs refuse what it has written, instead of reading it wrongly.
package blog

import (
	"net/mail"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

//go:generate go run github.com/kixxgen/kixxgen/cmd/kixxgen

// Post is an entry of a blog. Its key is the blog and the slug in it. When two people have edited the same copy, their changes
// come together: the later time, the tags of both, the larger number of reads; a body that both have changed is reported.
//
//kixx:entity
//kixx:migrate 1 func=splitAuthor
//kixx:migrate 2 func=dayToTime
//kixx:index Feed Blog,PublishedAt:desc
//kixx:view ByMonth func=emitMonth
type Post struct {
	Blog        string     `json:"blog" kixx:"key"`
	Slug        string     `json:"slug" kixx:"key"`
	Rev         kixx.Rev   `json:"_rev" kixx:"rev"`
	Title       string     `json:"title" kixx:"was=name,merge=theirs" validate:"required"`
	Author      string     `json:"author"`
	Mail        string     `json:"mail" kixx:"index" validate:"omitempty,email"`
	PublishedAt *time.Time `json:"publishedAt,omitempty" kixx:"merge=max"` // nil while it is a draft
	Language    string     `json:"language" kixx:"default=en,index"`
	Tags        []string   `json:"tags" kixx:"index,merge=union"`
	Reads       int        `json:"reads" kixx:"merge=max"`
	Body        string     `json:"body"`
	DeletedAt   *time.Time `json:"deletedAt,omitempty" kixx:"deleted"`
	_           struct{}   `kixx:"drop=summary"`
}

// Comment is what a reader says to a post. Its key begins with that of the post, so that the comments of a post lie together,
// in the order of their time.
//
//kixx:entity
type Comment struct {
	Blog string    `json:"blog" kixx:"key"`
	Slug string    `json:"slug" kixx:"key"`
	At   time.Time `json:"at" kixx:"key"`
	Rev  kixx.Rev  `json:"_rev" kixx:"rev"`
	By   string    `json:"by" validate:"required"`
	Text string    `json:"text" validate:"required,max=2000"`
}

// splitAuthor makes two fields of an author that was written as in a mail.
func splitAuthor(f *kixx.Fields) error {
	text, _ := f.Get("author").(string)
	if a, err := mail.ParseAddress(text); err == nil {
		f.Set("author", a.Name)
		f.Set("mail", a.Address)
	}
	return nil
}

// dayToTime makes a time of the day when a post was published. What is no day stays where it is, a field that nobody knows any
// more, and the post is a draft.
func dayToTime(f *kixx.Fields) error {
	day, _ := f.Get("posted").(string)
	if t, err := time.Parse(time.DateOnly, day); err == nil {
		f.Set("publishedAt", t)
		f.Delete("posted")
	}
	return nil
}

// emitMonth puts a published post under its blog and month, with its title.
func emitMonth(p *Post, emit kixx.Emit[string, string]) {
	if p.PublishedAt != nil {
		emit(p.Blog+" "+p.PublishedAt.UTC().Format("2006-01"), p.Title)
	}
}
