package syslog_test

import (
	"io"
	"net"
	"testing"

	"github.com/cloakroom-vault/cloakroom/server/sink/syslog"
)

// A connection that the other side ended acknowledges nothing any more, even
// if the queue is empty.
func TestEndedIsNotAcknowledged(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	defer l.Close()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	must(t, err)
	defer c.Close()
	server, err := l.Accept()
	must(t, err)
	if err := syslog.Acknowledged(t.Context(), c); err != nil {
		t.Errorf("a connection that stands: %v", err)
	}
	must(t, server.Close())
	_, err = io.Copy(io.Discard, c) // until its end was seen
	must(t, err)
	if err := syslog.Acknowledged(t.Context(), c); err == nil {
		t.Error("a connection that was ended acknowledges")
	}
}
