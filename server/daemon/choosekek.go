package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// openKEK opens the KEK that the vault's root is wrapped by: of kek and
// kek.next, the one whose name the root row says. The name is unproven. When
// it is that of neither, both are tried in turn. An error says of which of the
// two it is.
func (n *Node) openKEK(ctx context.Context) (keys.KEK, error) {
	c := &n.config.KEK
	if c.Next == nil {
		return n.openOne(ctx, "kek", &c.Provider)
	}
	wrapped, err := n.rootKEK(ctx)
	if err != nil {
		return nil, err
	}
	first, errFirst := n.openOne(ctx, "kek", &c.Provider)
	if errFirst == nil && (wrapped == "" || first.Name() == wrapped) {
		return first, nil
	}
	if wrapped == "" { // a new vault is made with kek
		return nil, errFirst
	}
	next, errNext := n.openOne(ctx, "kek.next", c.Next)
	if errNext == nil && next.Name() == wrapped {
		// What cannot be opened is not needed; that it cannot is worth knowing.
		if errFirst != nil {
			n.logger.Warn("the root is wrapped by kek.next; kek cannot be opened", "error", errFirst)
		} else {
			n.logger.Info("the root is wrapped by kek.next", "kek", next.Name())
		}
		return next, nil
	}
	if errFirst != nil && errNext != nil {
		return nil, errors.Join(errFirst, errNext)
	}
	return &either{candidates: []candidate{{first, errFirst}, {next, errNext}}}, nil
}

// openOne opens a provider until the node is closed.
func (n *Node) openOne(ctx context.Context, key string, p *config.Provider) (keys.KEK, error) {
	kek, done, err := n.providers.openKEK(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("open %s.%s: %w", key, p.Kind(), err)
	}
	n.closing(done)
	return kek, nil
}

// rootKEK returns the name of the KEK that the root row tells; empty when there
// is no root yet, or none that can be read, which opening the vault finds.
func (n *Node) rootKEK(ctx context.Context) (string, error) {
	var have store.Rows
	if err := n.Keys.Get(ctx, []store.Key{{Table: rows.Keyring, Key: []byte(rootRow)}}, &have); err != nil {
		return "", err
	}
	blob, _ := have.Value(0)
	name, err := keys.PeekRootKEK([]keys.Row{{Name: rootRow, Blob: blob}})
	if err != nil {
		return "", nil
	}
	return name, nil
}

// rootRow is the name of the root's row, which package keys gives it.
const rootRow = "root"

// either is one of two KEKs: the one that opens. The first Unwrap decides, and
// from then on it is that one alone.
type either struct {
	candidates []candidate
	chosen     atomic.Pointer[candidate]
}

// candidate is a KEK, or why it could not be opened.
type candidate struct {
	kek keys.KEK
	err error
}

var _ keys.KEK = (*either)(nil)

// Name implements keys.KEK.
func (e *either) Name() string {
	if c := e.chosen.Load(); c != nil {
		return c.kek.Name()
	}
	a, b := e.candidates[0], e.candidates[1]
	switch {
	case a.err != nil:
		return b.kek.Name()
	case b.err != nil:
		return a.kek.Name()
	}
	return a.kek.Name() + " or " + b.kek.Name()
}

// Wrap implements keys.KEK. Before an Unwrap nobody knows by which.
func (e *either) Wrap(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	c := e.chosen.Load()
	if c == nil {
		return nil, fmt.Errorf("%w: the KEK is not chosen yet", keys.ErrUsage)
	}
	return c.kek.Wrap(ctx, plaintext, aad)
}

// Unwrap implements keys.KEK. The error of the first is told with that of the
// second: which of the two is the right one cannot be said.
func (e *either) Unwrap(ctx context.Context, blob, aad []byte) ([]byte, error) {
	if c := e.chosen.Load(); c != nil {
		return c.kek.Unwrap(ctx, blob, aad)
	}
	var errs []error
	for i := range e.candidates {
		c := &e.candidates[i]
		if c.err != nil {
			errs = append(errs, c.err)
			continue
		}
		plain, err := c.kek.Unwrap(ctx, blob, aad)
		if err == nil {
			e.chosen.Store(c)
			return plain, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", c.kek.Name(), err))
	}
	return nil, errors.Join(errs...)
}
