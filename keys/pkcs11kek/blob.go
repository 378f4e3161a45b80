//go:build cgo && !nopkcs11

package pkcs11kek

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	formatBlob   = 1
	blobHeader   = 1 + 4 + ivSize
	maxPlaintext = 4096
	maxBlob      = blobHeader + maxPlaintext + tagSize

	kekLabel   = "cloakroom/pkcs11kek/kek/v1"
	epochLabel = "cloakroom/pkcs11kek/epoch/v1"
)

func kekAAD(aad []byte) []byte { return append([]byte(kekLabel), aad...) }

func epochAAD(epoch uint32, aad []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte(epochLabel), epoch), aad...)
}

func checkPlaintext(plaintext []byte) error {
	if len(plaintext) > maxPlaintext {
		return fmt.Errorf("%w: a plaintext of %d bytes, want at most %d", keys.ErrUsage, len(plaintext), maxPlaintext)
	}
	return nil
}

// checkBlob lets no bytes reach the module that no blob has.
func checkBlob(blob []byte) error {
	if len(blob) < blobHeader+tagSize || len(blob) > maxBlob || blob[0] != formatBlob ||
		binary.BigEndian.Uint32(blob[1:]) != pkcs11.CKM_AES_GCM {
		return fmt.Errorf("%w: not a blob of a PKCS#11 token", keys.ErrFormat)
	}
	return nil
}

func (t *Token) wrap(sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, plaintext, aad []byte) ([]byte, error) {
	iv, sealed, err := t.module.seal(sh, key, plaintext, aad, t.cfg.ModuleIV)
	if err != nil {
		return nil, err
	}
	// An IV that comes back as it went in, all zero, would come again.
	if len(iv) != ivSize || [ivSize]byte(iv) == [ivSize]byte{} {
		return nil, fmt.Errorf("%w: the module makes no IVs of %d bytes: unset ModuleIV", keys.ErrUsage, ivSize)
	}
	if len(sealed) != len(plaintext)+tagSize {
		return nil, fmt.Errorf("%w: the module sealed %d bytes into %d", keys.ErrUsage, len(plaintext), len(sealed))
	}
	blob := append(make([]byte, 0, blobHeader+len(sealed)), formatBlob)
	blob = binary.BigEndian.AppendUint32(blob, pkcs11.CKM_AES_GCM)
	return append(append(blob, iv...), sealed...), nil
}

func (t *Token) unwrap(sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, blob, aad []byte) ([]byte, error) {
	out, err := t.module.open(sh, key, blob[blobHeader-ivSize:blobHeader], blob[blobHeader:], aad)
	switch {
	case err == nil:
		return out, nil
	case maybeNotAuthentic(err):
		if e := t.probe(sh, key); e != nil {
			return nil, e
		}
	case !notAuthentic(err):
		return nil, err
	}
	// What the library said is told as text only: it is no trouble of the
	// session, and must not be taken for one.
	return nil, fmt.Errorf("%w: token %q: %s", keys.ErrWrongKey, t.cfg.Token, err.Error())
}

// probe returns nil when the key seals and opens.
func (t *Token) probe(sh pkcs11.SessionHandle, key pkcs11.ObjectHandle) error {
	want := make([]byte, keySize)
	_, _ = rand.Read(want)
	aad := []byte("cloakroom/pkcs11kek/probe/v1")
	iv, sealed, err := t.module.seal(sh, key, want, aad, t.cfg.ModuleIV)
	if err != nil {
		return err
	}
	got, err := t.module.open(sh, key, iv, sealed, aad)
	if err == nil && string(got) != string(want) {
		return fmt.Errorf("%w: token %q opens to something else", keys.ErrAway, t.cfg.Token)
	}
	return err
}
