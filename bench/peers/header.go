package peers

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// A record is what the key-value stores keep of a document: a header with what writes and queries need, so that a write
// need not parse the old document, and JSON.
//
//	revision 8 bytes | price 8 bytes | length of the category 1 byte | category | JSON
type record []byte

// plain is Item without its revision in JSON: Go converts one into the other.
type plain struct {
	ID          string    `json:"id"`
	Rev         kixx.Rev  `json:"-"`
	Category    string    `json:"category"`
	Price       int64     `json:"price"`
	Version     int64     `json:"version"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Tags        []string  `json:"tags"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
}

// newRecord returns it with the revision rev.
func newRecord(it *Item, rev uint64) (record, error) {
	doc, err := json.Marshal((*plain)(it))
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, 17+len(it.Category)+len(doc))
	b = binary.BigEndian.AppendUint64(b, rev)
	b = binary.BigEndian.AppendUint64(b, uint64(it.Price))
	b = append(b, byte(len(it.Category)))
	b = append(b, it.Category...)
	return append(b, doc...), nil
}

// check returns an error if r is too short.
func (r record) check() error {
	if len(r) < 17 || len(r) < 17+int(r[16]) {
		return fmt.Errorf("a record of %d bytes is too short", len(r))
	}
	return nil
}

func (r record) rev() uint64      { return binary.BigEndian.Uint64(r) }
func (r record) price() int64     { return int64(binary.BigEndian.Uint64(r[8:])) }
func (r record) category() []byte { return r[17 : 17+int(r[16])] }

// item decodes the document.
func (r record) item() (*Item, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	it := new(plain)
	if err := json.Unmarshal(r[17+int(r[16]):], it); err != nil {
		return nil, err
	}
	it.Rev = revision(r.rev())
	return (*Item)(it), nil
}

// The keys of a store that has one key space: a letter for the kind, and what it is ordered by.

func docKey(id string) []byte { return append([]byte{'d'}, id...) }

func categoryKey[C string | []byte](category C, id string) []byte {
	b := make([]byte, 0, 2+len(category)+len(id))
	b = append(append(append(b, 'c'), category...), 0)
	return append(b, id...)
}

func priceKey(price int64, id string) []byte {
	b := make([]byte, 0, 9+len(id))
	b = append(b, 'p')
	b = binary.BigEndian.AppendUint64(b, uint64(price))
	return append(b, id...)
}
