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

// A verdict is what was seen of one opening: of each kind of answer the first one, "" if there was none.
type verdict struct {
	wrong, missing, panicked, failed string
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
		v.failed = fmt.Sprintf("Open: %v", err)
		return v
	}
	for _, d := range docs {
		value, err := r.Get(d.Key)
		switch {
		case errors.Is(err, ErrMissing):
			first(&v.missing, "%s is not there", d.Key)
		case err != nil:
			first(&v.failed, "Get %s: %v", d.Key, err)
		case !bytes.Equal(value, d.Value):
			first(&v.wrong, "%s: %s", d.Key, difference(value, d.Value))
		}
	}
	if err := r.Close(); err != nil {
		first(&v.failed, "Close: %v", err)
	}
	return v
}

// first sets s, if it is not set yet.
func first(s *string, format string, args ...any) {
	if *s == "" {
		*s = fmt.Sprintf(format, args...)
	}
}

// outcome returns the outcome, and what was seen.
func (v verdict) outcome() (Outcome, string) {
	switch {
	case v.wrong != "":
		return Wrong, v.wrong
	case v.missing != "":
		return Missing, v.missing
	case v.panicked != "":
		return Died, v.panicked
	case v.failed != "":
		return Detected, v.failed
	}
	return Harmless, ""
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
