//go:build !race

package kixx_test

const raceEnabled = false
