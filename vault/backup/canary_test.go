package backup_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
)

// fixedKEK hides nothing: the wrapped key is the key, turned over, so that a
// test knows what to look for.
type fixedKEK struct{ last [32]byte }

func (*fixedKEK) Name() string { return "fixed" }

func (k *fixedKEK) Wrap(_ context.Context, plain, _ []byte) ([]byte, error) {
	copy(k.last[:], plain)
	return turned(plain), nil
}

func (*fixedKEK) Unwrap(_ context.Context, blob, _ []byte) ([]byte, error) {
	if len(blob) != 32 {
		return nil, keys.ErrWrongKey
	}
	return turned(blob), nil
}

func turned(b []byte) []byte {
	out := bytes.Clone(b)
	for i := range out {
		out[i] = ^out[i]
	}
	return out
}

// Neither rows nor the manifest nor the key stand in an artefact, and no error
// tells of them.
func TestCanary(t *testing.T) {
	const canary = "KANARIENVOGEL-4711"
	key := &fixedKEK{}
	m := manifest(backup.Values)
	m.Program = canary
	m.Keysets[canary] = 1
	rows := []row{{1, canary, strings.Repeat(canary, 100)}, {2, "k" + canary, canary}}
	b := artefact(t, key, m, rows)
	for what, secret := range map[string]string{
		"a row": canary, "its hex": hex.EncodeToString([]byte(canary)), "its base64": base64.StdEncoding.EncodeToString([]byte(canary))[:20],
		"the name of a table": "people", "the key": string(key.last[:]),
	} {
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("%s stands in the artefact", what)
		}
	}
	var errs []error
	for at := 0; at < len(b); at += 7 {
		c := bytes.Clone(b)
		c[at] ^= 0x40
		_, _, err := read(t, key, c)
		errs = append(errs, err)
	}
	for _, bad := range [][]row{{{2, canary, canary}, {1, canary, canary}}, {{1, canary, ""}, {1, canary, ""}}, {{1, canary + strings.Repeat("x", 128), ""}}} {
		_, _, err := backup.Write(t.Context(), &bytes.Buffer{}, key, m, dump(bad))
		errs = append(errs, err)
	}
	text := errors.Join(errs...).Error()
	if strings.Contains(text, canary) || strings.Contains(text, string(key.last[:])) || strings.Contains(text, hex.EncodeToString(key.last[:4])) {
		t.Error("an error tells of a row or of the key")
	}
}
