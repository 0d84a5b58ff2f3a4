// Kixxgen generates typed repositories for annotated Go structs.
//
// Usage:
//
//	kixxgen [--tags LIST] [--goos OS] [--format text|caret|github] [--docs FILE] [packages]
//	kixxgen check [--tags LIST] [--goos OS] [--format text|caret|github] [--docs FILE] [packages]
//	kixxgen init [--module PATH] [DIR]
//	kixxgen describe [--tags LIST] [--goos OS] [--format table|json|mermaid|sql] [packages]
//	kixxgen data stats|get|query|dump|load|compact|verify|repair|backup|restore DIR …
//	kixxgen version
//
// Packages are named as for go build; the default is the one in the working directory. For each struct with the comment
// //kixx:entity, kixxgen writes a file beside it, named after it: item_kixx.go for Item, with a test, item_kixx_test.go. All
// files are written or none, and a file whose content would be the same is not touched. What no entity needs any more is
// removed.
//
// Kixxgen check writes nothing. It exits with 0 if everything is fresh, and with 1 and a diff if not. It needs no build, so
// that it can be the first step of a CI job. Wrong usage exits with 2, and a mistake in the packages with 3, whatever the
// command; generating and init exit with 1 if a file cannot be written, or the module not be fetched.
//
// Kixxgen init begins an application in a directory without Go files: go.mod if there is none, a struct, a test, a program that
// runs, and lines for .gitattributes and .gitignore. Below the root of a module, or beside a program, it adds a package. It
// overwrites nothing: if a file is in the way, none is written, and it exits with 2.
//
// Kixxgen describe shows what the entities of the packages are: see "Descriptions" below.
//
// Kixxgen data looks into the files of a database, and works on them, without the code of the application: see "Data" below.
//
// # An example
//
// Kixxgen init makes a small application in the directory of your choice. Or, in a module of your own, get the runtime, and the
// command as a tool:
//
//	go get github.com/kixxgen/kixxgen
//	go get -tool github.com/kixxgen/kixxgen/cmd/kixxgen
//
// Write inventory/item.go:
//
//	package inventory
//
//	import (
//		"time"
//
//		kixx "github.com/kixxgen/kixxgen/runtime"
//	)
//
//	//go:generate go tool kixxgen
//
//	// Item is a thing on the shelf.
//	//
//	//kixx:entity
//	//kixx:index CategoryPrice Category,Price:desc
//	//kixx:view ByPriceRange func=emitPriceRange
//	type Item struct {
//		ID        string    `json:"id" kixx:"key,auto"`
//		Rev       kixx.Rev  `json:"_rev" kixx:"rev"`
//		Title     string    `json:"title" validate:"required,max=200"`
//		SKU       string    `json:"sku" kixx:"unique"`
//		Category  string    `json:"category" kixx:"index"`
//		Price     float64   `json:"price" kixx:"index" validate:"gte=0"`
//		Tags      []string  `json:"tags" kixx:"index"`
//		CreatedAt time.Time `json:"createdAt" kixx:"created,index:desc"`
//		UpdatedAt time.Time `json:"updatedAt" kixx:"updated"`
//	}
//
//	func emitPriceRange(it *Item, emit kixx.Emit[string, float64]) {
//		if it.Price < 100 {
//			emit("cheap", it.Price)
//		} else {
//			emit("dear", it.Price)
//		}
//	}
//
// Run go generate ./... and use what came out:
//
//	db, err := kixx.Open(ctx, "file:./data")
//	items, err := inventory.NewItemRepo(ctx, db)
//	it, err := items.Insert(ctx, &inventory.Item{Title: "Lamp", SKU: "L-1", Category: "light", Price: 30})
//	it, err = items.Update(ctx, it.ID, func(it *inventory.Item) error { it.Price = 25; return nil })
//	page, err := items.RangeByCategoryPrice("light").Between(10, 50).Limit(20).Page(ctx)
//	dear, err := items.QueryByPriceRange("dear").Collect(ctx)
//
// In a larger module, one //go:generate go tool kixxgen ./... at its root does the same as one in each package, in less
// time. The package need not build: generated files may be missing, stale or full of conflict markers, and other code may
// call methods that do not exist yet. Run go generate without GOOS in the environment, or go builds the tool itself for
// that system; --goos says for which one to generate.
//
// # Messages
//
// All mistakes are printed in one run, sorted, as go vet prints them, and what a user should know, and may be right, as a note:
//
//	item.go:14:28: unknown option "indx"; did you mean "index"?
//	note: dims.go:6:24: field A: option "index" has no effect in Dims, which is nested; …
//
// Columns are counted in bytes. On a terminal the line of the source follows, with a caret under the column; --format=caret
// has that anywhere, --format=text nowhere. With --format=github they are annotations, which a workflow of GitHub shows in
// the changed files. Colours are for terminals, and not if NO_COLOR is set.
//
// # Directives
//
// A directive stands in the comment directly before a struct type, on a line of its own, without a blank after the slashes.
//
//	//kixx:entity [name=stock_item] [peek]
//
// makes the struct an entity. Its documents are stored under the name, which is the name of the type in small letters unless
// it is given. With peek there are Peek and Peeks, which read documents without a copy of them. An entity may be declared in
// a test file, of the package itself or of package inventory_test: all that is generated for it is in item_kixx_test.go, and
// only tests have it.
//
//	//kixx:index Name Field,Field:desc [unique] [version=n]
//
// declares an index over several fields: QueryByName takes all of them, RangeByName all but the last. Fields are called by
// their Go names; those of embedded structs count. With :desc the order of a field is descending. With unique no two
// documents have the same values, and GetByName stands in the place of QueryByName. A new version= builds the index anew.
//
//	//kixx:view Name func=f [version=n]
//
// declares a view: func f(doc *Item, emit kixx.Emit[K, V]) calls emit with the keys and values of a document, as often as it
// likes, and depends on nothing but the document. QueryByName and RangeByName find them; a leading By of the name is not
// repeated. When the source of f changes, or of what it reaches in the module, the view is built anew. With version= that
// happens when the number changes, and only then.
//
//	//kixx:migrate n func=f
//
// says how stored documents come to level n, where no option of a field can say it: func f(doc *kixx.Fields) error changes
// the raw document. See "How entities change".
//
// # Tags
//
// The options of a kixx tag are separated by commas:
//
//	key           the key; on several fields: a part of it
//	key,auto      a key that is text or a UUID, which Insert makes when it is empty: a UUIDv7
//	rev           the revision: Rev kixx.Rev
//	index         QueryByField and RangeByField; of a slice, one entry for each element; of a nil pointer, none
//	index:desc    the same in descending order
//	index:name=X  the same as QueryByX and RangeByX
//	unique        GetByField and RangeByField; no two documents have the same value
//	unique:name=X the same as GetByX and RangeByX
//	created       a time.Time that is set when the document is stored first
//	updated       a time.Time that is set whenever it is stored
//	deleted       a *time.Time that Delete sets instead of removing the document; see Restore, Purge and WithDeleted
//	merge=policy  what Merge makes of a value that both sides have changed, see below
//	was=name      the field was stored under this name before; once for each name that it had, the latest first
//	default=v     what a document has where its writer did not know the field
//	drop          the field is not stored any more, and stored values of it go
//	drop=name     the same for the field that was stored under this name; for a field _ struct{}
//	-             the field is not stored
//
// An index can be over bool, numbers, strings, []byte, time.Time, time.Duration, UUIDs, types made of these, types that are
// stored as text, pointers to them and slices of them. A UUID is any type made of [16]byte, of whatever package and with
// whatever methods; its 16 bytes are stored.
//
// Exported fields are stored under their json names, else under their Go names; json:"-" is stored, kixx:"-" is not. Fields
// of embedded structs are promoted by the rules of encoding/json, and an ambiguous name is an error. A struct that embeds
// kixx.Unknown keeps fields that it does not know also as an element of a slice or map.
//
// # Types
//
// A field may have a type of every kind but channels, functions, uintptr and interfaces with methods: named, generic and
// recursive types, structs with and without a name, pointers of any depth, and types of other modules. What is read back is
// equal to what was written, nil kept apart from empty. Fields that are not exported are not stored; a note says so where
// kixx:"-" does not say that it is meant.
//
//	MarshalText    a type that has it and UnmarshalText as its own methods is stored as the text, in the order of which it is
//	               found by an index; else, with MarshalBinary or MarshalJSON and their counterparts, as bytes or JSON. But a
//	               struct of nothing but exported fields is stored by its fields. A value is refused if marshaling it
//	               again gives something else
//	any            holds nil, bool, numbers, string, []byte, time.Time, and slices and string maps of these; it is read as int64,
//	               uint64 where it must be, float64, []any and map[string]any. Other values are refused
//	time.Time      the instant, to the nanosecond; it is read in UTC
//	maps           with keys that are texts, integers, bools, times, UUIDs, or stored as text
//	embedding      structs have their fields in place, as encoding/json has them; a pointer is a field and has a json name
//
// A struct that holds a lock, as sync.Mutex, must not be copied and cannot be stored; an entity may have one in a field that
// is not exported.
//
// # Keys
//
// A key is text, an integer, a bool, a time.Time, a UUID, a type made of one of these, such as an enumeration, or one that is
// stored as text and compared by ==, such as netip.Addr. Documents
// are in the order of their keys: texts by their bytes, times as instants, to the nanosecond. A text that is empty cannot be
// a key: it is nearly always one that was forgotten.
//
// If several fields have the option key, they are the key together, in the order of the struct:
//
//	type Post struct {
//		Tenant string   `json:"tenant" kixx:"key"`
//		Slug   string   `json:"slug" kixx:"key"`
//		Rev    kixx.Rev `json:"_rev" kixx:"rev"`
//	}
//
// A type for the key and a method are generated, type PostKey struct{ Tenant, Slug string } and func (*Post) Key() PostKey,
// and PostKey is what Get and the others take: posts.Get(ctx, blog.PostKey{Tenant: "acme", Slug: "hello"}). RangeByKey takes
// all fields but the last, over which it is the range: posts.RangeByKey("acme").Prefix("he"). Such a key is refused as
// forgotten if all its fields are texts, and all empty. It is not made on Insert. The order of the fields is in the stored
// keys and cannot change.
//
// # Merging
//
// Merge(ctx, base, mine) stores what mine has changed since base, the document as it was read, together with what others have
// changed since then. A field that both have changed to different values is reported in a *kixx.MergeError with its path, as
// Address.City, and nothing is written; or its tag settles it:
//
//	merge=ours, merge=theirs   take the caller's value, or the stored one
//	merge=max, merge=min       the greater or the less one, of numbers, texts, times, and pointers to them; nil is the least
//	merge=sum                  base and both changes, of numbers; a sum that the type cannot hold is reported
//	merge=union                of slices: what is stored, then what is new in mine, without what either side has removed; the
//	                           elements are bools, integers, texts, UUIDs, or structs and arrays of these;
//	                           of maps: key by key, and a key that both have changed is reported as Stock["Paris"]
//
// Values that both have changed to be equal are no conflict: a sum of two equal changes counts once, since it may be the same
// change. Structs are merged by their fields, pointers to structs where both sides and base have one; with a policy, and as
// elements of slices and maps, they are one value, as slices and maps without a policy are. Equal are values that are stored
// as the same bytes.
//
// # Hooks
//
// Methods of these names, with a pointer receiver, are called by the runtime:
//
//	BeforeSet(ctx context.Context) error    on the copy that will be stored, before it is validated
//	Validate() error                        after the validate tags
//	AfterSet(ctx context.Context)           after the commit
//	BeforeDelete(ctx context.Context) error before a document is deleted
//
// # How entities change
//
// A field may be added, and the order of fields changed, at any time. A change that would lose or misread what is stored is
// refused, at the field, with the annotation that would allow it:
//
//	Title string   `json:"title" kixx:"was=name"`  // it was stored as name
//	Stock int      `json:"stock" kixx:"default=1"` // 1 in documents from before there was a stock
//	_     struct{} `kixx:"drop=color"`             // documents from before may have a color, which goes
//
// Defaults are for bool, numbers, strings and times, and pointers to these; a time is written as 2006-01-02T15:04:05Z, a
// duration as 1h30m. What is left is for migrations, which are numbered from 1 on without gaps. With a new one, any field may
// change its type or go:
//
//	//kixx:migrate 1 func=priceToCents
//
//	func priceToCents(doc *kixx.Fields) error {
//		price, _ := doc.Get("price").(float64)
//		doc.Set("price", int64(math.Round(price*100)))
//		return nil
//	}
//
// Fields have their stored names of today; those that they had before work as well. The function may not change the key. It
// is called again whenever the document is read until it is written, and depends on nothing but the document.
//
// Old documents are brought up to date when they are read, so that an upgrade needs no downtime, and Migrate of the
// repository rewrites what is left. While an older version of the program runs beside a newer one, neither loses what the
// other has written; only a document that has come to a later level cannot be read by the older one, which gets
// kixx.ErrSchema. An index is built anew when its definition changes, or what decides how it reads old documents: was,
// default, the migrations with their source (of which, with version=, only the levels count).
//
// The annotations stay: documents of every age may be stored. Who has migrated all databases may remove one together with
// what it has in the schema file.
//
// # The schema file and the samples
//
// Beside the generated files kixxgen keeps kixx.schema.json, one line for each stored field and each migration. Commit it: it
// is how a change that stored documents would not survive is noticed. Two branches that add fields merge by lines. A conflict
// in it needs no hand: the lines of both sides hold, and kixxgen settles it unless they contradict each other.
//
// In testdata/kixx it keeps a sample of each version of each entity, a document with all fields filled, in a file of its own.
// Commit them too: the generated test reads them all with the code of today. The sample of a version that was never released
// may be deleted, and so may its lines in the schema file.
//
// # Descriptions
//
// Kixxgen describe shows each entity with the names and types under which its fields are stored, its key, its indexes and views
// with the methods that they give and the order in which these find documents, its hooks and how it is validated. It names an
// index that another one makes superfluous, or the key: one that is not unique, has no slice, and whose fields, with their
// directions, are all or all but the last of the other one; the last one is then neither a slice nor a pointer, since what has
// no entry there would not be found.
//
// With --format mermaid it is a diagram, which GitHub draws from Markdown. With --sql it is what a person would write in its
// place for PostgreSQL, with comments for what SQL cannot say. With --format views it is SQL for a store in PostgreSQL that was
// opened with json=on in its URL: a view of each entity, with a column of its own type for each field, for programs that read
// SQL. With --format json it is for programs:
//
//	{"kixxDescription": 1, "entities": [
//	  {"name": "Item", "package": "example.com/shop/inventory", "stored": "item",
//	   "key": {"type": "string", "fields": [{"name": "ID", "stored": "id", "goType": "string"}], "methods": ["Get(id string)", …]},
//	   "revision": "Rev", "created": "CreatedAt",
//	   "fields": [{"name": "ID", "stored": "id", "type": "string", "goType": "string", "validate": "required"}, …],
//	   "indexes": [{"name": "Price", "fields": […], "methods": ["QueryByPrice(price float64)", …]}, …],
//	   "views": […], "hooks": ["BeforeSet"], "validated": true}]}
//
// Its fields may become more; what is there keeps its meaning. A type is what kixx.schema.json has, a goType what the source
// has. An index may be unique, and may be superfluous, with the other one as by and a sentence as why; its fields may be
// descending, each (an entry for each element) and optional (none for nil). A field that is a struct, or has them as elements,
// has their fields.
//
// A file of documentation keeps a description between two lines:
//
//	<!-- kixxgen:begin -->
//	<!-- kixxgen:end -->
//
// Kixxgen --docs README.md ./... writes the diagram of the packages between them, together with the generated files, and kixxgen
// check --docs README.md ./... says whether it is fresh. The first line may name another form, and entities: <!-- kixxgen:begin
// table Item Order -->. Lines in fenced blocks are no such lines.
//
// # Data
//
// The commands of kixxgen data work on the database in a directory:
//
//	kixxgen data stats DIR                    entities, documents, indexes, size
//	kixxgen data get DIR ENTITY KEY           one document
//	kixxgen data query DIR ENTITY INDEX VALUE what an index or a view finds, a page at a time
//	kixxgen data dump DIR                     all documents, as lines of JSON
//	kixxgen data load DIR FILE                such lines, with index entries, or nothing with --dry-run
//	kixxgen data copy SOURCE TARGET           everything to another store, compared in the end
//	kixxgen data compact DIR                  gives back space
//	kixxgen data verify DIR                   lists what is damaged, by file and offset
//	kixxgen data repair DIR TARGET            saves what can be read of a damaged one
//	kixxgen data backup DIR TARGET            to a directory, or with - to an archive
//	kixxgen data restore SOURCE DIR           from either
//
// Each has a --help with examples. A database must not be open elsewhere, but for verify. All but load, compact
// and backup leave its files as they
// are, also after a crash: only the name of the process that has it is written, into the lock file.
//
// Copy takes URLs too, and the command kixxcopy is the same with the drivers of servers, so that a database of files moves to
// PostgreSQL and back:
//
//	go run github.com/kixxgen/kixxgen/cmd/kixxcopy@latest ./data postgres://app@db/shop
//
// Keys and values are the same in every byte: documents keep their revisions, and cursors stay valid. What reads on
// with Watch begins with a resync. A copy that was cut off goes on where it was; until it is finished no application can open it.
//
// A line of a dump is {"entity":"item","key":"item:1","rev":"3-9f86d081","doc":{…}}. What is loaded again is the same in every
// byte. But hooks and validation are code of the application, which the command has not; it loads documents of such an
// entity with --unchecked. Views are made by functions of the application: with --rebuild they are left to it, and answer no
// query until it has opened the database and built them anew. A document that was stored before a migration is written
// without it; let the application Migrate before a dump that is to be loaded.
//
// The exit status is 1 if a document is not there, or something is wrong with the database: it is damaged, open elsewhere, or
// the disk is full. It is 2 for what was asked in a wrong way, as an entity that there is not, and 3 for a line that cannot
// be loaded; the lines before it are in.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/alecthomas/kong"
)

