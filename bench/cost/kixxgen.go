package main

import (
	"fmt"
	"strings"
)

// kixxgen is this project.
var kixxgen = generator{
	name: "kixxgen",
	source: func(n int) map[string]string {
		files := map[string]string{}
		var plain, held strings.Builder
		for i := range n {
			files[fmt.Sprintf("items/i%03d.go", i)] = strings.NewReplacer("ItemN", fmt.Sprintf("Item%03d", i), "~", "`").Replace(kixxgenItem)
			fmt.Fprintf(&plain, "\tif r, err := items.NewItem%03dRepo(ctx, db); err == nil {\n\t\tr.Get(ctx, \"x\")\n\t}\n", i)
			fmt.Fprintf(&held, "\tif r, err := items.NewItem%03dRepo(ctx, db); err == nil {\n\t\thold = append(hold, r)\n\t}\n", i)
		}
		files["plain/main.go"] = fmt.Sprintf(kixxgenMain, plain.String())
		files["held/main.go"] = fmt.Sprintf(kixxgenMain, held.String())
		return files
	},
	generate: []string{"go", "run", "github.com/kixxgen/kixxgen/cmd/kixxgen", "./items"},
	packages: "./items",
}

// kixxgenItem is an entity with 9 fields and 5 indexes; N is its number.
const kixxgenItem = `package items

import (
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

//kixx:entity
//kixx:index CategoryPrice Category,Price:desc
type ItemN struct {
	ID        string    ~json:"id" kixx:"key"~
	Rev       kixx.Rev  ~json:"_rev" kixx:"rev"~
	Title     string    ~json:"title" validate:"required,max=200"~
	SKU       string    ~json:"sku" kixx:"unique" validate:"required"~
	Category  string    ~json:"category" kixx:"index" validate:"required"~
	Price     float64   ~json:"price" kixx:"index" validate:"gte=0"~
	Tags      []string  ~json:"tags"~
	CreatedAt time.Time ~json:"createdAt" kixx:"created,index:desc"~
	UpdatedAt time.Time ~json:"updatedAt" kixx:"updated"~
}
`

// kixxgenMain is a program; %s does something with each repository.
const kixxgenMain = `package main

import (
	"context"
	"fmt"

	"example.com/app/items"
	kixx "github.com/kixxgen/kixxgen/runtime"
)

var hold []any

func main() {
	ctx := context.Background()
	db, err := kixx.Open(ctx, "mem:")
	if err != nil {
		panic(err)
	}
%s	fmt.Println(len(hold))
}
`
