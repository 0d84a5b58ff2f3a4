package kixx

import (
	"context"
	"slices"

	"github.com/kixxgen/kixxgen/runtime/internal/testhook"
	"github.com/kixxgen/kixxgen/runtime/store"
)

func init() { testhook.Rival = rival }

// rival implements [testhook.Rival].
func rival(ctx context.Context, st store.Reader, b *store.Batch) (*store.Batch, error) {
	other := &store.Batch{ID: newBatchID()}
	for i := range b.Ops {
		op := &b.Ops[i]
		at, _ := op.Guard.Version()
		if !isDocument(op.Key) || at == store.Absent {
			continue
		}
		items, err := st.Get(ctx, op.Key)
		if err != nil || items[0].Version != at {
			return nil, err
		}
		env, body, err := parseEnvelope(items[0].Value)
		if err != nil {
			return nil, err
		}
		env.rev = env.rev.next()
		other.Ops = []store.Op{{Key: op.Key, Value: append(env.append(nil), body...), Guard: store.At(at)}}
		return other, nil
	}
	if !slices.ContainsFunc(b.Ops, func(op store.Op) bool { return isDocument(op.Key) }) {
		return nil, nil
	}
	for _, op := range b.Ops {
		if !isCatalogue(op.Key) {
			op.Decoded = nil // it is the caller's, whose commit may yet succeed
			other.Ops = append(other.Ops, op)
		}
	}
	return other, nil
}
