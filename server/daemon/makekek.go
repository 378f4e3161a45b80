package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/server/config"
)

// MakeKEK makes the key of a KEK that a configuration names: a key file, a
// passphrase file, or a key in a PKCS#11 token. It never replaces one:
// keys.ErrExists. The keys of services are made by their own tools, and a
// systemd credential by systemd-creds of a key file: keys.ErrUsage.
func MakeKEK(ctx context.Context, p *config.Provider) (err error) {
	switch {
	case p.File != "":
		if err := parent(p.File); err != nil {
			return err
		}
		return filekek.Generate(p.File)
	case p.Passphrase != nil:
		if err := parent(p.Passphrase.File); err != nil {
			return err
		}
		return filekek.GeneratePassphrase(ctx, p.Passphrase.File, p.Passphrase.Source())
	case p.PKCS11 != nil:
		t, done, err := newProviders().openToken(ctx, p.PKCS11.TokenConfig())
		if err != nil {
			return err
		}
		return errors.Join(t.Generate(ctx, p.PKCS11.Ref()), done())
	case p.Credential != "":
		return fmt.Errorf("%w: a systemd credential is made of a key file, by systemd-creds encrypt --name=%s", keys.ErrUsage, p.Credential)
	}
	return fmt.Errorf("%w: a key of %s is made with the tools of that service", keys.ErrUsage, p.Kind())
}

// parent makes the folder of a key file, for its owner alone, when it is
// missing.
func parent(path string) error {
	err := os.Mkdir(filepath.Dir(path), 0o700)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}
