package kinds

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// UUID is made of 16 bytes, as those of other packages are.
type UUID [16]byte

// MarshalText returns the usual form of the UUID.
func (id UUID) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), nil
}

// UnmarshalText reads what MarshalText wrote.
func (id *UUID) UnmarshalText(text []byte) error {
	digits := strings.ReplaceAll(string(text), "-", "")
	if len(digits) != 32 {
		return fmt.Errorf("%q is no UUID", text)
	}
	_, err := hex.Decode(id[:], []byte(digits))
	return err
}

// Rank is an enumeration of numbers, Channel one of texts.
type (
	Rank    int8
	Channel string
)

// String returns the name of the rank.
func (r Rank) String() string {
	return map[Rank]string{-1: "guest", 0: "member", 1: "owner"}[r]
}

// String returns the name of the channel.
func (c Channel) String() string { return "#" + string(c) }

// Post has a key of two texts.
//
//kixx:entity
//kixx:index Feed Tenant,PublishedAt:desc
//kixx:view ByWord func=emitWords
type Post struct {
	Tenant      string     `json:"tenant" kixx:"key"`
	Slug        string     `json:"slug" kixx:"key"`
	Rev         kixx.Rev   `json:"_rev" kixx:"rev"`
	Title       string     `json:"title" kixx:"unique"`
	Author      UUID       `json:"author" kixx:"index"`
	Tags        []Channel  `json:"tags" kixx:"index:desc"`
	PublishedAt *time.Time `json:"publishedAt"`
}

func emitWords(p *Post, emit kixx.Emit[string, int]) {
	for i, word := range strings.Fields(p.Title) {
		emit(word, i)
	}
}

// Visit has a key of every type that a key can be made of, one of them in an embedded struct.
//
//kixx:entity
//kixx:index WhoWhen Who,At:desc
type Visit struct {
	Channel Channel `kixx:"key"`
	Place
	Robot bool      `kixx:"key,index"`
	At    time.Time `kixx:"key,index:desc"`
	Seq   uint32    `kixx:"key"`
	Who   UUID      `kixx:"key"`
	Rev   kixx.Rev  `kixx:"rev"`
	Note  string
	Also  []UUID `kixx:"index"`
	Ranks []Rank `kixx:"index:desc"`
	By    *UUID  `kixx:"unique"`
}

// Place is embedded.
type Place struct {
	Rank Rank `kixx:"key"`
	Row  int
}

// Token has a key of 16 bytes that is made on Insert.
//
//kixx:entity
type Token struct {
	ID  UUID     `kixx:"key,auto"`
	Rev kixx.Rev `kixx:"rev"`
	For string   `kixx:"index"`
}

// Moment has a time as its key.
//
//kixx:entity
type Moment struct {
	At   time.Time `kixx:"key"`
	Rev  kixx.Rev  `kixx:"rev"`
	What string    `kixx:"index"`
}

// Switch has a bool as its key.
//
//kixx:entity
type Switch struct {
	On   bool     `kixx:"key"`
	Rev  kixx.Rev `kixx:"rev"`
	Rank Rank     `kixx:"index"`
}
