package pgstore

import (
	"context"
	"maps"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// ParseURL is what a URL is understood by.
func ParseURL(url string, o store.Options) (*pgxpool.Config, error) {
	config, _, err := parseURL(url, o)
	return config, err
}

// Explain is what an error of the driver is told as.
func Explain(err error) error { return new(Store).explain(context.Background(), "commit", err) }

// ErrBeaten is what Commit tries again.
var ErrBeaten = errBeaten

// Statements are all statements, with arguments of their types.
var Statements = func() map[string]string {
	all := maps.Clone(statementsOfOne)
	for sql, with := range versioned {
		all[with] = all[sql] + ", 'k'"
	}
	return all
}()

var statementsOfOne = map[string]string{
	getSQL:            `array['k']::bytea[]`,
	pageSQL:           `'a', 'z', 20`,
	pageReverseSQL:    `'a', 'z', 20`,
	keysSQL:           `'a', 'z', 20`,
	keysReverseSQL:    `'a', 'z', 20`,
	derefSQL:          `'a', 'z', 20`,
	derefReverseSQL:   `'a', 'z', 20`,
	lockSQL:           `array['k', 'l']::bytea[]`,
	shareSQL:          `array['k', 'l']::bytea[]`,
	compareSQL:        `array['k', 'l']::bytea[], array[1, 2]`,
	putSQL:            `array['k', 'l']::bytea[], array['1', '2']::bytea[], array[7, 8], array['k']::bytea[], 2`,
	lockAndCompareSQL: `array['k']::bytea[], array['l', 'm']::bytea[], array['k', 'l']::bytea[], array[1, 2]`,
	putAndDeleteSQL:   `array['k', 'l']::bytea[], array['1', '2']::bytea[], array[7, 8], array['k']::bytea[], 2, array['m', 'n']::bytea[]`,
	rangeSQL:          `'a', 'z', array['k', 'l']::bytea[], array[1, 2]`,
	deleteSQL:         `array['k', 'l']::bytea[]`,
}

// Sent is how many statements a batch is translated to.
func Sent(b *store.Batch) int {
	var sent pgx.Batch
	new(Store).statements(&sent, []*member{{batch: b}})
	return sent.Len()
}
