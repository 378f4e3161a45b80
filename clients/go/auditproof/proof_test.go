package auditproof_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/auditproof"
)

func TestProofLife(t *testing.T) {
	s, client, key := rig(t, 13)
	for index := range uint64(13) {
		p, checkpoint, err := auditproof.FetchProof(t.Context(), client, index, key)
		if err != nil || checkpoint.Size != 13 {
			t.Fatalf("proof of %d: %v", index, err)
		}
		again, err := auditproof.ParseProof(p.Marshal())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := again.Verify(key); err != nil || again.Index != index || !bytes.Equal(again.Entry, p.Entry) {
			t.Errorf("proof of %d read again: %v", index, err)
		}
	}
	if _, _, err := auditproof.FetchProof(t.Context(), client, 13, key); !errors.Is(err, cloakroom.ErrEntryNotFound) {
		t.Errorf("an entry to come: %v", err)
	}
	// The log may grow between the proof and the checkpoint.
	s.Audit.LagProofs()
	if p, checkpoint, err := auditproof.FetchProof(t.Context(), client, 5, key); err != nil || checkpoint.Size != 13 || len(p.Hashes) != 4 {
		t.Errorf("a proof of an older size: %v", err)
	}
	s.Audit.DropHash()
	if _, _, err := auditproof.FetchProof(t.Context(), client, 5, key); !errors.Is(err, auditproof.ErrProof) {
		t.Errorf("a missing hash: %v", err)
	}
	s.Audit.Prune(6)
	if _, _, err := auditproof.FetchProof(t.Context(), client, 5, key); !errors.Is(err, auditproof.ErrRemoved) {
		t.Errorf("an entry that was removed: %v", err)
	}
}

// The proof under testdata must verify for ever.
func TestGoldenProof(t *testing.T) {
	text, err := os.ReadFile("testdata/entry5.tlog-proof")
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := os.ReadFile("testdata/vkey")
	if err != nil {
		t.Fatal(err)
	}
	key, err := auditproof.NewVerifier(string(vkey))
	if err != nil {
		t.Fatal(err)
	}
	p, err := auditproof.ParseProof(text)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := p.Verify(key); err != nil || c.Size != 13 || p.Index != 5 || !bytes.Equal(p.Marshal(), text) {
		t.Errorf("%+v, %v", c, err)
	}
}

