package filekek

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// credentialsEnv is how systemd tells a service where its credentials are.
const credentialsEnv = "CREDENTIALS_DIRECTORY"

// OpenCredential reads a key, in the text form of a key file, from the systemd
// credential of the given name: LoadCredential= or LoadCredentialEncrypted=
// of the unit. ErrUsage for a name that systemd does not take, ErrNoKey when
// the service has no such credential, ErrDenied when owner, mode or type is
// not as the package demands, ErrFormat when it is something else.
func OpenCredential(name string) (*KEK, error) {
	s, err := credential(name, maxFileSize)
	if err != nil {
		return nil, err
	}
	return s.open()
}

// credential finds a credential of the service and checks the directory.
func credential(name string, size int) (source, error) {
	if err := checkCredentialName(name); err != nil {
		return source{}, err
	}
	dir := os.Getenv(credentialsEnv)
	if !filepath.IsAbs(dir) {
		return source{}, fmt.Errorf("%w: %s is not set to a directory; only systemd gives credentials", keys.ErrNoKey, credentialsEnv)
	}
	info, err := os.Stat(dir) //nolint:gosec // systemd says where it is, and its owner and mode are checked
	if err != nil {
		return source{}, fmt.Errorf("%w: directory of credentials: %w", keys.ErrNoKey, err)
	}
	if err := checkCredentialDir(dir, info, os.Geteuid()); err != nil {
		return source{}, err
	}
	return source{"credential", filepath.Join(dir, name), checkCredential, size}, nil
}

// checkCredentialName is systemd's own rule: a file name of printable ASCII.
func checkCredentialName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 255 ||
		strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' || r == ':' }) {
		return fmt.Errorf("%w: the name of a credential must be 1 to 255 visible ASCII characters without '/' and ':'", keys.ErrUsage)
	}
	return nil
}

// checkCredential: systemd gives the file to root and lets the user of the
// service read it by an access list, which shows as the mode of the group; or,
// where there are no access lists, gives the file to the user.
func checkCredential(what, path string, info fs.FileInfo, uid int) error {
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s %s must be a regular file", keys.ErrDenied, what, path)
	case owner(info) != uid && owner(info) != 0:
		return fmt.Errorf("%w: %s %s is owned by user %d, must be owned by user %d or root", keys.ErrDenied, what, path, owner(info), uid)
	case info.Mode() != 0o400 && info.Mode() != 0o440:
		return fmt.Errorf("%w: %s %s has mode %04o, must have 0400 or 0440", keys.ErrDenied, what, path, modeBits(info))
	}
	return nil
}

func checkCredentialDir(path string, info fs.FileInfo, uid int) error {
	switch {
	case !info.IsDir():
		return fmt.Errorf("%w: %s must be a directory", keys.ErrDenied, path)
	case owner(info) != uid && owner(info) != 0:
		return fmt.Errorf("%w: directory %s is owned by user %d, must be owned by user %d or root", keys.ErrDenied, path, owner(info), uid)
	case info.Mode().Perm()&0o027 != 0:
		return fmt.Errorf("%w: directory %s has mode %04o, must not be open to others nor to writing by its group", keys.ErrDenied, path, modeBits(info))
	}
	return nil
}
