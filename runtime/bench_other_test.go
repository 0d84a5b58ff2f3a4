//go:build !linux

package kixx_test

import "os"

func syncData(f *os.File) error { return f.Sync() }
