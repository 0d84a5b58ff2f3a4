// Package v1 has the posts of package blog as the first version of the application had them.
package v1

import kixx "github.com/kixxgen/kixxgen/runtime"

//go:generate go run github.com/kixxgen/kixxgen/cmd/kixxgen

// Post is an entry of a blog.
//
//kixx:entity
type Post struct {
	Blog    string   `json:"blog" kixx:"key"`
	Slug    string   `json:"slug" kixx:"key"`
	Rev     kixx.Rev `json:"_rev" kixx:"rev"`
	Name    string   `json:"name" validate:"required"`
	Author  string   `json:"author" kixx:"index"` // as in a mail: Ada Byron <ada@example.com>
	Posted  string   `json:"posted"`              // the day, 2025-06-01
	Summary string   `json:"summary"`
	Body    string   `json:"body"`
}
