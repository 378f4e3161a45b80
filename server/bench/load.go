package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// loads are connections to the server process.
type loads struct {
	vault, echo *grpc.ClientConn
	reveals     cloakroomv1.RevealServiceClient
	tokens      []string
}

func connect(h hello) (*loads, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(h.Certs, "billing.crt"), filepath.Join(h.Certs, "billing.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(h.Certs, "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	creds := grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{cert}, RootCAs: pool, MinVersion: tls.VersionTLS13,
	}))
	l := &loads{}
	if l.vault, err = grpc.NewClient(h.Vault, creds); err != nil {
		return nil, err
	}
	if l.echo, err = grpc.NewClient(h.Echo, creds); err != nil {
		return nil, err
	}
	l.reveals = cloakroomv1.NewRevealServiceClient(l.vault)
	f, err := os.Open(h.Tokens)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		l.tokens = append(l.tokens, lines.Text())
	}
	return l, nil
}

func (l *loads) some(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = l.tokens[rand.IntN(len(l.tokens))]
	}
	return out
}

// touchAll reveals every token once, so that every key is in memory.
func (l *loads) touchAll(ctx context.Context) error {
	for at := 0; at < len(l.tokens); at += 1000 {
		if err := l.reveal(ctx, l.tokens[at:min(at+1000, len(l.tokens))]); err != nil {
			return err
		}
	}
	return nil
}

func (l *loads) reveal(ctx context.Context, tokens []string) error {
	q := &cloakroomv1.DetokenizeRequest{}
	q.SetTokens(tokens)
	q.SetPurpose("payment")
	r, err := l.reveals.Detokenize(ctx, q)
	if err != nil {
		return err
	}
	for _, it := range r.GetItems() {
		if it.HasError() {
			return fmt.Errorf("bench: a reveal was refused: %s", it.GetError().GetReason())
		}
	}
	return nil
}

func (l *loads) batchOf(n int) loadFunc {
	return func(ctx context.Context, done *atomic.Int64) error {
		for ctx.Err() == nil {
			if err := l.reveal(ctx, l.some(n)); err != nil {
				return err
			}
			done.Add(1)
		}
		return nil
	}
}

// echoAt makes echo calls at a rate of all callers together, or with 0 as fast
// as they go.
func (l *loads) echoAt(rate float64) loadFunc {
	var slots atomic.Int64
	begun := time.Now()
	return func(ctx context.Context, done *atomic.Int64) error {
		for ctx.Err() == nil {
			if rate > 0 {
				due := time.Duration(float64(slots.Add(1)) / rate * float64(time.Second))
				pause(ctx, due-time.Since(begun))
			}
			q := &cloakroomv1.DetokenizeRequest{}
			q.SetTokens(l.some(1))
			q.SetPurpose("payment")
			if err := l.echo.Invoke(ctx, "/bench.Echo/Echo", q, new(cloakroomv1.DetokenizeResponse)); err != nil {
				return err
			}
			done.Add(1)
		}
		return nil
	}
}

// streamDepth is how many messages of a stream are under way: as many as the
// server works on at once.
const streamDepth = 8

// streamOf keeps messages of n tokens under way on one stream.
func (l *loads) streamOf(n int) loadFunc {
	return func(ctx context.Context, done *atomic.Int64) error {
		stream, err := l.reveals.DetokenizeStream(ctx)
		if err != nil {
			return err
		}
		send := func() error {
			q := &cloakroomv1.DetokenizeStreamRequest{}
			q.SetTokens(l.some(n))
			q.SetPurpose("payment")
			return stream.Send(q)
		}
		for range streamDepth {
			if err := send(); err != nil {
				return err
			}
		}
		for ctx.Err() == nil {
			r, err := stream.Recv()
			if err != nil {
				return err
			}
			if r.HasError() {
				return fmt.Errorf("bench: a message was refused: %s", r.GetError().GetReason())
			}
			done.Add(1)
			if err := send(); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		return nil
	}
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
