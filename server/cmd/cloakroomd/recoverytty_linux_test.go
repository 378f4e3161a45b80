package main_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRecoveryOnATerminal: --print shows the shares on a terminal, and leaves
// no file; to a file, a pipe and /dev/null it shows nothing.
func TestRecoveryOnATerminal(t *testing.T) {
	t.Parallel()
	dir := initVault(t)
	args := []string{"recovery", "create", "--config", filepath.Join(dir, "cloakroom.yaml"), "--shares", "2", "--threshold", "2", "--print"}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	check(t, err)
	defer null.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	check(t, err)
	defer file.Close()
	for _, out := range []*os.File{null, file} {
		cmd := exec.Command(daemonPath, args...)
		var errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = out, &errs
		if err := cmd.Run(); err == nil || !strings.Contains(errs.String(), "--print is for a terminal") {
			t.Errorf("%s: %v, %s", out.Name(), err, &errs)
		}
	}
	recovery(t, dir, "show").want(t, 1, "no recovery key is set")

	terminal, user := openTerminal(t)
	cmd := exec.Command(daemonPath, args...)
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = terminal, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	check(t, terminal.Close())
	said, _ := io.ReadAll(user) // ends with an error when nobody has the terminal any more
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, &errs)
	}
	var files []string
	for line := range strings.Lines(string(said)) {
		if strings.HasPrefix(line, "cloakroom-share-1-") {
			path := filepath.Join(t.TempDir(), "share")
			check(t, os.WriteFile(path, []byte(line), 0o600))
			files = append(files, path)
		}
	}
	if len(files) != 2 || !strings.Contains(string(said), "two choices of them opened the root") {
		t.Fatalf("%d shares were shown", len(files))
	}
	remove(t, dir, "kek/kek.key")
	run(t, nil, daemonPath, "make-kek", "--config", filepath.Join(dir, "cloakroom.yaml")).want(t, 0)
	recovery(t, dir, "use", files...).want(t, 0)
}

// openTerminal makes a terminal, and the side of its user.
func openTerminal(t *testing.T) (terminal, user *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	check(t, err)
	t.Cleanup(func() { _ = user.Close() })
	check(t, unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	check(t, err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	check(t, err)
	return terminal, user
}
