//go:build cgo && !nopkcs11

package pkcs11kek

const notBuilt = "" // this build has it, and never returns ErrNotBuilt
