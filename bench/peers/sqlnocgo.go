//go:build !cgo

package peers

// withCgo is not there.
var withCgo sqlDriver
