package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

// DeepOptions say what a deep check compares with, and what it tells.
type DeepOptions struct {
	// VerifierKey is the key of the log's checkpoints, in the form of the file
	// tlog/vkey; empty means the one among the vault's own keys.
	VerifierKey string
	// Earlier is a signed checkpoint of the log that was seen earlier; empty for
	// none.
	Earlier []byte
	// Verified is told of a log that holds, before values are compared with it.
	Verified func(*tree.Report)
	// Found and Progress are those of vault.DeepOptions.
	Found    func(vault.Finding)
	Progress func(vault.DeepProgress)
}

// deepGCPercent keeps the heap of a check close to what is live, which is one
// large table without pointers that costs little to collect.
const deepGCPercent = 20

// Deep opens everything that a configuration names, verifies the audit log,
// and holds all that is stored against it. It starts no server and changes
// nothing that is stored. A directory that is served is store.ErrLocked or
// audit.ErrLocked, and a log that does not hold is an error of audit.Verify;
// what is stored wrongly is told to o.Found and counted in the report.
func Deep(ctx context.Context, c *config.Config, o DeepOptions, logger *slog.Logger) (_ *vault.DeepReport, err error) {
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(deepGCPercent))
	}
	n := newNode(c, logger)
	defer func() { err = errors.Join(err, n.Close()) }()
	if err := n.complete(); err != nil {
		return nil, err
	}
	parts, err := n.parts(ctx)
	if err != nil {
		return nil, err
	}
	if n.Log, err = audit.Open(c.Audit.Directory, audit.Options{}); err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	n.closing(n.Log.Close)
	parts.Log = n.Log
	return vault.Deep(ctx, parts, vault.DeepOptions{Found: o.Found, Progress: o.Progress,
		Verify: func(ctx context.Context, key string) error {
			if o.VerifierKey != "" {
				key = o.VerifierKey
			}
			report, err := audit.Verify(ctx, c.Audit.Directory, audit.VerifyOptions{VerifierKey: key, Earlier: o.Earlier})
			if errors.Is(err, tree.ErrNoCheckpoint) && n.Log.Size() == 0 {
				return nil // it was never written to
			}
			if err == nil && o.Verified != nil {
				o.Verified(report)
			}
			return err
		},
	})
}
