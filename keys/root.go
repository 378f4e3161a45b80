package keys

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
)

const keysetLabel = "cloakroom/keyset/v1"

// root seals keyset rows. It keeps the cipher and not the bytes of the key.
// A root seals one message for each change of a keyset, so random nonces are
// far from their limit.
type root struct {
	opaque
	vault   [16]byte
	version uint32
	gcm     cipher.AEAD
}

func newRoot(secret *[SecretSize]byte, vault [16]byte, version uint32) (*root, error) {
	gcm, err := newGCM(secret)
	if err != nil {
		return nil, err
	}
	return &root{vault: vault, version: version, gcm: gcm}, nil
}

// createRoot makes a fresh root, of the version after that of row, and wraps
// it.
func createRoot(ctx context.Context, kek KEK, vault [16]byte, row rootRow) (*root, rootRow, error) {
	var secret [SecretSize]byte
	_, _ = rand.Read(secret[:])
	defer clear(secret[:])
	return wrapRoot(ctx, kek, vault, row, &secret)
}

// wrapRoot makes secret the root of the version after that of row.
func wrapRoot(ctx context.Context, kek KEK, vault [16]byte, row rootRow, secret *[SecretSize]byte) (*root, rootRow, error) {
	if row.version == ^uint32(0) {
		return nil, rootRow{}, fmt.Errorf("%w: the root has no version numbers left", ErrUsage)
	}
	row.version, row.made = row.version+1, time.Now().Unix()
	row, err := row.wrap(ctx, kek, vault, secret)
	if err != nil {
		return nil, rootRow{}, err
	}
	rt, err := newRoot(secret, vault, row.version)
	return rt, row, err
}

// same reports whether both hold one key.
func (r *root) same(other *root) bool {
	_, err := other.gcm.Open(nil, nil, r.gcm.Seal(nil, nil, nil, nil), nil)
	return err == nil
}

// seal returns the row of a keyset.
func (r *root) seal(h header, handle *keyset.Handle) (Row, error) {
	blob := h.append(nil)
	x := &sealedKeyset{}
	if err := handle.WriteWithAssociatedData(x, rootAEAD{r, nil}, r.keysetAD(blob)); err != nil {
		return Row{}, fmt.Errorf("sealing keyset %s: %w", h.id, err)
	}
	return Row{h.id.String(), append(blob, x.sealed...)}, nil
}

// open opens the row of a keyset and proves that it stands under its own name.
func (r *root) open(row Row) (header, *keyset.Handle, error) {
	h, sealed, err := parseHeader(row.Blob)
	if err != nil {
		return header{}, nil, fmt.Errorf("row %q: %w", row.Name, err)
	}
	if row.Name != h.id.String() {
		return header{}, nil, fmt.Errorf("%w: row %q holds keyset %s", ErrWrongKey, row.Name, h.id)
	}
	wrong := false
	ad := r.keysetAD(row.Blob[:len(row.Blob)-len(sealed)])
	handle, err := keyset.ReadWithAssociatedData(&sealedKeyset{sealed}, rootAEAD{r, &wrong}, ad)
	if wrong {
		return header{}, nil, fmt.Errorf("%w: keyset %s", ErrWrongKey, h.id)
	}
	if err != nil {
		return header{}, nil, fmt.Errorf("%w: keyset %s: %w", ErrFormat, h.id, err)
	}
	return h, handle, nil
}

// reseal returns a row of r, sealed anew under another root of the vault.
func (r *root) reseal(row Row, to *root) (Row, error) {
	_, sealed, err := parseHeader(row.Blob)
	if err != nil {
		return Row{}, fmt.Errorf("row %q: %w", row.Name, err)
	}
	header := row.Blob[:len(row.Blob)-len(sealed)]
	plain, err := r.gcm.Open(nil, nil, sealed, r.keysetAD(header))
	if err != nil {
		return Row{}, fmt.Errorf("%w: row %q", ErrWrongKey, row.Name)
	}
	defer clear(plain)
	return Row{row.Name, to.gcm.Seal(bytes.Clone(header), nil, plain, to.keysetAD(header))}, nil
}

func (r *root) keysetAD(header []byte) []byte {
	ad := append([]byte(keysetLabel), r.vault[:]...)
	return append(ad, header...)
}

// rootAEAD is the root as the tink.AEAD that Tink writes and reads keysets
// with. Tink drops the cause of a failed Decrypt, so wrong remembers it.
type rootAEAD struct {
	r     *root
	wrong *bool
}

func (a rootAEAD) Encrypt(plaintext, ad []byte) ([]byte, error) {
	return a.r.gcm.Seal(nil, nil, plaintext, ad), nil
}

func (a rootAEAD) Decrypt(ciphertext, ad []byte) ([]byte, error) {
	out, err := a.r.gcm.Open(nil, nil, ciphertext, ad)
	if err != nil {
		*a.wrong = true
		return nil, ErrWrongKey
	}
	return out, nil
}

// sealedKeyset takes from Tink, and gives it, the enciphered part of a keyset
// alone. Tink's own container also holds key information in clear, which
// nothing authenticates.
type sealedKeyset struct{ sealed []byte }

func (*sealedKeyset) Write(*tinkpb.Keyset) error {
	return fmt.Errorf("%w: a keyset in clear", ErrUsage)
}

func (s *sealedKeyset) WriteEncrypted(e *tinkpb.EncryptedKeyset) error {
	s.sealed = e.GetEncryptedKeyset()
	return nil
}

func (*sealedKeyset) Read() (*tinkpb.Keyset, error) {
	return nil, fmt.Errorf("%w: a keyset in clear", ErrUsage)
}

func (s *sealedKeyset) ReadEncrypted() (*tinkpb.EncryptedKeyset, error) {
	return &tinkpb.EncryptedKeyset{EncryptedKeyset: s.sealed}, nil
}
