//go:build cgo && !nopkcs11

package pkcs11kek

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"github.com/miekg/pkcs11"
)

// CheckPINFile lets tests ask what is said of another user's file, which only
// root could provoke for real.
var CheckPINFile func(path string, info fs.FileInfo, uid int) error = checkPINFile

// A Hook is called before each call of the library, by the name of its main
// function. An error is answered in its place.
type Hook func(function string) error

// ErrIgnored is what a hook of C_DestroyObject returns so that the library seems
// to have done it.
var ErrIgnored = errors.New("not done, and not told")

// Seen holds the very buffers that the library was given to seal and gave when
// it opened.
type Seen struct {
	mu      sync.Mutex
	buffers [][]byte
}

func (s *Seen) add(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buffers = append(s.buffers, b)
}

// Buffers returns them, in the order of the calls.
func (s *Seen) Buffers() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buffers
}

// OpenSeen is OpenHooked that also notes buffers.
func OpenSeen(ctx context.Context, cfg Config, hook Hook, seen *Seen) (*Token, error) {
	return openOver(ctx, cfg, func(m module) module { return watched{hooked{m, hook}, seen} })
}

type watched struct {
	module
	seen *Seen
}

func (w watched) seal(sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, plaintext, aad []byte, byModule bool) (iv, sealed []byte, err error) {
	w.seen.add(plaintext)
	return w.module.seal(sh, key, plaintext, aad, byModule)
}

func (w watched) open(sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, iv, sealed, aad []byte) ([]byte, error) {
	out, err := w.module.open(sh, key, iv, sealed, aad)
	w.seen.add(out)
	return out, err
}

// OpenHooked is Open with a hook, over the real library.
func OpenHooked(ctx context.Context, cfg Config, hook Hook) (*Token, error) {
	return openOver(ctx, cfg, func(m module) module { return hooked{m, hook} })
}

// OpenIVMaker is Open over a library that makes its own IVs, as modules in FIPS
// mode do.
func OpenIVMaker(ctx context.Context, cfg Config) (*Token, error) {
	return openOver(ctx, cfg, func(m module) module { return ivMaker{m} })
}

func openOver(ctx context.Context, cfg Config, over func(module) module) (*Token, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	m, err := load(cfg.Library)
	if err != nil {
		return nil, err
	}
	return open(ctx, cfg, over(m))
}

// ivMaker draws the IV itself when it is asked to, and refuses one from outside.
type ivMaker struct{ module }

func (m ivMaker) seal(sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, plaintext, aad []byte, byModule bool) (iv, sealed []byte, err error) {
	if !byModule {
		return nil, nil, said("C_EncryptInit", pkcs11.Error(pkcs11.CKR_MECHANISM_PARAM_INVALID))
	}
	return m.module.seal(sh, key, plaintext, aad, false)
}

type hooked struct {
	module
	hook Hook
}

func (h hooked) slots() ([]uint, error) {
	if err := h.hook("C_GetSlotList"); err != nil {
		return nil, err
	}
	return h.module.slots()
}

func (h hooked) tokenInfo(slot uint) (pkcs11.TokenInfo, error) {
	info, err := h.module.tokenInfo(slot)
	if err := h.hook("C_GetTokenInfo"); err != nil {
		// A flag is told as an error, since tokens of software never lock.
		if f, ok := err.(TokenFlags); ok {
			info.Flags |= uint(f)
			return info, nil
		}
		return info, err
	}
	return info, err
}

// TokenFlags is an error that a hook of C_GetTokenInfo returns to set flags.
type TokenFlags uint

func (TokenFlags) Error() string { return "flags of a token" }

func (h hooked) openSession(slot uint) (pkcs11.SessionHandle, error) {
	if err := h.hook("C_OpenSession"); err != nil {
		return 0, err
	}
	return h.module.openSession(slot)
}

func (h hooked) sessionInfo(sh pkcs11.SessionHandle) (pkcs11.SessionInfo, error) {
	if err := h.hook("C_GetSessionInfo"); err != nil {
		return pkcs11.SessionInfo{}, err
	}
	return h.module.sessionInfo(sh)
}

func (h hooked) login(sh pkcs11.SessionHandle, pin []byte) error {
	if err := h.hook("C_Login"); err != nil {
		return err
	}
	return h.module.login(sh, pin)
}

func (h hooked) find(sh pkcs11.SessionHandle, template []*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	if err := h.hook("C_FindObjects"); err != nil {
		return nil, err
	}
	return h.module.find(sh, template)
}

// generate is hooked before and after: "made" comes when the key is there.
func (h hooked) generate(sh pkcs11.SessionHandle, template []*pkcs11.Attribute) error {
	if err := h.hook("C_GenerateKey"); err != nil {
		return err
	}
	if err := h.module.generate(sh, template); err != nil {
		return err
	}
	return h.hook("made")
}

func (h hooked) create(sh pkcs11.SessionHandle, template []*pkcs11.Attribute) error {
	if err := h.hook("C_CreateObject"); err != nil {
		return err
	}
	return h.module.create(sh, template)
}

func (h hooked) destroy(sh pkcs11.SessionHandle, object pkcs11.ObjectHandle) error {
	if err := h.hook("C_DestroyObject"); err == ErrIgnored {
		return nil
	} else if err != nil {
		return err
	}
	return h.module.destroy(sh, object)
}

func (h hooked) seal(sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, plaintext, aad []byte, byModule bool) (iv, sealed []byte, err error) {
	if err := h.hook("C_Encrypt"); err != nil {
		return nil, nil, err
	}
	return h.module.seal(sh, key, plaintext, aad, byModule)
}

func (h hooked) open(sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, iv, sealed, aad []byte) ([]byte, error) {
	if err := h.hook("C_Decrypt"); err != nil {
		return nil, err
	}
	return h.module.open(sh, key, iv, sealed, aad)
}
