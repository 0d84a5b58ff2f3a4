package kixx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/runtime/gen"
)

// A MergeError lists the fields that a merge could not settle: both sides have changed them to different values, and no
// kixx:"merge=…" says which one counts. It matches [ErrConflict]. Nothing was written; read the document again, settle
// the fields, and write it, or merge again with what was read as the base.
type MergeError struct {
	Entity    string
	Key       any
	Fields    []string // in Go names: "Price", "Address.City", `Stock["Paris"]`
	Overflows []string // those of Fields that are summed, where the type cannot hold the sum
}

func (e *MergeError) Error() string {
	var parts []string
	if changed := slices.DeleteFunc(slices.Clone(e.Fields), func(f string) bool { return slices.Contains(e.Overflows, f) }); len(changed) > 0 {
		parts = append(parts, strings.Join(changed, ", ")+" changed on both sides to different values; settle by hand, or with merge=… in the tag")
	}
	if len(e.Overflows) > 0 {
		parts = append(parts, "the sum of both changes does not fit into "+strings.Join(e.Overflows, ", "))
	}
	return fmt.Sprintf("kixx: %s %s: cannot be merged: %s", e.Entity, showKey(e.Key), strings.Join(parts, "; "))
}

// Is reports whether target is [ErrConflict].
func (e *MergeError) Is(target error) bool { return target == ErrConflict }

// MergeWith is the method Merge of generated repositories; merge is generated. base is the document as the caller read it,
// mine what he made of it. What is stored is read, and what mine changes is brought into it, field by field, structs
// inside by their fields:
//
//   - a field that one side has changed since base is taken from there;
//   - one that both have changed to equal values has that value;
//   - one that both have changed to different values is settled by its tag, merge=ours, theirs, max, min, sum or union,
//     or it is reported in a [*MergeError].
//
// A slice or a map without a tag is one value. The key must be the same in both; the revision and what is created and
// updated are not merged. Fields that this program does not know stay as they are stored.
//
// The result is validated and stored as [Repo.Update] does it: hooks run, and it is merged anew if it is changed
// meanwhile. If there is no such document, the error is [ErrNotFound]. If base is not of the stored document's past,
// because that was deleted and made anew, or base is newer, the error is [ErrConflict].
//
//go:noinline
func MergeWith[D any, K comparable](ctx context.Context, r *Repo[D, K], base, mine D, merge func(m *gen.Merger, theirs, base, mine D)) (D, error) {
	var none D
	if isNil(base) || isNil(mine) {
		return none, &InvalidError{Entity: r.schema.Name, Err: errors.New("a document to merge is a nil pointer")}
	}
	key, began := r.schema.Key(mine), *r.schema.Meta(base).Rev
	if was := r.schema.Key(base); was != key {
		return none, &KeyError{Entity: r.schema.Name, Key: key, Reason: "the base of the merge has another key: " + showKey(was), Err: ErrBadKey}
	}
	if began.IsZero() {
		return none, &InvalidError{Entity: r.schema.Name, Key: key, Err: errors.New("the base of the merge was never stored: it is the document as it was read, with its Rev")}
	}
	// Copies hold nothing that contains itself, so that comparing them comes to an end.
	base, err := r.copyOf(base)
	if err != nil {
		return none, err
	}
	if mine, err = r.copyOf(mine); err != nil {
		return none, err
	}
	return r.updateAs(ctx, "Merge", key, func(theirs D) error {
		stored := *r.schema.Meta(theirs).Rev
		if began.n > stored.n || began.incarnation != 0 && began.incarnation != stored.incarnation {
			return &ConflictError{Entity: r.schema.Name, Key: key, Given: began, Stored: stored}
		}
		var m gen.Merger
		merge(&m, theirs, base, mine)
		if len(m.Conflicts) > 0 {
			return &MergeError{Entity: r.schema.Name, Key: key, Fields: m.Conflicts, Overflows: m.Overflows}
		}
		return nil
	})
}
