package memstore

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// How much is remembered: a change is forgotten when it is older than keepFor and keepBytes of newer ones are there, or
// when keepMost of newer ones are there.
const (
	keepFor   = 5 * time.Second
	keepBytes = 16 << 20
	keepMost  = 256 << 20
)

// A change is a put or a delete.
type change struct {
	item        // of a delete without a value
	pos  uint64 // changes are counted, over all commits; the last of a commit may be its version
	at   time.Time
}

// record appends c to the log. s.mu is held.
func (s *Store) record(c change) {
	s.log = append(s.log, c)
	s.size += len(c.key) + len(c.value)
}

// forget takes off the log what need not be remembered any more. s.mu is held.
func (s *Store) forget(now time.Time) {
	n := 0
	for size := s.size; n < len(s.log); n++ {
		c := &s.log[n]
		size -= len(c.key) + len(c.value)
		if size < keepBytes || size < keepMost && now.Sub(c.at) <= keepFor {
			break
		}
		s.size, s.dropped = size, c.pos
	}
	clear(s.log[:n]) // the array lives on, its keys and values need not
	s.log = s.log[n:]
}

// after returns the changes after pos, which is not below s.dropped. s.mu is held.
func (s *Store) after(pos uint64) []change {
	return s.log[sort.Search(len(s.log), func(i int) bool { return s.log[i].pos > pos }):]
}

// token returns the token of a position: the store's id, which is its history, and the position.
func (s *Store) token(pos uint64) store.Token {
	return store.Token(fmt.Sprintf("mem/%s/%d", s.id, pos))
}

// position returns the position of a token, and false if the token is not of this store, or if changes after it were
// forgotten. s.mu is held.
func (s *Store) position(t store.Token) (pos uint64, ok bool) {
	digits, ok := strings.CutPrefix(string(t), "mem/"+s.id+"/")
	if !ok {
		return 0, false
	}
	pos, err := strconv.ParseUint(digits, 10, 64)
	return pos, err == nil && pos >= s.dropped && pos <= s.pos
}
