package kixx_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// What must be in no error and no line of a log: values of fields, keys of cursors, passwords of URLs.
const (
	marker = "Xq7secretZ9"
	number = -48151623.25 // a field of a number
)

// shows returns in which form a text shows the marker, or "".
func shows(text string) string {
	forms := map[string]string{"text": marker, "hexadecimal": hex.EncodeToString([]byte(marker)), "a number": "48151623"}
	for shift := range 3 { // base64 has a form for each place that a text can begin at
		b := base64.RawURLEncoding.EncodeToString(append(make([]byte, shift), marker...))
		forms[fmt.Sprint("base64 from ", shift)] = b[2 : len(b)-2]
	}
	for _, name := range slices.Sorted(maps.Keys(forms)) {
		if strings.Contains(text, forms[name]) {
			return name
		}
	}
	return ""
}

// secretItem returns an item whose fields are all secret, but for its key.
func secretItem(id string) *kinds.Item {
	return &kinds.Item{ID: id, Title: marker, SKU: marker + id, Category: marker, Price: -number, Tags: []string{marker, marker + "2"}}
}

// discreet collects errors and what is logged, and says which of them shows a secret.
type discreet struct {
	lines
	errors int
}

// errs checks errors that come out of what is named; there has to be one at least.
func (d *discreet) errs(t *testing.T, what string, errs ...error) {
	t.Helper()
	some := false
	for _, err := range errs {
		if err == nil {
			continue
		}
		some = true
		d.errors++
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err)} {
			if form := shows(text); form != "" {
				t.Errorf("%s: the error shows the value of a field, as %s: %s", what, form, text)
			}
		}
	}
	if !some {
		t.Errorf("%s: there was no error", what)
	}
}

func only[T any](_ T, err error) error { return err }

func TestErrorsAndLogsShowNoValues(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		var d discreet
		observe := kixx.WithObserver(func(_ context.Context, op kixx.Operation) { d.logger().Info("observed", "op", fmt.Sprintf("%+v", op)) })
		st := repotest.KeepOpen{Store: p.Open(t)}
		defer st.Store.Close()
		open := func() *kixx.DB {
			db := must[*kixx.DB](t)(kixx.OpenStore(ctx, st, kixx.WithLogger(d.logger()), kixx.SlowLog(0), observe, kixx.WithRetry(1000)))
			t.Cleanup(func() { db.Close() })
			return db
		}
		db := open()
		items := newItems(t, db)
		a := must[*kinds.Item](t)(items.Insert(ctx, secretItem("a")))
		must[*kinds.Item](t)(items.Insert(ctx, secretItem("b")))
		with := func(id string, change func(it *kinds.Item)) *kinds.Item { it := secretItem(id); change(it); return it }
		long := strings.Repeat(marker, 200)

		d.errs(t, "a validator's rules", only(items.Insert(ctx, with("c", func(it *kinds.Item) { it.Title, it.Price = long, number }))))
		d.errs(t, "a unique value that is taken", only(items.Insert(ctx, with("c", func(it *kinds.Item) { it.SKU = a.SKU }))))
		d.errs(t, "a unique value twice in one commit", only(items.SetMany(ctx, with("c", func(it *kinds.Item) { it.SKU = marker }), with("d", func(it *kinds.Item) { it.SKU = marker }))))
		d.errs(t, "a unique value that is taken, in a transaction", db.Tx(ctx, func(_ context.Context, tx *kixx.Tx) error {
			return only(items.With(tx).Insert(ctx, with("c", func(it *kinds.Item) { it.SKU = a.SKU })))
		}))
		d.errs(t, "an entry that is too long", only(items.Insert(ctx, with("c", func(it *kinds.Item) { it.Category = long }))))
		d.errs(t, "a unique entry that is too long", only(items.Insert(ctx, with("c", func(it *kinds.Item) { it.SKU = long }))))
		d.errs(t, "a document that is there", only(items.Insert(ctx, secretItem("a"))), only(items.Set(ctx, secretItem("a"))))
		d.errs(t, "another revision", only(items.UpdateIf(ctx, "a", kixx.RevOf(9), func(*kinds.Item) error { return nil })), items.DeleteIf(ctx, "a", kixx.RevOf(9)))
		d.errs(t, "a changed key", only(items.Update(ctx, "a", func(it *kinds.Item) error { it.ID = "z"; return nil })))
		d.errs(t, "a load", only(items.Load(ctx, slices.Values([]*kinds.Item{secretItem("l"), secretItem("a")}))))
		d.errs(t, "what is not there", only(items.GetBySKU(ctx, marker)), only(items.QueryByCategory(marker+"x").First(ctx)))

		page := must[kixx.Page[*kinds.Item]](t)(items.QueryByCategory(marker).Limit(1).Page(ctx))
		d.errs(t, "a cursor of another query", only(items.QueryByCategory(marker+"x").After(page.Next).Page(ctx)),
			only(items.QueryByCategory(marker).After(page.Next+"AA").Page(ctx)), only(items.RangeByPrice().Everything().After(kixx.Cursor(marker)).Keys(ctx)))

		accounts := must[*kinds.AccountRepo](t)(kinds.NewAccountRepo(ctx, db))
		base := must[*kinds.Account](t)(accounts.Insert(ctx, &kinds.Account{ID: "m", Name: "x"}))
		mine := *base
		mine.Name = marker
		must[*kinds.Account](t)(accounts.Update(ctx, "m", func(it *kinds.Account) error { it.Name = marker + "2"; return nil }))
		d.errs(t, "a merge", only(accounts.Merge(ctx, base, &mine)))

		damageAll(t, &d, st, open)
		if text := d.take(); shows(text) != "" || !strings.Contains(text, "slow operation") || !strings.Contains(text, "observed") {
			for line := range strings.Lines(text) {
				if form := shows(line); form != "" {
					t.Errorf("the log shows a value, as %s: %s", form, line)
				}
			}
		}
		t.Logf("%d errors show nothing", d.errors)
	})
}

