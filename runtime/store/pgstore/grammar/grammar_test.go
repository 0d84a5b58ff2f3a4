// Package grammar holds what pgstore sends to CockroachDB against CockroachDB's own parser, which is a module of its own
// because it takes a minute and a half to compile. A statement that it takes is one that the server understands; what the
// server then does is not known from that.
package grammar

import (
	"os"
	"testing"

	"github.com/cockroachdb/cockroachdb-parser/pkg/sql/parser"
)

func TestCockroachDBParsesAllStatements(t *testing.T) {
	text, err := os.ReadFile("../testdata/cockroach.sql")
	if err != nil {
		t.Fatal(err)
	}
	statements, err := parser.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(statements) < 30 {
		t.Errorf("%d statements, want all that the store sends", len(statements))
	}
	t.Logf("%d statements", len(statements))
}

// What PostgreSQL has and CockroachDB has not is told apart: the parser is no rubber stamp.
func TestCockroachDBRefusesWhatItDoesNotHave(t *testing.T) {
	for _, sql := range []string{`listen kixx`, `select xid::text::xid8 from`, `delete from kixx_map where key = any ($1::bytea[]) order key`} {
		if _, err := parser.Parse(sql); err == nil {
			t.Errorf("%s is taken", sql)
		}
	}
}
