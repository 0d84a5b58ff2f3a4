// Package before has the notes of package inventory as an earlier version of the application had them.
package before

import kixx "github.com/kixxgen/kixxgen/runtime"

//go:generate go run github.com/kixxgen/kixxgen/cmd/kixxgen

// Note is a remark on an item.
//
//kixx:entity
type Note struct {
	ID     string   `json:"id" kixx:"key"`
	Rev    kixx.Rev `json:"_rev" kixx:"rev"`
	ItemID string   `json:"itemId" kixx:"index"`
	Name   string   `json:"name"`
	Text   string   `json:"text"`
}
