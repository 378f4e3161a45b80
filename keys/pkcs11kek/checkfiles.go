//go:build cgo && !nopkcs11

package pkcs11kek

import (
	"errors"
	"fmt"
	"os"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// CheckFiles looks whether the library is a file, which it does not load, and
// reads the PIN file by the rules of a login. ErrUsage and ErrDenied say which
// file breaks which rule, all of them joined.
func (c Config) CheckFiles() error {
	var errs []error
	switch info, err := os.Stat(c.Library); {
	case err != nil:
		errs = append(errs, fmt.Errorf("%w: the PKCS#11 library: %w", keys.ErrUsage, err))
	case !info.Mode().IsRegular():
		errs = append(errs, fmt.Errorf("%w: the PKCS#11 library %s must be a regular file", keys.ErrUsage, c.Library))
	}
	pin, err := readPIN(c.PINFile)
	clear(pin)
	return errors.Join(append(errs, err)...)
}
