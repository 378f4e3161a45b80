package keys

import (
	"context"
	"fmt"
	"time"
)

// SetRecovery seals the root a second time, to a recovery key, in one durable
// step; an older recovery key opens nothing that is made from now on. The KEK
// must be the one that wrapped the root, else ErrWrongKey; other errors are
// the provider's. ErrUsage when to breaks a rule of its type. Who has a copy
// of the Storage from before and the old shares still opens that copy: rotate
// the root when shares were lost to somebody.
func (r *Ring) SetRecovery(ctx context.Context, kek KEK, to RecoveryPublic) error {
	if err := to.check(); err != nil {
		return err
	}
	return r.rootChange(ctx, func(h held) (held, []Row, []Replace, error) {
		secret, err := h.secret(ctx, kek)
		if err != nil {
			return held{}, nil, nil, err
		}
		defer clear(secret[:])
		return h.changeRecovery(to, secret)
	})
}

// RemoveRecovery removes the second wrapping in one durable step. ErrNoKey when
// there is none. What SetRecovery says of old copies holds here too.
func (r *Ring) RemoveRecovery(ctx context.Context) error {
	return r.rootChange(ctx, func(h held) (held, []Row, []Replace, error) {
		if h.recovery.removed() {
			return held{}, nil, nil, noRecovery()
		}
		return h.changeRecovery(RecoveryPublic{}, nil)
	})
}

func (h held) changeRecovery(to RecoveryPublic, secret *[SecretSize]byte) (n held, create []Row, replace []Replace, err error) {
	n = h
	if n.recovery, err = h.recovery.next(h.root, to, time.Now().Unix(), secret); err != nil {
		return held{}, nil, nil, err
	}
	// The root stays as it is: the row must not outlive the root that it seals.
	replace = []Replace{{rootName, h.row.blob, h.row.blob}}
	if h.recovery.blob == nil {
		create = []Row{{recoveryName, n.recovery.blob}}
	} else {
		replace = append(replace, Replace{recoveryName, h.recovery.blob, n.recovery.blob})
	}
	return n, create, replace, nil
}

func noRecovery() error { return fmt.Errorf("%w: no recovery key was set", ErrNoKey) }

// RecoveryOf describes the second wrapping of a root without any key, so
// unproven: good for knowing which shares to ask for. ErrNoKey when there is
// none, ErrFormat when the row is not understood.
func RecoveryOf(ctx context.Context, st Storage) (*RecoveryInfo, error) {
	rows, err := st.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("loading keys: %w", err)
	}
	row, err := recoveryAmong(rows)
	if err != nil {
		return nil, err
	}
	return row.info(), nil
}

func recoveryAmong(rows []Row) (recoveryRow, error) {
	for _, row := range rows {
		if row.Name != recoveryName {
			continue
		}
		w, err := parseRecoveryRow(row.Blob)
		if err == nil && w.removed() {
			err = noRecovery()
		}
		return w, err
	}
	return recoveryRow{}, noRecovery()
}

// Recover gives a vault whose KEK is lost another one: it opens the root by
// the recovery key, proves it by opening every row under it, wraps it by to,
// has to unwrap it again, and saves the root's row in one step. Nothing else is
// changed; no Ring should be open over the Storage. ErrNoKey when there is no
// root or no recovery key was set, ErrWrongKey when the secret is another one
// or a row was changed; other errors are the provider's.
func Recover(ctx context.Context, st Storage, vaultID [16]byte, secret RecoverySecret, to KEK) error {
	rows, err := st.Load(ctx)
	if err != nil {
		return fmt.Errorf("loading keys: %w", err)
	}
	row, err := rootAmong(rows)
	if err != nil {
		return err
	}
	recovery, err := recoveryAmong(rows)
	if err != nil {
		return err
	}
	if recovery.rootVersion != row.version {
		return fmt.Errorf("%w: the recovery row is of root version %d, the root of %d", ErrWrongKey, recovery.rootVersion, row.version)
	}
	plain, err := recovery.open(secret, vaultID)
	if err != nil {
		return err
	}
	defer clear(plain[:])
	rt, err := newRoot(plain, vaultID, row.version)
	if err != nil {
		return err
	}
	if _, err := openRows(rt, row, rows, held{}, new(counters)); err != nil {
		return err
	}
	wrapped, err := row.wrap(ctx, to, vaultID, plain)
	if err != nil {
		return err
	}
	if err := st.Save(ctx, nil, []Replace{{rootName, row.blob, wrapped.blob}}); err != nil {
		return fmt.Errorf("saving the root: %w", err)
	}
	return nil
}
