package seal

import (
	"crypto/sha256"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// SealAs is SealHashed in a format of the test's choice, whatever the mode of
// the process is.
func SealAs(format byte, dst []byte, outer *keys.AEAD, person *[keys.SecretSize]byte, p *Place, value []byte, hash *[sha256.Size]byte) ([]byte, error) {
	return sealValue(format, dst, outer, person, p, value, hash)
}
