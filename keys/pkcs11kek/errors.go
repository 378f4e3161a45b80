package pkcs11kek

import "errors"

// ErrNotBuilt: this binary was built without the means to load a PKCS#11
// library; its text says why. Every function of such a binary answers it.
var ErrNotBuilt = errors.New("built without PKCS#11 support: " + notBuilt)
