//go:build cgo && !nopkcs11

package pkcs11kek

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/miekg/pkcs11"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// take returns a session in which the user is logged in. The caller gives it
// back.
func (t *Token) take() (pkcs11.SessionHandle, error) {
	for {
		sh, ok, err := t.pop()
		if err != nil {
			return 0, err
		}
		if !ok {
			return t.connect()
		}
		if t.loggedIn(sh) == nil {
			return sh, nil
		}
		_ = t.module.closeSession(sh) // lost, or logged out behind our back
	}
}

func (t *Token) pop() (sh pkcs11.SessionHandle, ok bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, false, fmt.Errorf("%w: token %q was closed", keys.ErrUsage, t.cfg.Token)
	}
	if n := len(t.idle); n > 0 {
		sh, t.idle = t.idle[n-1], t.idle[:n-1]
		return sh, true, nil
	}
	return 0, false, nil
}

// give takes a session back after a call that ended with err. One that the
// library complained about may have an operation half done, and is closed.
func (t *Token) give(sh pkcs11.SessionHandle, err error) {
	if meaning(err) == nil {
		t.mu.Lock()
		keep := !t.closed
		if keep {
			t.idle = append(t.idle, sh)
		}
		t.mu.Unlock()
		if keep {
			return
		}
	}
	_ = t.module.closeSession(sh)
}

func (t *Token) dropIdle() {
	t.mu.Lock()
	idle := t.idle
	t.idle = nil
	t.mu.Unlock()
	for _, sh := range idle {
		_ = t.module.closeSession(sh)
	}
}

// loggedIn returns nil when the user is logged in. Without a login a token
// hides private objects, so a key would seem never to have been.
func (t *Token) loggedIn(sh pkcs11.SessionHandle) error {
	info, err := t.module.sessionInfo(sh)
	if err == nil && info.State != pkcs11.CKS_RW_USER_FUNCTIONS {
		err = said("C_GetSessionInfo", pkcs11.Error(pkcs11.CKR_USER_NOT_LOGGED_IN))
	}
	return err
}

// connect opens a session and logs in where no other session did. A login is
// of the process and the token, so all sessions share it.
func (t *Token) connect() (pkcs11.SessionHandle, error) {
	t.connectMu.Lock()
	defer t.connectMu.Unlock()
	slot, info, err := t.slot()
	if err != nil {
		return 0, err
	}
	sh, err := t.module.openSession(slot)
	if err != nil {
		return 0, err
	}
	if t.loggedIn(sh) != nil {
		if err := t.login(sh, info.Flags); err != nil {
			_ = t.module.closeSession(sh)
			return 0, err
		}
	}
	return sh, nil
}

// slot finds the token among the slots, which may change as tokens come and
// go.
func (t *Token) slot() (slot uint, info pkcs11.TokenInfo, err error) {
	slots, err := t.module.slots()
	if answered(err, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED) {
		if err := t.module.initialize(); err != nil && !answered(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
			return 0, info, err
		}
		slots, err = t.module.slots()
	}
	if err != nil {
		return 0, info, err
	}
	found := 0
	for _, s := range slots {
		i, err := t.module.tokenInfo(s)
		if err != nil {
			continue // another token's trouble is not ours
		}
		if trim(i.Label) == t.cfg.Token && (t.cfg.Serial == "" || trim(i.SerialNumber) == t.cfg.Serial) {
			slot, info = s, i
			found++
		}
	}
	switch found {
	case 0:
		return 0, info, fmt.Errorf("%w: token %q is not there", keys.ErrAway, t.cfg.Token)
	case 1:
		return slot, info, nil
	}
	return 0, info, fmt.Errorf("%w: %d tokens have the label %q: set Serial", keys.ErrUsage, found, t.cfg.Token)
}

// trim takes off the padding of a fixed field.
func trim(field string) string { return strings.TrimRight(field, " \x00") }

// refusedPINs remembers the last PIN that a token refused, as a MAC under a
// key of this value alone, so that no memory holds the PIN.
type refusedPINs struct {
	key  []byte
	last [sha256.Size]byte
	why  error // nil: none was refused
}

func (r *refusedPINs) mac(pin []byte) (out [sha256.Size]byte) {
	if r.key == nil {
		r.key = make([]byte, sha256.Size)
		_, _ = rand.Read(r.key)
	}
	h := hmac.New(sha256.New, r.key)
	h.Write(pin)
	h.Sum(out[:0])
	return out
}

// login logs the user in with the PIN of the file. Each wrong try brings the
// token nearer to locking itself, so none is made that cannot be better than
// the last.
func (t *Token) login(sh pkcs11.SessionHandle, flags uint) error {
	pin, err := readPIN(t.cfg.PINFile)
	defer clear(pin)
	if err != nil {
		return err
	}
	mac := t.pins.mac(pin)
	switch {
	case t.pins.why != nil && mac == t.pins.last:
		return fmt.Errorf("%w: the PIN in %s was refused and is not tried again: %w", keys.ErrDenied, t.cfg.PINFile, t.pins.why)
	case flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return fmt.Errorf("%w: the PIN of token %q is locked", keys.ErrDenied, t.cfg.Token)
	case flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return fmt.Errorf("%w: one try is left for the PIN of token %q: log in by hand first", keys.ErrDenied, t.cfg.Token)
	}
	err = t.module.login(sh, pin)
	switch {
	case answered(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN):
		return nil
	case pinRefused(err):
		t.pins.last, t.pins.why = mac, err
	case err == nil:
		t.pins.why = nil
	}
	return err
}

// checkMechanism wants AES-GCM of 256 bits of the token.
func (t *Token) checkMechanism() error {
	slot, _, err := t.slot()
	if err != nil {
		return err
	}
	info, err := t.module.mechanism(slot, pkcs11.CKM_AES_GCM)
	const both = pkcs11.CKF_ENCRYPT | pkcs11.CKF_DECRYPT
	if answered(err, pkcs11.CKR_MECHANISM_INVALID) || err == nil && info.Flags&both != both {
		return fmt.Errorf("%w: token %q cannot do CKM_AES_GCM", keys.ErrUsage, t.cfg.Token)
	}
	return err
}
