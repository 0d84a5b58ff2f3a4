package filestore_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

var newGolden = flag.String("golden", "", "write the golden directories of a new version of the format, like v2")

// Directories of every version of the format that there was open for ever, and hold what they held. testdata/golden has one
// directory for each version and kind: closed, with a log alone; runs, closed, with runs and moved values; crashed, which
// nobody closed; and beside each what is in it, in base64.
func TestGoldenDirectoriesOpen(t *testing.T) {
	if *newGolden != "" {
		writeGolden(t, filepath.Join("testdata", "golden", *newGolden))
	}
	dirs, err := filepath.Glob(filepath.Join("testdata", "golden", "*", "*.json"))
	if err != nil || len(dirs) < 3 {
		t.Fatalf("%d golden directories, %v", len(dirs), err)
	}
	for _, name := range dirs {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var values map[string][]byte
		if err := json.Unmarshal(text, &values); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for k, v := range values {
			want[k] = string(v)
		}
		dir := filepath.Join(t.TempDir(), "db")
		if err := os.CopyFS(dir, os.DirFS(strings.TrimSuffix(name, ".json"))); err != nil {
			t.Fatal(err)
		}
		o := filestore.Options{SegmentSize: 4 << 10, FlushKeys: 20}
		o.Logger = (&quiet{}).logger()
		for _, what := range []string{"opened", "opened again, after what the first opening did"} {
			s, err := filestore.Open(bg, dir, o)
			if err != nil {
				t.Errorf("%s, %s: %v", name, what, err)
				break
			}
			if got, err := dump(s); err != nil || !equal(got, want) {
				t.Errorf("%s, %s: %v%s\nwant%s", name, what, err, show(got), show(want))
			}
			if err := s.Compact(bg); err != nil {
				t.Errorf("%s, %s: Compact: %v", name, what, err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

// writeGolden makes the directories of the version that is written now.
func writeGolden(t *testing.T, dir string) {
	closed, inClosed := closedDatabase(t, 20, 12)
	runs, inRuns := closedDatabaseWith(t, 21, 40, 20)
	crashed := simfs.New()
	o, _ := simOptions(crashed, store.Sync)
	o.FlushKeys = 20
	s := mustOpen(t, o)
	for i := range 3 {
		if _, err := fill(s, string(rune('a'+i)), 12); err != nil {
			t.Fatal(err)
		}
	}
	inCrashed, err := dump(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		sim  *simfs.FS
		want map[string]string
	}{{"closed", closed, inClosed}, {"runs", runs, inRuns}, {"crashed", crashed, inCrashed}} {
		to := filepath.Join(dir, c.name)
		if err := os.MkdirAll(to, 0o777); err != nil {
			t.Fatal(err)
		}
		names := c.sim.Names()
		slices.Sort(names)
		for _, name := range names {
			if !holdsData(name) {
				continue
			}
			if err := os.WriteFile(filepath.Join(to, name), c.sim.ReadFile(name), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		values := map[string][]byte{}
		for k, v := range c.want {
			values[k] = []byte(v)
		}
		text, err := json.MarshalIndent(values, "", "\t")
		if err == nil {
			err = os.WriteFile(to+".json", append(text, '\n'), 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
