// Package app is a shop over HTTP: items with stock, orders that take it, a live page of what changes.
//
//	go run ./examples/shop
//
// and open http://127.0.0.1:8080. Read entities.go for what is stored, shop.go for what is done, server.go for HTTP.
package app

import (
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

//go:generate go run github.com/kixxgen/kixxgen/cmd/kixxgen

// Item is a thing on sale.
//
//kixx:entity
//kixx:index CategoryPrice Category,Price
type Item struct {
	ID       string   `json:"id" kixx:"key"`
	Rev      kixx.Rev `json:"_rev" kixx:"rev"`
	Title    string   `json:"title" validate:"required,max=200"`
	SKU      string   `json:"sku" kixx:"unique" validate:"required"`
	Category string   `json:"category" validate:"required"`
	Price    int64    `json:"price" validate:"gte=0"` // in cents
	Stock    int      `json:"stock" validate:"gte=0"`
}

// Order is what a customer has bought.
//
//kixx:entity
//kixx:index CustomerAt Customer,PlacedAt:desc
type Order struct {
	ID       string    `json:"id" kixx:"key,auto"`
	Rev      kixx.Rev  `json:"_rev" kixx:"rev"`
	Customer string    `json:"customer" validate:"required,max=100"`
	Lines    []Line    `json:"lines" validate:"required,dive"`
	Total    int64     `json:"total"` // in cents
	PlacedAt time.Time `json:"placedAt" kixx:"created"`
}

// Line is one item of an order.
type Line struct {
	Item  string `json:"item" validate:"required"`
	Count int    `json:"count" validate:"gte=1,lte=1000"`
	Price int64  `json:"price"` // of one, when it was ordered
}
