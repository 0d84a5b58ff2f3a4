// Package inventory keeps the things on a shelf: a document with every common kind of index, and two views.
//
// Run it with go run ./examples/inventory/demo; seed_test.go has each of its steps as a test.
package inventory

import (
	"fmt"
	"math"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

//go:generate go run github.com/kixxgen/kixxgen/cmd/kixxgen

// Item is a thing on the shelf.
//
//kixx:entity
//kixx:index CategoryPrice Category,Price:desc
//kixx:view ByPriceRange func=emitPriceRange
//kixx:view ByDate func=emitDate
type Item struct {
	ID          string     `json:"id" kixx:"key,auto"`
	Rev         kixx.Rev   `json:"_rev" kixx:"rev"`
	Title       string     `json:"title" validate:"required,max=200"`
	Description string     `json:"description,omitempty"`
	SKU         string     `json:"sku" kixx:"unique" validate:"required"`
	Category    string     `json:"category" kixx:"index" validate:"required"`
	Price       float64    `json:"price" kixx:"index" validate:"gte=0"`
	Tags        []string   `json:"tags" kixx:"index"`
	DeletedAt   *time.Time `json:"deletedAt,omitempty"`
	CreatedAt   time.Time  `json:"createdAt" kixx:"created,index:desc"`
	UpdatedAt   time.Time  `json:"updatedAt" kixx:"updated"`
}

// PriceLine is what the views show of an item.
type PriceLine struct {
	Title string  `json:"title"`
	Price float64 `json:"price"`
}

// emitPriceRange puts items into ranges of ten. Text sorts byte by byte, so the bounds have leading zeros.
func emitPriceRange(it *Item, emit kixx.Emit[string, PriceLine]) {
	low := int(math.Floor(it.Price/10)) * 10
	emit(fmt.Sprintf("%04d-%04d", low, low+9), PriceLine{it.Title, it.Price})
}

// emitDate puts items into the day on which they were created.
func emitDate(it *Item, emit kixx.Emit[string, PriceLine]) {
	emit(it.CreatedAt.Format(time.DateOnly), PriceLine{it.Title, it.Price})
}
