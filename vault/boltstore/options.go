package boltstore

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// A Sealer seals the entries of the pending log. Seal must use a fresh random
// nonce each time. Both append to dst; Open fails when ciphertext or ad are
// not what Seal saw. Both are called at the same time by several goroutines.
//
// A sealer may change the key it seals with while the store is open, as long
// as Open knows the ones before. After the change, Store.Drain makes sure that
// no entry under them is left in the log; Store.Compact, that none is in the
// file.
type Sealer interface {
	Seal(dst, plaintext, ad []byte) []byte
	Open(dst, ciphertext, ad []byte) ([]byte, error)
}

// Options say where a store lives and how it is tuned.
type Options struct {
	// Path of the values file. The scattered file beside it has ".scattered"
	// before the extension: values.db, values.scattered.db.
	Path string
	// Tables declares the tables. A table once written must keep its number,
	// name and kind.
	Tables []store.Table
	// Seal is required when a table is scattered.
	Seal Sealer
	// MergeRows is the number of pending entries that starts a merge; 0 means
	// 50,000. Commits that touch scattered tables wait while more than four
	// times as many are pending.
	MergeRows int
	// MaxQueue is the number of batches that may wait for the writer; 0 means
	// 4,096. Commit answers store.ErrBusy beyond it.
	MaxQueue int
	// Logger receives what nobody waits for: a lost scattered file, a merge
	// that failed. No keys or values. Nil discards it.
	Logger *slog.Logger
}

const (
	defaultMergeRows = 50_000
	defaultMaxQueue  = 4096
)

// check fills in defaults and reports the first mistake as store.ErrUsage.
func (o *Options) check() error {
	if o.Path == "" {
		return fmt.Errorf("%w: no path", store.ErrUsage)
	}
	if len(o.Tables) == 0 {
		return fmt.Errorf("%w: no tables", store.ErrUsage)
	}
	o.Tables = slices.Clone(o.Tables)
	for i, t := range o.Tables {
		switch {
		case t.Kind != store.Ordered && t.Kind != store.Scattered:
			return fmt.Errorf("%w: table %d has the unknown kind %d", store.ErrUsage, t.Number, t.Kind)
		case store.Find(o.Tables[:i], t.Number) != nil:
			return fmt.Errorf("%w: table %d is declared twice", store.ErrUsage, t.Number)
		case t.Kind == store.Scattered && o.Seal == nil:
			return fmt.Errorf("%w: table %d is scattered and there is no sealer", store.ErrUsage, t.Number)
		}
	}
	if o.MergeRows < 0 || o.MaxQueue < 0 {
		return fmt.Errorf("%w: a negative limit", store.ErrUsage)
	}
	if o.MergeRows == 0 {
		o.MergeRows = defaultMergeRows
	}
	if o.MaxQueue == 0 {
		o.MaxQueue = defaultMaxQueue
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// scatteredPath returns where the scattered file of a values file is.
func scatteredPath(path string) string {
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + ".scattered" + ext
}
