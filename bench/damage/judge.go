package damage

import (
	"bytes"
	"errors"
	"fmt"
)

// An Outcome is how a store answered over damaged files. Where several fit, the first one of this list counts.
type Outcome string

// The outcomes. A store that lies in silence about one document has lied, whatever else it said.
const (
	Wrong    Outcome = "silent wrong"   // Get returned other bytes than were stored, and no error
	Missing  Outcome = "silent missing" // Get said that a document that was stored is not there
	Died     Outcome = "died"           // a panic, the end of the process, or no answer in time
	Detected Outcome = "detected"       // Open, a Get or Close returned an error, and all that was read is right
	Harmless Outcome = "harmless"       // every document was read, and is right
)

// Outcomes lists them in the order of the columns.
var Outcomes = []Outcome{Detected, Harmless, Wrong, Missing, Died}

// A verdict is what was seen of one opening.
type verdict struct {
	wrong, missing, failed seen
	panicked               string // "" if nothing has
}

// seen is how often something was seen, and the first time.
type seen struct {
	n     int
	first string
}

func (s *seen) add(format string, args ...any) {
	if s.n++; s.n == 1 {
		s.first = fmt.Sprintf(format, args...)
	}
}

// judge opens the database in dir and reads all documents.
func judge(s Store, dir string, docs []Document) (v verdict) {
	defer func() {
		if p := recover(); p != nil {
			v.panicked = fmt.Sprintf("panic: %v", p)
		}
	}()
	r, err := s.Open(dir)
	if err != nil {
		v.failed.add("Open: %v", err)
		return v
	}
	for _, d := range docs {
		value, err := r.Get(d.Key)
		switch {
		case errors.Is(err, ErrMissing):
			v.missing.add("%s is not there", d.Key)
		case err != nil:
			v.failed.add("Get %s: %v", d.Key, err)
		case !bytes.Equal(value, d.Value):
			v.wrong.add("%s: %s", d.Key, difference(value, d.Value))
		}
	}
	if err := r.Close(); err != nil {
		v.failed.add("Close: %v", err)
	}
	return v
}

// outcome returns the outcome, what was seen first, and of how many documents the outcome is true if it is a silent one.
func (v verdict) outcome() (o Outcome, detail string, documents int) {
	switch {
	case v.wrong.n > 0:
		return Wrong, v.wrong.first, v.wrong.n
	case v.missing.n > 0:
		return Missing, v.missing.first, v.missing.n
	case v.panicked != "":
		return Died, v.panicked, 0
	case v.failed.n > 0:
		return Detected, v.failed.first, 0
	}
	return Harmless, "", 0
}

// difference says where got begins to differ from want.
func difference(got, want []byte) string {
	n := min(len(got), len(want))
	for i := range n {
		if got[i] != want[i] {
			return fmt.Sprintf("byte %d of %d is %#02x, %#02x was stored", i, len(got), got[i], want[i])
		}
	}
	return fmt.Sprintf("%d bytes, %d were stored", len(got), len(want))
}
