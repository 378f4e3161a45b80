package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/cloakroom-vault/cloakroom/clients/go/auditproof"
)

// kept is what one run of audit verify keeps for the next: the key and the last
// checkpoint of a log. In a file it is one JSON object, of mode 0600.
type kept struct {
	Origin      string `json:"origin"`
	VerifierKey string `json:"verifier_key"`
	// OlderKeys were trusted before VerifierKey and signed the checkpoint as well.
	// Proofs are checked under them too; audit verify wants VerifierKey.
	OlderKeys []string `json:"older_keys,omitempty"`
	// Trust is "given" or "first use".
	Trust string `json:"trust"`
	// Checkpoint is a signed note.
	Checkpoint string `json:"checkpoint"`
	// Addresses are where this log was found.
	Addresses  []string `json:"addresses"`
	VerifyTime string   `json:"verify_time"`

	path       string
	key        note.Verifier
	older      []note.Verifier // of OlderKeys
	checkpoint *auditproof.Checkpoint
}

// keptError is a file that cannot be relied on.
type keptError struct {
	path string
	rule string
}

func (e *keptError) Error() string {
	return fmt.Sprintf("the file %q, which keeps what was verified before, cannot be used: %s", e.path, e.rule)
}

// readKept reads a file and verifies it under its own key; nil when there is
// none.
func readKept(path string) (*kept, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	k := &kept{path: path}
	if json.Unmarshal(text, k) != nil {
		return nil, &keptError{path, "it is not one JSON object"}
	}
	if k.key, err = auditproof.NewVerifier(k.VerifierKey); err != nil {
		return nil, &keptError{path, "verifier_key: " + err.Error()}
	}
	if k.checkpoint, err = auditproof.OpenCheckpoint([]byte(k.Checkpoint), k.key); err != nil {
		return nil, &keptError{path, "checkpoint: " + err.Error()}
	}
	for _, text := range k.OlderKeys {
		older, err := auditproof.NewVerifier(text)
		if err == nil {
			_, err = auditproof.OpenCheckpoint([]byte(k.Checkpoint), older)
		}
		if err != nil {
			return nil, &keptError{path, "older_keys: " + err.Error()}
		}
		k.older = append(k.older, older)
	}
	if k.Origin != k.checkpoint.Origin {
		return nil, &keptError{path, "origin: it is not that of the checkpoint"}
	}
	return k, nil
}

// olderThan returns those of the kept keys that c is signed by as well, when
// another one is kept from now on. Nobody has to trust a key for longer than it
// signs.
func (k *kept) olderThan(key note.Verifier, c *auditproof.Checkpoint) []string {
	var older []string
	texts := append([]string{k.VerifierKey}, k.OlderKeys...)
	for i, was := range append([]note.Verifier{k.key}, k.older...) {
		if auditproof.KeyID(was) == auditproof.KeyID(key) {
			continue
		}
		if _, err := auditproof.OpenCheckpoint(c.Signed, was); err == nil {
			older = append(older, texts[i])
		}
	}
	return older
}

// write replaces the file, so that it is whole whatever happens.
func (k *kept) write() error {
	text, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	folder := filepath.Dir(k.path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(folder, ".verify-*") // of mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // once renamed, there is nothing to remove
	_, err = file.Write(append(text, '\n'))
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(file.Name(), k.path)
	}
	return err
}

// keptFolder is where files stand that --state does not name.
func (a *app) keptFolder() (string, error) {
	if a.ConfigDir == nil {
		return "", errors.New("there is no folder of configurations; --state names a file")
	}
	dir, err := a.ConfigDir()
	if err != nil {
		return "", fmt.Errorf("there is no folder of configurations (%w); --state names a file", err)
	}
	return filepath.Join(dir, "cloakroom", "audit"), nil
}

// keptPath is the file of a log in the folder.
func keptPath(folder, origin string) string {
	return filepath.Join(folder, url.PathEscape(origin)+".json")
}

// keptAt returns what is kept of the log that was found at an address, nil for
// nothing.
func keptAt(folder, address string) (*kept, error) {
	files, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".json") {
			continue
		}
		k, err := readKept(filepath.Join(folder, file.Name()))
		if err != nil {
			return nil, err
		}
		if k != nil && slices.Contains(k.Addresses, address) {
			return k, nil
		}
	}
	return nil, nil
}