// Nothing in a proof can be changed.
func TestProofThatWasChanged(t *testing.T) {
	s, client, key := rig(t, 13)
	fresh := func() *auditproof.Proof {
		p, _, err := auditproof.FetchProof(t.Context(), client, 5, key)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	otherKey, err := auditproof.NewVerifier(strings.Replace(s.Audit.VerifierKey, "fake", "else", 1))
	if err == nil {
		t.Errorf("a key whose name was changed is taken: %v", otherKey)
	}
	for _, tc := range []struct {
		name   string
		change func(*auditproof.Proof)
		want   error
	}{
		{"the entry", func(p *auditproof.Proof) { p.Entry = append(bytes.Clone(p.Entry), 0) }, auditproof.ErrProof},
		{"no entry", func(p *auditproof.Proof) { p.Entry = nil }, auditproof.ErrProof},
		{"the index", func(p *auditproof.Proof) { p.Index = 4 }, auditproof.ErrProof},
		{"an index past the tree", func(p *auditproof.Proof) { p.Index = 13 }, auditproof.ErrProof},
		{"a hash", func(p *auditproof.Proof) { p.Hashes[2][7] ^= 1 }, auditproof.ErrProof},
		{"a hash less", func(p *auditproof.Proof) { p.Hashes = p.Hashes[1:] }, auditproof.ErrProof},
		{"a hash more", func(p *auditproof.Proof) { p.Hashes = append(p.Hashes, tlog.Hash{}) }, auditproof.ErrProof},
		{"the checkpoint's size", func(p *auditproof.Proof) {
			p.Checkpoint = bytes.Replace(p.Checkpoint, []byte("\n13\n"), []byte("\n14\n"), 1)
		}, auditproof.ErrCheckpoint},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := fresh()
			tc.change(p)
			if _, err := p.Verify(key); !errors.Is(err, tc.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestParseProofRefuses(t *testing.T) {
	hash := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for name, text := range map[string]string{
		"nothing":                  "",
		"another header":           "c2sp.org/tlog-proof@v2\nindex 0\n\ncheckpoint\n",
		"no checkpoint":            "c2sp.org/tlog-proof@v1\nindex 0\n\n",
		"no empty line":            "c2sp.org/tlog-proof@v1\nindex 0\ncheckpoint\n",
		"no index":                 "c2sp.org/tlog-proof@v1\n\ncheckpoint\n",
		"extra and no index":       "c2sp.org/tlog-proof@v1\nextra AAEC\n\ncheckpoint\n",
		"a zero before the index":  "c2sp.org/tlog-proof@v1\nindex 01\n\ncheckpoint\n",
		"a negative index":         "c2sp.org/tlog-proof@v1\nindex -1\n\ncheckpoint\n",
		"an index beyond all logs": "c2sp.org/tlog-proof@v1\nindex 72057594037927936\n\ncheckpoint\n",
		"a short hash":             "c2sp.org/tlog-proof@v1\nindex 0\nAAEC\n\ncheckpoint\n",
		"a hash that is no base64": "c2sp.org/tlog-proof@v1\nindex 0\n!!!\n\ncheckpoint\n",
		"extra that is no base64":  "c2sp.org/tlog-proof@v1\nextra ?\nindex 0\n\ncheckpoint\n",
		"an empty extra":           "c2sp.org/tlog-proof@v1\nextra \nindex 0\n\ncheckpoint\n",
		"a carriage return":        "c2sp.org/tlog-proof@v1\nindex 0\n" + hash + "\r\n\ncheckpoint\n",
		"too many hashes":          "c2sp.org/tlog-proof@v1\nindex 0\n" + strings.Repeat(hash+"\n", 57) + "\ncheckpoint\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := auditproof.ParseProof([]byte(text)); !errors.Is(err, auditproof.ErrFormat) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestOpenCheckpointRefuses(t *testing.T) {
	secret, vkey, err := note.GenerateKey(nil, "log")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	key, err := auditproof.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	root := tlog.RecordHash(nil).String()
	for _, tc := range []struct {
		name, text string
		good       bool
	}{
		{"a checkpoint", "log\n3\n" + root + "\n", true},
		{"with an extension", "log\n3\n" + root + "\nmore\n", true},
		{"another origin", "other\n3\n" + root + "\n", false},
		{"a size in a long form", "log\n03\n" + root + "\n", false},
		{"no size", "log\nx\n" + root + "\n", false},
		{"a size beyond all logs", "log\n72057594037927937\n" + root + "\n", false},
		{"no root", "log\n3\n", false},
		{"a short root", "log\n3\nAAEC\n", false},
		{"one line", "log\n", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			signed, err := note.Sign(&note.Note{Text: tc.text}, signer)
			if err != nil {
				t.Fatal(err)
			}
			_, err = auditproof.OpenCheckpoint(signed, key)
			if tc.good != (err == nil) || !tc.good && !errors.Is(err, auditproof.ErrCheckpoint) {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := auditproof.NewVerifier("log+1+x"); !errors.Is(err, auditproof.ErrKey) {
		t.Errorf("no key: %v", err)
	}
}

func FuzzParseProof(f *testing.F) {
	golden, err := os.ReadFile("testdata/entry5.tlog-proof")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte("c2sp.org/tlog-proof@v1\nextra AAEC\nindex 0\n\ncheckpoint\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := auditproof.ParseProof(text)
		if err == nil && !bytes.Equal(p.Marshal(), text) {
			t.Error("a proof has two texts")
		}
	})
}

func BenchmarkVerifyLog(b *testing.B) {
	_, client, key := rig(b, 20_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := auditproof.VerifyLog(b.Context(), client, key, auditproof.Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(20_000*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
