package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// FsckOptions are those of vault.FsckOptions. Found and Progress are told as the
// check goes on when the command opens the directory; a daemon that serves it
// tells what it found at the end.
type FsckOptions struct {
	Deep, RowsOnly, Repair bool

	Found    func(vault.FsckFinding)
	Progress func(vault.DeepProgress)
}

// FsckReport says what a check of a vault found. It holds no values, and no ids
// that callers gave.
type FsckReport struct {
	vault.FsckReport
	Online bool `json:"online"` // made by the daemon that serves the directory
}

// Fsck checks all that can be checked of a vault, and with Repair puts right
// what can be derived: by the daemon that serves the directory when there is
// one, which goes on serving, else by opening it, also when the vault would not
// start. Values are not opened. The comparison with the audit log is Deep's.
func Fsck(ctx context.Context, c *config.Config, o FsckOptions, logger *slog.Logger) (_ *FsckReport, err error) {
	r := new(FsckReport)
	switch served, err := askDaemon(ctx, c.Directory, o.path(), r); {
	case err != nil:
		return nil, err
	case served:
		r.Online = true
		if o.Found != nil {
			for _, f := range r.List {
				o.Found(f)
			}
		}
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
	if parts.Log, err = n.fsckLog(o.Repair); err != nil {
		return nil, err
	}
	done, err := vault.Fsck(ctx, parts, o.of(localUser(os.Getuid())))
	if err != nil {
		return nil, err
	}
	r.FsckReport = *done
	return r, n.checkIndex(ctx, r, &o)
}

// fsckLog opens the audit log. One that is missing is a finding of the check,
// which sees an empty one; a repair needs it.
func (n *Node) fsckLog(repair bool) (audit.Log, error) {
	err := n.logged()
	if errors.Is(err, ErrIncomplete) && !repair {
		return audit.Memory(), nil
	}
	if err != nil {
		return nil, err
	}
	if n.Log, err = audit.Open(n.config.Audit.Directory, audit.Options{}); err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	n.closing(n.Log.Close)
	return n.Log, nil
}

// of are the options for the vault.
func (o *FsckOptions) of(by string) vault.FsckOptions {
	return vault.FsckOptions{Deep: o.Deep, RowsOnly: o.RowsOnly, Repair: o.Repair, By: by, Found: o.Found, Progress: o.Progress}
}

// path is what the daemon is asked for: a repair has a path of its own.
func (o *FsckOptions) path() string {
	path, q := checkPath, url.Values{}
	if o.Repair {
		path = repairPath
	}
	for name, set := range map[string]bool{"deep": o.Deep, "rows_only": o.RowsOnly} {
		if set {
			q.Set(name, "true")
		}
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return path
}

// fsck checks the vault that is served.
func (n *Node) fsck(ctx context.Context, by string, q url.Values, repair bool) (*FsckReport, error) {
	o := FsckOptions{Deep: q.Get("deep") == "true", RowsOnly: q.Get("rows_only") == "true", Repair: repair}
	done, err := n.Vault.Fsck(ctx, o.of(by))
	if err != nil {
		return nil, err
	}
	r := &FsckReport{FsckReport: *done}
	if o.RowsOnly {
		return r, nil
	}
	switch err := n.index.Check(ctx); {
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrFormat):
		r.Add(vault.FsckFinding{Kind: vault.FsckIndex, Table: indexName, Detail: err.Error() + "; stop the daemon, then repair"})
	case err != nil:
		return nil, err
	}
	return r, nil
}

// checkIndex checks the index of the audit log, which is built again from the
// log when it is not there.
func (n *Node) checkIndex(ctx context.Context, r *FsckReport, o *FsckOptions) error {
	path := n.IndexPath()
	if there, err := exists(path); err != nil || !there || o.RowsOnly {
		return err
	}
	s, err := boltstore.Open(boltstore.Options{Path: path, Tables: index.Tables(), Logger: n.logger})
	if err == nil {
		err = errors.Join(s.Check(ctx), s.Close())
	}
	if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrFormat) {
		return err
	}
	f := vault.FsckFinding{Kind: vault.FsckIndex, Table: filepath.Base(path), Detail: err.Error()}
	if o.Repair {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove the index of the audit log: %w", err)
		}
		f.Repaired = true
	}
	r.Add(f)
	if o.Found != nil {
		o.Found(f)
	}
	return nil
}
