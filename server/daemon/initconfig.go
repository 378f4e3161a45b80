package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/devca"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// InitWith makes a vault where a configuration says, which is prepared and may
// name any key provider. The KEK must be there. What is local and missing is
// made: the data directory, a directory of epoch keys, and development
// certificates where none of the three files exists and they are named
// server.crt, server.key and ca.crt in one folder. The data directory and that
// of the audit log must not exist, or be empty. Dir and Listen of the options
// are not looked at.
//
// When it fails, what it had made on this machine is removed, so that it can
// be tried again. A first epoch key that was made at a service stays there.
func InitWith(ctx context.Context, path string, o InitOptions, logger *slog.Logger) (c *config.Config, err error) {
	if err := policy.CheckPrincipalID(o.Administrator); err != nil {
		return nil, fmt.Errorf("the administrator: %w", err)
	}
	if c, err = config.Load(path); err != nil {
		return nil, err
	}
	if err := requireFIPS(c); err != nil {
		return nil, err
	}
	var made made
	defer func() {
		if err != nil {
			made.remove()
		}
	}()
	for _, dir := range []string{c.Directory, c.Audit.Directory} {
		if err := made.emptyDir(dir); err != nil {
			return nil, err
		}
	}
	if err := made.epochs(c.Epochs.Directory); err != nil {
		return nil, fmt.Errorf("make the directory of epoch keys: %w", err)
	}
	if err := made.certificates(c.TLS, o); err != nil {
		return nil, fmt.Errorf("make the development certificates: %w", err)
	}
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := create(ctx, c, o.Administrator, logger); err != nil {
		return nil, fmt.Errorf("make the vault: %w", err)
	}
	return c, nil
}

// made is what an attempt left on this machine, in the order of its making.
type made struct {
	paths []string // files and folders that were not there
	empty []string // folders that were there and empty
}

func (m *made) remove() {
	for _, dir := range m.empty {
		clearDir(dir)
	}
	for i := len(m.paths) - 1; i >= 0; i-- {
		_ = os.RemoveAll(m.paths[i])
	}
}

// emptyDir makes a directory, whose parent must be there, or accepts an empty
// one.
func (m *made) emptyDir(dir string) error {
	there, err := exists(dir)
	switch {
	case err != nil:
		return err
	case !there:
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		m.paths = append(m.paths, dir)
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		// The log usually stands inside the data, or the data beside it.
		if !slices.Contains(m.paths, filepath.Join(dir, e.Name())) {
			return fmt.Errorf("%s is not empty: a vault is made in a new directory", dir)
		}
	}
	m.empty = append(m.empty, dir)
	return nil
}

// epochs makes a directory of epoch keys where one is named and missing.
func (m *made) epochs(dir string) error {
	if dir == "" {
		return nil
	}
	if there, err := exists(dir); there || err != nil {
		return err
	}
	m.paths = append(m.paths, dir)
	_, err := filekek.CreateEpochs(dir)
	return err
}

// certificates makes what is named as package devca names it. Anything else is
// a person's own, and checked like the rest.
func (m *made) certificates(t config.TLS, o InitOptions) error {
	dir := filepath.Dir(t.Certificate)
	for path, name := range map[string]string{t.Certificate: "server.crt", t.Key: "server.key", t.ClientCA: "ca.crt"} {
		there, err := exists(path)
		if there || err != nil || path != filepath.Join(dir, name) {
			return err
		}
	}
	there, err := exists(dir)
	if err != nil {
		return err
	}
	if !there {
		m.paths = append(m.paths, dir)
	} else {
		for name := range o.Clients {
			m.own(dir, name)
		}
		for _, name := range []string{"ca", "server", AdminClient} {
			m.own(dir, name)
		}
	}
	ca, err := devca.Create(dir)
	if err != nil {
		return err
	}
	return issue(ca, o)
}

// own notes the two files of a certificate that are not there yet.
func (m *made) own(dir, name string) {
	for _, suffix := range []string{".crt", ".key"} {
		path := filepath.Join(dir, name+suffix)
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			m.paths = append(m.paths, path)
		}
	}
}
