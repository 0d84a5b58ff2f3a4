package main

import (
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

//go:generate go tool kixxgen

// Person is the document of the benchmark: a unique value, an index of two fields, and some text.
//
//kixx:entity
//kixx:index CityCreated City,Created
type Person struct {
	ID      string    `json:"id" kixx:"key"`
	Rev     kixx.Rev  `json:"_rev" kixx:"rev"`
	Email   string    `json:"email" kixx:"unique"`
	City    string    `json:"city"`
	Created time.Time `json:"created"`
	Name    string    `json:"name" validate:"required"`
	Bio     string    `json:"bio"`
}
