package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
)

// softHSM makes a token "vault" with PIN 4711-test in a folder, and returns the
// library and the environment that it is found in. Without SoftHSM it returns
// false, which is a failure where CLOAKROOM_REQUIRE_TOOLS=1 is set, as in CI.
func softHSM(t *testing.T, dir string) (library string, env []string, ok bool) {
	t.Helper()
	for _, pattern := range []string{
		os.Getenv("CLOAKROOM_SOFTHSM_LIBRARY"), "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so",
		"/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so",
	} {
		if found, _ := filepath.Glob(pattern); library == "" && len(found) > 0 {
			library = found[0]
		}
	}
	tool, err := exec.LookPath("softhsm2-util")
	if library == "" || err != nil {
		if os.Getenv("CLOAKROOM_REQUIRE_TOOLS") == "1" {
			t.Fatalf("SoftHSM is required: library %q, %v", library, err)
		}
		t.Log("SoftHSM is not here: nothing was checked")
		return "", nil, false
	}
	tokens, conf := filepath.Join(dir, "tokens"), filepath.Join(dir, "softhsm2.conf")
	check(t, os.Mkdir(tokens, 0o700))
	check(t, os.WriteFile(conf, []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600))
	env = []string{"SOFTHSM2_CONF=" + conf}
	cmd := exec.Command(tool, "--init-token", "--free", "--label", "vault", "--pin", "4711-test", "--so-pin", "so-4711-test")
	cmd.Env = append(cleanEnv(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("softhsm2-util: %v: %s", err, out)
	}
	return library, env, true
}

// TestTokenVault: a vault whose KEK and epochs are in one PKCS#11 token. A
// binary that cannot load a library says so.
func TestTokenVault(t *testing.T) {
	t.Parallel()
	hsm := t.TempDir()
	library, env, ok := softHSM(t, hsm)
	if !ok {
		return
	}
	token := fmt.Sprintf("library: %s, token: vault, pin_file: pin", library)
	dir := prepare(t, "{pkcs11: {"+token+", label: kek}}", "{pkcs11: {"+token+", prefix: vault-1}}", map[string]string{"pin": "4711-test\n"})
	file := filepath.Join(dir, "cloakroom.yaml")
	if !pkcs11kek.Built {
		run(t, env, daemonPath, "init", "--config", file).want(t, 1, "cannot load a PKCS#11 library")
		return
	}
	run(t, env, daemonPath, "init", "--config", file).want(t, 1, "open kek.pkcs11: ", "no such key", "make-kek")
	run(t, env, daemonPath, "make-kek", "--config", file).want(t, 0)
	run(t, env, daemonPath, "make-kek", "--config", file).want(t, 1, "exists already")
	run(t, env, daemonPath, "init", "--config", file).want(t, 0)
	p := serve(t, dir, env...)
	p.applyDemoPolicy()
	p.stop()
	check(t, os.WriteFile(filepath.Join(dir, "pin"), []byte("CANARY\n"), 0o600))
	r := run(t, env, daemonPath, "serve", "--config", file).want(t, 1, "open kek.pkcs11: ", "hint: the key provider refuses this process")
	if strings.Contains(r.errors, "CANARY") {
		t.Errorf("the PIN is told:\n%s", r.errors)
	}
}

// TestVersionSaysWhatIsLacking: a build without cgo.
func TestVersionSaysWhatIsLacking(t *testing.T) {
	t.Parallel()
	r := run(t, nil, daemonPath, "version").want(t, 0)
	if lacks := strings.Contains(r.out, "without PKCS#11"); lacks == pkcs11kek.Built {
		t.Errorf("this build has PKCS#11: %v, and says %q", pkcs11kek.Built, r.out)
	}
}
