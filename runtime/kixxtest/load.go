package kixxtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// An Inserter is what Load needs of a repository; every generated one has it. D is a pointer to the entity.
type Inserter[D any] interface {
	Insert(ctx context.Context, doc D) (D, error)
}

var _ Inserter[*int] = (*kixx.Repo[*int, string])(nil)

// Load inserts the documents of a file and returns them as they are stored. Each line of the file is one document as
// [encoding/json] reads it; empty lines, and lines that begin with //, are left out. A field that the entity does not have,
// and a document that cannot be inserted, end the test with the line's number.
//
// A revision in the file is not looked at, and created and updated fields come from the clock of the database.
func Load[D any](t testing.TB, repo Inserter[D], file string) []D {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	docs, err := load(t.Context(), repo, file, text)
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

func load[D any](ctx context.Context, repo Inserter[D], file string, text []byte) (docs []D, err error) {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || bytes.HasPrefix(line, []byte("//")) {
			continue
		}
		doc, err := parse[D](line)
		if err == nil {
			doc, err = repo.Insert(ctx, doc)
		}
		if err != nil {
			return docs, fmt.Errorf("%s:%d: %w", file, number, err)
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

// parse reads one document.
func parse[D any](line []byte) (doc D, err error) {
	if line[0] != '{' {
		return doc, fmt.Errorf("a document begins with {, this line with %q", line[0])
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		if err == io.ErrUnexpectedEOF {
			return doc, fmt.Errorf("the document does not end on its line")
		}
		return doc, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if len(bytes.TrimSpace(line[d.InputOffset():])) > 0 {
		return doc, fmt.Errorf("there is something behind the document")
	}
	return doc, nil
}
