package kixx

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// A Cursor is a position in one index from which a later query goes on. The zero Cursor asks for the first page.
//
// It is bound to the query that made it: to the entity, the index, the leading fields and the direction, not to the
// bounds, so that To(time.Now()) may move on. It stays valid while others write, after a restart, and on every store. It
// may be handed to clients: one that was changed or is of another query is refused with [ErrBadCursor], and whatever it
// says, a query never leaves its own range. With [SignCursors] nobody else can make one. Cursors are text that is safe in
// URLs; they are values and may be shared.
type Cursor string

// A cursor is, in base64url without padding:
//
//	format  seal                                      position
//	1 byte  8 bytes; 16 bytes if it is signed         the entry's tuple
//
// The seal is the start of a SHA-256, or of an HMAC-SHA-256, of what the cursor is bound to and of the position.
const (
	cursorPlain  = 1
	cursorSigned = 2

	plainSeal  = 8
	signedSeal = 16

	maxCursor = 4096 // bytes of text; the longest key makes less than half of that
)

// macState is what a scan keeps to seal without allocating.
type macState struct {
	bound []byte
	out   [sha256.Size]byte
}

// bind writes what a cursor of p is bound to.
func (p *plan) bind(b []byte) []byte {
	b = append(b, p.col.name...)
	b = append(b, 0)
	if p.ix != documents && !p.col.indexes[p.ix].keys {
		ix := p.col.indexes[p.ix]
		b = append(b, ix.Name...)
		b = append(b, 0)
		b = append(b, ix.Of...)
	}
	b = append(b, 0)
	if p.reverse {
		b = append(b, 'r')
	}
	b = append(b, byte(len(p.lead)), byte(len(p.lead)>>8))
	return append(b, p.lead...)
}

// seal returns the seal of a position; it is valid until the next call.
func (p *plan) seal(m *macState, key, position []byte) []byte {
	m.bound = append(p.bind(m.bound[:0]), position...)
	if key == nil {
		m.out = sha256.Sum256(m.bound)
		return m.out[:plainSeal]
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(m.bound)
	return mac.Sum(m.out[:0])[:signedSeal]
}

// newCursor returns the cursor behind the entry with this tuple.
func (p *plan) newCursor(s *scan, position []byte) Cursor {
	b := append(s.cursor[:0], cursorPlain)
	var key []byte
	if keys := p.col.core.options.cursorKeys; len(keys) > 0 {
		b[0], key = cursorSigned, keys[0]
	}
	b = append(b, p.seal(&s.mac, key, position)...)
	b = append(b, position...)
	at := len(b)
	b = base64.RawURLEncoding.AppendEncode(b, b[:at])
	s.cursor = b
	return Cursor(b[at:])
}

// parseCursor returns the position of the plan's cursor, in memory of s that is valid until the next call.
func (p *plan) parseCursor(s *scan) (position []byte, err error) {
	bad := func(why string) ([]byte, error) {
		return nil, fmt.Errorf("kixx: query of %s: %w: %s; begin with the first page", p.col.name, ErrBadCursor, why)
	}
	if len(p.after) > maxCursor {
		return bad("it is too long")
	}
	text := append(s.cursor[:0], p.after...)
	at := len(text)
	b, err := base64.RawURLEncoding.Strict().AppendDecode(text, text)
	s.cursor = b
	if err != nil {
		return bad("it is not in base64url")
	}
	b = b[at:]
	keys := p.col.core.options.cursorKeys
	size, format := plainSeal, byte(cursorPlain)
	if len(keys) > 0 {
		size, format = signedSeal, cursorSigned
	}
	if len(b) < 1+size || b[0] != format {
		return bad("it is not a cursor of this database")
	}
	seal, position := b[1:1+size], b[1+size:]
	if len(keys) == 0 {
		if !hmac.Equal(seal, p.seal(&s.mac, nil, position)) {
			return bad("it was changed, or is of another query")
		}
		return position, nil
	}
	for _, key := range keys {
		if hmac.Equal(seal, p.seal(&s.mac, key, position)) {
			return position, nil
		}
	}
	return bad("it was changed, is of another query, or its key is no longer known")
}
