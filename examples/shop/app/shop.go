package app

import (
	"context"
	"fmt"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// A Shop is the shop without HTTP.
type Shop struct {
	DB     *kixx.DB
	Items  *ItemRepo
	Orders *OrderRepo

	open  context.Context // until Close
	Close context.CancelFunc
}

// NewShop opens the repositories of db. Close ends the streams of changes; the database stays open.
func NewShop(ctx context.Context, db *kixx.DB) (*Shop, error) {
	items, err := NewItemRepo(ctx, db)
	if err != nil {
		return nil, err
	}
	orders, err := NewOrderRepo(ctx, db)
	if err != nil {
		return nil, err
	}
	s := &Shop{DB: db, Items: items, Orders: orders}
	s.open, s.Close = context.WithCancel(context.WithoutCancel(ctx))
	return s, nil
}

// A SoldOutError says that there is less of an item than was ordered.
type SoldOutError struct {
	Item        string
	Have, Asked int
}

func (e *SoldOutError) Error() string {
	return fmt.Sprintf("item %s: %d left, %d asked for", e.Item, e.Have, e.Asked)
}

// Place takes what is ordered out of the stock and stores the order: both, or neither. Prices and the total are set here.
func (s *Shop) Place(ctx context.Context, order *Order) (placed *Order, err error) {
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *kixx.Tx) error {
		items, orders := s.Items.With(tx), s.Orders.With(tx)
		o := *order
		o.Lines, o.Total = make([]Line, len(order.Lines)), 0
		for i, line := range order.Lines {
			item, err := items.Update(ctx, line.Item, func(it *Item) error {
				if it.Stock < line.Count {
					return &SoldOutError{it.ID, it.Stock, line.Count}
				}
				it.Stock -= line.Count
				return nil
			})
			if err != nil {
				return err
			}
			line.Price = item.Price
			o.Lines[i] = line
			o.Total += line.Price * int64(line.Count)
		}
		placed, err = orders.Insert(ctx, &o)
		return err
	})
	if err != nil {
		return nil, err
	}
	return placed, nil
}

// Seed puts a few items on sale if there are none.
func (s *Shop) Seed(ctx context.Context) error {
	n, err := s.Items.Count(ctx)
	if err != nil || n > 0 {
		return err
	}
	for _, it := range []*Item{
		{ID: "lamp", Title: "Desk lamp", SKU: "L-1", Category: "light", Price: 2990, Stock: 12},
		{ID: "bulb", Title: "Bulb, warm", SKU: "L-2", Category: "light", Price: 390, Stock: 200},
		{ID: "chair", Title: "Folding chair", SKU: "C-1", Category: "seat", Price: 4500, Stock: 30},
	} {
		if _, err := s.Items.Insert(ctx, it); err != nil {
			return err
		}
	}
	return nil
}
