package peers

import (
	"errors"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

// gormStore is gorm over SQLite.
type gormStore struct {
	driver      sqlDriver
	pool        *sqlPool
	write, read *gorm.DB
}

// A gormItem is a row. The table has the columns and indexes of the other SQL peers.
type gormItem struct {
	ID          string `gorm:"primaryKey;index:items_category,priority:2"`
	Rev         uint64
	Category    string `gorm:"index:items_category,priority:1"`
	Price       int64  `gorm:"index:items_price"`
	Version     int64
	Name        string
	Description string
	Tags        []string `gorm:"serializer:json"`
	Created     int64
	Updated     int64
}

func (gormItem) TableName() string { return "items" }

func newGormItem(it *Item, rev uint64) *gormItem {
	return &gormItem{it.ID, rev, it.Category, it.Price, it.Version, it.Name, it.Description, it.Tags, it.Created.UnixNano(), it.Updated.UnixNano()}
}

func (r *gormItem) item() *Item {
	return &Item{ID: r.ID, Rev: revision(r.Rev), Category: r.Category, Price: r.Price, Version: r.Version, Name: r.Name, Description: r.Description,
		Tags: r.Tags, Created: time.Unix(0, r.Created).UTC(), Updated: time.Unix(0, r.Updated).UTC()}
}

func (p *gormStore) Open(dir string, o Options) (err error) {
	if p.pool, err = openSQL(p.driver, dir, o, ""); err != nil {
		return err
	}
	config := gorm.Config{PrepareStmt: true, SkipDefaultTransaction: true, Logger: logger.Discard}
	if p.write, err = gorm.Open(sqlite.Dialector{Conn: p.pool.write}, &config); err != nil {
		return err
	}
	readConfig := config
	if p.read, err = gorm.Open(sqlite.Dialector{Conn: p.pool.read}, &readConfig); err != nil {
		return err
	}
	return p.write.AutoMigrate(&gormItem{})
}

func (p *gormStore) Load(n int, item func(i int) *Item) error {
	const each = 10_000
	for from := 0; from < n; from += each {
		rows := make([]*gormItem, 0, each)
		for i := from; i < min(n, from+each); i++ {
			rows = append(rows, newGormItem(item(i), 1))
		}
		err := p.write.Transaction(func(tx *gorm.DB) error { return tx.CreateInBatches(rows, 100).Error })
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *gormStore) Get(id string) (*Item, error) {
	var r gormItem
	if err := p.read.Where("id = ?", id).Take(&r).Error; err != nil {
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return nil, ErrNotFound
		}
		return nil, err
	}
	return r.item(), nil
}

func (p *gormStore) Set(it *Item) error {
	rev := number(it.Rev)
	var result *gorm.DB
	if rev == 0 {
		result = p.write.Clauses(clause.OnConflict{DoNothing: true}).Create(newGormItem(it, 1))
	} else {
		result = p.write.Model(&gormItem{}).Where("id = ? AND rev = ?", it.ID, rev).Select("*").Updates(newGormItem(it, rev+1))
	}
	if result.Error != nil {
		return result.Error
	}
	if result.RowsAffected == 0 {
		return ErrStale
	}
	it.next(rev)
	return nil
}

func (p *gormStore) Update(id string, change func(it *Item)) error {
	return readAndSet(p, id, change)
}

func (p *gormStore) Page(category, from string, n int) ([]*Item, string, error) {
	rows := make([]*gormItem, 0, n)
	if err := p.read.Where("category = ? AND id > ?", category, from).Order("id").Limit(n).Find(&rows).Error; err != nil {
		return nil, "", err
	}
	items := make([]*Item, len(rows))
	for i, r := range rows {
		items[i] = r.item()
	}
	return items, lastID(items, n), nil
}

func (p *gormStore) Scan(each func(it *Item)) error {
	rows, err := p.read.Model(&gormItem{}).Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r gormItem
		if err := p.read.ScanRows(rows, &r); err != nil {
			return err
		}
		each(r.item())
	}
	return rows.Err()
}

func (p *gormStore) Close() error { return p.pool.close() }
