// Package v1 has an entity as it was yesterday.
package v1

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
	Label  string   `json:"label" kixx:"index"`
	Code   *string  `json:"code"`
	Serial *string  `json:"serial" kixx:"unique"`
	Part   Part     `json:"part"`
}

// Part nests, so that unknown fields can be deeper than the top.
type Part struct {
	A int `json:"a"`
}

const bucket = 10

func emitSize(t *Thing, emit kixx.Emit[int, string]) { emit(t.Size/bucket*bucket, t.Name) }
