package peers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

//go:generate go tool kixxgen

// Item is the document.
//
//kixx:entity peek
type Item struct {
	ID          string    `json:"id" kixx:"key"`
	Rev         kixx.Rev  `json:"_rev" kixx:"rev"`
	Category    string    `json:"category" kixx:"index"`
	Price       int64     `json:"price" kixx:"index"` // in cents
	Version     int64     `json:"version"`            // how often it was written
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Tags        []string  `json:"tags"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
}

// The peers number revisions from 1 on, and kixx from 0 on: number returns the number of one as a peer has it, 0 for none, and
// revision the revision with such a number.
func number(r kixx.Rev) uint64 {
	n, ok := r.Number()
	if !ok {
		return 0
	}
	return n + 1
}

func revision(number uint64) kixx.Rev { return kixx.RevOf(number - 1) }

// next sets the revision of it, of which number n is stored, to the next one.
func (it *Item) next(n uint64) { it.Rev = revision(n + 1) }

// clone returns a copy that shares nothing with it.
func (it *Item) clone() *Item {
	c := *it
	c.Tags = slices.Clone(it.Tags)
	return &c
}

const categories = 100

// What items are made of, so that making one costs little beside storing it.
var (
	categoryNames = table(categories, func(i int) string { return fmt.Sprintf("category-%02d", i) })
	names         = table(997, func(i int) string { return fmt.Sprintf("Garden chair, folding, model %03d", i) })
	descriptions  = table(1009, func(i int) string {
		return fmt.Sprintf("Number %04d of a series that is made of oak, and weatherproof", i)
	})
	tags  = table(64, func(i int) []string { return []string{"new", "sale", "garden-" + strconv.Itoa(i)} })
	epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

func table[T any](n int, of func(i int) T) []T {
	list := make([]T, n)
	for i := range list {
		list[i] = of(i)
	}
	return list
}

// itemID returns the ID of document i.
func itemID(i int) string {
	var b [13]byte
	copy(b[:], "item:00000000")
	for at := len(b) - 1; i > 0; at-- {
		b[at] = byte('0' + i%10)
		i /= 10
	}
	return string(b[:])
}

// category returns that of document i. Documents of a category are spread over the IDs.
func category(i int) string { return categoryNames[i%categories] }

// price returns that of document i when it is written for the version'th time.
func price(i int, version int64) int64 { return (int64(i)*7919 + version*104729) % 1_000_000 }

// item returns document i as it is when it is written for the version'th time, without a revision.
func item(i int, version int64) *Item {
	return &Item{ID: itemID(i), Category: category(i), Price: price(i, version), Version: version, Name: names[i%len(names)],
		Description: descriptions[i%len(descriptions)], Tags: tags[i%len(tags)], Created: epoch.Add(time.Duration(i) * time.Second),
		Updated: epoch.Add(time.Duration(int64(i)+version) * time.Second)}
}

// shuffled returns the numbers below n in an order that is the same each time.
func shuffled(n int) []int { return rand.New(rand.NewPCG(1, 1)).Perm(n) }

// check returns an error if it is not what item makes of document i.
func (it *Item) check(i int) error {
	want := item(i, it.Version)
	want.Rev = it.Rev
	same := it.ID == want.ID && it.Category == want.Category && it.Price == want.Price && it.Name == want.Name &&
		it.Description == want.Description && slices.Equal(it.Tags, want.Tags) && it.Created.Equal(want.Created) && it.Updated.Equal(want.Updated)
	if !same {
		return fmt.Errorf("document %d is %+v, want %+v", i, *it, *want)
	}
	if number(it.Rev) == 0 {
		return fmt.Errorf("document %d has no revision", i)
	}
	return nil
}
