package kixx

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"sync"
	"time"
)

// An idSource makes UUIDs of version 7 (RFC 9562, section 5.7; the counter is its method 1): their text sorts by the
// time they were made, also within one millisecond and when the clock steps back.
type idSource struct {
	mu   sync.Mutex
	last uint64 // 48 bits of milliseconds, 12 bits of counter
}

// next returns the text of a new id.
func (s *idSource) next(now time.Time) string {
	s.mu.Lock()
	at := uint64(max(now.UnixMilli(), 0)) << 12
	if at <= s.last {
		at = s.last + 1 // a counter that runs over borrows from the next millisecond
	}
	s.last = at
	s.mu.Unlock()

	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], at>>12<<16|0x7000|at&0xfff)
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()&(1<<62-1)|1<<63)
	var text [36]byte
	hex.Encode(text[0:8], id[0:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:], id[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
