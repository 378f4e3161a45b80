package transitkek

import (
	"errors"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// Check looks at the fields alone: at no file and no server. Exactly one of
// Key and Prefix must be set. ErrUsage names a field and its rule.
func (o Options) Check() error {
	filled, err := o.filled()
	switch {
	case err != nil:
		return err
	case (o.Key == "") == (o.Prefix == ""):
		return fmt.Errorf("%w: exactly one of Key and Prefix must be set", keys.ErrUsage)
	case o.Key != "":
		err = checkName("Key", o.Key)
	default:
		err = checkName("Prefix", o.Prefix)
	}
	if err != nil {
		return err
	}
	if _, err := filled.base(); err != nil {
		return err
	}
	_, _, err = o.Auth.method()
	return err
}

// CheckFiles reads the files that the options name, by the rules of Open and
// OpenEpochs, and asks no server. ErrDenied and ErrUsage say which file breaks
// which rule, all of them joined.
func (o Options) CheckFiles() error {
	var errs []error
	if o.CAFile != "" {
		_, err := o.transport()
		errs = append(errs, err)
	}
	read := func(path string, private bool) {
		_, err := readSecret(path, private)
		errs = append(errs, err)
	}
	switch a := o.Auth; {
	case a.TokenFile != "":
		read(a.TokenFile, true)
	case a.AppRole != nil:
		read(a.AppRole.RoleIDFile, false)
		read(a.AppRole.SecretIDFile, true)
	case a.Kubernetes != nil:
		read(orDefault(a.Kubernetes.TokenFile, DefaultServiceAccount), false)
	}
	return errors.Join(errs...)
}
