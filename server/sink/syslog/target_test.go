package syslog_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/devca"
	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/server/sink/httppost"
	"github.com/cloakroom-vault/cloakroom/server/sink/syslog"
)

// arrive takes n messages whose indexes rise from from on.
func (s *streamServer) arrive(t *testing.T, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		if got := indexOf(t, <-s.got); got != i {
			t.Errorf("entry %d came in place of %d", got, i)
		}
	}
}

func lineOf(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

func TestTCP(t *testing.T) {
	s := serve(t, listen(t, "tcp", "127.0.0.1:0"), counted)
	out := target(t, "tcp://"+s.Addr().String(), "")
	must(t, out.Deliver(t.Context(), entries(0, 3)))
	must(t, out.Deliver(t.Context(), []sink.Entry{entry(3, 300_000)})) // streams take any length
	s.arrive(t, 0, 4)
	if len(s.conns) != 1 {
		t.Errorf("%d connections", len(s.conns))
	}
}

// tlsServer is a listener with a certificate for host, and the path of its CA.
func tlsServer(t *testing.T, host string) (net.Listener, string) {
	dir := filepath.Join(t.TempDir(), "certs")
	ca, err := devca.Create(dir)
	must(t, err)
	must(t, ca.IssueServer("server", []string{host}))
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	must(t, err)
	return tls.NewListener(listen(t, "tcp", "127.0.0.1:0"), &tls.Config{Certificates: []tls.Certificate{pair}}), ca.CertFile()
}

func TestTLS(t *testing.T) {
	l, ca := tlsServer(t, "127.0.0.1")
	s := serve(t, l, counted)
	address := "tls://" + s.Addr().String()
	out := target(t, address, ca)
	must(t, out.Deliver(t.Context(), entries(0, 500)))
	must(t, out.Deliver(t.Context(), entries(500, 10)))
	s.arrive(t, 0, 510)

	for name, test := range map[string]struct{ address, ca string }{
		"an authority nobody knows": {address, ""},
		"another host's name":       {strings.Replace(address, "127.0.0.1", "localhost", 1), ca},
	} {
		err := target(t, test.address, test.ca).Deliver(t.Context(), entries(0, 1))
		if !errors.Is(err, syslog.ErrSend) || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: err = %v", name, err)
		}
	}
	if _, err := syslog.New(syslog.Options{Address: address, CA: "/nonexistent"}); !errors.Is(err, httppost.ErrCA) {
		t.Errorf("err = %v", err)
	}
}

// A server that went away and came back gets what it did not have. The batch
// that meets the end of the connection fails: it is not thought delivered
// because the first write still succeeds.
func TestServerAwayThenBack(t *testing.T) {
	s := serve(t, listen(t, "tcp", "127.0.0.1:0"), counted)
	address := s.Addr().String()
	out := target(t, "tcp://"+address, "")
	must(t, out.Deliver(t.Context(), entries(0, 2)))
	s.arrive(t, 0, 2)
	s.stop()
	for range 3 {
		if err := out.Deliver(t.Context(), entries(2, 2)); !errors.Is(err, syslog.ErrSend) || strings.Contains(err.Error(), "shop") {
			t.Errorf("err = %v", err)
		}
	}
	back := serve(t, listen(t, "tcp", address), counted)
	must(t, out.Deliver(t.Context(), entries(2, 2)))
	back.arrive(t, 2, 2)
}

// A connection that a server ends between two batches costs no batch.
func TestServerEndsConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for kind, s := range map[string]*streamServer{
		"tcp://": serve(t, listen(t, "tcp", "127.0.0.1:0"), counted),
		"unix:":  serve(t, listen(t, "unix", path), lineOf),
	} {
		t.Run(kind, func(t *testing.T) {
			out := target(t, kind+s.Addr().String(), "")
			for i := range 20 {
				must(t, out.Deliver(t.Context(), entries(i, 1)))
				s.arrive(t, i, 1)
				must(t, (<-s.conns).Close())
				<-out.Ended()
			}
		})
	}
}

