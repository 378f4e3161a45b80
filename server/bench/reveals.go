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
	"sync"
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

// measureReveals takes the figures of reveals, with the persons' keys all in
// memory or hardly any of them.
func measureReveals(ctx context.Context, o Options, cached bool) (_ []Result, err error) {
	cache := 2*o.Subjects + 1000
	if !cached {
		cache = 1000
	}
	p, err := start(ctx, o, cache)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	l, err := connect(p.hello)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.vault.Close(), l.echo.Close()) }()
	if cached {
		if err := l.touchAll(ctx); err != nil {
			return nil, err
		}
	}
	m := &measuring{ctx: ctx, o: o, p: p, l: l, cached: cached}
	return m.all()
}

// measuring is one series of rounds.
type measuring struct {
	ctx    context.Context
	o      Options
	p      *process
	l      *loads
	cached bool
}

func (m *measuring) all() ([]Result, error) {
	keys := "keys in memory"
	if !m.cached {
		keys = "keys from disk"
	}
	var batch, stream, unary, saturated pairs
	for range m.o.Rounds {
		floor, err := m.p.ask(order{Floor: 200_000, Cached: m.cached})
		if err != nil {
			return nil, err
		}
		if err := m.round(&batch, floor.Floor, 4, 1000, m.l.batchOf(1000)); err != nil {
			return nil, err
		}
		if err := m.round(&stream, floor.Floor, 4, 100, m.l.streamOf(100)); err != nil {
			return nil, err
		}
		if err := m.unaryRound(&unary, &saturated); err != nil {
			return nil, err
		}
	}
	for _, p := range []*pairs{&batch, &stream, &unary, &saturated} {
		for i := range p.figures {
			p.figures[i], p.floors[i] = p.figures[i]/1000, p.floors[i]/1000
		}
	}
	return []Result{
		batch.result("batch of 1,000, "+keys+" / bare loop", "us an item", "<= 1.7"),
		stream.result("stream of 100s, "+keys+" / bare loop", "us an item", "<= 1.7"),
		unary.result("one token, 64 callers, "+keys+" / echo at as many calls a second", "us a call", "<= 1.5"),
		saturated.result("one token, 64 callers, "+keys+" / echo at full speed", "us a call", ""),
	}, nil
}

// unaryRound compares a single reveal with an echo, twice: at as many calls a
// second, since a server that waits between calls pays for each wakeup that a
// busy one shares; and at full speed, where the echo is busy and the vault
// waits for its log.
func (m *measuring) unaryRound(same, full *pairs) error {
	cost, rate, err := m.cost(unaryCallers, 1, m.l.batchOf(1))
	if err != nil {
		return err
	}
	paced, _, err := m.cost(unaryCallers, 1, m.l.echoAt(rate))
	if err != nil {
		return err
	}
	fast, _, err := m.cost(unaryCallers, 1, m.l.echoAt(0))
	if err != nil {
		return err
	}
	same.add(cost, paced)
	full.add(cost, fast)
	return nil
}

const unaryCallers = 64

func (m *measuring) round(into *pairs, floor float64, callers, items int, load loadFunc) error {
	cost, _, err := m.cost(callers, items, load)
	if err != nil {
		return err
	}
	into.add(cost, floor)
	return nil
}

// loadFunc makes calls of a number of items each until the context ends.
type loadFunc func(ctx context.Context, done *atomic.Int64) error

// cost returns the server's CPU nanoseconds an item under a load, and the
// calls a second that the load made.
func (m *measuring) cost(callers, items int, load loadFunc) (nanoseconds, rate float64, err error) {
	var calls atomic.Int64
	run, stop := context.WithCancel(m.ctx)
	defer stop()
	errs := make(chan error, callers)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			if err := load(run, &calls); err != nil && run.Err() == nil {
				errs <- err
				stop()
			}
		})
	}
	pause(run, m.o.Round/10) // the load settles
	before, err := m.p.ask(order{})
	if err != nil {
		return 0, 0, err
	}
	first, begun := calls.Load(), time.Now()
	pause(run, m.o.Round)
	n, took := calls.Load()-first, time.Since(begun)
	after, err := m.p.ask(order{})
	stop()
	all.Wait()
	select {
	case failed := <-errs:
		return 0, 0, failed
	default:
	}
	if err != nil || n == 0 {
		return 0, 0, errors.Join(err, errors.New("bench: no call ended within a round"))
	}
	return (after.CPU - before.CPU) * 1e9 / float64(n*int64(items)), float64(n) / took.Seconds(), nil
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
