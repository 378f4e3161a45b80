package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

// hinted is an error with what a person can do about it.
type hinted struct {
	error
	hint string
}

// Unwrap returns the error.
func (h hinted) Unwrap() error { return h.error }

// evidenceHint is for whatever an attacker may have done to the log.
const evidenceHint = "keep a copy of the audit directory as it is before anything else; it is evidence"

// checkDir says what is wrong with a directory that holds no audit log. A
// directory with one half of a log is left to be verified.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: no such directory", dir)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s: not a directory", dir)
	}
	_, err = os.Lstat(filepath.Join(dir, audit.TreeDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	segments, other := hasSegments(dir)
	if other != nil {
		return other
	}
	if err != nil && !segments {
		return hinted{fmt.Errorf("no audit log in %s", dir), "name the audit log's own directory, which holds .wal files and tlog/"}
	}
	return nil
}

// hasSegments says whether a directory holds .wal files.
func hasSegments(dir string) (bool, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, file := range files {
		if strings.HasSuffix(file.Name(), ".wal") {
			return true, nil
		}
	}
	return false, nil
}

// treeGone says of an error that entries stand there without their tree.
func treeGone(dir string, err error) error {
	if !errors.Is(err, tree.ErrNoCheckpoint) {
		return err
	}
	if segments, other := hasSegments(dir); other != nil || !segments {
		return err
	}
	return hinted{fmt.Errorf("the .wal files are there, and tlog/ or its checkpoint is not: %w", err), evidenceHint}
}

// checkEarlier says whether the file of a checkpoint seen earlier holds one. An
// empty key is not known yet: then only the form is looked at.
func checkEarlier(path string, signed []byte, vkey string) error {
	fault := fmt.Errorf("%s is not a signed checkpoint of this log", path)
	var unverified *note.UnverifiedNoteError
	if _, err := note.Open(signed, note.VerifierList()); !errors.As(err, &unverified) {
		return hinted{fault, "a checkpoint is a copy of the log's tlog/checkpoint, as it was"}
	}
	if vkey == "" {
		return nil
	}
	keys, err := tree.NewVerifiers(vkey)
	if err != nil {
		return err
	}
	if _, err := tree.OpenCheckpoint(signed, keys...); err != nil {
		return hinted{fault, "another key signed it. If the log's key was changed since, give the key of then besides, one a line, with --vkey. " +
			"If not, and it was taken from this log, the log was written anew: " + evidenceHint}
	}
	return nil
}

// storedKey is the verifier keys in the directory, empty where there are none.
func storedKey(dir string) string {
	text, err := audit.StoredKeys(dir)
	if err != nil {
		return "" // Verify says why
	}
	return text
}
