package daemon

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/recovery"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// RecoveryUsed says what UseRecovery did.
type RecoveryUsed struct {
	keys.RecoveryInfo
	// KEK is the name of the KEK that wraps the root now.
	KEK string
}

// UseRecovery opens the root by shares that files hold, and wraps it by the kek
// of the configuration, which has to be there already and may be any but the
// one that was lost; kek.next is not looked at. Then it opens the vault by it.
// Every share is verified, and a wrong one is named by its file: ErrShareFile,
// a *recovery.ShareError or recovery.ErrTooFew, with nothing changed.
// ErrNoRecovery when no recovery key is set, ErrRecoveryKEK when there is no KEK
// to wrap the root by.
func UseRecovery(ctx context.Context, c *config.Config, files []string, logger *slog.Logger) (_ *RecoveryUsed, err error) {
	n := newNode(c, logger)
	defer func() { err = errors.Join(err, n.Close()) }()
	if err := n.openKeyStore(); err != nil {
		return nil, err
	}
	id, info, err := n.recovery(ctx)
	if err != nil {
		return nil, err
	}
	secret, err := combineFiles(id, info.RecoveryPublic, files)
	if err != nil {
		return nil, err
	}
	defer secret.Scalar.Wipe()
	o := vault.Options{Keys: n.Keys, Values: n.openValues, Logger: logger, SubjectKeyCache: c.SubjectKeyCache, SparePersons: sparePersons}
	if o.KEK, err = n.openOne(ctx, "kek", &c.KEK.Provider); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecoveryKEK, err)
	}
	of := &c.Epochs.EpochProvider
	epochs, done, err := n.providers.openEpochs(ctx, of)
	if err != nil {
		return nil, fmt.Errorf("open epochs.%s: %w", of.Kind(), err)
	}
	n.closing(done)
	o.Epochs = epochs
	if n.Log, err = audit.Open(c.Audit.Directory, audit.Options{}); err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	n.closing(n.Log.Close)
	o.Log = n.Log
	// What an earlier run left goes on by the same rules.
	n.keyRules(&o)
	if c.Backup != nil {
		o.BeforeEpochEnds = n.beforeEpochEnds
	}
	if n.Vault, err = vault.OpenRecovered(ctx, o, secret, localUser(os.Getuid())); err != nil {
		return nil, err
	}
	close(n.opened)
	n.closing(n.Vault.Close)
	if err := n.publish(ctx); err != nil {
		return nil, err
	}
	return &RecoveryUsed{*info, o.KEK.Name()}, nil
}

// combineFiles reads shares and puts the recovery key together. Errors name
// the file of the share at fault.
func combineFiles(id [16]byte, public keys.RecoveryPublic, files []string) (keys.RecoverySecret, error) {
	none := keys.RecoverySecret{}
	var shares []recovery.Share
	defer func() { wipe(shares) }()
	for _, path := range files {
		s, err := readShare(path)
		if err != nil {
			return none, err
		}
		shares = append(shares, s)
		switch {
		case s.Vault != id:
			return none, fmt.Errorf("%s: %w, whose id is %s; this one's is %s", path,
				&recovery.ShareError{Number: int(s.Number), Rule: "it is of another vault"}, hex.EncodeToString(s.Vault[:]), hex.EncodeToString(id[:]))
		case s.Set != public.Set:
			return none, fmt.Errorf("%s: %w, %s; the vault's root is sealed to set %s alone, and shares of a set that was replaced, removed or never put in force open nothing",
				path, &recovery.ShareError{Number: int(s.Number), Rule: "it is of another set"}, hex.EncodeToString(s.Set[:]), hex.EncodeToString(public.Set[:]))
		}
	}
	secret, err := recovery.Combine(id, public, shares)
	var wrong *recovery.ShareError
	if errors.As(err, &wrong) {
		var at []string
		for i := range shares {
			if int(shares[i].Number) == wrong.Number {
				at = append(at, files[i])
			}
		}
		return none, fmt.Errorf("%s: %w", strings.Join(at, " and "), err)
	}
	if err != nil {
		return none, err
	}
	return secret, nil
}
