package keys_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

// oldTink builds the program of keys/interop, which is Tink v1.7.0. Without the
// go command or the module's sources there is nothing to drive; where
// CLOAKROOM_REQUIRE_TOOLS=1 is set, as in CI, that is a failure. The program is
// a module of its own, so its sources are read here for the cache of tests to
// know of them.
func oldTink(t *testing.T) (program string, ok bool) {
	t.Helper()
	for _, name := range must(filepath.Glob("interop/*.*"))(t) {
		must(os.ReadFile(name))(t)
	}
	program = filepath.Join(t.TempDir(), "interop")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	cmd.Dir = "interop"
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return program, true
	case os.Getenv("CLOAKROOM_REQUIRE_TOOLS") == "1":
		t.Fatalf("the program of keys/interop is required and does not build: %v\n%s", err, out)
	}
	t.Logf("the program of keys/interop does not build here, nothing was checked: %v\n%s", err, out)
	return "", false
}

// ask runs the program.
func (x *exchange) ask(t *testing.T, program, command string) (*exchange, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, command)
	cmd.Env = append(os.Environ(), "GODEBUG=") // the old release does not work under fips140=only
	// v1.7.0 knows nothing of FIPS mode, and gives AES-GCM its nonces.
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=off")
	cmd.Stdin = bytes.NewReader(must(json.Marshal(x))(t))
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, errors.New(strings.TrimSpace(complaint.String()))
	}
	answer := &exchange{}
	return answer, json.Unmarshal(out.Bytes(), answer)
}

// TestInterop has the two releases open each other's, live.
func TestInterop(t *testing.T) {
	program, ok := oldTink(t)
	if !ok {
		return
	}
	if *updateInterop {
		check(t, os.MkdirAll(filepath.Dir(oldGolden), 0o755))
		must(newRequest().ask(t, program, "make"))(t).save(t, oldGolden)
		ours(t).save(t, ourGolden)
	}
	t.Run("theirs", func(t *testing.T) {
		must(newRequest().ask(t, program, "make"))(t).open(t)
	})
	// What we made they open; what they then make with our keysets we open.
	t.Run("ours", func(t *testing.T) {
		must(ours(t).ask(t, program, "check"))(t).open(t)
	})
	for _, path := range []string{oldGolden, ourGolden} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var x exchange
			check(t, json.Unmarshal(must(os.ReadFile(path))(t), &x))
			must(x.ask(t, program, "check"))(t).open(t)
		})
	}
	// A program that finds all good would prove nothing.
	for name, breakIt := range map[string]func(x *exchange){
		"root":       func(x *exchange) { x.Root[0] ^= 1 },
		"vault":      func(x *exchange) { x.Vault[0] ^= 1 },
		"container":  func(x *exchange) { x.Data = nil },
		"row":        func(x *exchange) { x.Keysets[0].Blob[40] ^= 1 },
		"ciphertext": func(x *exchange) { x.Keysets[0].Sealed[0].Ciphertext[20] ^= 1 },
		"place":      func(x *exchange) { x.Keysets[0].Sealed[0].Data = nil },
		"disabled":   func(x *exchange) { x.Keysets[0].Sealed[0].Disabled = true },
		"output":     func(x *exchange) { x.Keysets[1].Outputs[0].Output[0] ^= 1 },
		"signature":  func(x *exchange) { x.Keysets[2].Signed[0].Signature[0] ^= 1 },
		"no keysets": func(x *exchange) { x.Keysets = nil },
	} {
		t.Run("broken "+name, func(t *testing.T) {
			x := ours(t)
			breakIt(x)
			if _, err := x.ask(t, program, "check"); err == nil {
				t.Error("v1.7.0 finds nothing wrong")
			}
		})
	}
}

func (x *exchange) save(t *testing.T, path string) {
	t.Helper()
	check(t, os.WriteFile(path, append(must(json.MarshalIndent(x, "", " "))(t), '\n'), 0o644))
}

// rootWatcher is a KEK that tells which root it wrapped.
type rootWatcher struct {
	keys.KEK
	root []byte
}

func (k *rootWatcher) Wrap(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	k.root = bytes.Clone(plaintext)
	return k.KEK.Wrap(ctx, plaintext, aad)
}

// ours makes an exchange as a vault makes its keys: field/7 with versions 1
// enabled, 2 disabled and 3 primary, domain/1 with 2 primary, and a signer.
func ours(t *testing.T) *exchange {
	t.Helper()
	x, ctx, st, kek := newRequest(), t.Context(), keystest.NewStorage(), &rootWatcher{KEK: keystest.NewKEK()}
	ring, err := keys.Create(ctx, st, kek, [16]byte(x.Vault))
	check(t, err)
	defer ring.Close()
	check(t, ring.Ensure(ctx, field7, domain1, signer0))
	x.Root = kek.root
	sets := map[keys.ID]*exchangeSet{field7: {}, domain1: {}, signer0: {}}
	for _, id := range []keys.ID{field7, domain1, signer0} {
		for v := uint16(1); v <= 3; v++ {
			switch {
			case v > 1 && id == signer0 || v > 2 && id == domain1:
				continue
			case v > 1:
				rotate(t, ring, id)
			}
			sets[id].use(t, ring.Snapshot(), id, v)
		}
	}
	check(t, ring.SetState(ctx, field7, 2, keys.Disabled))
	for i := range sets[field7].Sealed {
		sets[field7].Sealed[i].Disabled = sets[field7].Sealed[i].Version == 2
	}
	rows := map[string]hexBytes{}
	for _, r := range must(st.Load(ctx))(t) {
		rows[r.Name] = r.Blob
	}
	for _, id := range []keys.ID{field7, domain1, signer0} {
		s, h := sets[id], ring.Handle(t, id)
		var clear, encrypted bytes.Buffer
		check(t, insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&clear)))
		check(t, h.WriteWithAssociatedData(keyset.NewBinaryWriter(&encrypted), tinkSealer{t, x.Root}, x.Data))
		s.Row, s.Blob, s.Clear, s.Encrypted = id.String(), rows[id.String()], clear.Bytes(), encrypted.Bytes()
		x.Keysets = append(x.Keysets, s)
	}
	return x
}

// use adds what the primary version makes.
func (s *exchangeSet) use(t *testing.T, snap *keys.Snapshot, id keys.ID, version uint16) {
	t.Helper()
	for _, size := range []int{0, 1, 16, 1000} {
		text, data := bytes.Repeat([]byte{byte(size)}, size), []byte("place")
		switch id {
		case field7:
			s.Sealed = append(s.Sealed, exchangeSealed{version, text, data, snap.AEAD(id).Seal(nil, text, data), false})
		case domain1:
			out := must(snap.PRF(id).Compute(version, "token", text))(t)
			s.Outputs = append(s.Outputs, exchangeOutput{version, "token", text, out[:]})
		case signer0:
			s.Signed = append(s.Signed, exchangeMessage{text, must(snap.Signer(id).Sign(text))(t)})
		}
	}
}
