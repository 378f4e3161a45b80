package transitkek_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/keys/transitkek/transittest"
)

// recorder is an engine that keeps what was last sent to it.
type recorder struct {
	transittest.Engine
	last map[string]map[string]any // by verb
}

// Do implements transittest.Engine.
func (r *recorder) Do(method, path string, body map[string]any) (int, any, []string) {
	verb, _, _ := strings.Cut(path, "/")
	r.last[method+" "+verb] = body
	return r.Engine.Do(method, path, body)
}

// What goes to the engine decides what opens for ever: the plaintext as it is,
// and the caller's associated data behind the format byte.
func TestWire(t *testing.T) {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	r := &recorder{transittest.NewMemory(), map[string]map[string]any{}}
	s := transittest.NewOf(r)
	k := mustOpen(t, options(t, s), s.Transport())
	blob, err := k.Wrap(t.Context(), []byte("plain"), []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"plaintext": b64("plain"), "associated_data": b64("\x01aad"), "type": "ecdsa-p256"}
	if diff := cmp.Diff(want, r.last[http.MethodPost+" encrypt"]); diff != "" {
		t.Errorf("encrypt (-want +got):\n%s", diff)
	}
	if _, err := k.Unwrap(t.Context(), blob, []byte("aad")); err != nil {
		t.Fatal(err)
	}
	want = map[string]any{"ciphertext": string(blob[1:]), "associated_data": b64("\x01aad")}
	if diff := cmp.Diff(want, r.last[http.MethodPost+" decrypt"]); diff != "" {
		t.Errorf("decrypt (-want +got):\n%s", diff)
	}
	if blob[0] != 1 || !strings.HasPrefix(string(blob[1:]), "vault:v1:") {
		t.Errorf("the blob begins with %.12q", blob)
	}

	e := mustOpenEpochs(t, options(t, s), s.Transport())
	if err := e.Create(t.Context(), 4294967295); err != nil {
		t.Fatal(err)
	}
	if _, data, _ := r.Engine.Do(http.MethodGet, "keys/"+prefix+"-epoch-4294967295", nil); data == "" {
		t.Error("the epoch's key has another name")
	}
	if err := e.Destroy(t.Context(), 4294967295); err != nil {
		t.Fatal(err)
	}
}
