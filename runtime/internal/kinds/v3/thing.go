// Package v3 has the entity of package v2 as it is tomorrow: what no option can say is left to a migration.
package v3

import (
	"errors"
	"strconv"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// Thing is what the versions of an application have in common.
//
//kixx:entity
//kixx:migrate 1 func=sizeToText
//kixx:migrate 2 func=joinNames
type Thing struct {
	ID     string   `json:"id" kixx:"key"`
	Rev    kixx.Rev `json:"_rev" kixx:"rev"`
	Size   string   `json:"size" kixx:"index"`
	Title  string   `json:"title" kixx:"was=label"`
	Full   string   `json:"full"`
	Code   *string  `json:"code"`
	Serial *string  `json:"serial"`
	Stock  int      `json:"stock" kixx:"default=7"`
	_      struct{} `kixx:"drop=color"`
	Part   Part     `json:"part"`
}

// Part has lost a field.
type Part struct {
	A int      `json:"a"`
	_ struct{} `kixx:"drop=b"`
}

// sizeToText makes text of the number in size. A size below zero is one that it cannot migrate.
func sizeToText(f *kixx.Fields) error {
	n, ok := f.Get("size").(int64)
	if !ok || n < 0 {
		return errors.New("size is no number from 0 on")
	}
	f.Set("size", strconv.FormatInt(n, 10)+" cm")
	return nil
}

// joinNames knows the title by the name that it had when the function was written.
func joinNames(f *kixx.Fields) error {
	name, _ := f.Get("name").(string)
	label, _ := f.Get("label").(string)
	f.Set("full", name+"/"+label)
	f.Delete("name")
	return nil
}
