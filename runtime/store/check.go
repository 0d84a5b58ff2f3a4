package store

import (
	"bytes"
	"fmt"
)

// Check reports whether the batch keeps the contract and the limits: operations sorted by key, one for each key; keys
// of 1 to [MaxKey] bytes; checks and fences sorted and apart from the operations; not more of anything than l allows.
// The error is a [*LimitError], or matches [ErrBadBatch]. Every store calls it before anything else.
func (b *Batch) Check(l Limits) error {
	if n := len(b.Ops) + len(b.Checks) + len(b.Fences) + len(b.Ranges); l.Ops > 0 && n > l.Ops {
		return &LimitError{What: "operations", Have: n, Max: l.Ops}
	}
	if len(b.Ranges) > 0 && !l.RangeChecks {
		return fmt.Errorf("range checks: %w", ErrNotSupported)
	}
	size := 0
	var last []byte
	for i := range b.Ops {
		op := &b.Ops[i]
		if err := checkKey(op.Key); err != nil {
			return err
		}
		if last != nil && bytes.Compare(last, op.Key) >= 0 {
			return fmt.Errorf("%w: operation %d (key %x) does not sort after the one before it", ErrBadBatch, i, op.Key)
		}
		last = op.Key
		if op.Delete && len(op.Value) > 0 {
			return fmt.Errorf("%w: operation %d (key %x) deletes and has a value", ErrBadBatch, i, op.Key)
		}
		if len(op.Value) > l.Value && l.Value > 0 {
			return &LimitError{What: "bytes in one value", Have: len(op.Value), Max: l.Value, Key: op.Key}
		}
		size += len(op.Key) + len(op.Value)
	}
	for _, list := range [][]Check{b.Checks, b.Fences} {
		last = nil
		at := 0 // checks are few and sorted: walk the operations beside them
		for i := range list {
			key := list[i].Key
			if err := checkKey(key); err != nil {
				return err
			}
			if last != nil && bytes.Compare(last, key) >= 0 {
				return fmt.Errorf("%w: check %d (key %x) does not sort after the one before it", ErrBadBatch, i, key)
			}
			last = key
			for at < len(b.Ops) && bytes.Compare(b.Ops[at].Key, key) < 0 {
				at++
			}
			if at < len(b.Ops) && bytes.Equal(b.Ops[at].Key, key) {
				return fmt.Errorf("%w: key %x is checked and changed; guard the operation instead", ErrBadBatch, key)
			}
			size += len(key)
		}
	}
	if l.Bytes > 0 && size > l.Bytes {
		return &LimitError{What: "bytes in one commit", Have: size, Max: l.Bytes}
	}
	return nil
}

func checkKey(key []byte) error {
	if len(key) == 0 {
		return fmt.Errorf("%w: empty key", ErrBadBatch)
	}
	if len(key) > MaxKey {
		return &LimitError{What: "bytes in one key", Have: len(key), Max: MaxKey, Key: key}
	}
	return nil
}
