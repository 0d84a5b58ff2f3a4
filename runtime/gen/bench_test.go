package gen

import (
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// An item is a document of the usual size: about 300 bytes.
type item struct {
	ID, Title, SKU, Category string
	Price                    float64
	Tags                     []string
	Size                     size
	Attrs                    map[string]string
	Stock                    int
	CreatedAt, UpdatedAt     time.Time
}

type size struct{ W, H float64 }

var theItem = &item{
	ID: "item:0001234", Title: "A lamp for the desk, with an arm and a shade", SKU: "LAMP-0001234", Category: "electronics",
	Price: 39.99, Tags: []string{"lamp", "desk", "sale"}, Size: size{30, 45.5},
	Attrs: map[string]string{"colour": "black", "material": "steel"}, Stock: 12,
	CreatedAt: time.Date(2026, 1, 2, 15, 4, 5, 6e8, time.UTC), UpdatedAt: time.Date(2026, 2, 3, 16, 5, 6, 7e8, time.UTC),
}

func appendTheItem(b []byte, it *item, u *Unknown) []byte {
	b = AppendHeader(b, 11, u)
	b = msgp.AppendString(b, "id")
	b = msgp.AppendString(b, it.ID)
	b = msgp.AppendString(b, "title")
	b = msgp.AppendString(b, it.Title)
	b = msgp.AppendString(b, "sku")
	b = msgp.AppendString(b, it.SKU)
	b = msgp.AppendString(b, "category")
	b = msgp.AppendString(b, it.Category)
	b = msgp.AppendString(b, "price")
	b = msgp.AppendFloat64(b, it.Price)
	b = msgp.AppendString(b, "tags")
	b = AppendListHeader(b, it.Tags == nil, len(it.Tags))
	for _, x := range it.Tags {
		b = msgp.AppendString(b, x)
	}
	b = msgp.AppendString(b, "size")
	b = appendSize(b, &it.Size, u.Sub("size"))
	b = msgp.AppendString(b, "attrs")
	b = AppendMapHeader(b, it.Attrs == nil, len(it.Attrs))
	for _, k := range SortedKeys(it.Attrs) {
		x := it.Attrs[k]
		b = msgp.AppendString(b, k)
		b = msgp.AppendString(b, x)
	}
	b = msgp.AppendString(b, "stock")
	b = msgp.AppendInt(b, it.Stock)
	b = msgp.AppendString(b, "createdAt")
	b = AppendTime(b, it.CreatedAt)
	b = msgp.AppendString(b, "updatedAt")
	b = AppendTime(b, it.UpdatedAt)
	return AppendUnknown(b, u)
}

func appendSize(b []byte, v *size, u *Unknown) []byte {
	b = AppendHeader(b, 2, u)
	b = msgp.AppendString(b, "w")
	b = msgp.AppendFloat64(b, v.W)
	b = msgp.AppendString(b, "h")
	b = msgp.AppendFloat64(b, v.H)
	return AppendUnknown(b, u)
}

func readTheItem(it *item, b []byte, u *Unknown) ([]byte, error) {
	return ReadFields(b, func(name, b []byte) (_ []byte, err error) {
		switch string(name) {
		case "id":
			it.ID, b, err = ReadString[string](b)
		case "title":
			it.Title, b, err = ReadString[string](b)
		case "sku":
			it.SKU, b, err = ReadString[string](b)
		case "category":
			it.Category, b, err = ReadString[string](b)
		case "price":
			it.Price, b, err = ReadFloat64[float64](b)
		case "tags":
			it.Tags, b, err = ReadScalars(b, ReadString[string])
		case "size":
			b, err = readSize(&it.Size, b, u.At("size"))
		case "attrs":
			it.Attrs, b, err = ReadMap(b, ReadString[string], ReadString[string])
		case "stock":
			it.Stock, b, err = ReadInt[int](b)
		case "createdAt":
			it.CreatedAt, b, err = ReadTime(b)
		case "updatedAt":
			it.UpdatedAt, b, err = ReadTime(b)
		default:
			b, err = u.Keep(name, b)
		}
		return b, err
	})
}

func readSize(v *size, b []byte, u *Unknown) ([]byte, error) {
	return ReadFields(b, func(name, b []byte) (_ []byte, err error) {
		switch string(name) {
		case "w":
			v.W, b, err = ReadFloat64[float64](b)
		case "h":
			v.H, b, err = ReadFloat64[float64](b)
		default:
			b, err = u.Keep(name, b)
		}
		return b, err
	})
}

// readPlain reads as the generator of package msgp would: strict, without unknown fields, duplicates unseen.
func readPlain(it *item, b []byte) (_ []byte, err error) {
	n, b, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return nil, err
	}
	for range n {
		var name []byte
		if name, b, err = msgp.ReadMapKeyZC(b); err != nil {
			return nil, err
		}
		switch msgp.UnsafeString(name) {
		case "id":
			it.ID, b, err = msgp.ReadStringBytes(b)
		case "title":
			it.Title, b, err = msgp.ReadStringBytes(b)
		case "sku":
			it.SKU, b, err = msgp.ReadStringBytes(b)
		case "category":
			it.Category, b, err = msgp.ReadStringBytes(b)
		case "price":
			it.Price, b, err = msgp.ReadFloat64Bytes(b)
		case "tags":
			var m uint32
			if m, b, err = msgp.ReadArrayHeaderBytes(b); err != nil {
				return nil, err
			}
			it.Tags = make([]string, m)
			for i := range it.Tags {
				if it.Tags[i], b, err = msgp.ReadStringBytes(b); err != nil {
					return nil, err
				}
			}
		case "size":
			var m uint32
			if m, b, err = msgp.ReadMapHeaderBytes(b); err != nil {
				return nil, err
			}
			for range m {
				if name, b, err = msgp.ReadMapKeyZC(b); err != nil {
					return nil, err
				}
				switch msgp.UnsafeString(name) {
				case "w":
					it.Size.W, b, err = msgp.ReadFloat64Bytes(b)
				case "h":
					it.Size.H, b, err = msgp.ReadFloat64Bytes(b)
				default:
					b, err = msgp.Skip(b)
				}
				if err != nil {
					return nil, err
				}
			}
		case "attrs":
			var m uint32
			if m, b, err = msgp.ReadMapHeaderBytes(b); err != nil {
				return nil, err
			}
			it.Attrs = make(map[string]string, m)
			for range m {
				var key, value string
				if key, b, err = msgp.ReadStringBytes(b); err != nil {
					return nil, err
				}
				if value, b, err = msgp.ReadStringBytes(b); err != nil {
					return nil, err
				}
				it.Attrs[key] = value
			}
		case "stock":
			it.Stock, b, err = msgp.ReadIntBytes(b)
		case "createdAt":
			it.CreatedAt, b, err = msgp.ReadTimeUTCBytes(b)
		case "updatedAt":
			it.UpdatedAt, b, err = msgp.ReadTimeUTCBytes(b)
		default:
			b, err = msgp.Skip(b)
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

func BenchmarkAppend(b *testing.B) {
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendTheItem(buf[:0], theItem, nil)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkRead(b *testing.B) {
	in := appendTheItem(nil, theItem, nil)
	b.Run("gen", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			u := new(Unknown)
			if _, err := readTheItem(new(item), in, u); err != nil || u.OrNil() != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := readPlain(new(item), in); err != nil {
				b.Fatal(err)
			}
		}
	})
}
