package tree

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// interval is the time between checkpoints while entries come in.
	interval = time.Second
	// slice is how many entries one checkpoint adds at most, so that catching up
	// with a long log gets on, whatever happens on the way.
	slice = 1 << 16
	// tail is how many entries before the checkpoint Start holds against it.
	tail = 4096
)

// A Publisher keeps the tree of one log. One goroutine follows the log: every
// second, when something was written, it writes the tiles and then a signed
// checkpoint.
type Publisher struct {
	dir     folder
	source  Source
	signers atomic.Pointer[[]*Signer] // set by the goroutine, once it runs
	logger  *slog.Logger
	asks    chan *ask
	stop    chan struct{}
	done    chan struct{} // closed when the goroutine has ended
	once    sync.Once
	last    atomic.Pointer[Checkpoint]
	err     atomic.Pointer[error]

	// What follows belongs to the goroutine.
	edge    *edge           // nil after a failure: read again from the last checkpoint
	touched map[string]bool // folders with names that are not durable
	now     map[tile]bool   // partial tiles of the last checkpoint
	before  map[tile]bool   // those of the one before it
}

// ask asks the goroutine for an attempt, or to sign by other signers.
type ask struct {
	signers []*Signer // nil: an attempt
	err     error     // of the signing; valid when done is closed
	done    chan struct{}
}

// Start goes on with the tree in dir, or begins one; the folder above dir must
// be there. It returns an *EntryError when the log does not agree with the
// last checkpoint and a *CheckpointError when that is not of one of the signers
// or not of this log. All signers sign, the first for good (see SetSigners). Damaged or missing tiles are made again from the log, which
// then is read as a whole; else Start reads a bounded part of it. Only one
// Publisher may use a folder, which the log's owner sees to. logger is told
// when publishing fails and when it works again.
func Start(ctx context.Context, dir string, source Source, signers []*Signer, logger *slog.Logger) (*Publisher, error) {
	if err := checkSigners(signers); err != nil {
		return nil, err
	}
	p := &Publisher{
		dir: folder(filepath.Clean(dir)), source: source, logger: logger,
		asks: make(chan *ask), stop: make(chan struct{}), done: make(chan struct{}), touched: map[string]bool{},
	}
	signers = slices.Clone(signers)
	p.signers.Store(&signers)
	if err := p.dir.makeDirs(string(p.dir), p.touched); err != nil {
		return nil, err
	}
	if err := p.load(ctx); err != nil {
		return nil, err
	}
	if err := p.dir.sweep(p.edge.size); err != nil {
		return nil, err
	}
	// What a prune that was interrupted has left.
	if err := p.dir.prune(ctx, source.First()); err != nil {
		return nil, err
	}
	if err := p.complete(); err != nil {
		return nil, err
	}
	go p.run()
	return p, nil
}

// Last returns the last checkpoint that this Publisher found or made, nil when
// there is none yet. Cosignatures added since are not in it.
func (p *Publisher) Last() *Checkpoint { return p.last.Load() }

// Reader returns a Reader of this tree, which trusts the signers of now.
func (p *Publisher) Reader() *Reader { return NewReader(string(p.dir), verifiersOf(p.all())...) }

// VerifierKey returns the text that NewVerifier reads, without a newline: that
// of the first of VerifierKeys.
func (p *Publisher) VerifierKey() string { return p.all()[0].vkey }

