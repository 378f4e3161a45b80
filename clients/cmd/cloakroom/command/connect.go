package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

const defaultAddress = "127.0.0.1:7411"

// setting returns the flag, or else the environment variable, or else the
// default.
func (a *app) setting(flag, variable, otherwise string) string {
	if flag != "" {
		return flag
	}
	if value := a.Getenv(variable); value != "" {
		return value
	}
	return otherwise
}

// vaultAddress is where the vault is.
func (a *app) vaultAddress() string { return a.setting(a.address, "CLOAKROOM_ADDRESS", defaultAddress) }

// withClient runs f with a client and closes it.
func (a *app) withClient(cmd *cobra.Command, f func(*cloakroom.Client) error) error {
	client, err := a.connect(cmd)
	if err != nil {
		return err
	}
	err = f(client)
	if closing := client.Close(); err == nil && closing != nil {
		err = closing
	}
	if err != nil {
		return &vaultError{address: a.vaultAddress(), err: err}
	}
	return nil
}

func (a *app) connect(cmd *cobra.Command) (*cloakroom.Client, error) {
	if a.timeout <= 0 {
		return nil, wrongUse(cmd, "--timeout must be above 0")
	}
	ca := a.setting(a.ca, "CLOAKROOM_CA", "")
	cert := a.setting(a.cert, "CLOAKROOM_CERT", "")
	key := a.setting(a.key, "CLOAKROOM_KEY", "")
	switch {
	case cert == "":
		return nil, wrongUse(cmd, "no client certificate: give --cert or CLOAKROOM_CERT")
	case key == "":
		return nil, wrongUse(cmd, "no key for the client certificate: give --key or CLOAKROOM_KEY")
	}
	client, err := cloakroom.Dial(a.vaultAddress(),
		cloakroom.WithTLSFiles(ca, cert, key),
		cloakroom.WithServerName(a.setting(a.serverName, "CLOAKROOM_SERVER_NAME", "")),
		cloakroom.WithTimeout(a.timeout),
		cloakroom.WithDomain(a.domain),
		cloakroom.WithReloadErrors(func(err error) { fmt.Fprintln(a.Stderr, "cloakroom: "+err.Error()) }),
	)
	var file *cloakroom.TLSFileError
	switch {
	case errors.As(err, &file):
		flag := map[string]string{"CA": "--ca", "certificate": "--cert", "key": "--key"}[file.What]
		if flag == "" {
			flag = "--cert and --key"
		}
		return nil, wrongUse(cmd, "%s: %v", flag, file)
	case err != nil:
		return nil, wrongUse(cmd, "--address: %v", err)
	}
	return client, nil
}
