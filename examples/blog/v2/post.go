// Package v2 has the posts of package blog as the second version of the application had them: the name is called title, posts
// have tags and a language, summaries are gone, and a deleted post is marked instead of lost.
package v2

import (
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

//go:generate go run github.com/kixxgen/kixxgen/cmd/kixxgen

// Post is an entry of a blog.
//
//kixx:entity
type Post struct {
	Blog      string     `json:"blog" kixx:"key"`
	Slug      string     `json:"slug" kixx:"key"`
	Rev       kixx.Rev   `json:"_rev" kixx:"rev"`
	Title     string     `json:"title" kixx:"was=name" validate:"required"`
	Author    string     `json:"author" kixx:"index"`
	Posted    string     `json:"posted"`
	Language  string     `json:"language" kixx:"default=en,index"`
	Tags      []string   `json:"tags" kixx:"index"`
	Body      string     `json:"body"`
	DeletedAt *time.Time `json:"deletedAt,omitempty" kixx:"deleted"`
	_         struct{}   `kixx:"drop=summary"`
}
