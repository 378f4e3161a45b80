//go:build cgo && !nopkcs11

package pkcs11kek

import (
	"errors"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// ckrAEADDecryptFailed is of PKCS#11 3.0, newer than the binding.
const ckrAEADDecryptFailed = pkcs11.Error(0x42)

// answered reports whether err is one of these answers of the library.
func answered(err error, answers ...pkcs11.Error) bool {
	var e pkcs11.Error
	return errors.As(err, &e) && slices.Contains(answers, e)
}

// lost reports whether a fresh session, and a fresh search for the object,
// may help.
func lost(err error) bool {
	return answered(err,
		pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_USER_NOT_LOGGED_IN,
		pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_OBJECT_HANDLE_INVALID, pkcs11.CKR_OPERATION_ACTIVE,
		pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_TOKEN_NOT_PRESENT,
		pkcs11.CKR_TOKEN_NOT_RECOGNIZED, pkcs11.CKR_SLOT_ID_INVALID, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED)
}

// pinRefused reports whether a login failed for the PIN's sake.
func pinRefused(err error) bool {
	return answered(err, pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE,
		pkcs11.CKR_PIN_EXPIRED, pkcs11.CKR_PIN_LOCKED)
}

// notAuthentic reports whether a failed C_Decrypt says by itself that the bytes
// are to blame.
func notAuthentic(err error) bool {
	return answered(err, pkcs11.CKR_ENCRYPTED_DATA_INVALID, pkcs11.CKR_ENCRYPTED_DATA_LEN_RANGE, ckrAEADDecryptFailed)
}

// maybeNotAuthentic reports whether a failed C_Decrypt is what some modules say
// of a wrong tag, and also of troubles of their own.
func maybeNotAuthentic(err error) bool {
	return answered(err, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_DATA_INVALID,
		pkcs11.CKR_DATA_LEN_RANGE, pkcs11.CKR_SIGNATURE_INVALID, pkcs11.CKR_SIGNATURE_LEN_RANGE)
}

// meaning returns the error of package keys for an answer of the library, and
// nil for what is not one. Whatever is not plainly a refusal is ErrAway:
// calling it denied would stop a vault for good.
func meaning(err error) error {
	var e pkcs11.Error
	switch {
	case !errors.As(err, &e):
		return nil
	case pinRefused(err), answered(err,
		pkcs11.CKR_USER_PIN_NOT_INITIALIZED, pkcs11.CKR_USER_NOT_LOGGED_IN, pkcs11.CKR_USER_TYPE_INVALID,
		pkcs11.CKR_USER_ANOTHER_ALREADY_LOGGED_IN, pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED,
		pkcs11.CKR_TOKEN_WRITE_PROTECTED, pkcs11.CKR_ACTION_PROHIBITED, pkcs11.CKR_FUNCTION_REJECTED):
		return keys.ErrDenied
	}
	return keys.ErrAway
}
