//go:build !cgo

package pkcs11kek

const notBuilt = "cgo was off"
