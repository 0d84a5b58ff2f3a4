package pgstore

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unacknowledged has the system give up a connection whose peer does not acknowledge what was sent to it, as it would
// otherwise after a quarter of an hour.
func unacknowledged(d *net.Dialer) {
	d.Control = func(network, _ string, c syscall.RawConn) (err error) {
		if network == "unix" {
			return nil
		}
		if e := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(peerTimeout.Milliseconds()))
		}); e != nil {
			return e
		}
		return err
	}
}
