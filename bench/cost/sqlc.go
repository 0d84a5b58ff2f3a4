package main

import (
	"fmt"
	"strings"

	_ "github.com/sqlc-dev/sqlc/pkg/cli" // so that go.sum has what the generator needs
)

// sqlc is github.com/sqlc-dev/sqlc, with a statement for each of what a repository can do: what a person writes with it is
// counted as well, below the lines that it generates.
var sqlc = generator{
	name: "sqlc",
	source: func(n int) map[string]string {
		files := map[string]string{"sqlc.yaml": sqlcConfig}
		var schema, queries, plain strings.Builder
		for i := range n {
			name := fmt.Sprintf("%03d", i)
			schema.WriteString(strings.ReplaceAll(sqlcTable, "NNN", name))
			queries.WriteString(strings.ReplaceAll(sqlcQueries, "NNN", name))
			fmt.Fprintf(&plain, "\tq.GetItem%03d(ctx, \"x\")\n", i)
		}
		files["schema.sql"], files["query.sql"] = schema.String(), queries.String()
		files["plain/main.go"] = fmt.Sprintf(sqlcMain, plain.String())
		files["held/main.go"] = fmt.Sprintf(sqlcMain, "\thold = append(hold, q)\n")
		return files
	},
	generate: []string{"go", "run", "github.com/sqlc-dev/sqlc/cmd/sqlc", "generate"},
	packages: "./items",
}

const sqlcConfig = `version: "2"
sql:
  - engine: sqlite
    schema: schema.sql
    queries: query.sql
    gen:
      go: {package: items, out: items}
`

// sqlcTable is a table with the fields and indexes of kixxgenItem; NNN is its number.
const sqlcTable = `
CREATE TABLE itemNNN (
  id TEXT PRIMARY KEY, rev INTEGER NOT NULL, title TEXT NOT NULL, sku TEXT NOT NULL UNIQUE, category TEXT NOT NULL,
  price REAL NOT NULL, tags TEXT NOT NULL, created_at DATETIME NOT NULL, updated_at DATETIME NOT NULL
);
CREATE INDEX itemNNN_category ON itemNNN (category, id);
CREATE INDEX itemNNN_price ON itemNNN (price, id);
CREATE INDEX itemNNN_created ON itemNNN (created_at DESC, id);
CREATE INDEX itemNNN_category_price ON itemNNN (category, price DESC, id);
`

// sqlcQueries are the statements of a repository.
const sqlcQueries = `
-- name: GetItemNNN :one
SELECT * FROM itemNNN WHERE id = ?;
-- name: GetItemNNNBySKU :one
SELECT * FROM itemNNN WHERE sku = ?;
-- name: InsertItemNNN :exec
INSERT INTO itemNNN (id, rev, title, sku, category, price, tags, created_at, updated_at) VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?);
-- name: UpdateItemNNN :execrows
UPDATE itemNNN SET rev = rev + 1, title = ?, sku = ?, category = ?, price = ?, tags = ?, updated_at = ? WHERE id = ? AND rev = ?;
-- name: DeleteItemNNN :exec
DELETE FROM itemNNN WHERE id = ?;
-- name: PageItemNNN :many
SELECT * FROM itemNNN WHERE id > ? ORDER BY id LIMIT ?;
-- name: CountItemNNN :one
SELECT count(*) FROM itemNNN;
-- name: PageItemNNNByCategory :many
SELECT * FROM itemNNN WHERE category = ? AND id > ? ORDER BY id LIMIT ?;
-- name: PageItemNNNByPrice :many
SELECT * FROM itemNNN WHERE price >= ? AND price < ? AND id > ? ORDER BY price, id LIMIT ?;
-- name: PageItemNNNByCreated :many
SELECT * FROM itemNNN WHERE created_at < ? ORDER BY created_at DESC, id LIMIT ?;
-- name: PageItemNNNByCategoryPrice :many
SELECT * FROM itemNNN WHERE category = ? AND price < ? ORDER BY price DESC, id LIMIT ?;
`

// sqlcMain is a program; %s does something with the queries.
const sqlcMain = `package main

import (
	"context"
	"database/sql"
	"fmt"

	"example.com/app/items"
)

var hold []any

func main() {
	ctx := context.Background()
	q := items.New((*sql.DB)(nil))
	_ = ctx
%s	fmt.Println(len(hold))
}
`
