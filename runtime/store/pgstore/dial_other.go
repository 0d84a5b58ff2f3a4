//go:build !linux

package pgstore

import "net"

func unacknowledged(*net.Dialer) {}
