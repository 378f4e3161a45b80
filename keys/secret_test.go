package keys_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

// No printed form of a type that holds keys shows any, alone or inside
// another struct.
func TestPrintedFormsShowNothing(t *testing.T) {
	secret := keys.CopySecret(&[32]byte{0xde, 0xad, 0xbe, 0xef, 0xde, 0xad, 0xbe, 0xef})
	ring := keystest.NewRing(t, field7, domain1)
	epoch, _, err := keys.CreateEpoch(t.Context(), keystest.NewEpochKEK(), 1, vaultA)
	if err != nil {
		t.Fatal(err)
	}
	type holder struct {
		Exported keys.Secret
		hidden   keys.Secret
	}
	held := holder{secret, secret}
	for name, v := range map[string]any{
		"Secret": secret, "*Secret": &secret, "AEAD": ring.Snapshot().Field(7), "PRF": ring.Snapshot().PRF(domain1),
		"Epoch": epoch, "Ring": ring, "Snapshot": ring.Snapshot(),
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			if got := fmt.Sprintf(verb, v); got != "[redacted]" {
				t.Errorf("%s with %s prints %q", name, verb, got)
			}
		}
		if got, err := json.Marshal(v); err != nil || string(got) != `"[redacted]"` {
			t.Errorf("%s in JSON: %s, %v", name, got, err)
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v)
		if !strings.Contains(log.String(), "v=[redacted]") {
			t.Errorf("%s is logged as %s", name, log.String())
		}
	}
	shown := []string{"deadbeef", "DEADBEEF", "222 173 190 239", "de ad be ef", "\xde\xad\xbe\xef", `\xde\xad`, "0xde, 0xad"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d"} {
		got := fmt.Sprintf(verb, held) + fmt.Sprintf(verb, &held)
		for _, s := range shown {
			if strings.Contains(got, s) {
				t.Errorf("a struct that holds a Secret shows it with %s", verb)
			}
		}
	}
	_ = held.hidden
}

func TestSecret(t *testing.T) {
	a, b := keys.NewSubjectKey(), keys.NewSubjectKey()
	if *a.Expose() == *b.Expose() || *a.Expose() == [32]byte{} {
		t.Error("subject keys are not fresh")
	}
	raw := *a.Expose()
	c := keys.CopySecret(a.Expose())
	a.Wipe()
	if *a.Expose() != [32]byte{} {
		t.Error("Wipe left " + hex.EncodeToString(a.Expose()[:1]))
	}
	if *c.Expose() != raw {
		t.Error("CopySecret shares the bytes")
	}
	var none keys.Secret
	none.Wipe()
	if none.Expose() != nil {
		t.Error("the zero Secret holds something")
	}
}
