package syslog

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

var errEnded = errors.New("the other side ended the connection")

// tcpEstablished is the state of a connection that neither side has ended.
const tcpEstablished = 1

// acknowledged waits until the other machine has acknowledged every byte that
// was written, and holds that the connection stood until then. Local sockets
// have no such queue: what was written is at the other side.
func (c *connection) acknowledged(ctx context.Context) error {
	tcp, ok := c.raw.(*net.TCPConn)
	if !ok {
		if c.gone() {
			return errEnded
		}
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for wait := 200 * time.Microsecond; ; wait = min(2*wait, 50*time.Millisecond) {
		done, err := drained(raw)
		if done || err != nil {
			return err
		}
		pause.Reset(wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drained reports whether nothing is left in the queue of sent bytes.
func drained(raw interface{ Control(func(uintptr)) error }) (done bool, err error) {
	e := raw.Control(func(fd uintptr) {
		var info *unix.TCPInfo
		var left int
		// The queue first: a connection that ended afterwards had it empty before.
		if left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err != nil {
			return
		}
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err != nil {
			return
		}
		if info.State != tcpEstablished {
			err = errEnded
		}
		done = left == 0
	})
	return done, errors.Join(err, e)
}
