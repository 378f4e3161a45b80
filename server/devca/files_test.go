package devca_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(text), 0o600)
}

// exchange replaces a file with one of another authority.
func exchange(t *testing.T, path, with string) {
	t.Helper()
	other := newCA(t)
	if err := other.IssueServer("server", []string{"localhost"}); err != nil {
		t.Fatal(err)
	}
	copyFile(t, filepath.Join(other.Dir(), with), path)
}