// A server that takes connections and reads nothing: what its kernel did not
// take is not delivered, and the call ends with its context.
func TestServerHangs(t *testing.T) {
	for _, kind := range []string{"tcp", "tls", "unix"} {
		t.Run(kind, func(t *testing.T) {
			var l net.Listener
			var address, ca string
			switch kind {
			case "tcp":
				l = listen(t, "tcp", "127.0.0.1:0")
				address = "tcp://" + l.Addr().String()
			case "tls":
				l, ca = tlsServer(t, "127.0.0.1")
				address = "tls://" + l.Addr().String()
			case "unix":
				path := filepath.Join(t.TempDir(), "log")
				l, address = listen(t, "unix", path), "unix:"+path
			}
			release := make(chan struct{})
			s := serve(t, l, func(r *bufio.Reader) (string, error) {
				_, err := r.Peek(1) // TLS needs a first reading for its handshake
				<-release
				return "", errors.Join(err, io.EOF)
			})
			defer s.stop()
			defer close(release)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			err := target(t, address, ca).Deliver(ctx, []sink.Entry{entry(0, 20<<20)})
			if !errors.Is(err, syslog.ErrSend) {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func TestUnixStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := serve(t, listen(t, "unix", path), lineOf)
	out := target(t, "unix:"+path, "")
	must(t, out.Deliver(t.Context(), entries(0, 3)))
	s.arrive(t, 0, 3)
}

// datagrams is a socket for datagrams.
func datagrams(t *testing.T, network, address string) net.PacketConn {
	t.Helper()
	c, err := new(net.ListenConfig).ListenPacket(t.Context(), network, address)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func next(t *testing.T, c net.PacketConn) string {
	t.Helper()
	b := make([]byte, 1<<20)
	n, _, err := c.ReadFrom(b)
	must(t, err)
	return string(b[:n])
}

// What a datagram cannot hold is sent without its text: the index leads to it.
func TestDatagrams(t *testing.T) {
	for _, network := range []string{"udp", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			at, scheme := "127.0.0.1:0", "udp://"
			if network == "unixgram" {
				at, scheme = filepath.Join(t.TempDir(), "log"), "unix:"
			}
			server := datagrams(t, network, at)
			out := target(t, scheme+server.LocalAddr().String(), "")
			must(t, out.Deliver(t.Context(), []sink.Entry{entry(0, 0), entry(1, 60_000), entry(2, 1<<20), entry(3, 0)}))
			for i, whole := range []bool{true, true, false, true} {
				m := next(t, server)
				if indexOf(t, m) != i || strings.HasSuffix(m, "}") != whole || strings.Contains(m, `shortened="true"`) == whole {
					t.Errorf("message %d of %d bytes: %.300s", i, len(m), m)
				}
			}
		})
	}
}

func TestUnixDatagramAwayThenBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	out := target(t, "unix:"+path, "")
	if err := out.Deliver(t.Context(), entries(0, 1)); !errors.Is(err, syslog.ErrSend) {
		t.Errorf("no socket: err = %v", err)
	}
	server := datagrams(t, "unixgram", path)
	must(t, out.Deliver(t.Context(), entries(0, 1)))
	next(t, server)
	must(t, server.Close())
	if err := out.Deliver(t.Context(), entries(1, 1)); !errors.Is(err, syslog.ErrSend) {
		t.Errorf("nobody listens: err = %v", err)
	}
	server = datagrams(t, "unixgram", path+".new")
	if err := out.Deliver(t.Context(), entries(1, 1)); !errors.Is(err, syslog.ErrSend) {
		t.Errorf("nobody listens still: err = %v", err)
	}
	_ = server
}

func TestContextEnds(t *testing.T) {
	s := serve(t, listen(t, "tcp", "127.0.0.1:0"), counted)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := target(t, "tcp://"+s.Addr().String(), "")
	if err := out.Deliver(ctx, entries(0, 1)); !errors.Is(err, syslog.ErrSend) {
		t.Errorf("err = %v", err)
	}
	must(t, out.Deliver(t.Context(), entries(0, 1)))
	s.arrive(t, 0, 1)
}

// A context that ended does not reach into the next batch, whether the write
// was faster or not.
func TestContextEndsAtAnyTime(t *testing.T) {
	server := datagrams(t, "udp", "127.0.0.1:0")
	out := target(t, "udp://"+server.LocalAddr().String(), "")
	for range 300 {
		must(t, out.Deliver(t.Context(), entries(0, 1)))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = out.Deliver(ctx, entries(0, 1))
	}
}
