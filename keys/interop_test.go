package keys_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/fips140"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/signature"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

var updateInterop = flag.Bool("update-interop", false, "write interop/testdata anew; needs the program of keys/interop")

// The golden exchanges: keysets and ciphertexts of Tink v1.7.0, and of this
// package as it was when they were written.
const (
	oldGolden = "interop/testdata/made_by_tink_v1.7.0.json"
	ourGolden = "interop/testdata/made_by_cloakroom.json"
)

// exchange is what keys/interop says and is told; its comments say what is
// what.
type exchange struct {
	Root    hexBytes       `json:"root"`
	Vault   hexBytes       `json:"vault"`
	Data    hexBytes       `json:"associated_data"`
	Keysets []*exchangeSet `json:"keysets,omitempty"`
}

type exchangeSet struct {
	Row       string            `json:"row"`
	Blob      hexBytes          `json:"blob"`
	Clear     hexBytes          `json:"clear"`
	Encrypted hexBytes          `json:"encrypted"`
	Sealed    []exchangeSealed  `json:"sealed,omitempty"`
	Outputs   []exchangeOutput  `json:"outputs,omitempty"`
	Signed    []exchangeMessage `json:"signed,omitempty"`
}

type exchangeSealed struct {
	Version    uint16   `json:"version"`
	Plaintext  hexBytes `json:"plaintext"`
	Data       hexBytes `json:"associated_data"`
	Ciphertext hexBytes `json:"ciphertext"`
	Disabled   bool     `json:"disabled,omitempty"`
}

type exchangeOutput struct {
	Version uint16   `json:"version"`
	Label   string   `json:"label"`
	Input   hexBytes `json:"input"`
	Output  hexBytes `json:"output"`
}

type exchangeMessage struct {
	Message   hexBytes `json:"message"`
	Signature hexBytes `json:"signature"`
}

// TestInteropGolden opens both golden exchanges, for ever.
func TestInteropGolden(t *testing.T) {
	for _, path := range []string{oldGolden, ourGolden} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var x exchange
			check(t, json.Unmarshal(must(os.ReadFile(path))(t), &x))
			x.open(t)
		})
	}
}

// open opens the rows as those of a vault, and everything made with them; and
// the other forms of the keysets with Tink as it is today.
func (x *exchange) open(t *testing.T) {
	t.Helper()
	if len(x.Keysets) != 3 {
		t.Fatalf("%d keysets, want a field, a domain and a signer", len(x.Keysets))
	}
	vault, kek := [16]byte(x.Vault), keystest.NewKEK()
	wrapped := must(kek.Wrap(t.Context(), x.Root, append([]byte("cloakroom/root/v1"), x.Vault...)))(t)
	rows := []keys.Row{{Name: "root", Blob: append([]byte("\x01\x06memory"), wrapped...)}}
	for _, s := range x.Keysets {
		rows = append(rows, keys.Row{Name: s.Row, Blob: s.Blob})
	}
	ring, err := keys.Open(t.Context(), keystest.NewStorage(rows...), kek, vault)
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	for _, s := range x.Keysets {
		id := must(keys.ParseID(s.Row))(t)
		snap := ring.Snapshot()
		switch id.Kind {
		case keys.KindField:
			s.openSealed(t, snap.AEAD(id))
		case keys.KindDomain:
			s.computeOutputs(t, snap.PRF(id))
		case keys.KindAuditSigner:
			s.verifySigned(t, snap.Signer(id))
		default:
			t.Errorf("%s: not a keyset of an exchange", s.Row)
		}
		// Tink's own AES-GCM is none that FIPS mode takes; ours above is.
		fips140.WithoutEnforcement(func() { s.openForms(t, x, ring.Handle(t, id)) })
	}
}

func (s *exchangeSet) openSealed(t *testing.T, a *keys.AEAD) {
	t.Helper()
	if len(s.Sealed) == 0 {
		t.Errorf("%s: nothing was sealed", s.Row)
	}
	for _, c := range s.Sealed {
		out, err := a.Open(nil, c.Ciphertext, c.Data)
		switch {
		case c.Disabled && !errors.Is(err, keys.ErrDisabled):
			t.Errorf("%s version %d is disabled: got %v", s.Row, c.Version, err)
		case !c.Disabled && (err != nil || !bytes.Equal(out, c.Plaintext)):
			t.Errorf("%s version %d, %d bytes: %v", s.Row, c.Version, len(c.Plaintext), err)
		}
		if v, err := a.KeyVersion(c.Ciphertext); v != c.Version {
			t.Errorf("%s: version %d (%v), want %d", s.Row, v, err, c.Version)
		}
		if _, err := a.Open(nil, c.Ciphertext, append([]byte("another "), c.Data...)); err == nil {
			t.Errorf("%s version %d opens in another place", s.Row, c.Version)
		}
	}
}

