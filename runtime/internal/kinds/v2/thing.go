// Package v2 has the entity of package v1 as it is today: a field that has another name, one with a default, one with an
// index, one more in a struct inside, another unique index, and a view that sorts otherwise.
package v2

import (
	kixx "github.com/kixxgen/kixxgen/runtime"
)

// Thing is what the versions of an application have in common.
//
//kixx:entity
//kixx:view BySize func=emitSize
type Thing struct {
	ID     string   `json:"id" kixx:"key"`
	Rev    kixx.Rev `json:"_rev" kixx:"rev"`
	Name   string   `json:"name" kixx:"index"`
	Size   int      `json:"size"`
	Title  string   `json:"title" kixx:"was=label,index"`
	Code   *string  `json:"code" kixx:"unique"`
	Serial *string  `json:"serial"`
	Stock  int      `json:"stock" kixx:"default=7,index"`
	Color  string   `json:"color" kixx:"index"`
	Part   Part     `json:"part"`
}

// Part nests, so that unknown fields can be deeper than the top.
type Part struct {
	A int    `json:"a"`
	B string `json:"b"`
}

const bucket = 20

func emitSize(t *Thing, emit kixx.Emit[int, string]) { emit(t.Size/bucket*bucket, t.Name) }
