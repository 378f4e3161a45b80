package keys_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

// writeVectors makes the keys of a vault, and the cases on them.
func writeVectors(t *testing.T) {
	v := &vectors{Vault: vaultA[:]}
	for range 2 {
		path := filepath.Join(t.TempDir(), "kek")
		check(t, filekek.Generate(path))
		text := must(os.ReadFile(path))(t)
		v.KEKFiles = append(v.KEKFiles, string(text))
		v.EpochFiles = append(v.EpochFiles, epochFile(t))
	}
	makeRing(t, v)
	makeEpoch(t, v)
	text := must(json.MarshalIndent(v, "", " "))(t)
	path := vectorsFile(latestVectors)
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, append(text, '\n'), 0o644))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		check(t, err)
		return value
	}
}

// epochFile returns the text of a fresh epoch's key file.
func epochFile(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "epochs")
	kek := must(filekek.CreateEpochs(dir))(t)
	check(t, kek.Create(t.Context(), 1))
	return string(must(os.ReadFile(filepath.Join(dir, "epoch-0000000001.key")))(t))
}

// makeRing makes field/7 with versions 1 destroyed, 2 disabled, 3 enabled and
// 4 primary, and domain/1 with 1 disabled and 2 primary.
func makeRing(t *testing.T, v *vectors) {
	ctx, st, kek := t.Context(), keystest.NewStorage(), v.kek(t, 0)
	ring := create(t, st, kek, field7, domain1)
	seal := func() []byte { return ring.Snapshot().AEAD(field7).Seal(nil, []byte("value"), []byte("place")) }
	blobs := [][]byte{seal()}
	for range 3 {
		check(t, ring.Promote(ctx, field7, must(ring.AddVersion(ctx, field7))(t)))
		blobs = append(blobs, seal())
	}
	check(t, ring.SetState(ctx, field7, 1, keys.Disabled))
	check(t, ring.SetState(ctx, field7, 1, keys.Destroyed))
	check(t, ring.SetState(ctx, field7, 2, keys.Disabled))
	for i, c := range []sealedCase{
		{Name: "destroyed version", Fails: "destroyed"},
		{Name: "disabled version", Fails: "disabled"},
		{Name: "older version", Plaintext: []byte("value")},
		{Name: "primary version", Plaintext: []byte("value")},
	} {
		c.Ciphertext, c.Data = blobs[i], []byte("place")
		v.Sealed = append(v.Sealed, c)
	}
	unknown := bytes.Clone(blobs[3])
	unknown[4] ^= 1
	short := blobs[3][:keys.AEADOverhead-1]
	v.Sealed = append(v.Sealed,
		sealedCase{Name: "other place", Data: []byte("Place"), Ciphertext: blobs[3], Fails: "wrong key"},
		sealedCase{Name: "no key of that id", Data: []byte("place"), Ciphertext: unknown, Fails: "no key"},
		sealedCase{Name: "cut", Data: []byte("place"), Ciphertext: short, Fails: "format"},
		sealedCase{Name: "empty", Data: []byte("place"), Fails: "format"},
		sealedCase{Name: "without its prefix", Data: []byte("place"), Ciphertext: blobs[3][5:], Fails: "format"},
	)

	check(t, ring.Promote(ctx, domain1, must(ring.AddVersion(ctx, domain1))(t)))
	for _, version := range []uint16{1, 2} {
		for _, label := range []string{"token", "pseudonym"} {
			out := must(ring.Snapshot().PRF(domain1).Compute(version, label, []byte("input")))(t)
			c := outputCase{Version: version, Label: label, Input: []byte("input"), Output: out[:]}
			if version == 1 {
				c.Fails, c.Output = "disabled", nil
			}
			v.Outputs = append(v.Outputs, c)
		}
	}
	v.Outputs = append(v.Outputs, outputCase{Version: 3, Label: "token", Input: []byte("input"), Fails: "no key"})
	check(t, ring.SetState(ctx, domain1, 1, keys.Disabled))

	recovery := recoveryKey(t, 1)
	check(t, ring.SetRecovery(ctx, kek, recovery.public))
	v.RecoveryScalar = recovery.secret.Scalar.Expose()[:]

	rows := map[string][]byte{}
	for _, r := range must(st.Load(ctx))(t) {
		rows[r.Name] = r.Blob
		v.Rows = append(v.Rows, vectorRow{r.Name, r.Blob})
	}
	ringCases(t, v, rows)
}

