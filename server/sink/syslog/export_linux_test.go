package syslog

import (
	"context"
	"net"
)

// Acknowledged waits for the bytes that were written to a connection.
func Acknowledged(ctx context.Context, c net.Conn) error {
	return (&connection{Conn: c, raw: c}).acknowledged(ctx)
}
