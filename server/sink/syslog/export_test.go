package syslog

import "github.com/cloakroom-vault/cloakroom/server/sink"

// Message adds one message to b.
func Message(b []byte, hostname string, e sink.Entry, withText bool) []byte {
	return newWriter(hostname).append(b, e, withText)
}

// Ended is closed when the other side ended the connection.
func (t *Target) Ended() <-chan struct{} { return t.conn.ended }
