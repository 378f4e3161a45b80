package pkcs11kek

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	maxTokenLabel = 32 // the size of the field in PKCS#11
	maxKeyLabel   = 128
	maxKeyID      = 64
	maxPrefix     = 64

	defaultSessions = 4
	maxSessions     = 64
	defaultTimeout  = 10 * time.Second
)

// Config says where a token is and how it is used.
type Config struct {
	// Library is the path of the vendor's PKCS#11 library, a shared object.
	Library string
	// Token is the label of the token, 1 to 32 bytes.
	Token string
	// Serial is the token's serial number, for libraries that show several
	// tokens of one label. Empty: any.
	Serial string
	// PINFile is the path of the file with the user's PIN.
	PINFile string
	// ModuleIV leaves the IV to the module, for modules that demand it (FIPS
	// mode of many, AWS CloudHSM). The module must write the IV back into the
	// parameters of CKM_AES_GCM.
	ModuleIV bool
	// Sessions bounds the calls that run in the library at a time, 1 to 64; 0
	// means 4.
	Sessions int
	// Timeout bounds each call, whatever its context says; 0 means 10 seconds.
	// After it the call is ErrAway.
	Timeout time.Duration
}

// complete checks a Config and fills in what was left out.
func (c Config) complete() (Config, error) {
	if c.Sessions == 0 {
		c.Sessions = defaultSessions
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	switch {
	case c.Library == "":
		return c, fmt.Errorf("%w: no path of a PKCS#11 library", keys.ErrUsage)
	case len(c.Token) == 0 || len(c.Token) > maxTokenLabel:
		return c, fmt.Errorf("%w: a token label of %d bytes, want 1 to %d", keys.ErrUsage, len(c.Token), maxTokenLabel)
	case c.PINFile == "":
		return c, fmt.Errorf("%w: no path of a PIN file", keys.ErrUsage)
	case c.Sessions < 1 || c.Sessions > maxSessions:
		return c, fmt.Errorf("%w: %d sessions, want 1 to %d", keys.ErrUsage, c.Sessions, maxSessions)
	case c.Timeout < 0:
		return c, fmt.Errorf("%w: a timeout below zero", keys.ErrUsage)
	}
	return c, nil
}

// A KeyRef names a key in a token. At least one of the two must be set; with
// both, both must fit.
type KeyRef struct {
	// Label is the key's CKA_LABEL, at most 128 bytes.
	Label string
	// ID is the key's CKA_ID, at most 64 bytes.
	ID []byte
}

// String returns the label, or the id in hexadecimal when there is none.
func (r KeyRef) String() string {
	if r.Label != "" {
		return r.Label
	}
	return "id:" + hex.EncodeToString(r.ID)
}

func (r KeyRef) check() error {
	switch {
	case r.Label == "" && len(r.ID) == 0:
		return fmt.Errorf("%w: a key without label and id", keys.ErrUsage)
	case len(r.Label) > maxKeyLabel:
		return fmt.Errorf("%w: a key label of %d bytes, want at most %d", keys.ErrUsage, len(r.Label), maxKeyLabel)
	case len(r.ID) > maxKeyID:
		return fmt.Errorf("%w: a key id of %d bytes, want at most %d", keys.ErrUsage, len(r.ID), maxKeyID)
	}
	return nil
}

func checkPrefix(prefix string) error {
	if len(prefix) == 0 || len(prefix) > maxPrefix {
		return fmt.Errorf("%w: a prefix of %d bytes, want 1 to %d", keys.ErrUsage, len(prefix), maxPrefix)
	}
	return nil
}
