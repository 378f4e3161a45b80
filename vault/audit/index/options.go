package index

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Source is the log that an index follows. It is safe for concurrent use.
// *audit.FileLog is one.
type Source interface {
	// First returns the index of the first entry that is kept. It can rise.
	First() uint64
	// Size returns the number of durable entries, those that are no longer
	// kept included. It never falls.
	Size() uint64
	// Read calls fn for every entry from index from on that is durable when
	// Read is called, in rising order; it begins at First when from is below.
	// raw is valid until fn returns. An error of fn ends Read and is returned
	// as it is.
	Read(from uint64, fn func(index uint64, raw []byte) error) error
	// Wait returns nil when Size() > size. Else it returns ctx's error, or
	// audit.ErrClosed when nothing is going to be added any more.
	Wait(ctx context.Context, size uint64) error
}

// Options of Open. Log and Store are required, the others have defaults.
type Options struct {
	Log Source
	// Store has the tables of Tables and is used by one index at a time. It
	// stays open when the index is closed.
	Store store.Store
	// Logger is told when the index cannot go on, when it goes on again, and
	// when it is emptied. Nil discards that.
	Logger *slog.Logger
	// LotEntries and LotPostings say when a lot is full: 1 to 65,536 entries,
	// 65,536 if 0; 1 to 1,000,000 postings, 500,000 if 0. The last entry of a
	// lot may go past the postings.
	LotEntries, LotPostings int
}

const (
	maxLotEntries      = 1 << 16 // an offset has 16 bits
	maxLotPostings     = 1_000_000
	defaultLotPostings = 500_000
)

// check fills in defaults and reports the first mistake as ErrOptions.
func (o *Options) check() error {
	if o.Log == nil {
		return fmt.Errorf("%w: log: missing", ErrOptions)
	}
	if o.Store == nil {
		return fmt.Errorf("%w: store: missing", ErrOptions)
	}
	if o.LotEntries == 0 {
		o.LotEntries = maxLotEntries
	}
	if o.LotEntries < 1 || o.LotEntries > maxLotEntries {
		return fmt.Errorf("%w: entries of a lot: %d, want 1 to %d", ErrOptions, o.LotEntries, maxLotEntries)
	}
	if o.LotPostings == 0 {
		o.LotPostings = defaultLotPostings
	}
	if o.LotPostings < 1 || o.LotPostings > maxLotPostings {
		return fmt.Errorf("%w: postings of a lot: %d, want 1 to %d", ErrOptions, o.LotPostings, maxLotPostings)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// full reports whether a lot takes no further entry.
func (o *Options) full(b *building) bool {
	return b.entries >= o.LotEntries || b.postings >= o.LotPostings
}
