package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// BeginLog begins a new audit log where the old one is lost for good, and
// tells the value store, which would take the empty log for one that was put
// back. A log that holds entries is left as it is. Errors are those of Open.
func BeginLog(ctx context.Context, c *config.Config, logger *slog.Logger) (err error) {
	n := newNode(c, logger)
	defer func() { err = errors.Join(err, n.Close()) }()
	if err := n.stored(); err != nil {
		return err
	}
	if n.Log, err = audit.Open(c.Audit.Directory, audit.Options{}); err != nil {
		return fmt.Errorf("begin an audit log: %w", err)
	}
	n.closing(n.Log.Close)
	if n.Log.Size() > 0 {
		return nil
	}
	parts, err := n.parts(ctx)
	if err != nil {
		return err
	}
	parts.Log = n.Log
	return vault.BeginLog(ctx, parts)
}
