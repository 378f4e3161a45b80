package gcpkek

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"google.golang.org/api/option"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const maxCredentials = 64 << 10 // bytes; a service account's file has about 2 KiB

// CheckFiles reads the credentials file, when one is named, by the rules of
// Open, and asks no service: ErrDenied, ErrUsage.
func (a Access) CheckFiles() error {
	if a.CredentialsFile == "" {
		return nil
	}
	_, err := readCredentials(a.CredentialsFile)
	return err
}

// readCredentials returns of which kind a credentials file is, which the SDK
// wants to be told. Symbolic links are followed: Kubernetes mounts its files by
// them. The errors name the path and the rule.
func readCredentials(path string) (option.CredentialsType, error) {
	// O_NONBLOCK: opening a named pipe must not hang; regular files ignore it.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", fmt.Errorf("%w: Google Cloud KMS: credentials file: %w", keys.ErrDenied, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: Google Cloud KMS: credentials file: %w", keys.ErrDenied, err)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%w: Google Cloud KMS: credentials file %s must be a regular file", keys.ErrDenied, path)
	case info.Mode().Perm()&0o007 != 0:
		return "", fmt.Errorf("%w: Google Cloud KMS: credentials file %s has mode %04o, must be closed to other users", keys.ErrDenied, path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxCredentials+1))
	defer clear(text)
	if err != nil {
		return "", fmt.Errorf("%w: Google Cloud KMS: credentials file: %w", keys.ErrDenied, err)
	}
	var head struct {
		Type option.CredentialsType `json:"type"`
	}
	// The error of Unmarshal may show what stands in the file.
	if len(text) > maxCredentials || json.Unmarshal(text, &head) != nil {
		return "", usage("credentials file " + path + " must be one of Google Cloud, in JSON")
	}
	switch head.Type {
	case option.ServiceAccount, option.ExternalAccount, option.ImpersonatedServiceAccount, option.AuthorizedUser:
		return head.Type, nil
	}
	return "", usage("credentials file " + path + " must be of a service account, an impersonated one, an external account or an authorized user")
}
