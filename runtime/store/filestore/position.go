package filestore

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// A position is a place between two commits. The chain makes it one of a certain history, see format.go: two logs that
// are at the same position hold the same commits.
type position struct {
	seq   uint64 // the last commit before it
	chain uint32 // behind that one
}

// next returns the position behind the commit that follows.
func (p position) next(payloadSum uint32) position {
	return position{p.seq + 1, addSum(p.chain, payloadSum)}
}

// A progress is how far a watcher has come: it knows everything before the commit of the position, and the first ops
// operations of that one. It names the commit that is being told of, not the one before, so that the chain covers what
// was told.
type progress struct {
	position
	ops uint32
}

// whole is the number of operations in a progress that has the commit as a whole.
const whole = math.MaxUint32

// done returns the last commit that was told as a whole.
func (p progress) done() uint64 {
	if p.ops == whole {
		return p.seq
	}
	return p.seq - 1
}

// token returns the text form of a progress in this store:
//
//	file/0102030405060708090a0b0c0d0e0f10/17/3c0a55f1      all up to commit 17, where the chain is 3c0a55f1
//	file/0102030405060708090a0b0c0d0e0f10/17/3c0a55f1/2    of commit 17 only the first 2 operations
func (s *Store) token(p progress) store.Token {
	b := make([]byte, 0, 80)
	b = append(b, tokenPrefix...)
	b = hex.AppendEncode(b, s.id[:])
	b = append(b, '/')
	b = strconv.AppendUint(b, p.seq, 10)
	b = append(b, '/')
	b = hex.AppendEncode(b, binary.BigEndian.AppendUint32(nil, p.chain))
	if p.ops != whole {
		b = append(b, '/')
		b = strconv.AppendUint(b, uint64(p.ops), 10)
	}
	return store.Token(b)
}

const (
	tokenPrefix = "file/"
	maxToken    = 100 // a longer text is no token
)

// parseToken returns the progress that a token names. ok is false if it is none of this store's tokens, in every
// character. Whether it is of this history is another question, which only the log answers.
func (s *Store) parseToken(t store.Token) (p progress, ok bool) {
	rest, ok := strings.CutPrefix(string(t), tokenPrefix)
	if !ok || len(t) > maxToken {
		return p, false
	}
	parts := strings.Split(rest, "/")
	if len(parts) != 3 && len(parts) != 4 {
		return p, false
	}
	seq, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return p, false
	}
	chain, err := strconv.ParseUint(parts[2], 16, 32)
	if err != nil {
		return p, false
	}
	p = progress{position{seq, uint32(chain)}, whole}
	if len(parts) == 4 {
		ops, err := strconv.ParseUint(parts[3], 10, 32)
		if err != nil || ops == 0 || seq == 0 {
			return p, false
		}
		p.ops = uint32(ops)
	}
	return p, s.token(p) == t
}
