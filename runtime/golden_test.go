package kixx

import (
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestEnvelopeBytes(t *testing.T) {
	for _, c := range []struct {
		env  envelope
		want string
	}{
		{envelope{rev: Rev{n: 1, incarnation: 0x01020304}, schema: 1}, "0100" + "00" + "04030201" + "01"},
		{envelope{rev: Rev{n: 301, incarnation: 1}, schema: 200, batch: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}}, "0102" + "ac02" + "01000000" + "c801" + "0102030405060708"},
	} {
		b := c.env.append(nil)
		if got := hex.EncodeToString(b); got != c.want {
			t.Errorf("envelope %+v = %s, want %s", c.env, got, c.want)
		}
		env, body, err := parseEnvelope(append(b, "body"...))
		if err != nil || env != c.env || string(body) != "body" {
			t.Errorf("parseEnvelope = %+v, %q, %v, want %+v", env, body, err, c.env)
		}
		for n := range b {
			if _, _, err := parseEnvelope(b[:n]); err == nil {
				t.Errorf("the first %d of %d bytes were taken for an envelope", n, len(b))
			}
		}
	}
	for _, unknown := range []string{"0200000403020101", "0104000403020101", "01800004030201" + "01"} {
		b, _ := hex.DecodeString(unknown)
		if _, _, err := parseEnvelope(b); !errors.Is(err, ErrSchema) {
			t.Errorf("an envelope of another format or with an unknown flag, %s: %v, want ErrSchema", unknown, err)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add([]byte{1, 0, 0, 4, 3, 2, 1, 1})
	f.Add([]byte{1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		env, body, err := parseEnvelope(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrSchema) {
				t.Fatalf("parseEnvelope(%x): %v", b, err)
			}
			return
		}
		if again, _, err := parseEnvelope(append(env.append(nil), body...)); err != nil || again != env {
			t.Fatalf("parseEnvelope(%x) = %+v, written and read again %+v, %v", b, env, again, err)
		}
	})
}

func TestCursorText(t *testing.T) {
	c := &collection{name: "item", core: &core{}, indexes: []*Index{{Name: "Category", Of: "category string"}}}
	p := newPlan(c, nil, 0, []byte("toys\x00\x01"))
	position := []byte("toys\x00\x01a\x00\x01")
	if got, want := p.newCursor(new(scan), position), Cursor("AYMSNHeiQFTTdG95cwABYQAB"); got != want {
		t.Errorf("cursor = %s, want %s", got, want)
	}
	p.reverse = true
	if got, want := p.newCursor(new(scan), position), Cursor("Ab2J5c1GH_dVdG95cwABYQAB"); got != want {
		t.Errorf("cursor of the other direction = %s, want %s", got, want)
	}
}

func TestIDs(t *testing.T) {
	var s idSource
	last := ""
	at := fixedTime()
	for i := range 10_000 {
		if i == 5000 {
			at = at.AddDate(0, 0, -1) // the clock steps back
		}
		id := s.next(at)
		if id <= last || len(id) != 36 || id[14] != '7' || id[19] < '8' || id[19] > 'b' {
			t.Fatalf("id %d = %s after %s", i, id, last)
		}
		last = id
	}
	if want := fmt.Sprintf("%012x", fixedTime().UnixMilli()); last[:8]+last[9:13] < want {
		t.Errorf("the id %s does not begin with the time, %s", last, want)
	}
}

func fixedTime() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