func ringCases(t *testing.T, v *vectors, rows map[string][]byte) {
	add := func(name string, kek int, vault []byte, replace *vectorRow, fails string) {
		v.Rings = append(v.Rings, ringCase{name, kek, vault, replace, fails})
	}
	add("whole", 0, vaultA[:], nil, "")
	add("wrong KEK", 1, vaultA[:], nil, "wrong key")
	add("other vault's id", 0, vaultB[:], nil, "wrong key")

	// The rows of another vault, under the same KEK.
	other := keystest.NewStorage()
	foreign := create(t, other, v.kek(t, 0), field7, domain1)
	check(t, foreign.SetRecovery(t.Context(), v.kek(t, 0), recoveryKey(t, 1).public))
	for _, r := range must(other.Load(t.Context()))(t) {
		add("other vault's "+r.Name, 0, vaultA[:], &vectorRow{r.Name, r.Blob}, "wrong key")
	}
	for _, name := range []string{"root", "recovery", "field/7", "domain/1"} {
		set := func(what string, change func(blob []byte) []byte, fails string) {
			add(name+" "+what, 0, vaultA[:], &vectorRow{name, change(bytes.Clone(rows[name]))}, fails)
		}
		set("of format 0", func(b []byte) []byte { b[0] = 0; return b }, "format")
		set("of format 3", func(b []byte) []byte { b[0] = 3; return b }, "format")
		set("empty", func([]byte) []byte { return nil }, "format")
		length := "wrong key"
		if name == "recovery" {
			length = "format" // its parts have fixed lengths
		}
		set("a byte short", func(b []byte) []byte { return b[:len(b)-1] }, length)
		set("a byte long", func(b []byte) []byte { return append(b, 0) }, length)
		switch name {
		case "root":
			set("cut in the KEK's name", func(b []byte) []byte { return b[:25+b[25]] }, "format")
			set("of another version", func(b []byte) []byte { b[4]++; return b }, "wrong key")
			set("of an older wrapping", func(b []byte) []byte { b[8]++; return b }, "wrong key")
			set("of version 0", func(b []byte) []byte { b[4] = 0; return b }, "format")
			set("of another day", func(b []byte) []byte { b[14]++; return b }, "wrong key")
		case "recovery":
			set("of another generation", func(b []byte) []byte { b[4]++; return b }, "wrong key")
			set("of another root version", func(b []byte) []byte { b[8]++; return b }, "wrong key")
			set("with another threshold", func(b []byte) []byte { b[26]--; return b }, "format")
			set("with more shares", func(b []byte) []byte { b[25]++; return b }, "wrong key")
			set("with another key", func(b []byte) []byte {
				key := recoveryKey(t, 1).public.Key
				copy(b[27:], key[:])
				return b
			}, "wrong key")
		default:
			set("of an older generation", func(b []byte) []byte { b[13]--; return b }, "wrong key")
			set("of another number", func(b []byte) []byte { b[5]++; return b }, "wrong key")
			set("with a key enabled in the header", func(b []byte) []byte {
				b[18+15*(binary.BigEndian.Uint16(b[16:])/2-1)+6] = byte(keys.Enabled)
				return b
			}, "wrong key")
		}
	}
}