// Err returns why the last attempt to publish failed, or nil. The next one
// comes by itself.
func (p *Publisher) Err() error {
	if err := p.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Cover publishes now, unless the last checkpoint covers size entries already.
// It returns nil when one does, else the error of the attempt, the error of
// ctx, or ErrRange when the source is not that large.
func (p *Publisher) Cover(ctx context.Context, size uint64) error {
	covered := func() bool { return size == 0 || p.Last() != nil && p.Last().Size >= size }
	if covered() {
		return nil
	}
	attempt := &ask{done: make(chan struct{})}
	select {
	case p.asks <- attempt:
		select {
		case <-attempt.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	case <-p.done: // after an attempt of its own
	case <-ctx.Done():
		return ctx.Err()
	}
	if covered() {
		return nil
	}
	if err := p.Err(); err != nil {
		return err
	}
	return fmt.Errorf("%w: size %d of %d", ErrRange, size, p.source.Size())
}

// Close publishes what the source holds and ends the goroutine. It returns the
// error of that last attempt. It may be called more than once.
func (p *Publisher) Close() error {
	p.once.Do(func() { close(p.stop) })
	<-p.done
	return p.Err()
}

func (p *Publisher) run() {
	defer close(p.done)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		p.note(p.publish())
		select {
		case <-ticker.C:
		case a := <-p.asks:
			if a.signers != nil {
				a.err = p.sign(a.signers)
			} else {
				p.note(p.publish())
			}
			close(a.done)
		case <-p.stop:
			p.note(p.publish())
			return
		}
	}
}

// note keeps the outcome of an attempt and tells the logger when it changes.
func (p *Publisher) note(err error) {
	if err != nil {
		p.edge = nil // it may be ahead of what is on the disk
	}
	switch before := p.Err(); {
	case err != nil && before == nil:
		p.logger.Error("the audit tree is not published; the log goes on, and this is tried again every second", "error", err)
	case err == nil && before != nil:
		p.logger.Info("the audit tree is published again")
	}
	p.err.Store(&err)
}

// publish brings the tree up to the source's size.
func (p *Publisher) publish() error {
	if p.edge == nil {
		if err := p.load(context.Background()); err != nil {
			return err
		}
	}
	size := p.source.Size()
	for last := p.last.Load(); last == nil || last.Size < size; last = p.last.Load() {
		if err := p.grow(min(size, p.edge.size+slice)); err != nil {
			return err
		}
		if err := p.checkpoint(); err != nil {
			return err
		}
	}
	return nil
}

// errEnough ends a Read.
var errEnough = errors.New("enough")

// grow adds entries up to a size and writes the tiles that they fill.
func (p *Publisher) grow(size uint64) error {
	if p.edge.size == size {
		return nil
	}
	err := p.source.Read(p.edge.size, func(index uint64, raw []byte) error {
		if index != p.edge.size {
			return &EntryError{p.edge.size, "is missing"}
		}
		if err := p.edge.add(raw, tlog.RecordHash(raw), p.put); err != nil {
			return err
		}
		if p.edge.size == size {
			return errEnough
		}
		return nil
	})
	if err == nil {
		return &EntryError{p.edge.size, "is missing"}
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (p *Publisher) put(t tile, data []byte) error { return p.dir.put(t.path(), data, p.touched) }

// checkpoint makes the tree as it is durable, then publishes its root.
func (p *Publisher) checkpoint() error {
	now := map[tile]bool{}
	for _, t := range partials(p.edge.size) {
		now[t] = true
		if err := p.put(t, p.edge.partial(t)); err != nil {
			return err
		}
	}
	if err := p.dir.sync(p.touched); err != nil {
		return err
	}
	signers := p.all()
	cp := &Checkpoint{Origin: signers[0].Name(), Size: p.edge.size, Root: p.edge.root(), SignedBy: names(signers)}
	var err error
	if cp.Signed, err = signedBy(signers, cp.text()); err != nil {
		return fmt.Errorf("sign the checkpoint: %w", err)
	}
	release, err := p.dir.lock()
	if err != nil {
		return err
	}
	defer release()
	if err := p.dir.replace(checkpointName, cp.Signed); err != nil {
		return err
	}
	p.last.Store(cp)
	// Who read the checkpoint before this one may still want its tiles.
	for t := range p.before {
		if !p.now[t] && !now[t] {
			p.dir.drop(t)
		}
	}
	p.before, p.now = p.now, now
	return nil
}
