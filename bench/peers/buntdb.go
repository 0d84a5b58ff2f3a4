package peers

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tidwall/buntdb"
)

func init() {
	register(Kind{Name: "buntdb", Module: "github.com/tidwall/buntdb", How: "JSON in memory with two of its own indexes, and a log", New: func() Peer { return new(bunt) }})
}

// bunt is buntdb with its own indexes over JSON. The revision is the last field of the JSON, where a write finds it without
// decoding the rest.
type bunt struct{ db *buntdb.DB }

func (p *bunt) Open(dir string, o Options) (err error) {
	if p.db, err = buntdb.Open(filepath.Join(dir, "db")); err != nil {
		return err
	}
	var c buntdb.Config
	if err := p.db.ReadConfig(&c); err != nil {
		return err
	}
	c.SyncPolicy = buntdb.Never
	if o.Durable {
		c.SyncPolicy = buntdb.Always
	}
	if err := p.db.SetConfig(c); err != nil {
		return err
	}
	if err := p.db.CreateIndex("category", "item:*", buntdb.IndexJSON("category")); err != nil {
		return err
	}
	return p.db.CreateIndex("price", "item:*", buntdb.IndexJSON("price"))
}

// A buntItem is Item with its revision as a number in JSON.
type buntItem struct {
	plain
	Rev uint64 `json:"_rev"`
}

func buntEncode(it *Item, rev uint64) (string, error) {
	b, err := json.Marshal(buntItem{plain(*it), rev})
	return string(b), err
}

func buntDecode(v string) (*Item, error) {
	b := new(buntItem)
	if err := json.Unmarshal([]byte(v), b); err != nil {
		return nil, err
	}
	b.plain.Rev = revision(b.Rev)
	return (*Item)(&b.plain), nil
}

// buntRev returns the revision of a document without decoding it: it is the last field.
func buntRev(v string) (uint64, error) {
	at := strings.LastIndex(v, `"_rev":`)
	if at < 0 {
		return 0, fmt.Errorf("there is no revision in %q", v)
	}
	return strconv.ParseUint(strings.TrimSuffix(v[at+len(`"_rev":`):], "}"), 10, 64)
}

func (p *bunt) Load(n int, item func(i int) *Item) error {
	const each = 5000
	for from := 0; from < n; from += each {
		err := p.db.Update(func(tx *buntdb.Tx) error {
			for i := from; i < min(n, from+each); i++ {
				it := item(i)
				v, err := buntEncode(it, 1)
				if err != nil {
					return err
				}
				if _, _, err := tx.Set(it.ID, v, nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func buntGet(tx *buntdb.Tx, id string) (string, error) {
	v, err := tx.Get(id)
	if errors.Is(err, buntdb.ErrNotFound) {
		return "", ErrNotFound
	}
	return v, err
}

func (p *bunt) Get(id string) (it *Item, err error) {
	err = p.db.View(func(tx *buntdb.Tx) error {
		v, err := buntGet(tx, id)
		if err == nil {
			it, err = buntDecode(v)
		}
		return err
	})
	return it, err
}

func (p *bunt) Set(it *Item) error {
	rev := number(it.Rev)
	err := p.db.Update(func(tx *buntdb.Tx) error {
		old, err := buntGet(tx, it.ID)
		var stored uint64
		if err == nil {
			stored, err = buntRev(old)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if stored != rev {
			return ErrStale
		}
		v, err := buntEncode(it, rev+1)
		if err != nil {
			return err
		}
		_, _, err = tx.Set(it.ID, v, nil)
		return err
	})
	if err == nil {
		it.next(rev)
	}
	return err
}

func (p *bunt) Update(id string, change func(it *Item)) error {
	return p.db.Update(func(tx *buntdb.Tx) error {
		v, err := buntGet(tx, id)
		if err != nil {
			return err
		}
		it, err := buntDecode(v)
		if err != nil {
			return err
		}
		change(it)
		if v, err = buntEncode(it, number(it.Rev)+1); err != nil {
			return err
		}
		_, _, err = tx.Set(id, v, nil)
		return err
	})
}

// Page skips those before from, which is their number: an index over JSON has no other place to begin at.
func (p *bunt) Page(category, from string, n int) (items []*Item, next string, err error) {
	items = make([]*Item, 0, n)
	skip := 0
	if from != "" {
		if skip, err = strconv.Atoi(from); err != nil {
			return nil, "", err
		}
	}
	at := 0
	err = p.db.View(func(tx *buntdb.Tx) error {
		var failed error
		err := tx.AscendEqual("category", `{"category":"`+category+`"}`, func(_, v string) bool {
			if at++; at <= skip {
				return true
			}
			if len(items) == n {
				next = strconv.Itoa(skip + n)
				return false
			}
			var it *Item
			if it, failed = buntDecode(v); failed != nil {
				return false
			}
			items = append(items, it)
			return true
		})
		return errors.Join(err, failed)
	})
	return items, next, err
}

func (p *bunt) Scan(each func(it *Item)) error {
	return p.db.View(func(tx *buntdb.Tx) error {
		var failed error
		err := tx.AscendKeys("item:*", func(_, v string) bool {
			var it *Item
			if it, failed = buntDecode(v); failed != nil {
				return false
			}
			each(it)
			return true
		})
		return errors.Join(err, failed)
	})
}

func (p *bunt) Close() error { return p.db.Close() }
