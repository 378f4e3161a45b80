package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// keyCallers are the callers that are measured while work on keys goes on.
type keyCallers struct {
	o       *KeyOptions
	p       *process
	l       *loads
	shop    *cloakroom.Client
	written atomic.Int64
}

func newKeyCallers(ctx context.Context, o *KeyOptions, p *process) (*keyCallers, error) {
	l, err := connect(p.hello)
	if err != nil {
		return nil, err
	}
	k := &keyCallers{o: o, p: p, l: l}
	file := func(name string) string { return filepath.Join(p.hello.Certs, name) }
	// A call that is tried again would count as a slow one.
	k.shop, err = cloakroom.Dial(p.hello.Vault, cloakroom.WithRetry(1, time.Second),
		cloakroom.WithTLSFiles(file("ca.crt"), file("shop.crt"), file("shop.key")))
	if err == nil {
		err = l.touchAll(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, k.close())
	}
	return k, nil
}

func (k *keyCallers) close() error {
	errs := []error{k.l.vault.Close(), k.l.echo.Close()}
	if k.shop != nil {
		errs = append(errs, k.shop.Close())
	}
	return errors.Join(errs...)
}

// keyLoad is a closed loop of callers.
type keyLoad struct {
	name    string
	callers int
	items   int // of a call
	call    func(context.Context) error
}

func (k *keyCallers) loads() []keyLoad {
	reveal := func(n int) func(context.Context) error {
		return func(ctx context.Context) error { return k.l.reveal(ctx, k.l.some(n)) }
	}
	return []keyLoad{
		{"reveals of 100 values, 8 callers", 8, 100, reveal(100)},
		{"reveals of 1 value, 64 callers", 64, 1, reveal(1)},
		{"new records of 3 values, 64 callers", 64, 1, k.put},
	}
}

// put stores a new person, with values like those of record.
func (k *keyCallers) put(ctx context.Context) error {
	i := 2_000_000_000 + int(k.written.Add(1))
	_, err := k.shop.Put(ctx, "customers", cloakroom.RecordInput{
		SubjectID: fmt.Sprintf("person-%d", i),
		Fields: cloakroom.Fields{
			"full_name": {cloakroom.Text("Person Number")},
			"email":     {cloakroom.Text(fmt.Sprintf("person-%d@example.org", i))},
			"card_pan":  {cloakroom.Text(card(i))},
		},
	})
	return err
}

// pace is how a load went.
type pace struct {
	rate     float64 // items a second
	p50, p99 time.Duration
}

func (p pace) String() string {
	return fmt.Sprintf("%.0f a second, p50 %s, p99 %s", p.rate, shortly(p.p50), shortly(p.p99))
}

func shortly(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}

// run makes a load for a round, after a tenth of that in which the load settles
// and nothing counts, and calls settled between the two. Calls that are under
// way at either end do not count.
func (k *keyCallers) run(ctx context.Context, load *keyLoad, settled func()) (pace, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	took := make([][]time.Duration, load.callers)
	errs := make(chan error, load.callers)
	begun := time.Now().Add(k.o.Round / 10)
	end := begun.Add(k.o.Round)
	var all sync.WaitGroup
	for i := range load.callers {
		all.Go(func() {
			for ctx.Err() == nil {
				t := time.Now()
				if t.After(end) {
					return
				}
				if err := load.call(ctx); err != nil {
					errs <- err
					stop()
					return
				}
				if now := time.Now(); t.After(begun) && now.Before(end) {
					took[i] = append(took[i], now.Sub(t))
				}
			}
		})
	}
	pause(ctx, time.Until(begun))
	settled()
	all.Wait()
	select {
	case err := <-errs:
		return pace{}, fmt.Errorf("%s: %w", load.name, err)
	default:
	}
	calls := slices.Sorted(slices.Values(slices.Concat(took...)))
	if len(calls) == 0 {
		return pace{}, fmt.Errorf("%s: no call began and ended within a round", load.name)
	}
	return pace{
		rate: float64(len(calls)*load.items) / k.o.Round.Seconds(),
		p50:  calls[len(calls)/2], p99: calls[len(calls)*99/100],
	}, nil
}

// slowdown compares each load while a chore is repeated with the same load
// before and after it, round by round: the floor of a round is the mean of the
// two, so that a machine that becomes slower with time does not count. unit
// says what the chore counts.
func (k *keyCallers) slowdown(ctx context.Context, chore, during, unit, goal string) ([]Result, error) {
	var out []Result
	for _, load := range k.loads() {
		var busy, idle []pace
		var ratios, rates []float64
		before, err := k.run(ctx, &load, func() {})
		if err != nil {
			return nil, err
		}
		idle = append(idle, before)
		for range k.o.Rounds {
			now, rate, err := k.busyRound(ctx, &load, chore)
			if err != nil {
				return nil, err
			}
			after, err := k.run(ctx, &load, func() {})
			if err != nil {
				return nil, err
			}
			busy, idle = append(busy, now), append(idle, after)
			ratios = append(ratios, now.rate/((before.rate+after.rate)/2))
			rates = append(rates, rate)
			before = after
		}
		out = append(out,
			Result{
				Name: load.name + " during " + during + " / before and after", Goal: goal,
				Figure: middle(busy).String(), Floor: middle(idle).String(), Ratio: median(ratios),
			},
			Result{Name: during + " meanwhile, " + load.name, Figure: fmt.Sprintf("%.0f %s a second", median(rates), unit)},
		)
	}
	return out, nil
}

// busyRound makes a load while a chore is repeated, and returns how fast the
// chore came on. It returns when the chore has ended.
func (k *keyCallers) busyRound(ctx context.Context, load *keyLoad, chore string) (pace, float64, error) {
	if _, err := k.p.order(keyOrder{Do: doBegin, What: chore}); err != nil {
		return pace{}, 0, err
	}
	var from keyAnswer
	var asked error
	now, err := k.run(ctx, load, func() { from, asked = k.p.order(keyOrder{Do: doProgress}) })
	if err = errors.Join(err, asked); err != nil {
		return pace{}, 0, err
	}
	to, err := k.p.order(keyOrder{Do: doProgress})
	if err != nil {
		return pace{}, 0, err
	}
	_, err = k.p.order(keyOrder{Do: doFinish})
	return now, (to.N - from.N) / (to.Seconds - from.Seconds), err
}

// middle takes the median of each part.
func middle(of []pace) pace {
	var rates, p50, p99 []float64
	for _, p := range of {
		rates, p50, p99 = append(rates, p.rate), append(p50, float64(p.p50)), append(p99, float64(p.p99))
	}
	return pace{median(rates), time.Duration(median(p50)), time.Duration(median(p99))}
}

// measureRewrapCallers takes the figures of callers while values are re-wrapped.
func measureRewrapCallers(ctx context.Context, o *KeyOptions) ([]Result, error) {
	return withCallers(ctx, o, func(k *keyCallers) ([]Result, error) {
		return k.slowdown(ctx, choreRewrap, "a re-wrap", "values", "> 0.8")
	})
}

// withCallers starts a server process and callers for a section.
func withCallers(ctx context.Context, o *KeyOptions, do func(*keyCallers) ([]Result, error)) (_ []Result, err error) {
	p, err := o.process(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	k, err := newKeyCallers(ctx, o, p)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	return do(k)
}
