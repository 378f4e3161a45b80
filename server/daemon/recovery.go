package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/recovery"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
)

// Recovery of the root works on a directory that nobody serves: all functions
// here give store.ErrLocked, and ask no provider, while somebody does.

// Errors of these functions, besides those of Open.
var (
	// ErrNoRecovery: no recovery key is set.
	ErrNoRecovery = errors.New("no recovery key is set for this vault")
	// ErrRecoveryUnknown: making the recovery key failed at a point where it may
	// have come about; ShowRecovery tells which set is in force.
	ErrRecoveryUnknown = errors.New("the new recovery key may be in force")
	// ErrRecoveryKEK: the KEK that is to wrap the root from now on cannot be
	// opened. The provider's error is wrapped with it.
	ErrRecoveryKEK = errors.New("the KEK that the configuration names cannot be opened")
)

// RecoveryOptions say how the recovery key is split, and where the shares go:
// to Out or to Show, one of them.
type RecoveryOptions struct {
	// Shares and Threshold: 1 ≤ Threshold ≤ Shares ≤ recovery.MaxShares.
	Shares, Threshold int
	// Out is a new or empty folder, apart from the vault and its backups, that
	// gets one file a share.
	Out string
	// Show is told the text of each share's file in place of Out, before the set
	// is in force.
	Show func(text string) error
}

// RecoveryMade says what CreateRecovery made.
type RecoveryMade struct {
	keys.RecoveryInfo
	// Files are the shares' files, in order of their numbers; none when they
	// were shown.
	Files []string
	// Replaced is the set that was in force before; nil when there was none.
	Replaced *keys.RecoveryInfo
}

// CreateRecovery makes a recovery key, splits it, writes the shares, and seals
// the root to it, in place of an earlier one. Before anything is stored in the
// vault the shares are read back, all are verified, two choices of the
// threshold are combined (where there are two), and each opens the root and
// everything under it.
//
// The vault's row decides which set counts. When CreateRecovery fails before it
// is written, the files are removed again and nothing was changed. After a
// crash, or ErrRecoveryUnknown, files of a set may be there that the row does
// not name: they open nothing, and UseRecovery says so.
func CreateRecovery(ctx context.Context, c *config.Config, o RecoveryOptions, logger *slog.Logger) (*RecoveryMade, error) {
	if (o.Out == "") == (o.Show == nil) {
		return nil, fmt.Errorf("%w: the shares go to a folder or are shown", recovery.ErrUsage)
	}
	return offline(ctx, c, logger, func(n *Node) (*RecoveryMade, error) { return n.createRecovery(ctx, &o) })
}

func (n *Node) createRecovery(ctx context.Context, o *RecoveryOptions) (*RecoveryMade, error) {
	id, before, err := n.recovery(ctx)
	if err != nil && !errors.Is(err, ErrNoRecovery) {
		return nil, err
	}
	public, shares, err := recovery.Split(id, o.Shares, o.Threshold)
	if err != nil {
		return nil, err
	}
	defer wipe(shares)
	made := &RecoveryMade{Replaced: before}
	read, undo, err := o.handOut(n.config, shares, made)
	defer wipe(read)
	if err != nil {
		return nil, err
	}
	proofs, err := proofsOf(id, public, read)
	defer wipeSecrets(proofs)
	if err != nil {
		undo()
		return nil, fmt.Errorf("put the shares together again: %w", err)
	}
	if err := n.Vault.SetRecovery(ctx, localUser(os.Getuid()), public, proofs...); err != nil {
		_, now, again := n.recovery(context.WithoutCancel(ctx))
		if again != nil && !errors.Is(again, ErrNoRecovery) || now != nil && now.Set == public.Set {
			return nil, fmt.Errorf("%w; keep the shares of set %x until \"recovery show\" names another one: %w", ErrRecoveryUnknown, public.Set, err)
		}
		undo()
		return nil, err
	}
	_, now, err := n.recovery(context.WithoutCancel(ctx)) // it is done, also for a caller who left
	if err == nil && now.Set != public.Set {
		err = fmt.Errorf("%w: another set is in force", ErrRecoveryUnknown)
	}
	if err != nil {
		return nil, err
	}
	made.RecoveryInfo = *now
	return made, nil
}

