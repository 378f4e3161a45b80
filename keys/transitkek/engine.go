package transitkek

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// keyType is the only one that is used: its nonces are random, and it takes
// associated data.
const keyType = "aes256-gcm96"

// notMade is a type that the engine makes no key of when it enciphers. By
// itself it makes a key that is missing and enciphers under it; with this
// type it refuses to, and uses a key that is there as it is.
const notMade = "ecdsa-p256"

// engine is a transit engine.
type engine struct {
	s     *session
	mount string
}

// state is what the engine says of a key.
type state struct {
	Type          string `json:"type"`
	Derived       bool   `json:"derived"`
	Exportable    bool   `json:"exportable"`
	Backup        bool   `json:"allow_plaintext_backup"`
	SoftDeleted   bool   `json:"soft_deleted"` // OpenBao
	Latest        int    `json:"latest_version"`
	MinDecryption int    `json:"min_decryption_version"`
	MinEncryption int    `json:"min_encryption_version"`
	MinAvailable  int    `json:"min_available_version"`
	// Keys are the versions that can be used; the values do not matter.
	Keys map[string]json.RawMessage `json:"keys"`
}

// usable tells why a version, 0 for the latest, cannot be used: ErrDestroyed when its key is
// gone, ErrDisabled when the key is kept and was put out of use.
func (s *state) usable(version int) error {
	switch {
	case s.gone(version):
		return fmt.Errorf("%w: version %d was trimmed away", keys.ErrDestroyed, version)
	case s.SoftDeleted:
		return fmt.Errorf("%w: it is marked as deleted", keys.ErrDisabled)
	case version < s.MinDecryption && version > 0:
		return fmt.Errorf("%w: version %d is below min_decryption_version", keys.ErrDisabled, version)
	}
	return nil
}

// gone reports whether the engine no longer has a version that it had.
func (s *state) gone(version int) bool {
	_, kept := s.Keys[strconv.Itoa(version)]
	return version > 0 && version < s.MinAvailable && !kept
}

func (s *state) fits() error {
	if s.Type != keyType || s.Derived {
		return fmt.Errorf("%w: it must be of type %s and not derived", keys.ErrUsage, keyType)
	}
	return nil
}

type stateAnswer struct {
	Data *state `json:"data"`
	// Warnings: one says that a key which was to be made was there.
	Warnings []string `json:"warnings"`
}

func (e *engine) post(op, verb, key string, in any) request {
	return request{op: op, method: http.MethodPost, path: e.mount + "/" + verb + "/" + key, in: in}
}

// read returns the state of a key. ErrNoKey when there is none.
func (e *engine) read(ctx context.Context, key string) (*state, error) {
	var out stateAnswer
	r := request{op: "reading key " + key, method: http.MethodGet, path: e.mount + "/keys/" + key}
	if err := e.s.call(ctx, r, &out); err != nil {
		return nil, err
	}
	if out.Data == nil {
		return nil, fmt.Errorf("%w: %s: the answer has no data", keys.ErrAway, r.op)
	}
	return out.Data, nil
}

// encrypt enciphers under a version of a key, 0 for the latest, and proves
// that the result opens and is bound to aad: an engine of before Vault 1.12
// takes associated data and leaves it out.
func (e *engine) encrypt(ctx context.Context, key string, version int, plaintext, aad []byte) ([]byte, error) {
	if len(plaintext) > maxPlaintext {
		return nil, fmt.Errorf("%w: a plaintext of %d bytes, want at most %d", keys.ErrUsage, len(plaintext), maxPlaintext)
	}
	ad := bound(aad)
	in := struct {
		Plaintext []byte `json:"plaintext"`
		Data      []byte `json:"associated_data"`
		Version   int    `json:"key_version,omitempty"`
		Type      string `json:"type"`
	}{append([]byte{}, plaintext...), ad, version, notMade} // a nil slice would be null
	defer clear(in.Plaintext)
	var out struct {
		Data struct {
			Ciphertext string `json:"ciphertext"`
		} `json:"data"`
	}
	r := e.post("enciphering under key "+key, "encrypt", key, in)
	if err := e.s.call(ctx, r, &out); err != nil {
		return nil, e.explain(ctx, key, version, err)
	}
	text := out.Data.Ciphertext
	made, size, err := parse(text)
	if err != nil || size != len(plaintext) || version != 0 && made != version {
		return nil, fmt.Errorf("%w: %s: the answer is not a ciphertext of type %s", keys.ErrUsage, r.op, keyType)
	}
	got, err := e.decrypt(ctx, key, made, text, ad)
	defer clear(got)
	if err != nil || !bytes.Equal(got, plaintext) {
		return nil, fmt.Errorf("proving what key %s enciphered: %w", key, orWrong(err))
	}
	other := append(slices.Clone(ad), 0)
	leak, err := e.decrypt(ctx, key, made, text, other)
	clear(leak)
	switch {
	case err == nil:
		return nil, fmt.Errorf("%w: the engine does not bind associated data; it must be Vault 1.13 or OpenBao 2.0 at least", keys.ErrUsage)
	case !isWrong(err):
		return nil, fmt.Errorf("proving what key %s enciphered: %w", key, err)
	}
	return append([]byte{formatBlob}, text...), nil
}

// decrypt opens what a version of a key enciphered with the given associated
// data.
func (e *engine) decrypt(ctx context.Context, key string, version int, text string, ad []byte) ([]byte, error) {
	in := struct {
		Ciphertext string `json:"ciphertext"`
		Data       []byte `json:"associated_data"`
	}{text, ad}
	var out struct {
		Data struct {
			Plaintext []byte `json:"plaintext"`
		} `json:"data"`
	}
	r := e.post("deciphering under key "+key, "decrypt", key, in)
	err := e.s.call(ctx, r, &out)
	switch {
	case answered(err, http.StatusBadRequest):
		st, err := e.read(ctx, key)
		if err == nil {
			err = st.usable(version)
		}
		if err == nil {
			err = keys.ErrWrongKey
		}
		return nil, fmt.Errorf("key %s: %w", key, err)
	case err != nil:
		return nil, err
	case out.Data.Plaintext == nil:
		return nil, fmt.Errorf("%w: %s: the answer has no plaintext", keys.ErrAway, r.op)
	}
	return out.Data.Plaintext, nil
}

// explain finds out why the engine refused a request to encipher. Its own
// words are not asked: they differ between engines.
func (e *engine) explain(ctx context.Context, key string, version int, err error) error {
	// Who may not make keys is denied, rather than told that there is none.
	denied := answered(err, http.StatusForbidden)
	if !denied && !answered(err, http.StatusBadRequest) {
		return err
	}
	st, readErr := e.read(ctx, key)
	switch {
	case readErr != nil && (!denied || errors.Is(readErr, keys.ErrNoKey)):
		return readErr
	case denied:
		return err
	}
	why := cmp.Or(st.usable(version), st.fits())
	if why == nil && version > 0 && version < st.MinEncryption {
		why = fmt.Errorf("%w: version %d is below min_encryption_version", keys.ErrDisabled, version)
	}
	if why == nil {
		return err
	}
	return fmt.Errorf("key %s: %w", key, why)
}
