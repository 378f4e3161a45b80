package daemon

import (
	"crypto/fips140"

	"github.com/cloakroom-vault/cloakroom/server/config"
)

// requireFIPS holds a configuration with fips: true to its word.
func requireFIPS(c *config.Config) error {
	if c.FIPS && !fips140.Enabled() {
		return ErrNotFIPS
	}
	return nil
}
