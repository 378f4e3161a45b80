package boltstore_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Tests that kill a process or limit it run this binary again as a child.
const childEnv = "BOLTSTORE_TEST_CHILD"

// child runs the child's part, if this process is one.
func child() bool {
	var err error
	switch os.Getenv(childEnv) {
	case "":
		return false
	case "crash":
		err = crashChild(os.Args[1])
	case "compact":
		err = compactChild(os.Args[1])
	case "compact full":
		err = compactFullChild(os.Args[1])
	case "full":
		err = fullChild(os.Args[1])
	default:
		err = fmt.Errorf("unknown child")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func childCommand(t *testing.T, name, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, dir)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}
