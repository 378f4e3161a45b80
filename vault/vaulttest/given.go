package vaulttest

import (
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/plain"
)

// Text is a value given as text.
func Text(s string) vault.Given { return vault.Given{Value: plain.Text(s)} }

// Data is a value given as bytes.
func Data(b []byte) vault.Given { return vault.Given{Value: plain.New(b), Binary: true} }
