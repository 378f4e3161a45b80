//go:build cgo && !nopkcs11

package pkcs11kek

import (
	"crypto/rand"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	ivSize  = 12
	tagSize = 16
	tagBits = 8 * tagSize
)

// A module is what this package asks of a PKCS#11 library. Errors wrap a
// pkcs11.Error. Calls block and cannot be cancelled.
type module interface {
	initialize() error
	slots() ([]uint, error)
	tokenInfo(slot uint) (pkcs11.TokenInfo, error)
	mechanism(slot, mechanism uint) (pkcs11.MechanismInfo, error)
	openSession(slot uint) (pkcs11.SessionHandle, error)
	closeSession(sh pkcs11.SessionHandle) error
	sessionInfo(sh pkcs11.SessionHandle) (pkcs11.SessionInfo, error)
	login(sh pkcs11.SessionHandle, pin []byte) error
	find(sh pkcs11.SessionHandle, template []*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error)
	attributes(sh pkcs11.SessionHandle, object pkcs11.ObjectHandle, types ...uint) ([]*pkcs11.Attribute, error)
	generate(sh pkcs11.SessionHandle, template []*pkcs11.Attribute) error
	create(sh pkcs11.SessionHandle, template []*pkcs11.Attribute) error
	destroy(sh pkcs11.SessionHandle, object pkcs11.ObjectHandle) error
	// seal enciphers by CKM_AES_GCM and returns the IV that was used; byModule
	// leaves its choice to the module.
	seal(sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, plaintext, aad []byte, byModule bool) (iv, sealed []byte, err error)
	open(sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, iv, sealed, aad []byte) ([]byte, error)
}

// library is a module by cgo. It is never finalised: PKCS#11 has one state a
// process, which others may use.
type library struct{ ctx *pkcs11.Ctx }

// load opens a shared object. It stays loaded until the process ends.
func load(path string) (module, error) {
	ctx := pkcs11.New(path)
	if ctx == nil {
		return nil, fmt.Errorf("%w: %s cannot be loaded as a PKCS#11 library", keys.ErrUsage, path)
	}
	return library{ctx}, nil
}

// said names the function that an error came from.
func said(function string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", function, err)
	}
	return nil
}

func (l library) initialize() error { return said("C_Initialize", l.ctx.Initialize()) }

func (l library) slots() ([]uint, error) {
	ids, err := l.ctx.GetSlotList(true)
	return ids, said("C_GetSlotList", err)
}

func (l library) tokenInfo(slot uint) (pkcs11.TokenInfo, error) {
	info, err := l.ctx.GetTokenInfo(slot)
	return info, said("C_GetTokenInfo", err)
}

func (l library) mechanism(slot, mechanism uint) (pkcs11.MechanismInfo, error) {
	info, err := l.ctx.GetMechanismInfo(slot, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)})
	return info, said("C_GetMechanismInfo", err)
}

func (l library) openSession(slot uint) (pkcs11.SessionHandle, error) {
	sh, err := l.ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	return sh, said("C_OpenSession", err)
}

func (l library) closeSession(sh pkcs11.SessionHandle) error {
	return said("C_CloseSession", l.ctx.CloseSession(sh))
}

func (l library) sessionInfo(sh pkcs11.SessionHandle) (pkcs11.SessionInfo, error) {
	info, err := l.ctx.GetSessionInfo(sh)
	return info, said("C_GetSessionInfo", err)
}

func (l library) login(sh pkcs11.SessionHandle, pin []byte) error {
	return said("C_Login", l.ctx.Login(sh, pkcs11.CKU_USER, string(pin)))
}

func (l library) find(sh pkcs11.SessionHandle, template []*pkcs11.Attribute) (found []pkcs11.ObjectHandle, err error) {
	if err := l.ctx.FindObjectsInit(sh, template); err != nil {
		return nil, said("C_FindObjectsInit", err)
	}
	defer func() {
		if e := l.ctx.FindObjectsFinal(sh); err == nil {
			err = said("C_FindObjectsFinal", e)
		}
	}()
	for {
		some, _, err := l.ctx.FindObjects(sh, 16)
		if err != nil || len(some) == 0 {
			return found, said("C_FindObjects", err)
		}
		found = append(found, some...)
	}
}

func (l library) attributes(sh pkcs11.SessionHandle, object pkcs11.ObjectHandle, types ...uint) ([]*pkcs11.Attribute, error) {
	asked := make([]*pkcs11.Attribute, len(types))
	for i, typ := range types {
		asked[i] = pkcs11.NewAttribute(typ, nil)
	}
	got, err := l.ctx.GetAttributeValue(sh, object, asked)
	return got, said("C_GetAttributeValue", err)
}

func (l library) generate(sh pkcs11.SessionHandle, template []*pkcs11.Attribute) error {
	_, err := l.ctx.GenerateKey(sh, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)}, template)
	return said("C_GenerateKey", err)
}

func (l library) create(sh pkcs11.SessionHandle, template []*pkcs11.Attribute) error {
	_, err := l.ctx.CreateObject(sh, template)
	return said("C_CreateObject", err)
}

func (l library) destroy(sh pkcs11.SessionHandle, object pkcs11.ObjectHandle) error {
	return said("C_DestroyObject", l.ctx.DestroyObject(sh, object))
}

func (l library) seal(sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, plaintext, aad []byte, byModule bool) (iv, sealed []byte, err error) {
	iv = make([]byte, ivSize) // zeros: what modules with an IV of their own want
	if !byModule {
		_, _ = rand.Read(iv)
	}
	p := pkcs11.NewGCMParams(iv, aad, tagBits)
	defer p.Free() // holds the IV and aad of the running operation
	if err := l.ctx.EncryptInit(sh, gcm(p), key); err != nil {
		return nil, nil, said("C_EncryptInit", err)
	}
	sealed, err = l.ctx.Encrypt(sh, plaintext)
	if err != nil {
		return nil, nil, said("C_Encrypt", err)
	}
	return p.IV(), sealed, nil
}

func (l library) open(sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, iv, sealed, aad []byte) ([]byte, error) {
	p := pkcs11.NewGCMParams(iv, aad, tagBits)
	defer p.Free()
	if err := l.ctx.DecryptInit(sh, gcm(p), key); err != nil {
		return nil, said("C_DecryptInit", err)
	}
	out, err := l.ctx.Decrypt(sh, sealed)
	return out, said("C_Decrypt", err)
}

func gcm(p *pkcs11.GCMParams) []*pkcs11.Mechanism {
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, p)}
}
