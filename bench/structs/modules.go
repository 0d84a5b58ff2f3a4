//go:build modules

package structs

// What the generated application of the test imports, so that go.mod has it. It is not built with the test.
import (
	_ "github.com/google/go-github/v81/github"
	_ "github.com/jackc/pgx/v5/pgtype"
	_ "github.com/shopspring/decimal"
	_ "github.com/stripe/stripe-go/v82"
	_ "k8s.io/api/core/v1"
	_ "k8s.io/apimachinery/pkg/apis/meta/v1"

	_ "github.com/kixxgen/kixxgen/runtime/kixxtest"
)
