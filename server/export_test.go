package server

import (
	"google.golang.org/grpc/codes"

	"github.com/cloakroom-vault/cloakroom/vault"
)

// Table returns the code of every reason that has one.
func Table() map[vault.Reason]codes.Code { return table }

// Limits of the transport.
const (
	MaxRequest  = maxRequest
	MaxFailures = maxFailures
	ReadAhead   = readAhead
)

// Conversions of keys, so that tests see that nothing is left out.
var (
	KeyOut        = keyOut
	KeyRequestOut = keyRequestOut
	KeyWorkOut    = keyWorkOut
)
