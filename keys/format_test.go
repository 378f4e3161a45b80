package keys_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"testing"

	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

func gcm(t testing.TB, key []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// openedRow is a keyset row opened as the package comment draws it, by
// nothing of the package.
type openedRow struct {
	root   cipher.AEAD
	header []byte
	keyset *tinkpb.Keyset
}

const headerFixed, headerEntry = 18, 15

func (o *openedRow) ad() []byte {
	return append(append([]byte("cloakroom/keyset/v1"), vaultA[:]...), o.header...)
}

// byHand opens the row of a keyset.
func byHand(t testing.TB, st keys.Storage, kek keys.KEK, name string) *openedRow {
	t.Helper()
	rows, err := st.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	blobs := map[string][]byte{}
	for _, r := range rows {
		blobs[r.Name] = r.Blob
	}
	root := blobs["root"]
	if root[0] != 2 || string(root[26:26+root[25]]) != kek.Name() {
		t.Fatal("the root row does not start as drawn")
	}
	aad := append(append([]byte("cloakroom/root/v2"), vaultA[:]...), root[1:25]...)
	secret, err := kek.Unwrap(t.Context(), root[26+root[25]:], aad)
	if err != nil {
		t.Fatal(err)
	}
	blob := blobs[name]
	size := headerFixed + headerEntry*int(binary.BigEndian.Uint16(blob[16:]))
	o := &openedRow{root: gcm(t, secret), header: bytes.Clone(blob[:size]), keyset: new(tinkpb.Keyset)}
	text, err := o.root.Open(nil, nil, blob[size:], o.ad())
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(text, o.keyset); err != nil {
		t.Fatal(err)
	}
	return o
}

// seal returns the row again, after header or keyset were changed.
func (o *openedRow) seal(t testing.TB) []byte {
	t.Helper()
	text, err := proto.Marshal(o.keyset)
	if err != nil {
		t.Fatal(err)
	}
	return o.root.Seal(bytes.Clone(o.header), nil, text, o.ad())
}

// Header and keyset must agree, even where both are authentic.
func TestHeaderAndKeysetAgree(t *testing.T) {
	const firstState, secondState = headerFixed + 6, headerFixed + headerEntry + 6
	tests := []struct {
		name   string
		change func(o *openedRow)
		want   error
	}{
		{"unchanged", func(*openedRow) {}, nil},
		{"header says disabled", func(o *openedRow) { o.header[secondState] = 2 }, keys.ErrFormat},
		{"header says destroyed", func(o *openedRow) { o.header[secondState] = 3 }, keys.ErrFormat},
		{"header says enabled", func(o *openedRow) { o.keyset.Key[1].Status = tinkpb.KeyStatusType_DISABLED }, keys.ErrFormat},
		{"unknown state", func(o *openedRow) { o.header[firstState] = 4 }, keys.ErrFormat},
		{"key without a version", func(o *openedRow) {
			o.header[17]--
			o.header = o.header[:headerFixed+headerEntry]
		}, keys.ErrFormat},
		{"version without a key", func(o *openedRow) { o.keyset.Key = o.keyset.Key[:1] }, keys.ErrFormat},
		{"another id", func(o *openedRow) { o.header[headerFixed+2]++ }, keys.ErrFormat},
		{"an id twice", func(o *openedRow) {
			copy(o.header[headerFixed+headerEntry+2:], o.header[headerFixed+2:headerFixed+6])
		}, keys.ErrFormat},
		{"key without a prefix", func(o *openedRow) { o.keyset.Key[1].OutputPrefixType = tinkpb.OutputPrefixType_RAW }, keys.ErrFormat},
		{"versions fall", func(o *openedRow) { o.header[headerFixed+1] = 3 }, keys.ErrFormat},
		{"next version in use", func(o *openedRow) { o.header[15] = 2 }, keys.ErrFormat},
		{"generation 0", func(o *openedRow) { clear(o.header[6:14]) }, keys.ErrFormat},
		{"PRF in the place of an AEAD", func(o *openedRow) { o.header[1] = byte(keys.KindDomain) }, keys.ErrWrongKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st, kek := keystest.NewStorage(), keystest.NewKEK()
			ring := create(t, st, kek, field7)
			if _, err := ring.AddVersion(t.Context(), field7); err != nil {
				t.Fatal(err)
			}
			o := byHand(t, st, kek, "field/7")
			tt.change(o)
			rows, err := st.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for i := range rows {
				if rows[i].Name == "field/7" {
					rows[i].Blob = o.seal(t)
				}
			}
			if _, err := keys.Open(t.Context(), keystest.NewStorage(rows...), kek, vaultA); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// A Ring without keysets is bound to its vault by the root alone.
func TestRootIsBoundToVault(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	create(t, st, kek)
	if _, err := keys.Open(t.Context(), st, kek, vaultB); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("got %v, want ErrWrongKey", err)
	}
}

// The forms of epoch and person's key are as drawn.
func TestEpochFormat(t *testing.T) {
	kek := keystest.NewEpochKEK()
	e, wrapped := newEpoch(t, kek, 5)
	number := []byte{0, 0, 0, 5}
	if wrapped[0] != 1 || !bytes.Equal(wrapped[1:5], number) {
		t.Fatal("the wrapped epoch key does not start as drawn")
	}
	aad := append(append([]byte("cloakroom/epoch/v1"), vaultA[:]...), number...)
	secret, err := kek.Unwrap(t.Context(), 5, wrapped[5:], aad)
	if err != nil {
		t.Fatal(err)
	}
	person := keys.NewSubjectKey()
	blob := e.WrapSubjectKey(nil, 0x0102030405060708, 0x0a0b0c0d, person.Expose())
	if !bytes.Equal(blob[:9], []byte{1, 0, 0, 0, 5, 0xa, 0xb, 0xc, 0xd}) {
		t.Fatal("the wrapped person's key does not start as drawn")
	}
	ad := append(append([]byte("cloakroom/subject-key/v1"), vaultA[:]...), number...)
	ad = append(ad, 1, 2, 3, 4, 5, 6, 7, 8, 0xa, 0xb, 0xc, 0xd)
	got, err := gcm(t, secret).Open(nil, nil, blob[9:], ad)
	if err != nil || !bytes.Equal(got, person.Expose()[:]) {
		t.Errorf("does not open as drawn: %v", err)
	}
}
