//go:build cgo && nopkcs11

package pkcs11kek

const notBuilt = "the build tag nopkcs11 was set"
