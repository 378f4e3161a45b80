package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/server/sink/httppost"
)

const (
	dialTimeout  = 10 * time.Second
	writeTimeout = 20 * time.Second // of a batch, its acknowledgement included
	// maxDatagram is what a UDP datagram can hold. A local socket takes more or
	// less, and says so.
	maxDatagram = 65507
)

// ErrSend: a batch could not be handed over.
var ErrSend = errors.New("syslog")

// Options of New.
type Options struct {
	// Address is where messages go; see the package comment.
	Address string
	// CA is a file of authorities in PEM for tls; the system's if empty.
	CA string
	// Hostname stands in the messages; the machine's if empty.
	Hostname string
}

// Target sends messages over one connection, which it makes when there is
// something to send, and anew after any fault.
type Target struct {
	to     Address
	tls    *tls.Config // of tls addresses
	writer writer
	conn   *connection // nil when there is none
	buf    []byte
}

var _ sink.Target = (*Target)(nil)

// New makes a target; it does not connect. ErrAddress, httppost.ErrCA.
func New(o Options) (*Target, error) {
	to, err := ParseAddress(o.Address)
	if err != nil {
		return nil, err
	}
	t := &Target{to: to, writer: newWriter(o.Hostname)}
	if to.Secure() {
		var pool *x509.CertPool
		if pool, err = httppost.ReadCA(o.CA); err != nil {
			return nil, fmt.Errorf("syslog: %w", err)
		}
		t.tls = &tls.Config{RootCAs: pool, ServerName: to.host, MinVersion: tls.VersionTLS12}
	}
	return t, nil
}

// Deliver implements sink.Target, as far as syslog can; see the package
// comment.
func (t *Target) Deliver(ctx context.Context, batch []sink.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := t.deliver(ctx, batch)
	if err != nil {
		t.abort() // what was sent of the batch is unknown: it goes again on a new connection
		return fmt.Errorf("%w: %s: %w", ErrSend, t.to, err)
	}
	return nil
}

func (t *Target) deliver(ctx context.Context, batch []sink.Entry) (err error) {
	if t.conn != nil && t.conn.gone() {
		t.abort()
	}
	if t.conn == nil {
		if t.conn, err = t.dial(ctx); err != nil {
			t.conn = nil
			return err
		}
	}
	// The end of ctx, which can come before its deadline, ends a write.
	c := t.conn
	stop := context.AfterFunc(ctx, func() { _ = c.SetWriteDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() {
			t.abort() // the deadline may come over the next batch
		}
	}()
	if t.conn.datagrams {
		return t.datagrams(batch)
	}
	t.buf = t.buf[:0]
	for _, e := range batch {
		t.buf = t.frame(t.buf, e)
	}
	if _, err := t.conn.Write(t.buf); err != nil {
		return err
	}
	return t.conn.acknowledged(ctx)
}

// frame adds one message to a stream: counted over the network, ended by a
// line break on a local socket, where readers know no counts.
func (t *Target) frame(b []byte, e sink.Entry) []byte {
	if t.to.network == "unix" {
		return append(t.writer.append(b, e, true), '\n')
	}
	message := t.writer.append(nil, e, true)
	b = strconv.AppendInt(b, int64(len(message)), 10)
	return append(append(b, ' '), message...)
}

func (t *Target) datagrams(batch []sink.Entry) error {
	for _, e := range batch {
		t.buf = t.writer.append(t.buf[:0], e, true)
		var err error = syscall.EMSGSIZE
		if len(t.buf) <= maxDatagram {
			_, err = t.conn.Write(t.buf)
		}
		if errors.Is(err, syscall.EMSGSIZE) {
			t.buf = t.writer.append(t.buf[:0], e, false)
			_, err = t.conn.Write(t.buf)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// connection is one connection, and whether its other side went away.
type connection struct {
	net.Conn
	raw       net.Conn // below TLS
	datagrams bool
	ended     chan struct{} // closed when the other side ended a stream; nil for datagrams
}

func (t *Target) dial(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dialer := &net.Dialer{}
	switch t.to.network {
	case "udp":
		c, err := dialer.DialContext(ctx, "udp", t.to.address)
		if err != nil {
			return nil, err
		}
		return &connection{Conn: c, raw: c, datagrams: true}, nil
	case "unix":
		if c, err := dialer.DialContext(ctx, "unixgram", t.to.address); err == nil {
			return &connection{Conn: c, raw: c, datagrams: true}, nil
		}
		c, err := dialer.DialContext(ctx, "unix", t.to.address)
		if err != nil {
			return nil, err
		}
		return stream(c, c), nil
	}
	raw, err := dialer.DialContext(ctx, "tcp", t.to.address)
	if err != nil {
		return nil, err
	}
	if t.tls == nil {
		return stream(raw, raw), nil
	}
	c := tls.Client(raw, t.tls)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return stream(c, raw), nil
}

// stream begins to read what nobody sends, to see the end of the connection:
// a write alone would succeed once more after it.
func stream(c, raw net.Conn) *connection {
	s := &connection{Conn: c, raw: raw, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		_, _ = io.Copy(io.Discard, c)
	}()
	return s
}

// gone reports whether the other side ended the connection.
func (c *connection) gone() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false // also for datagrams, whose channel is nil
	}
}

// abort drops the connection at once, without a farewell that could hang.
func (t *Target) abort() {
	if t.conn != nil {
		_ = t.conn.raw.Close()
		_ = t.Close()
	}
}

// Close implements sink.Target. It waits for what belongs to the connection.
func (t *Target) Close() error {
	if t.conn == nil {
		return nil
	}
	c := t.conn
	t.conn = nil
	err := c.Conn.Close()
	if c.ended != nil {
		<-c.ended
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrSend, t.to, err)
	}
	return nil
}
