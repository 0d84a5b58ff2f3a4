package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestTheSecondRunFindsTheDocumentsOfTheFirst(t *testing.T) {
	url := "file:" + t.TempDir()
	for i, first := range []string{"holds 0 items", "holds 6 items"} {
		var out bytes.Buffer
		if err := run(t.Context(), &out, url); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{first, "CONFLICT_ERROR", "INVALID_DOCUMENT", "page 2  Desk lamp", "0040-0049  Chair", "6 items are stored"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("run %d does not print %q:\n%s", i+1, want, &out)
			}
		}
	}
}
