package peers

func init() {
	register(Kind{Name: "sqlite", Module: "github.com/mattn/go-sqlite3", How: "JSON in a column, prepared statements, WAL, one writer and four readers", New: inC(func() Peer { return &jsonSQL{driver: withCgo} })})
	register(Kind{Name: "sqlc", Module: "github.com/mattn/go-sqlite3", How: "what sqlc makes: a column for each field, prepared statements; WAL, one writer and four readers", New: inC(func() Peer { return &columns{driver: withCgo} })})
	register(Kind{Name: "gorm", Module: "gorm.io/gorm", How: "over go-sqlite3; PrepareStmt, SkipDefaultTransaction", New: inC(func() Peer { return &gormStore{driver: withCgo} })})
	register(Kind{Name: "ent", Module: "entgo.io/ent", How: "over go-sqlite3; its generated client", New: inC(func() Peer { return &entStore{driver: withCgo} })})
}

// inC returns how a peer over SQLite in C is made: nil where the program was built without cgo.
func inC(of func() Peer) func() Peer {
	if withCgo.name == "" {
		return nil
	}
	return of
}
