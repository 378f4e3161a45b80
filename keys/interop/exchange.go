package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/google/tink/go/insecurecleartextkeyset"
	"github.com/google/tink/go/keyset"
	tinkpb "github.com/google/tink/go/proto/tink_go_proto"
)

// exchange is what the two sides tell each other. The tests of package keys
// have the same type.
type exchange struct {
	// Root is the key that keysets are sealed under: AES-256-GCM, a random nonce
	// of 12 bytes before the ciphertext.
	Root hexBytes `json:"root"`
	// Vault is the vault's id, which the rows are bound to.
	Vault hexBytes `json:"vault"`
	// Data is the associated data of the encrypted containers.
	Data    hexBytes `json:"associated_data"`
	Keysets []*set   `json:"keysets,omitempty"`
}

// set is one keyset in three forms, and what was made with it.
type set struct {
	// Row and Blob are the name and the bytes of a row of a vault.
	Row  string   `json:"row"`
	Blob hexBytes `json:"blob"`
	// Clear is Tink's binary keyset, Encrypted its binary encrypted keyset.
	Clear     hexBytes `json:"clear"`
	Encrypted hexBytes `json:"encrypted"`
	Sealed    []sealed `json:"sealed,omitempty"`
	Outputs   []output `json:"outputs,omitempty"`
	Signed    []signed `json:"signed,omitempty"`
}

// sealed is a ciphertext. Disabled: it must not open.
type sealed struct {
	Version    uint16   `json:"version"`
	Plaintext  hexBytes `json:"plaintext"`
	Data       hexBytes `json:"associated_data"`
	Ciphertext hexBytes `json:"ciphertext"`
	Disabled   bool     `json:"disabled,omitempty"`
}

// output is one of a PRF, for the label and the input that package keys joins.
type output struct {
	Version uint16   `json:"version"`
	Label   string   `json:"label"`
	Input   hexBytes `json:"input"`
	Output  hexBytes `json:"output"`
}

type signed struct {
	Message   hexBytes `json:"message"`
	Signature hexBytes `json:"signature"`
}

type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// root is the tink.AEAD that keysets are sealed with.
type root struct{ gcm cipher.AEAD }

func newRoot(key []byte) (root, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return root{}, err
	}
	gcm, err := cipher.NewGCM(block)
	return root{gcm}, err
}

func (r root) Encrypt(plaintext, data []byte) ([]byte, error) {
	nonce := make([]byte, r.gcm.NonceSize())
	_, _ = rand.Read(nonce)
	return r.gcm.Seal(nonce, nonce, plaintext, data), nil
}

func (r root) Decrypt(ciphertext, data []byte) ([]byte, error) {
	n := r.gcm.NonceSize()
	if len(ciphertext) < n {
		return nil, errors.New("too short")
	}
	return r.gcm.Open(nil, ciphertext[:n], ciphertext[n:], data)
}

// write fills in the three forms of a keyset.
func (x *exchange) write(s *set, h *keyset.Handle, head header) error {
	r, err := newRoot(x.Root)
	if err != nil {
		return err
	}
	var clear, encrypted bytes.Buffer
	mem := &keyset.MemReaderWriter{}
	top := head.bytes()
	if err := errors.Join(
		insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&clear)),
		h.WriteWithAssociatedData(keyset.NewBinaryWriter(&encrypted), r, x.Data),
		h.WriteWithAssociatedData(mem, r, x.rowData(top)),
	); err != nil {
		return err
	}
	s.Row, s.Clear, s.Encrypted = head.name(), clear.Bytes(), encrypted.Bytes()
	s.Blob = append(top, mem.EncryptedKeyset.GetEncryptedKeyset()...)
	return nil
}

// read opens all three forms, and wants none of the two sealed ones to open in
// another place.
func (x *exchange) read(s *set) (head header, handles map[string]*keyset.Handle, err error) {
	r, err := newRoot(x.Root)
	if err != nil {
		return head, nil, err
	}
	head, err = parseHeader(s.Blob)
	if err != nil {
		return head, nil, err
	}
	top := head.size()
	row := func(data []byte) (*keyset.Handle, error) {
		sealed := &tinkpb.EncryptedKeyset{EncryptedKeyset: s.Blob[top:]}
		return keyset.ReadWithAssociatedData(&keyset.MemReaderWriter{EncryptedKeyset: sealed}, r, data)
	}
	box := func(data []byte) (*keyset.Handle, error) {
		return keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(s.Encrypted)), r, data)
	}
	handles = map[string]*keyset.Handle{}
	var rowErr, boxErr, clearErr error
	handles["row"], rowErr = row(x.rowData(s.Blob[:top]))
	handles["encrypted"], boxErr = box(x.Data)
	handles["clear"], clearErr = insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(s.Clear)))
	if err := errors.Join(rowErr, boxErr, clearErr); err != nil {
		return head, nil, err
	}
	if _, err := row(x.Data); err == nil {
		return head, nil, errors.New("the row opens in another place")
	}
	if _, err := box(x.Vault); err == nil {
		return head, nil, errors.New("the encrypted keyset opens in another place")
	}
	for form, h := range handles {
		if got := h.KeysetInfo().String(); got != handles["clear"].KeysetInfo().String() {
			return head, nil, fmt.Errorf("the form %q holds another keyset", form)
		}
	}
	return head, handles, nil
}
