package pkcs11kek_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
)

func TestCheck(t *testing.T) {
	good := pkcs11kek.Config{Library: "/nowhere", Token: "t", PINFile: "/nowhere"}
	if err := errors.Join(good.Check(), pkcs11kek.KeyRef{Label: "k"}.Check(), pkcs11kek.CheckPrefix("p")); err != nil {
		t.Errorf("what is good: %v", err)
	}
	long := good
	long.Token = strings.Repeat("t", 33)
	for name, err := range map[string]error{
		"token of 33 bytes": long.Check(), "no key": pkcs11kek.KeyRef{}.Check(), "no prefix": pkcs11kek.CheckPrefix(""),
	} {
		if !errors.Is(err, keys.ErrUsage) {
			t.Errorf("%s: err = %v, want ErrUsage", name, err)
		}
	}
}

// CheckFiles looks at both files, and neither loads the library nor logs in.
func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	c := pkcs11kek.Config{Library: filepath.Join(dir, "library.so"), Token: "t", PINFile: filepath.Join(dir, "pin")}
	if err := errors.Join(os.WriteFile(c.Library, []byte("no library at all"), 0o600), os.WriteFile(c.PINFile, []byte("CANARY\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if !pkcs11kek.Built {
		if err := c.CheckFiles(); !errors.Is(err, pkcs11kek.ErrNotBuilt) {
			t.Errorf("err = %v, want ErrNotBuilt", err)
		}
		return
	}
	if err := c.CheckFiles(); err != nil {
		t.Errorf("two good files: %v", err)
	}
	if err := errors.Join(os.Remove(c.Library), os.Mkdir(c.Library, 0o700), os.Chmod(c.PINFile, 0o644)); err != nil {
		t.Fatal(err)
	}
	err := c.CheckFiles()
	if !errors.Is(err, keys.ErrUsage) || !errors.Is(err, keys.ErrDenied) || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("err = %v, want both faults", err)
	}
}
