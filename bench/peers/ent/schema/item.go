// Package schema declares the entity of the benchmark for ent.
package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Item is a document, with the columns and indexes of the other SQL peers.
type Item struct{ ent.Schema }

// Fields returns the columns.
func (Item) Fields() []ent.Field {
	return []ent.Field{
		field.String("id"),
		field.Uint64("rev"),
		field.String("category"),
		field.Int64("price"),
		field.Int64("version"),
		field.String("name"),
		field.String("description"),
		field.Strings("tags"),
		field.Int64("created"),
		field.Int64("updated"),
	}
}

// Indexes returns the indexes.
func (Item) Indexes() []ent.Index {
	return []ent.Index{index.Fields("category", "id"), index.Fields("price")}
}
