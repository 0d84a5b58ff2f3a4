package pgstore

import (
	"net"
	"time"
)

// peerTimeout is how long the machine of the server may be silent while it should answer, on the level of TCP, before a
// connection is given up. When a machine is lost, nobody says so, and what was sent to it would wait.
const peerTimeout = 10 * time.Second

// newDialer returns what connections are made with.
func newDialer() *net.Dialer {
	d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: peerTimeout / 2, Interval: peerTimeout / 4, Count: 2}}
	unacknowledged(d)
	return d
}
