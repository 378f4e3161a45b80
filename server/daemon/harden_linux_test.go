package daemon_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cloakroom-vault/cloakroom/server/daemon"
)

// hardenVariable makes the test binary a process that hardens itself.
const hardenVariable = "CLOAKROOM_TEST_HARDEN"

func TestMain(m *testing.M) {
	if os.Getenv(hardenVariable) != "" {
		harden()
		return
	}
	m.Run()
}

// harden says what the process allows, before and afterwards.
func harden() {
	say := func() {
		dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		var core unix.Rlimit
		fmt.Println(dumpable, err, unix.Getrlimit(unix.RLIMIT_CORE, &core), core.Cur, core.Max)
	}
	say()
	fmt.Println(daemon.Harden())
	say()
}

// TestHarden in a process of its own: it cannot be taken back.
func TestHarden(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), hardenVariable+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "1 ") || lines[1] != "<nil>" || lines[2] != "0 <nil> <nil> 0 0" {
		t.Errorf("before, error, after:\n%s", out)
	}
}
