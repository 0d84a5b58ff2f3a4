package main

import (
	"fmt"
	"strings"

	_ "gorm.io/gen" // so that go.sum has what generated code and the generator need
	_ "gorm.io/plugin/dbresolver"
)

// gorm is gorm.io/gen, which generates typed queries over gorm of structs.
var gorm = generator{
	name: "gorm gen",
	source: func(n int) map[string]string {
		files := map[string]string{}
		var models, plain, held strings.Builder
		for i := range n {
			files[fmt.Sprintf("items/i%03d.go", i)] = strings.NewReplacer("ItemN", fmt.Sprintf("Item%03d", i), "~", "`").Replace(gormItem)
			fmt.Fprintf(&models, "\t\titems.Item%03d{},\n", i)
			fmt.Fprintf(&plain, "\tq.Item%03[1]d.WithContext(ctx).Where(q.Item%03[1]d.ID.Eq(\"x\")).First()\n", i)
			fmt.Fprintf(&held, "\thold = append(hold, q.Item%03d.WithContext(ctx))\n", i)
		}
		files["make/main.go"] = fmt.Sprintf(gormMake, models.String())
		files["plain/main.go"] = fmt.Sprintf(gormMain, plain.String())
		files["held/main.go"] = fmt.Sprintf(gormMain, held.String())
		return files
	},
	generate: []string{"go", "run", "./make"},
	packages: "./query",
}

// gormItem is an entity with the fields and indexes of kixxgenItem; N is its number.
const gormItem = `package items

import "time"

type ItemN struct {
	ID        string ~gorm:"primaryKey"~
	Rev       int64
	Title     string
	SKU       string   ~gorm:"uniqueIndex"~
	Category  string   ~gorm:"index;index:category_price,priority:1"~
	Price     float64  ~gorm:"index;index:category_price,priority:2,sort:desc"~
	Tags      []string ~gorm:"serializer:json"~
	CreatedAt time.Time ~gorm:"index:,sort:desc"~
	UpdatedAt time.Time
}
`

// gormMake is the program that generates.
const gormMake = `package main

import (
	"example.com/app/items"
	"gorm.io/gen"
)

func main() {
	g := gen.NewGenerator(gen.Config{OutPath: "query", Mode: gen.WithQueryInterface})
	g.ApplyBasic(
%s	)
	g.Execute()
}
`

// gormMain is a program; %s does something with each query.
const gormMain = `package main

import (
	"context"
	"fmt"

	"example.com/app/query"
	"gorm.io/gorm"
)

var hold []any

func main() {
	ctx := context.Background()
	q := query.Use(&gorm.DB{Config: &gorm.Config{}})
	_ = ctx
%s	fmt.Println(len(hold))
}
`
