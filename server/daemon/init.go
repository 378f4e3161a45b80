package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/devca"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// ConfigName is the name of the configuration file in a vault directory.
const ConfigName = "cloakroom.yaml"

// InitOptions say what Init makes.
type InitOptions struct {
	// Dir must not exist, or be an empty directory.
	Dir string
	// Administrator is the principal who may apply the first policy and cannot
	// reveal anything.
	Administrator string
	// Listen is the address for the configuration; Hosts are the names and IP
	// addresses that the server's certificate is made for.
	Listen string
	Hosts  []string
	// Clients are further development certificates: a file name each, and the
	// SPIFFE ID in it.
	Clients map[string]string
}

// AdminClient is the name of the administrator's certificate.
const AdminClient = "admin"

// Init makes a vault directory: keys, certificates, stores and a commented
// configuration. It returns the path of the configuration. When it fails, what
// it had made is removed, so that it can be tried again.
func Init(ctx context.Context, o InitOptions, logger *slog.Logger) (path string, err error) {
	if err := policy.CheckPrincipalID(o.Administrator); err != nil {
		return "", fmt.Errorf("the administrator: %w", err)
	}
	if err := emptyDir(o.Dir); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			clearDir(o.Dir)
		}
	}()
	for _, sub := range []string{"data", "kek", "certs"} {
		if err := os.Mkdir(filepath.Join(o.Dir, sub), 0o700); err != nil {
			return "", err
		}
	}
	if err := filekek.Generate(filepath.Join(o.Dir, "kek", "kek.key")); err != nil {
		return "", fmt.Errorf("make the KEK: %w", err)
	}
	if _, err := filekek.CreateEpochs(filepath.Join(o.Dir, "epochs")); err != nil {
		return "", fmt.Errorf("make the directory of epoch keys: %w", err)
	}
	if err := certificates(o); err != nil {
		return "", fmt.Errorf("make the development certificates: %w", err)
	}
	path = filepath.Join(o.Dir, ConfigName)
	if err := writeConfig(path, o.Listen); err != nil {
		return "", fmt.Errorf("write the configuration: %w", err)
	}
	c, err := config.Load(path)
	if err != nil {
		return "", err
	}
	if err := create(ctx, c, o.Administrator, logger); err != nil {
		return "", fmt.Errorf("make the vault: %w", err)
	}
	return path, nil
}

func writeConfig(path, listen string) error {
	c := config.Default()
	c.Listen = listen
	text, err := config.Example(c)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

func certificates(o InitOptions) error {
	ca, err := devca.Create(filepath.Join(o.Dir, "certs"))
	if err != nil {
		return err
	}
	return issue(ca, o)
}

// issue makes the certificates of the server, the administrator and clients.
func issue(ca *devca.CA, o InitOptions) error {
	if err := ca.IssueServer("server", o.Hosts); err != nil {
		return err
	}
	if err := ca.IssueClient(AdminClient, o.Administrator); err != nil {
		return err
	}
	for name, id := range o.Clients {
		if err := ca.IssueClient(name, id); err != nil {
			return err
		}
	}
	return nil
}

// emptyDir makes a directory, or accepts an empty one.
func emptyDir(dir string) error {
	there, err := exists(dir)
	if err != nil {
		return err
	}
	if !there {
		return os.MkdirAll(dir, 0o700)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: a vault is made in a new directory", dir)
	}
	return os.Chmod(dir, 0o700)
}

func clearDir(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		_ = os.RemoveAll(filepath.Join(dir, e.Name()))
	}
}