func (s *exchangeSet) computeOutputs(t *testing.T, p *keys.PRF) {
	t.Helper()
	if len(s.Outputs) == 0 {
		t.Errorf("%s: no outputs", s.Row)
	}
	for _, c := range s.Outputs {
		if out, err := p.Compute(c.Version, c.Label, c.Input); err != nil || !bytes.Equal(out[:], c.Output) {
			t.Errorf("%s version %d, %d bytes: another output, %v", s.Row, c.Version, len(c.Input), err)
		}
	}
}

func (s *exchangeSet) verifySigned(t *testing.T, signer *keys.Signer) {
	t.Helper()
	if len(s.Signed) == 0 {
		t.Errorf("%s: nothing was signed", s.Row)
	}
	for _, c := range s.Signed {
		if !ed25519.Verify(signer.Public(), c.Message, c.Signature) {
			t.Errorf("%s: a signature of %d bytes does not fit", s.Row, len(c.Message))
		}
		if own := must(signer.Sign(c.Message))(t); !bytes.Equal(own, c.Signature) {
			t.Errorf("%s: we sign %d bytes otherwise", s.Row, len(c.Message))
		}
	}
}

// openForms wants Tink's own forms of the keyset to hold what the row holds,
// and to work.
func (s *exchangeSet) openForms(t *testing.T, x *exchange, row *keyset.Handle) {
	t.Helper()
	root := tinkSealer{t, x.Root}
	box := keyset.NewBinaryReader(bytes.NewReader(s.Encrypted))
	forms := map[string]*keyset.Handle{
		"clear":     must(insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(s.Clear))))(t),
		"encrypted": must(keyset.ReadWithAssociatedData(box, root, x.Data))(t),
	}
	for form, h := range forms {
		if h.KeysetInfo().String() != row.KeysetInfo().String() {
			t.Errorf("%s: the %s form holds another keyset", s.Row, form)
		}
		for _, c := range s.Sealed {
			out, err := must(aead.New(h))(t).Decrypt(c.Ciphertext, c.Data)
			if c.Disabled != (err != nil) || err == nil && !bytes.Equal(out, c.Plaintext) {
				t.Errorf("%s: by the %s form, version %d: %v", s.Row, form, c.Version, err)
			}
		}
		for _, c := range s.Outputs {
			p := must(prf.NewPRFSet(h))(t)
			framed := append(append([]byte{byte(len(c.Label))}, c.Label...), c.Input...)
			entry := must(h.Entry(int(c.Version) - 1))(t) // keysets here keep the order in which versions were added
			if out, err := p.PRFs[entry.KeyID()].ComputePRF(framed, keys.PRFSize); err != nil || !bytes.Equal(out, c.Output) {
				t.Errorf("%s: by the %s form, version %d: another output, %v", s.Row, form, c.Version, err)
			}
		}
		for _, c := range s.Signed {
			if err := must(signature.NewVerifier(must(h.Public())(t)))(t).Verify(c.Signature, c.Message); err != nil {
				t.Errorf("%s: by the %s form: %v", s.Row, form, err)
			}
		}
	}
	box = keyset.NewBinaryReader(bytes.NewReader(s.Encrypted))
	if _, err := keyset.ReadWithAssociatedData(box, root, x.Vault); err == nil {
		t.Errorf("%s: the encrypted form opens in another place", s.Row)
	}
}

// tinkSealer is a root as the tink.AEAD of encrypted keysets.
type tinkSealer struct {
	t    *testing.T
	root []byte
}

func (a tinkSealer) Encrypt(plaintext, data []byte) ([]byte, error) {
	return gcm(a.t, a.root).Seal(nil, nil, plaintext, data), nil
}

func (a tinkSealer) Decrypt(ciphertext, data []byte) ([]byte, error) {
	return gcm(a.t, a.root).Open(nil, nil, ciphertext, data)
}

// newRequest is an exchange without keysets, for a fresh root.
func newRequest() *exchange {
	x := &exchange{Root: make([]byte, keys.SecretSize), Vault: make([]byte, 16), Data: []byte("a container's place")}
	_, _ = rand.Read(x.Root)
	_, _ = rand.Read(x.Vault)
	return x
}
