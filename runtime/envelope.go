package kixx

import (
	"encoding/binary"
	"fmt"
)

// The value of a document is an envelope and a body:
//
//	format  flags   revision  incarnation  schema number  batch id             body
//	1 byte  1 byte  uvarint   4 bytes      uvarint        8 bytes, if flagged  …
//
// The incarnation is little-endian. The body is a MessagePack map. The batch id is that of the commit that wrote the
// value; it is there on stores where the outcome of a commit can be unknown.
type envelope struct {
	rev    Rev
	schema uint64
	batch  [8]byte // zero: not flagged

	deleted bool // the document is marked as deleted
}

const (
	envelopeFormat = 1

	flagDeleted = 1 << 0
	flagBatch   = 1 << 1
	knownFlags  = flagDeleted | flagBatch
)

// append adds the envelope to b; the body follows.
func (e *envelope) append(b []byte) []byte {
	flags := byte(0)
	if e.batch != [8]byte{} {
		flags |= flagBatch
	}
	if e.deleted {
		flags |= flagDeleted
	}
	b = append(b, envelopeFormat, flags)
	b = binary.AppendUvarint(b, e.rev.n-1)
	b = binary.LittleEndian.AppendUint32(b, e.rev.incarnation)
	b = binary.AppendUvarint(b, e.schema)
	if flags&flagBatch != 0 {
		b = append(b, e.batch[:]...)
	}
	return b
}

// parseEnvelope reads the envelope of a document's value and returns what follows it.
func parseEnvelope(b []byte) (e envelope, body []byte, err error) {
	if len(b) < 2 {
		return e, nil, fmt.Errorf("%w: a document's value has %d bytes", ErrCorrupt, len(b))
	}
	if b[0] != envelopeFormat || b[1]&^knownFlags != 0 {
		return e, nil, fmt.Errorf("%w: a document has format %d and flags %#x, which this version does not know; it was written by a newer one", ErrSchema, b[0], b[1])
	}
	flags := b[1]
	b = b[2:]
	number, n := binary.Uvarint(b)
	if n <= 0 || number+1 == 0 || len(b) < n+4 {
		return e, nil, fmt.Errorf("%w: a document's envelope ends in its revision", ErrCorrupt)
	}
	e.rev = Rev{n: number + 1, incarnation: binary.LittleEndian.Uint32(b[n:])}
	b = b[n+4:]
	if e.schema, n = binary.Uvarint(b); n <= 0 {
		return e, nil, fmt.Errorf("%w: a document's envelope ends in its schema number", ErrCorrupt)
	}
	b = b[n:]
	if flags&flagBatch != 0 {
		if len(b) < 8 {
			return e, nil, fmt.Errorf("%w: a document's envelope ends in its batch id", ErrCorrupt)
		}
		copy(e.batch[:], b)
		b = b[8:]
	}
	e.deleted = flags&flagDeleted != 0
	return e, b, nil
}
