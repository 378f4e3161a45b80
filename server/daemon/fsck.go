package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// FsckReport says what a check of a vault found. Faults hold no values and no
// ids that callers gave.
type FsckReport struct {
	vault.CheckReport
	Online bool     `json:"online"` // made by the daemon that serves the directory
	List   []string `json:"list"`   // a line for each fault, as vault.Fault says it
	// Unlisted is how many faults are counted and not listed.
	Unlisted uint64 `json:"unlisted,omitempty"`
}

// listed bounds the faults that are listed.
const listed = 10_000

// Fsck checks all that can be checked of a vault, and puts right what can be
// derived: by the daemon that serves the directory when there is one, which
// goes on serving, else by opening it, also when the vault would not start.
// Values are not opened. The comparison with the audit log is Deep's.
func Fsck(ctx context.Context, c *config.Config, repair bool, logger *slog.Logger) (_ *FsckReport, err error) {
	path := checkPath
	if repair {
		path = repairPath
	}
	r := new(FsckReport)
	switch served, err := askDaemon(ctx, c.Directory, path, r); {
	case err != nil:
		return nil, err
	case served:
		r.Online = true
		return r, nil
	}
	n := newNode(c, logger)
	defer func() { err = errors.Join(err, n.Close()) }()
	if err := n.unfinished(); err != nil {
		return nil, err
	}
	if err := n.stored(); err != nil {
		return nil, err
	}
	parts, err := n.parts(ctx)
	if err != nil {
		return nil, err
	}
	parts.Log = audit.Memory() // it is not looked at
	done, err := vault.Check(ctx, parts, r.options(repair))
	if err != nil {
		return nil, err
	}
	r.CheckReport = *done
	return r, n.checkIndex(ctx, r, repair)
}

// fsck checks the vault that is served.
func (n *Node) fsck(ctx context.Context, repair bool) (*FsckReport, error) {
	r := new(FsckReport)
	done, err := n.Vault.Check(ctx, r.options(repair))
	if err != nil {
		return nil, err
	}
	r.CheckReport = *done
	if err := n.index.Check(ctx); errors.Is(err, store.ErrCorrupt) {
		r.find(vault.Fault{Kind: vault.FaultIndex, Detail: err.Error() + "; stop the daemon and delete " + indexName})
	} else if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *FsckReport) options(repair bool) vault.CheckOptions {
	return vault.CheckOptions{Repair: repair, Found: r.list}
}

func (r *FsckReport) list(f vault.Fault) {
	if len(r.List) == listed {
		r.Unlisted++
		return
	}
	r.List = append(r.List, f.String())
}

// find lists a fault that the vault did not count.
func (r *FsckReport) find(f vault.Fault) {
	r.Faults++
	if f.Repaired {
		r.Repaired++
	}
	r.list(f)
}

// checkIndex checks the index of the audit log, which is built again from the
// log when it is not there.
func (n *Node) checkIndex(ctx context.Context, r *FsckReport, repair bool) (err error) {
	path := filepath.Join(n.config.Directory, indexName)
	if there, err := exists(path); err != nil || !there {
		return err
	}
	s, err := boltstore.Open(boltstore.Options{Path: path, Tables: index.Tables(), Logger: n.logger})
	if err == nil {
		err = errors.Join(s.Check(ctx), s.Close())
	}
	if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrFormat) {
		return err
	}
	f := vault.Fault{Kind: vault.FaultIndex, Detail: err.Error(), Repaired: repair}
	if repair {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove the index of the audit log: %w", err)
		}
	}
	r.find(f)
	return nil
}
