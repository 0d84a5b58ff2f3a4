package pgstore_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/ordered"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore/pgtest"
)

// The test binary runs itself as one of the processes that start together.
const (
	childEnv    = "KIXX_PGSTORE_CHILD"
	childURLEnv = "KIXX_PGSTORE_URL"
)

// entities is how many entities an instance registers.
const entities = 50

// childMain does what the environment asks for, instead of the tests.
func childMain() (code int, ok bool) {
	switch os.Getenv(childEnv) {
	case "":
		return 0, false
	case "old":
		return oldMain(), true
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil { // all begin at one time
		fmt.Println(err)
		return 1, true
	}
	if err := register(context.Background(), os.Getenv(childURLEnv)); err != nil {
		fmt.Println(err)
		return 1, true
	}
	return 0, true
}

// A note is the document of all entities of this test, each of which has a name of its own.
type note struct {
	ID  string
	Rev kixx.Rev
}

// noteSchema is what would be generated for the entity number i.
func noteSchema(i int) *kixx.Schema[*note, string] {
	return &kixx.Schema[*note, string]{
		Name:      fmt.Sprintf("note%02d", i),
		Fields:    []kixx.Field{{Name: "id", Type: "string"}},
		Indexes:   []*kixx.Index{{Name: "ByID", Of: "id"}},
		New:       func() *note { return new(note) },
		Key:       func(n *note) string { return n.ID },
		SetKey:    func(n *note, id string) { n.ID = id },
		AppendKey: ordered.AppendString[string],
		ReadKey:   ordered.ReadString[string],
		Meta:      func(n *note) kixx.Meta { return kixx.Meta{Rev: &n.Rev} },
	}
}

// register opens a database and registers all entities.
func register(ctx context.Context, url string) error {
	db, err := kixx.Open(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close()
	for i := range entities {
		if _, err := kixx.NewRepo(ctx, db, noteSchema(i)); err != nil {
			return fmt.Errorf("entity %d: %w", i, err)
		}
	}
	return nil
}

// checkCatalogue compares the catalogue with what one instance alone would have made: each entity once, each number once.
func checkCatalogue(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(bg, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(bg)
	rows, err := conn.Query(bg, `select value from kixx_map`)
	if err != nil {
		t.Fatal(err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatal(err)
	}
	var records, numbers []string
	taken := make(map[int]bool)
	for _, v := range values {
		if len(v) == 0 {
			continue // the name of the namespace
		}
		if v[0] != '{' {
			numbers = append(numbers, string(v))
			continue
		}
		var r struct {
			Name    string
			Number  int
			Taken   int
			Drop    []int
			Schemas []any
			Indexes []struct{ State string }
		}
		if err := json.Unmarshal(v, &r); err != nil {
			t.Fatal(err)
		}
		if taken[r.Number] {
			t.Errorf("number %d is of two entities", r.Number)
		}
		taken[r.Number] = true
		records = append(records, r.Name)
		if r.Taken != 1 || len(r.Drop) > 0 || len(r.Schemas) != 1 || len(r.Indexes) != 1 || r.Indexes[0].State != "ready" {
			t.Errorf("the record %s; want one schema, and one index, which is ready", v)
		}
	}
	slices.Sort(records)
	slices.Sort(numbers)
	want := make([]string, entities)
	for i := range want {
		want[i] = noteSchema(i).Name
	}
	if got := fmt.Sprint(records); got != fmt.Sprint(want) {
		t.Errorf("the catalogue has the records %s, want %s", got, want)
	}
	if got := fmt.Sprint(numbers); got != fmt.Sprint(want) {
		t.Errorf("the catalogue has numbers for %s, want %s", got, want)
	}
}

func TestInstancesThatStartTogetherAgree(t *testing.T) {
	rounds := repotest.Count(1, 3, 20)
	for range rounds {
		url := pgtest.New(t)
		repotest.Together(16, func(int) {
			if err := register(bg, url); err != nil {
				t.Error(err)
			}
		})
		checkCatalogue(t, url)
	}
	t.Logf("16 instances x %d entities, %d times", entities, rounds)
}

func TestProcessesThatStartTogetherAgree(t *testing.T) {
	url := pgtest.New(t)
	const processes = 5
	var start []io.WriteCloser
	var running []*exec.Cmd
	var outputs []*bufio.Reader
	for range processes {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"=1", childURLEnv+"="+url)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		start, running, outputs = append(start, in), append(running, cmd), append(outputs, bufio.NewReader(out))
	}
	for _, out := range outputs {
		if line, err := out.ReadString('\n'); line != "ready\n" {
			t.Fatalf("a process said %q, %v", line, err)
		}
	}
	for _, in := range start {
		if _, err := io.WriteString(in, "go\n"); err != nil {
			t.Error(err)
		}
	}
	for i, cmd := range running {
		said, err := io.ReadAll(outputs[i])
		if err := errors.Join(err, cmd.Wait()); err != nil {
			t.Errorf("process %d: %v, %s", i, err, said)
		}
	}
	checkCatalogue(t, url)
	t.Logf("%d processes x %d entities", processes, entities)
}
