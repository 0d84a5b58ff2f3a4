package kixx

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// A Rev is the revision of a document. The first one that is stored is 0, and every write counts up.
//
// A Rev also holds an incarnation, drawn when the document is created, so that a document that was deleted and made
// anew with the same key is never taken for the old one. The zero Rev means "never stored". Revisions come from
// documents, from [ParseETag] and from [RevOf]; they are values, and compared by Matches: == only tells whether two of
// them are the same value.
//
// As text and as JSON a Rev is its number; the zero Rev is "unstored" as text, null as JSON, and left out with
// omitzero. [Rev.ETag] keeps the incarnation.
type Rev struct {
	n           uint64 // the number and one; 0 is the zero Rev
	incarnation uint32 // 0: not known, the Rev came from a bare number
}

// RevOf returns the Rev with this number and no incarnation. It matches a stored revision by number alone.
func RevOf(number uint64) Rev { return Rev{n: number + 1} }

// Number returns the number, or false if the document was never stored.
func (r Rev) Number() (number uint64, stored bool) {
	if r.n == 0 {
		return 0, false
	}
	return r.n - 1, true
}

// IsZero reports whether r says "never stored".
func (r Rev) IsZero() bool { return r.n == 0 }

// Matches reports whether r, held by a caller, is the stored revision: the same number of the same incarnation. A Rev
// that came from a bare number is compared by number alone. The zero Rev matches only the zero Rev.
func (r Rev) Matches(stored Rev) bool {
	return r.n == stored.n && (r.incarnation == stored.incarnation || r.incarnation == 0)
}

// next returns the revision after r; after the zero Rev, the first one of a new incarnation.
func (r Rev) next() Rev {
	if r.n == 0 {
		return Rev{n: 1, incarnation: newIncarnation()}
	}
	return Rev{n: r.n + 1, incarnation: r.incarnation}
}

// newIncarnation draws a number that no other document is likely to have. Zero says that there is none, so it is
// never drawn.
func newIncarnation() uint32 {
	for {
		if n := rand.Uint32(); n != 0 {
			return n
		}
	}
}

// String returns the number, or "unstored".
func (r Rev) String() string {
	if r.n == 0 {
		return "unstored"
	}
	return strconv.FormatUint(r.n-1, 10)
}

// ETag returns the Rev as an HTTP entity tag, quotes included: `"3-9f86d081"`, or `"3"` without an incarnation. That of
// the zero Rev is "".
func (r Rev) ETag() string {
	switch {
	case r.n == 0:
		return ""
	case r.incarnation == 0:
		return strconv.Quote(r.String())
	}
	return fmt.Sprintf(`"%d-%08x"`, r.n-1, r.incarnation)
}

// ParseETag reads what [Rev.ETag] wrote, with or without the quotes and a W/ in front. "" is the zero Rev, which no
// stored document matches: a forgotten header overwrites nothing. Several tags, * and anything else are an error.
func ParseETag(s string) (Rev, error) {
	t := strings.TrimSpace(s)
	if t == "" {
		return Rev{}, nil
	}
	t = strings.TrimPrefix(t, "W/")
	if len(t) >= 2 && t[0] == '"' && t[len(t)-1] == '"' {
		t = t[1 : len(t)-1]
	}
	number, incarnation, both := strings.Cut(t, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || n+1 == 0 || number != strconv.FormatUint(n, 10) {
		return Rev{}, fmt.Errorf("kixx: %q is not the ETag of a revision", s)
	}
	r := Rev{n: n + 1}
	if both {
		i, err := strconv.ParseUint(incarnation, 16, 32)
		if err != nil || len(incarnation) != 8 || i == 0 {
			return Rev{}, fmt.Errorf("kixx: %q is not the ETag of a revision", s)
		}
		r.incarnation = uint32(i)
	}
	return r, nil
}

// MarshalText implements encoding.TextMarshaler: the number, or "unstored".
func (r Rev) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It reads a number, the text of an ETag, or "unstored".
func (r *Rev) UnmarshalText(text []byte) error {
	if string(text) == "unstored" {
		*r = Rev{}
		return nil
	}
	if len(text) == 0 {
		return fmt.Errorf("kixx: an empty text is not a revision")
	}
	rev, err := ParseETag(string(text))
	if err == nil {
		*r = rev
	}
	return err
}

// MarshalJSON implements json.Marshaler: the number, or null.
func (r Rev) MarshalJSON() ([]byte, error) {
	if r.n == 0 {
		return []byte("null"), nil
	}
	return strconv.AppendUint(nil, r.n-1, 10), nil
}

// UnmarshalJSON implements json.Unmarshaler. It reads a number, null, or a string with the text of an ETag.
func (r *Rev) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*r = Rev{}
		return nil
	}
	text := string(b)
	if text[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	return r.UnmarshalText([]byte(text))
}
