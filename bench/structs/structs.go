// Package structs puts the structs of other people into entities: those of the standard library and of modules that
// applications use. Its test generates repositories for them, lists which cannot be stored and why, and stores random values
// of all the others. It is a module of its own for what it needs.
package structs

import (
	_ "github.com/google/go-github/v81/github"
	_ "github.com/jackc/pgx/v5/pgtype"
	_ "github.com/kixxgen/kixxgen/runtime/kixxtest"
	_ "github.com/shopspring/decimal"
	_ "github.com/stripe/stripe-go/v82"
	_ "k8s.io/api/core/v1"
	_ "k8s.io/apimachinery/pkg/apis/meta/v1"
)