// damageAll changes stored bytes, one after the other, and collects the errors of all that reads them.
func damageAll(t *testing.T, d *discreet, st store.Store, open func() *kixx.DB) {
	ctx := t.Context()
	all, err := st.Page(ctx, store.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	read := func(db *kixx.DB) (errs []error) {
		items, err := kinds.NewItemRepo(ctx, db)
		if err != nil {
			return []error{err}
		}
		_, err = items.Migrate(ctx, kixx.MigrateOptions{DryRun: true})
		return append(errs, err, only(items.Get(ctx, "a")), only(items.GetMany(ctx, "b", "a")), only(items.QueryByCategory(marker).Collect(ctx)),
			only(items.RangeByPriceRange().Everything().Collect(ctx)), only(items.RangeByTags().Everything().WithDocs().Page(ctx)),
			only(items.GetBySKU(ctx, marker+"a")), only(items.Query().Keys(ctx)), db.Verify(ctx))
	}
	write := func(key, value []byte) {
		for {
			if _, err := st.Commit(ctx, &store.Batch{Ops: []store.Op{{Key: key, Value: value}}}); err == nil {
				return
			}
		}
	}
	found := 0
	for i := range all {
		key, value := bytes.Clone(all[i].Key), bytes.Clone(all[i].Value)
		if key[9] == 0 && key[10] == 0 || !bytes.Contains(append(slices.Clip(key), value...), []byte(marker)) {
			continue // the catalogue, and the accounts
		}
		var forms [][]byte
		for at := 0; at < len(value); at += 1 + len(value)/12 {
			flipped := bytes.Clone(value)
			flipped[at] ^= 0x55
			forms = append(forms, flipped, value[:at])
		}
		for _, form := range append(forms, append(bytes.Clone(value), marker...)) {
			write(key, form)
			db := open()
			for _, err := range read(db) {
				if err != nil {
					found++
					d.errs(t, fmt.Sprintf("the damaged value of key %d", i), err)
				}
			}
			db.Close()
		}
		write(key, value)
	}
	if found < 100 {
		t.Errorf("damage was met %d times", found)
	}
}

func TestOpenShowsNoPasswords(t *testing.T) {
	for _, url := range []string{"cloud://user:" + marker + "@host/db", "postgres://user:" + marker + "@host/db?x=%zz", "mysql:" + marker} {
		_, err := kixx.Open(t.Context(), url)
		if err == nil || shows(err.Error()) != "" {
			t.Errorf("Open: %v, want an error without the password", err)
		}
	}
	if _, err := kixx.Open(t.Context(), "mem:", kixx.SignCursors([]byte(marker))); err == nil || shows(err.Error()) != "" {
		t.Errorf("Open with a short key: %v, want an error without it", err)
	}
}
