package kixx_test

import (
	"encoding/json"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

func rev(t *testing.T, etag string) kixx.Rev {
	t.Helper()
	return must[kixx.Rev](t)(kixx.ParseETag(etag))
}

func TestRevMatches(t *testing.T) {
	for _, c := range []struct {
		held, stored string
		want         bool
	}{
		{`"3-0000000a"`, `"3-0000000a"`, true},
		{`"3"`, `"3-0000000a"`, true},
		{`3`, `"3-0000000a"`, true},
		{`W/"3-0000000a"`, `"3-0000000a"`, true},
		{`"3-0000000b"`, `"3-0000000a"`, false},
		{`"4-0000000a"`, `"3-0000000a"`, false},
		{``, `"0-0000000a"`, false},
		{``, ``, true},
		{`"0"`, ``, false},
	} {
		if got := rev(t, c.held).Matches(rev(t, c.stored)); got != c.want {
			t.Errorf("%s.Matches(%s) = %v, want %v", c.held, c.stored, got, c.want)
		}
	}
}

func TestRevTextAndJSON(t *testing.T) {
	type doc struct {
		Rev  kixx.Rev `json:"_rev"`
		Omit kixx.Rev `json:"omit,omitzero"`
	}
	for _, c := range []struct{ etag, text, json string }{
		{"", "unstored", `{"_rev":null}`},
		{`"0"`, "0", `{"_rev":0}`},
		{`"12-00c0ffee"`, "12", `{"_rev":12}`},
		{`"18446744073709551614"`, "18446744073709551614", `{"_rev":18446744073709551614}`},
	} {
		r := rev(t, c.etag)
		if got := r.ETag(); got != c.etag {
			t.Errorf("ETag = %s, want %s", got, c.etag)
		}
		if got := r.String(); got != c.text {
			t.Errorf("String = %s, want %s", got, c.text)
		}
		got := string(must[[]byte](t)(json.Marshal(doc{Rev: r})))
		if got != c.json {
			t.Errorf("JSON = %s, want %s", got, c.json)
		}
		var back doc
		if err := json.Unmarshal([]byte(got), &back); err != nil || !back.Rev.Matches(r) {
			t.Errorf("%s read back = %v, %v", got, back.Rev, err)
		}
		var text kixx.Rev
		if err := text.UnmarshalText([]byte(c.text)); err != nil || !text.Matches(r) {
			t.Errorf("text %s read back = %v, %v", c.text, text, err)
		}
	}
	var r kixx.Rev
	if err := json.Unmarshal([]byte(`"7-0000abcd"`), &r); err != nil || r.ETag() != `"7-0000abcd"` {
		t.Errorf("JSON text of an ETag = %s, %v", r.ETag(), err)
	}
	for _, bad := range []string{"x", "-1", `"3-xyz"`, `"3-0000000A0"`, `"3-00000000"`, "*", `"1", "2"`, "18446744073709551615", "03", "1.5", `"3`, "+1"} {
		if r, err := kixx.ParseETag(bad); err == nil {
			t.Errorf("ParseETag(%s) = %v, want an error", bad, r)
		}
		if err := json.Unmarshal([]byte(bad), &r); err == nil && bad != "18446744073709551615" {
			t.Errorf("JSON %s was taken for a revision", bad)
		}
	}
	if n, ok := kixx.RevOf(5).Number(); n != 5 || !ok {
		t.Errorf("RevOf(5).Number() = %d, %v", n, ok)
	}
	if _, ok := (kixx.Rev{}).Number(); ok || !(kixx.Rev{}).IsZero() {
		t.Error("the zero Rev has a number")
	}
}
