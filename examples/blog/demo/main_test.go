package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestTheVersionsRunAfterOneAnother(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, "file:"+t.TempDir()); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	want := `
== the first version
written        engines/notes by Ada Byron <ada@example.com>
written        engines/numbers by Ada Byron <ada@example.com>
written        engines/mill by Charles
written        ships/bugs by Grace Hopper <grace@example.com>
== the second version
edited         Notes, in "en", with the tags ["engine"]
deleted        ships/bugs; 3 posts are left
== today's version
to migrate     4 of 4
migrated       4, unchanged 0, failed 0
feed           2024-11-02  Bernoulli numbers, by Ada Byron <ada@example.com>
feed           2024-10-18  Notes, by Ada Byron <ada@example.com>
in 2024-11     Bernoulli numbers
merged         On Bernoulli's numbers ["mathematics" "engine"]: By twenty-five operations. Corrected.
was deleted    A bug: true
comment        09:01:00 Mary: How many operations?
comment        09:00:00 Mary: First!
`
	if got := out.String(); got != strings.TrimPrefix(want, "\n") {
		t.Errorf("the demo prints\n%s\nwant\n%s", got, want)
	}
}
