package tikvstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	tikverr "github.com/tikv/client-go/v2/error"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// unavailable are the client's errors after which the same call can succeed later.
var unavailable = []error{
	tikverr.ErrTiKVServerTimeout, tikverr.ErrTiKVServerBusy, tikverr.ErrTiKVStaleCommand, tikverr.ErrTiKVMaxTimestampNotSynced,
	tikverr.ErrResolveLockTimeout, tikverr.ErrLockWaitTimeout, tikverr.ErrRegionUnavailable, tikverr.ErrRegionDataNotReady,
	tikverr.ErrRegionNotInitialized, tikverr.ErrRegionRecoveryInProgress, tikverr.ErrRegionFlashbackInProgress,
	tikverr.ErrRegionFlashbackNotPrepared, tikverr.ErrIsWitness, tikverr.ErrResultUndetermined, tikverr.ErrBodyMissing,
}

// explain says in the words of the contract what an error of the client means, of a call in which nothing was applied.
func explain(ctx context.Context, what string, err error) error {
	var (
		tooEarly *tikverr.ErrGCTooEarly
		corrupt  *store.CorruptError
	)
	switch {
	case errors.As(err, &corrupt), errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrUnavailable):
		return err // said already
	case errors.As(err, &tooEarly):
		return fmt.Errorf("tikvstore: %s: %w: %w", what, store.ErrSnapshotTooOld, err)
	case errors.Is(err, tikverr.ErrTiKVDiskFull), strings.Contains(err.Error(), "disk_full:"):
		// The client makes a text of what a server says at the first phase of a commit.
		return fmt.Errorf("tikvstore: %s: %w: %w", what, store.ErrFull, err)
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		return fmt.Errorf("tikvstore: %s: %w: %w", what, ctx.Err(), err)
	case ctx.Err() != nil:
		return fmt.Errorf("tikvstore: %s: %w", what, err)
	case isUnavailable(err):
		return fmt.Errorf("tikvstore: %s: %w: %w", what, store.ErrUnavailable, err)
	}
	return fmt.Errorf("tikvstore: %s: %w", what, err)
}

func isUnavailable(err error) bool {
	for _, u := range unavailable {
		if errors.Is(err, u) {
			return true
		}
	}
	var (
		timeout *tikverr.ErrPDServerTimeout
		tokens  *tikverr.ErrTokenLimit
	)
	return errors.As(err, &timeout) || errors.As(err, &tokens)
}
