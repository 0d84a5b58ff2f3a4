module github.com/kixxgen/kixxgen/bench/postgres

go 1.26.0

replace (
	github.com/kixxgen/kixxgen => ../..
	github.com/kixxgen/kixxgen/runtime/store/pgstore => ../../runtime/store/pgstore
)

require (
	github.com/jackc/pgx/v5 v5.13.0
	github.com/kixxgen/kixxgen v0.0.0
	github.com/kixxgen/kixxgen/runtime/store/pgstore v0.0.0-00010101000000-000000000000
	github.com/tinylib/msgp v1.6.5
)

require (
	github.com/agnivade/levenshtein v1.2.2 // indirect
	github.com/alecthomas/kong v1.17.0 // indirect
	github.com/dave/jennifer v1.7.1 // indirect
	github.com/gabriel-vasile/mimetype v1.4.16 // indirect
	github.com/go-playground/locales v0.14.2 // indirect
	github.com/go-playground/universal-translator v0.18.2 // indirect
	github.com/go-playground/validator/v10 v10.30.6 // indirect
	github.com/google/btree v1.1.3 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/leodido/go-urn v1.5.0 // indirect
	github.com/philhofer/fwd v1.2.0 // indirect
	github.com/rogpeppe/go-internal v1.16.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

tool github.com/kixxgen/kixxgen/cmd/kixxgen
