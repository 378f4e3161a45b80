package config

import (
	"context"
	"errors"

	"os"
	"strings"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
)

// checkProviders reads the files of every key provider. The rules are those of
// the provider's package, so that there is one set of them. Nobody is asked
// over a network and no library is loaded.
func (c *Config) checkProviders(f *findings) {
	for _, p := range c.providers() {
		key := func(name string, err error) { f.key(c.lines[p.path+"."+name], p.path+"."+name, err) }
		if p.file != "" {
			_, err := filekek.Open(p.file)
			key("file", err)
		}
		if p.directory != "" {
			_, err := filekek.OpenEpochs(p.directory)
			key("directory", err)
		}
		if p.credential != "" {
			key("credential", credential(func() error {
				_, err := filekek.OpenCredential(p.credential)
				return err
			}))
		}
		if p.passphrase != nil {
			key("passphrase", filekek.CheckPassphraseFile(p.passphrase.File))
			key("passphrase", p.passphrase.readable())
		}
		if p.transit != nil {
			key("transit", p.transit.Options().CheckFiles())
		}
		if p.gcp != nil {
			key("gcp", p.gcp.access().CheckFiles())
		}
		if p.pkcs11 != nil {
			key("pkcs11", p.pkcs11.TokenConfig().CheckFiles())
		}
	}
}

// checkBackups looks at the directories of backups.
func (c *Config) checkBackups(f *findings) {
	for _, part := range c.copies() {
		f.directory(c.lines[part.key], part.key, part.path)
	}
}

// Source returns where the passphrase is read from.
func (p *Passphrase) Source() filekek.Passphrase {
	if p.FromCredential != "" {
		return filekek.PassphraseCredential(p.FromCredential)
	}
	return filekek.PassphraseFile(p.FromFile)
}

// readable reads the passphrase and forgets it. Whether it is the right one
// takes a second and 256 MiB to find out, at the start of the daemon.
func (p *Passphrase) readable() error {
	read := func() error {
		phrase, err := p.Source()(context.Background())
		clear(phrase)
		return err
	}
	if p.FromCredential != "" {
		return credential(read)
	}
	return read()
}

// credential leaves a systemd credential unread where there are none: a person
// who checks a configuration is not the service.
func credential(read func() error) error {
	if os.Getenv("CREDENTIALS_DIRECTORY") == "" {
		return nil
	}
	return read()
}

// key notes why a key is of no use.
func (f *findings) key(line int, name string, err error) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok && strings.Contains(err.Error(), "\n") {
		for _, one := range joined.Unwrap() {
			f.key(line, name, one)
		}
		return
	}
	text := strings.TrimPrefix(err.Error(), keys.ErrUsage.Error()+": ")
	switch {
	case errors.Is(err, pkcs11kek.ErrNotBuilt):
		f.add(line, name, "this cloakroomd cannot load a PKCS#11 library: %s", text)
	case errors.Is(err, keys.ErrNoKey):
		// A new key would open nothing that exists, so the two cases are told apart.
		f.add(line, name, "%s; `cloakroomd init` or `cloakroomd make-kek` makes one for a new vault, an existing vault needs its own", text)
	default:
		f.add(line, name, "%s", text)
	}
}