// makeEpoch makes an epoch key and a person's key under it.
func makeEpoch(t *testing.T, v *vectors) {
	kek := v.epochKEK(t, 0, vectorEpoch)
	epoch, wrapped := vectorEpochKey(t, kek)
	v.EpochKey = wrapped
	add := func(name string, file int, number uint32, vault []byte, change func(b []byte) []byte, fails string) {
		v.Epochs = append(v.Epochs, epochCase{name, file, number, vault, change(bytes.Clone(wrapped)), fails})
	}
	same := func(b []byte) []byte { return b }
	add("whole", 0, vectorEpoch, vaultA[:], same, "")
	add("wrong KEK", 1, vectorEpoch, vaultA[:], same, "wrong key")
	add("other vault's id", 0, vectorEpoch, vaultB[:], same, "wrong key")
	add("other epoch", 0, vectorEpoch+1, vaultA[:], same, "wrong key")
	add("renumbered to another epoch", 0, vectorEpoch+1, vaultA[:], func(b []byte) []byte { b[4]++; return b }, "wrong key")
	add("format 0", 0, vectorEpoch, vaultA[:], func(b []byte) []byte { b[0] = 0; return b }, "format")
	add("format 2", 0, vectorEpoch, vaultA[:], func(b []byte) []byte { b[0] = 2; return b }, "format")
	add("empty", 0, vectorEpoch, vaultA[:], func([]byte) []byte { return nil }, "format")
	add("half of it", 0, vectorEpoch, vaultA[:], func(b []byte) []byte { return b[:len(b)/2] }, "wrong key")

	const ref, generation = 0x0102030405060708, 3
	person := keys.NewSubjectKey()
	good := epoch.WrapSubjectKey(nil, ref, generation, person.Expose())
	v.Subjects = append(v.Subjects, subjectCase{"whole", ref, generation, good, "", person.Expose()[:]})
	fail := func(name string, ref uint64, generation uint32, blob []byte, fails string) {
		v.Subjects = append(v.Subjects, subjectCase{name, ref, generation, blob, fails, nil})
	}
	change := func(at int, by byte) []byte { b := bytes.Clone(good); b[at] += by; return b }
	fail("other ref", ref+1, generation, good, "wrong key")
	fail("other ref, high bytes", ref+1<<56, generation, good, "wrong key")
	fail("other generation", ref, generation+1, good, "wrong key")
	fail("renumbered to another generation", ref, generation+1, change(8, 1), "wrong key")
	fail("renumbered to another epoch", ref, generation, change(4, 1), "wrong key")
	fail("format 0", ref, generation, change(0, 255), "format")
	fail("format 2", ref, generation, change(0, 1), "format")
	fail("empty", ref, generation, nil, "format")
	fail("a byte short", ref, generation, good[:len(good)-1], "format")
	fail("a byte long", ref, generation, append(bytes.Clone(good), 0), "format")

	// Other epochs and vaults that wrap by keys of their own, with their
	// numbers changed to look like this one's.
	next, _, err := keys.CreateEpoch(t.Context(), keystest.NewEpochKEK(), vectorEpoch+1, vaultA)
	check(t, err)
	moved := next.WrapSubjectKey(nil, ref, generation, person.Expose())
	fail("other epoch", ref, generation, moved, "wrong key")
	moved = bytes.Clone(moved)
	moved[4] = vectorEpoch
	fail("other epoch under this number", ref, generation, moved, "wrong key")
	other, _, err := keys.CreateEpoch(t.Context(), keystest.NewEpochKEK(), vectorEpoch, vaultB)
	check(t, err)
	fail("other vault", ref, generation, other.WrapSubjectKey(nil, ref, generation, person.Expose()), "wrong key")
	// The same epoch key in the hands of another vault id, and of another
	// epoch: only the associated data tell these from the good one.
	fail("other vault's id under this key", ref, generation, sealSubject(t, kek, wrapped, vaultB, vectorEpoch, ref, generation, person), "wrong key")
	fail("other epoch's number under this key", ref, generation, sealSubject(t, kek, wrapped, vaultA, vectorEpoch+1, ref, generation, person), "wrong key")
}

// sealSubject wraps a person's key by hand, as the package comment draws it,
// under the epoch key of the vectors, and bound to another place.
func sealSubject(t *testing.T, kek keys.EpochKEK, wrapped []byte, vault [16]byte, epoch uint32, ref uint64, generation uint32, person keys.Secret) []byte {
	number := binary.BigEndian.AppendUint32(nil, vectorEpoch)
	aad := append(append([]byte("cloakroom/epoch/v1"), vaultA[:]...), number...)
	secret := must(kek.Unwrap(t.Context(), vectorEpoch, wrapped[5:], aad))(t)
	ad := append([]byte("cloakroom/subject-key/v1"), vault[:]...)
	ad = binary.BigEndian.AppendUint32(ad, epoch)
	ad = binary.BigEndian.AppendUint64(ad, ref)
	ad = binary.BigEndian.AppendUint32(ad, generation)
	blob := append([]byte{1}, number...)
	blob = binary.BigEndian.AppendUint32(blob, generation)
	return gcm(t, secret).Seal(blob, nil, person.Expose()[:], ad)
}

// vectorEpochKey makes the key of the epoch whose provider key exists already.
func vectorEpochKey(t *testing.T, kek keys.EpochKEK) (*keys.Epoch, []byte) {
	e, wrapped, err := keys.CreateEpoch(t.Context(), created{kek}, vectorEpoch, vaultA)
	check(t, err)
	return e, wrapped
}

// created is an EpochKEK whose keys were put in place beforehand.
type created struct{ keys.EpochKEK }

func (created) Create(context.Context, uint32) error { return nil }
