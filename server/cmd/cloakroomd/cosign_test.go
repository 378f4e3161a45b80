package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cosignedBy adds a witness's line to a checkpoint, after C2SP
// tlog-cosignature v1, and returns the witness's key too.
func cosignedBy(name string, checkpoint []byte) (cosigned []byte, vkey string) {
	const algorithm, at = 4, 1_700_000_000
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
	public := append([]byte{algorithm}, private.Public().(ed25519.PublicKey)...)
	sum := sha256.Sum256(append([]byte(name+"\n"), public...))
	text, _, _ := strings.Cut(string(checkpoint), "\n\n")
	signature := binary.BigEndian.AppendUint64(append([]byte{}, sum[:4]...), at)
	signature = append(signature, ed25519.Sign(private, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s\n", at, text))...)
	line := "— " + name + " " + base64.StdEncoding.EncodeToString(signature) + "\n"
	return append(bytes.Clone(checkpoint), line...), fmt.Sprintf("%s+%08x+%s\n", name, sum[:4], base64.StdEncoding.EncodeToString(public))
}

func TestAuditCosign(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vault")
	if exit, _, errs := runLine(t, "init", dir); exit != exitOK {
		t.Fatal(errs)
	}
	old, _ := cosignedBy("witness.example", written(t, dir, 3))
	cosigned, vkey := cosignedBy("witness.example", written(t, dir, 3))
	_, stranger := cosignedBy("stranger.example", nil)
	log := filepath.Join(dir, "data", "audit")
	file := func(name string, text []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	witness := file("vkey", []byte(vkey))
	for name, c := range map[string]struct {
		args []string
		exit int
		says string
	}{
		"no witness named":   {[]string{log, file("note", cosigned)}, exitUsage, "--witness is missing"},
		"no note":            {[]string{log}, exitUsage, ""},
		"a missing note":     {[]string{log, "gone", "--witness", witness}, exitError, "no such file"},
		"a missing key":      {[]string{log, file("note", cosigned), "--witness", "gone"}, exitError, "no such file"},
		"no key":             {[]string{log, file("note", cosigned), "--witness", file("key", []byte("nonsense"))}, exitError, "not a usable key"},
		"a stranger's line":  {[]string{log, file("note", cosigned), "--witness", file("key", []byte(stranger))}, exitError, "no known witness"},
		"an old checkpoint":  {[]string{log, file("note", old), "--witness", witness}, exitError, "another checkpoint"},
		"no log":             {[]string{t.TempDir(), file("note", cosigned), "--witness", witness}, exitError, ""},
		"the last one of it": {[]string{log, file("note", cosigned), "--witness", witness}, exitOK, "1 cosignature"},
	} {
		t.Run(name, func(t *testing.T) {
			exit, out, errs := runLine(t, append([]string{"audit", "cosign"}, c.args...)...)
			if exit != c.exit || !strings.Contains(out+errs, c.says) {
				t.Errorf("exit %d\n%s%s", exit, out, errs)
			}
		})
	}
	stored, err := os.ReadFile(filepath.Join(log, "tlog", "checkpoint"))
	if err != nil || !bytes.Contains(stored, []byte("\n— witness.example ")) {
		t.Errorf("the checkpoint is now %s, %v", stored, err)
	}
	if exit, _, errs := runLine(t, "audit", "verify", log); exit != exitOK {
		t.Error(errs)
	}
}
