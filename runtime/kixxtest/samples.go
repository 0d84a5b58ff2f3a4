package kixxtest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// Samples reads the sample documents of an entity in testdata/kixx, one of each version that it ever had, with the schema
// as it is today: none may be lost or misread. Generated tests call it.
func Samples[D any, K comparable](t *testing.T, s *kixx.Schema[D, K]) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", "kixx", s.Name+".*.json"))
	if err == nil && len(names) == 0 {
		err = errors.New("there is none; run kixxgen, and commit testdata/kixx")
	}
	if err != nil {
		t.Fatalf("samples of %s: %v", s.Name, err)
	}
	for _, name := range names {
		sample, err := os.ReadFile(name)
		if err == nil {
			err = kixx.ReadSample(s, sample)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
