package kinds

import (
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// Part is of the kind that files are sized for: three indexes, and about 300 bytes.
//
//kixx:entity
type Part struct {
	ID       string    `json:"id" kixx:"key"`
	Rev      kixx.Rev  `json:"_rev" kixx:"rev"`
	Name     string    `json:"name"`
	Category string    `json:"category" kixx:"index"`
	Price    int64     `json:"price" kixx:"index"`
	Made     time.Time `json:"made" kixx:"index"`
	Maker    string    `json:"maker"`
	Text     string    `json:"text"`
}
