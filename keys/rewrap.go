package keys

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
)

// Rewrap changes the KEK: the root is unwrapped by from, wrapped by to,
// unwrapped by to again and compared, and only then saved, in one step. The
// root itself and the keysets stay as they are. ErrWrongKey when from is not
// the KEK that wrapped the root, or to does not give back what it wrapped;
// other errors are the providers'. On error nothing was changed, unless the
// Storage failed after storing: Reload then tells, and the root opens by the
// KEK that its row names. From and to may be one KEK, whose provider has a
// newer version of its key.
func (r *Ring) Rewrap(ctx context.Context, from, to KEK) error {
	return r.rootChange(ctx, func(h held) (held, []Row, []Replace, error) {
		secret, err := h.secret(ctx, from)
		if err != nil {
			return held{}, nil, nil, err
		}
		defer clear(secret[:])
		n := h
		if n.row, err = h.row.wrap(ctx, to, r.vault, secret); err != nil {
			return held{}, nil, nil, err
		}
		return n, nil, []Replace{{rootName, h.row.blob, n.row.blob}}, nil
	})
}

// RotateRoot makes a new root, seals every keyset anew under it, wraps it by
// the KEK, and seals it to the recovery key where there is one, all in one
// durable step. The KEK must be the one that wrapped the old root, else
// ErrWrongKey; other errors are the provider's. No other Ring over the Storage
// may make keysets meanwhile. When the Storage fails after storing, the change
// is taken over by the next one, or by Reload.
func (r *Ring) RotateRoot(ctx context.Context, kek KEK) error {
	return r.rootChange(ctx, func(h held) (held, []Row, []Replace, error) {
		old, err := h.secret(ctx, kek)
		if err != nil {
			return held{}, nil, nil, err
		}
		clear(old[:])
		var secret [SecretSize]byte
		_, _ = rand.Read(secret[:])
		defer clear(secret[:])
		n := h.with(nil, nil)
		if n.root, n.row, err = wrapRoot(ctx, kek, r.vault, h.row, &secret); err != nil {
			return held{}, nil, nil, err
		}
		replace := []Replace{{rootName, h.row.blob, n.row.blob}}
		for id, blob := range h.blobs {
			row, err := h.root.reseal(Row{id.String(), blob}, n.root)
			if err != nil {
				return held{}, nil, nil, err
			}
			n.blobs[id] = row.Blob
			replace = append(replace, Replace{row.Name, blob, row.Blob})
		}
		if h.recovery.blob != nil {
			n.recovery, err = h.recovery.next(n.root, h.recovery.public, h.recovery.made, &secret)
			if err != nil {
				return held{}, nil, nil, err
			}
			replace = append(replace, Replace{recoveryName, h.recovery.blob, n.recovery.blob})
		}
		return n, nil, replace, nil
	})
}

// secret unwraps the stored root and proves that it is the one in force. The
// caller clears it.
func (h *held) secret(ctx context.Context, kek KEK) (*[SecretSize]byte, error) {
	secret, err := h.row.unwrap(ctx, kek, h.root.vault)
	if err != nil {
		return nil, err
	}
	rt, err := newRoot(secret, h.root.vault, h.row.version)
	if err == nil && !rt.same(h.root) {
		err = fmt.Errorf("%w: the stored root is not the one in force", ErrWrongKey)
	}
	if err != nil {
		clear(secret[:])
		return nil, err
	}
	return secret, nil
}

// rootChange saves what f makes of what is held. It does not start anew when
// another Ring was faster: each attempt costs calls of a KEK, and the operator
// should know.
func (r *Ring) rootChange(ctx context.Context, f func(h held) (held, []Row, []Replace, error)) error {
	r.work.Lock()
	defer r.work.Unlock()
	h, err := r.reload(ctx)
	if err != nil {
		return err
	}
	n, create, replace, err := f(h)
	if err != nil {
		return err
	}
	err = r.st.Save(ctx, create, replace)
	switch {
	case err == nil:
		r.publish(n)
		return nil
	case !errors.Is(err, ErrConflict) && n.root != h.root:
		r.maybe = &maybeRoot{n.root, n.row.blob} // for reload to know it by
	}
	return fmt.Errorf("saving keys: %w", err)
}

// Probe reads the stored root, unwraps it by one call of the KEK and forgets
// it: it tells whether the KEK would open the vault now. It changes nothing,
// works while the Ring is sealed, and waits for no change. Errors: those of
// Open that concern the root; ErrClosed.
func (r *Ring) Probe(ctx context.Context, kek KEK) error {
	r.mu.Lock()
	closed := r.closed
	r.mu.Unlock()
	if closed {
		return ErrClosed
	}
	rows, err := r.st.Load(ctx)
	if err != nil {
		return fmt.Errorf("loading keys: %w", err)
	}
	row, err := rootAmong(rows)
	if err != nil {
		return err
	}
	secret, err := row.unwrap(ctx, kek, r.vault)
	if err != nil {
		return err
	}
	clear(secret[:])
	return nil
}