// Exit statuses of the command.
const (
	exitStale = 1 // check: something is stale; generate: a file could not be written
	exitData  = 1 // data: the document is not there, or something is wrong with the database
	exitUsage = 2
	exitInput = 3 // the packages have mistakes, or the lines to load
)

// An exit is an error with the status to exit with. What it says was printed if its cause is nil.
type exit struct {
	status int
	cause  error
}

func (e *exit) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.cause.Error()
}

func (e *exit) Unwrap() error { return e.cause }

// usage returns the error of a command that was called in a wrong way.
func usage(format string, args ...any) error { return &exit{exitUsage, fmt.Errorf(format, args...)} }

// An environment is what a command gets from the process.
type environment struct {
	ctx            context.Context
	dir            string // absolute; patterns and printed paths are relative to it
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	display        display
}

// commands are the subcommands, each in the file of its name.
type commands struct {
	Generate generateCommand `cmd:"" default:"withargs" help:"Write the generated files of the packages (the default command)."`
	Check    checkCommand    `cmd:"" help:"Exit with 1 and a diff if a generated file is stale; write nothing."`
	Init     initCommand     `cmd:"" help:"Begin an application that runs, or add a package to a module."`
	Describe describeCommand `cmd:"" help:"Show entities, fields, indexes and views: as a table, JSON, a diagram, or SQL."`
	Data     dataCommands    `cmd:"" help:"Look into the files of a database, and work on them."`
	Version  versionCommand  `cmd:"" help:"Print the version of kixxgen."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second ctrl-C ends a command that does not listen to the first
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kixxgen:", err)
		os.Exit(exitInput)
	}
	status := run(environment{ctx, dir, os.Stdin, os.Stdout, os.Stderr, os.Getenv, displayOf(os.Stdout, os.Stderr, os.Getenv)}, os.Args[1:])
	stop()
	os.Exit(status)
}

// run runs the command with the arguments and returns its exit status.
func run(env environment, args []string) (status int) {
	exited := -1 // help ends kong before there is a command
	parser, err := kong.New(&commands{},
		kong.Name("kixxgen"),
		kong.Description(about),
		kong.Writers(env.stdout, env.stderr),
		kong.Exit(func(status int) { exited = status }),
		kong.Bind(env),
	)
	if err != nil {
		fmt.Fprintln(env.stderr, "kixxgen:", err)
		return exitUsage
	}
	command, err := parser.Parse(asked(args))
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprint(env.stderr, misused(parser, err))
		return exitUsage
	}
	err = command.Run(env)
	var e *exit
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &e):
		e = &exit{exitInput, err}
	}
	if e.cause != nil {
		fmt.Fprintln(env.stderr, "kixxgen:", strings.TrimPrefix(e.cause.Error(), "kixx: ")) // one prefix is enough
	}
	return e.status
}