// handOut writes or shows the shares, and reads them back from what was
// written. On error nothing is left; undo removes what is there.
func (o *RecoveryOptions) handOut(c *config.Config, shares []recovery.Share, made *RecoveryMade) (read []recovery.Share, undo func(), err error) {
	now := time.Now()
	if o.Show != nil {
		for i := range shares {
			text := shareText(&shares[i], now)
			if err := o.Show(text); err != nil {
				return read, nil, fmt.Errorf("show share %d: %w", shares[i].Number, err)
			}
			s, err := parseShareText(text)
			if err != nil {
				return read, nil, fmt.Errorf("read share %d back: %w", shares[i].Number, err)
			}
			read = append(read, s)
		}
		return read, func() {}, nil
	}
	folder, err := openShareFolder(c, o.Out)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			folder.undo()
		}
	}()
	for i := range shares {
		if _, err := folder.write(&shares[i], now); err != nil {
			return nil, nil, fmt.Errorf("write share %d: %w", shares[i].Number, err)
		}
	}
	if err := folder.sync(); err != nil {
		return nil, nil, err
	}
	for _, path := range folder.files {
		s, err := readShare(path)
		if err != nil {
			return read, nil, fmt.Errorf("read a share back: %w", err)
		}
		read = append(read, s)
	}
	made.Files = folder.files
	return read, folder.undo, nil
}

// proofsOf verifies every share and combines two choices of the threshold: the
// first ones and the last ones. The caller wipes them, also on error.
func proofsOf(id [16]byte, public keys.RecoveryPublic, shares []recovery.Share) (proofs []keys.RecoverySecret, err error) {
	least := int(public.Threshold)
	if least > len(shares) || len(shares) != int(public.Shares) {
		return nil, fmt.Errorf("%w: %d of %d", recovery.ErrTooFew, len(shares), public.Shares)
	}
	last := slices.Clone(shares[len(shares)-least:])
	slices.Reverse(last) // another order, where it is the same choice
	for _, choice := range [][]recovery.Share{shares[:least], last, shares} {
		secret, err := recovery.Combine(id, public, choice)
		if err != nil {
			return proofs, err
		}
		proofs = append(proofs, secret)
	}
	return proofs, nil
}

// ShowRecovery tells what the key store says of the recovery key, without any
// key, so unproven. ErrNoRecovery when none is set.
func ShowRecovery(ctx context.Context, c *config.Config, logger *slog.Logger) (_ *keys.RecoveryInfo, err error) {
	n := newNode(c, logger)
	defer func() { err = errors.Join(err, n.Close()) }()
	if err := n.openKeyStore(); err != nil {
		return nil, err
	}
	_, info, err := n.recovery(ctx)
	return info, err
}

// recovery returns the vault's id and its recovery, or ErrNoRecovery.
func (n *Node) recovery(ctx context.Context) ([16]byte, *keys.RecoveryInfo, error) {
	id, info, err := vault.RecoveryOf(ctx, n.Keys)
	if errors.Is(err, keys.ErrNoKey) {
		err = ErrNoRecovery
	}
	return id, info, err
}

// RemoveRecovery removes the recovery key and returns what it was.
// ErrNoRecovery when none is set.
func RemoveRecovery(ctx context.Context, c *config.Config, logger *slog.Logger) (*keys.RecoveryInfo, error) {
	return offline(ctx, c, logger, func(n *Node) (*keys.RecoveryInfo, error) {
		if _, _, err := n.recovery(ctx); err != nil {
			return nil, err
		}
		return n.Vault.RemoveRecovery(ctx, localUser(os.Getuid()))
	})
}

// openKeyStore opens keys.db of a vault that is whole, and nothing else.
func (n *Node) openKeyStore() (err error) {
	if err := n.complete(); err != nil {
		return err
	}
	if err := requireFIPS(n.config); err != nil {
		return err
	}
	n.Keys, err = boltstore.Open(boltstore.Options{
		Path: filepath.Join(n.config.Directory, keysName), Tables: rows.KeyTables(), Logger: n.logger,
	})
	if err != nil {
		return err
	}
	n.closing(n.Keys.Close)
	return nil
}

func wipe(shares []recovery.Share) {
	for i := range shares {
		shares[i].Wipe()
	}
}

func wipeSecrets(all []keys.RecoverySecret) {
	for i := range all {
		all[i].Scalar.Wipe()
	}
}
