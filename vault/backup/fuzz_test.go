package backup_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
)

// FuzzOpen changes artefacts from outside: whatever comes, it is read as it
// was written or refused.
func FuzzOpen(f *testing.F) {
	k := kek()
	whole := artefact(f, k, manifest(backup.Keys), []row{{1, "k", "v"}, {6, "a", "b"}})
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(whole[:60])
	f.Add([]byte("cloakroom-backup\x01\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, rows, err := read(t, k, b)
		switch {
		case err == nil && (!bytes.Equal(b, whole) || len(rows) != 2):
			t.Error("something else than what was written was read")
		case err != nil:
			refused(t, "fuzzed bytes", err)
		}
	})
}

// FuzzPlain reads what who holds the key could have written.
func FuzzPlain(f *testing.F) {
	key := &fixedKEK{}
	for _, rows := range [][]row{nil, {{1, "k", "v"}, {2, "l", ""}, {6, "m", "w"}}, some(500)} {
		plain, err := backup.Plain(bytes.NewReader(artefact(f, key, manifest(backup.Keys), rows)), &key.last)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain)
		f.Add(plain[:len(plain)-33])
	}
	m := manifest(backup.Keys)
	h := backup.Header{Kind: m.Kind, Vault: m.Vault, Pair: m.Pair, Time: m.Time, Epochs: []uint32{3, 4}}
	f.Fuzz(func(t *testing.T, plain []byte) {
		r, err := backup.OpenPlain(bytes.NewReader(plain), h)
		if err == nil {
			_, err = rest(r)
		}
		if err != nil && !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("got %v", err)
		}
	})
}

// Plaintext that contradicts itself is refused, also when it is sealed well.
func TestPlainThatContradictsItself(t *testing.T) {
	key := &fixedKEK{}
	plain, err := backup.Plain(bytes.NewReader(artefact(t, key, manifest(backup.Keys), []row{{1, "k", "v"}, {1, "l", "w"}, {6, "m", "x"}})), &key.last)
	if err != nil {
		t.Fatal(err)
	}
	m := manifest(backup.Keys)
	right := backup.Header{Kind: m.Kind, Vault: m.Vault, Pair: m.Pair, Time: m.Time, Epochs: []uint32{3, 4}}
	rows := bytes.Index(plain, []byte("\x01\x01\x01kv"))
	at := func(i int, v byte) []byte {
		b := bytes.Clone(plain)
		b[i] = v
		return b
	}
	other := func(f func(*backup.Header)) backup.Header {
		h := right
		f(&h)
		return h
	}
	for _, c := range []struct {
		name   string
		header backup.Header
		plain  []byte
		ok     bool
	}{
		{"as it was", right, plain, true},
		{"another kind", other(func(h *backup.Header) { h.Kind = backup.Values }), plain, false},
		{"another vault", other(func(h *backup.Header) { h.Vault[0]++ }), plain, false},
		{"another pair", other(func(h *backup.Header) { h.Pair[0]++ }), plain, false},
		{"another time", other(func(h *backup.Header) { h.Time = h.Time.Add(1) }), plain, false},
		{"other epochs", other(func(h *backup.Header) { h.Epochs = h.Epochs[1:] }), plain, false},
		{"a manifest that is too long", right, at(0, 0xff), false},
		{"a manifest that is none", right, at(4, 'x'), false},
		{"a table that is not there", right, at(rows, 5), false},
		{"a table that comes late", right, at(rows, 6), false},
		{"keys that fall", right, at(rows+3, 'z'), false},
		{"an empty key", right, at(rows+1, 0), false},
		{"a key that is too long", right, at(rows+1, 0x7f), false},
		{"another value", right, at(rows+4, 'w'), false},
		{"another count", right, at(len(plain)-33, 9), false},
		{"another table counted", right, at(len(plain)-32-9, 9), false},
		{"more tables counted", right, at(len(plain)-32-3*9-1, 4), false},
		{"another hash", right, at(len(plain)-1, plain[len(plain)-1]^1), false},
		{"something behind it", right, append(bytes.Clone(plain), 0), false},
		{"no end", right, plain[:len(plain)-1], false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := backup.OpenPlain(bytes.NewReader(c.plain), c.header)
			if err == nil {
				_, err = rest(r)
			}
			if c.ok != (err == nil) || err != nil && !errors.Is(err, backup.ErrDamaged) {
				t.Errorf("got %v", err)
			}
		})
	}
}

var _ keys.KEK = (*fixedKEK)(nil)
