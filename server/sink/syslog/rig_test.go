package syslog_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/server/sink/syslog"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// grammar is a message of RFC 5424 with one element of structured data.
var grammar = regexp.MustCompile(`^<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) (\[[!#-<>-\\^-~]{1,32}( [!#-<>-\\^-~]{1,32}="([^"\\\]]|\\["\\\]])*")*\])( (.*))?$`)

// indexOf is the index in a message, which must follow the grammar.
func indexOf(t *testing.T, message string) int {
	t.Helper()
	message = message[:min(len(message), 2000)] // the rest is text, and the expression slow
	parts := grammar.FindStringSubmatch(message)
	if parts == nil {
		t.Errorf("not RFC 5424: %q", message)
		return -1
	}
	index := regexp.MustCompile(` index="(\d+)"`).FindStringSubmatch(parts[7])
	if index == nil {
		t.Errorf("no index: %q", message)
		return -1
	}
	n, err := strconv.Atoi(index[1])
	must(t, err)
	return n
}

func entries(from, n int) (all []sink.Entry) {
	for i := from; i < from+n; i++ {
		all = append(all, entry(i, 0))
	}
	return all
}

// entry is one whose text has at least so many bytes.
func entry(i, bytes int) sink.Entry {
	return sink.Entry{
		Index: uint64(i), JSON: fmt.Appendf(nil, `{"index":%d,"more":"%s"}`, i, strings.Repeat("0", bytes)),
		E: &audit.Entry{
			ID: [16]byte{15: byte(i)}, Time: time.Unix(1_700_000_000, 123456789).UTC(), Principal: "spiffe://example.org/shop",
			Action: audit.ActionReveal, Outcome: audit.Allowed, Count: 1,
		},
	}
}

// counted reads one message in octet counting.
func counted(r *bufio.Reader) (string, error) {
	size, err := r.ReadString(' ')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(size[:len(size)-1])
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

// streamServer takes connections and tells the messages that came on any.
type streamServer struct {
	net.Listener
	got   chan string
	conns chan net.Conn
	done  chan struct{}
}

func serve(t *testing.T, l net.Listener, read func(*bufio.Reader) (string, error)) *streamServer {
	s := &streamServer{l, make(chan string, 1000), make(chan net.Conn, 10), make(chan struct{})}
	go func() {
		defer close(s.done)
		var all sync.WaitGroup
		defer all.Wait()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns <- c
			all.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					m, err := read(r)
					if err != nil {
						return
					}
					s.got <- m
				}
			})
		}
	}()
	t.Cleanup(s.stop)
	return s
}

func (s *streamServer) stop() {
	_ = s.Close()
	for {
		select {
		case c := <-s.conns:
			_ = c.Close()
		case <-s.done:
			return
		}
	}
}

func target(t *testing.T, address, ca string) *syslog.Target {
	t.Helper()
	s, err := syslog.New(syslog.Options{Address: address, CA: ca, Hostname: "vault 1"})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), network, address)
	must(t, err)
	return l
}
