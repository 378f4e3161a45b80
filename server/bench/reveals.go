package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

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
	for run.Err() == nil && calls.Load() == first { // a round is no shorter than a call
		pause(run, m.o.Round)
	}
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
