package main

import (
	"fmt"
	"strings"

	_ "entgo.io/ent/entc" // so that go.sum has what generated code and the generator need
)

// ent is entgo.io/ent. Tags are JSON, which it has no index for.
var ent = generator{
	name: "ent",
	source: func(n int) map[string]string {
		files := map[string]string{}
		var plain, held strings.Builder
		for i := range n {
			files[fmt.Sprintf("ent/schema/i%03d.go", i)] = strings.ReplaceAll(entItem, "ItemN", fmt.Sprintf("Item%03d", i))
			fmt.Fprintf(&plain, "\tclient.Item%03d.Get(ctx, \"x\")\n", i)
			fmt.Fprintf(&held, "\thold = append(hold, client.Item%03d)\n", i)
		}
		files["plain/main.go"] = fmt.Sprintf(entMain, plain.String())
		files["held/main.go"] = fmt.Sprintf(entMain, held.String())
		return files
	},
	generate: []string{"go", "run", "entgo.io/ent/cmd/ent", "generate", "./ent/schema"},
	packages: "./ent/...",
}

// entItem is the schema of an entity with the fields and indexes of kixxgenItem; N is its number.
const entItem = `package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

type ItemN struct{ ent.Schema }

func (ItemN) Fields() []ent.Field {
	return []ent.Field{
		field.String("id"),
		field.Int64("rev"),
		field.String("title").NotEmpty().MaxLen(200),
		field.String("sku").NotEmpty().Unique(),
		field.String("category").NotEmpty(),
		field.Float("price").Min(0),
		field.Strings("tags").Optional(),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now).UpdateDefault(time.Now),
	}
}

func (ItemN) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("category"),
		index.Fields("price"),
		index.Fields("created_at").Annotations(entsql.Desc()),
		index.Fields("category", "price").Annotations(entsql.DescColumns("price")),
	}
}
`

// entMain is a program; %s does something with each client.
const entMain = `package main

import (
	"context"
	"fmt"

	"example.com/app/ent"
)

var hold []any

func main() {
	ctx := context.Background()
	client := ent.NewClient()
	_ = ctx
%s	fmt.Println(len(hold))
}
`
