package keys

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
)

const (
	rootName    = "root"
	formatRoot  = 1
	rootLabel   = "cloakroom/root/v1"
	keysetLabel = "cloakroom/keyset/v1"
)

// root seals keyset rows. It keeps the cipher and not the bytes of the key.
// A root seals one message for each change of a keyset, so random nonces are
// far from their limit.
type root struct {
	opaque
	vault [16]byte
	gcm   cipher.AEAD
}

func newRoot(secret *[SecretSize]byte, vault [16]byte) (*root, error) {
	gcm, err := newGCM(secret)
	if err != nil {
		return nil, err
	}
	return &root{vault: vault, gcm: gcm}, nil
}

func rootAAD(vault [16]byte) []byte { return append([]byte(rootLabel), vault[:]...) }

// createRoot makes a root and its row.
func createRoot(ctx context.Context, kek KEK, vault [16]byte) (*root, Row, error) {
	name := kek.Name()
	if len(name) > 255 {
		return nil, Row{}, fmt.Errorf("%w: the KEK's name has %d bytes, want at most 255", ErrUsage, len(name))
	}
	var secret [SecretSize]byte
	_, _ = rand.Read(secret[:])
	defer clear(secret[:])
	wrapped, err := kek.Wrap(ctx, secret[:], rootAAD(vault))
	if err != nil {
		return nil, Row{}, fmt.Errorf("wrapping the root by %s: %w", name, err)
	}
	blob := append([]byte{formatRoot, byte(len(name))}, name...)
	r, err := newRoot(&secret, vault)
	return r, Row{rootName, append(blob, wrapped...)}, err
}

// openRoot unwraps a root by one call of the KEK.
func openRoot(ctx context.Context, blob []byte, kek KEK, vault [16]byte) (*root, error) {
	if len(blob) < 2 || blob[0] != formatRoot || len(blob) < 2+int(blob[1]) {
		return nil, fmt.Errorf("%w: root row", ErrFormat)
	}
	// The name stands in clear and unproven: it helps a person to find the
	// right key and decides nothing.
	name, wrapped := blob[2:2+int(blob[1])], blob[2+int(blob[1]):]
	plain, err := kek.Unwrap(ctx, wrapped, rootAAD(vault))
	if err != nil {
		return nil, fmt.Errorf("unwrapping the root by %s (it was wrapped by %q): %w", kek.Name(), name, err)
	}
	defer clear(plain)
	if len(plain) != SecretSize {
		return nil, fmt.Errorf("%w: the root has %d bytes, want %d", ErrFormat, len(plain), SecretSize)
	}
	return newRoot((*[SecretSize]byte)(plain), vault)
}

// seal returns the row of a keyset.
func (r *root) seal(o *opened) (Row, error) {
	blob := o.header.append(nil)
	x := &sealedKeyset{}
	if err := o.handle.WriteWithAssociatedData(x, rootAEAD{r, nil}, r.keysetAD(blob)); err != nil {
		return Row{}, fmt.Errorf("sealing keyset %s: %w", o.header.id, err)
	}
	return Row{o.header.id.String(), append(blob, x.sealed...)}, nil
}

// open opens the row of a keyset and proves that it stands under its own name.
func (r *root) open(row Row) (*opened, error) {
	h, sealed, err := parseHeader(row.Blob)
	if err != nil {
		return nil, fmt.Errorf("row %q: %w", row.Name, err)
	}
	if row.Name != h.id.String() {
		return nil, fmt.Errorf("%w: row %q holds keyset %s", ErrWrongKey, row.Name, h.id)
	}
	wrong := false
	ad := r.keysetAD(row.Blob[:len(row.Blob)-len(sealed)])
	handle, err := keyset.ReadWithAssociatedData(&sealedKeyset{sealed}, rootAEAD{r, &wrong}, ad)
	if wrong {
		return nil, fmt.Errorf("%w: keyset %s", ErrWrongKey, h.id)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: keyset %s: %w", ErrFormat, h.id, err)
	}
	return build(h, handle)
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
