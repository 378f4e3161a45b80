//go:build cgo && !nopkcs11

package pkcs11kek_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
)

// The tokens that the tests use, and their PIN.
const (
	mainToken = "cloakroom test"
	pinToken  = "cloakroom pin"
	pin       = "4711-test"
)

// TestMain makes tokens of SoftHSM in a folder of their own. The library reads
// its settings once a process, so all tests share them. Without SoftHSM there
// is nothing to drive; where CLOAKROOM_REQUIRE_TOOLS=1 is set, as in CI, that
// is a failure.
func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cloakroom-softhsm-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := makeTokens(dir); err != nil {
		if os.Getenv("CLOAKROOM_REQUIRE_TOOLS") == "1" {
			fmt.Fprintln(os.Stderr, "SoftHSM is required:", err)
			return 1
		}
		os.Unsetenv("CLOAKROOM_SOFTHSM_LIBRARY")
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// makeTokens leaves the path of the library in CLOAKROOM_SOFTHSM_LIBRARY, where
// it may also be given.
func makeTokens(dir string) error {
	library := os.Getenv("CLOAKROOM_SOFTHSM_LIBRARY")
	for _, pattern := range []string{
		"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so",
		"/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so",
	} {
		if found, _ := filepath.Glob(pattern); library == "" && len(found) > 0 {
			library = found[0]
		}
	}
	if library == "" {
		return errors.New("no libsofthsm2.so")
	}
	tokens, conf := filepath.Join(dir, "tokens"), filepath.Join(dir, "softhsm2.conf")
	text := "directories.tokendir = " + tokens + "\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
	if err := errors.Join(os.Mkdir(tokens, 0o700), os.WriteFile(conf, []byte(text), 0o600),
		os.WriteFile(filepath.Join(dir, "pin"), []byte(pin+"\n"), 0o600)); err != nil {
		return err
	}
	if err := errors.Join(os.Setenv("SOFTHSM2_CONF", conf), os.Setenv("CLOAKROOM_SOFTHSM_LIBRARY", library)); err != nil {
		return err
	}
	for _, label := range []string{mainToken, pinToken} {
		out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", "so-"+pin).CombinedOutput()
		if err != nil {
			return fmt.Errorf("softhsm2-util: %w: %s", err, out)
		}
	}
	return nil
}

// config returns how a token is reached, with nothing in it, and false without
// SoftHSM. Each test calls it first.
func config(t testing.TB, token string) (pkcs11kek.Config, bool) {
	t.Helper()
	library := os.Getenv("CLOAKROOM_SOFTHSM_LIBRARY")
	if library == "" {
		t.Log("SoftHSM is not here: nothing was checked")
		return pkcs11kek.Config{}, false
	}
	cfg := pkcs11kek.Config{
		Library: library, Token: token, PINFile: filepath.Join(filepath.Dir(os.Getenv("SOFTHSM2_CONF")), "pin"),
		Timeout: time.Minute,
	}
	newAdmin(t, cfg).empty()
	return cfg, true
}

// hooks is a Hook that the test changes while it runs.
type hooks struct {
	hook atomic.Pointer[pkcs11kek.Hook]
}

func (h *hooks) call(function string) error {
	if hook := h.hook.Load(); hook != nil {
		return (*hook)(function)
	}
	return nil
}

// set makes hook the one, until restore.
func (h *hooks) set(hook pkcs11kek.Hook) (restore func()) {
	h.hook.Store(&hook)
	return func() { h.hook.Store(nil) }
}

// hold makes the library take each call and keep it until restore.
func (h *hooks) hold() (arrived <-chan struct{}, restore func()) {
	a, release := make(chan struct{}, 64), make(chan struct{})
	end := h.set(func(string) error {
		select {
		case a <- struct{}{}:
		default: // nobody counts them
		}
		<-release
		return nil
	})
	return a, func() {
		end()
		close(release)
	}
}

// openHooked opens a token that can be troubled by hooks.
func openHooked(t testing.TB, cfg pkcs11kek.Config) (*pkcs11kek.Token, *hooks) {
	t.Helper()
	h := &hooks{}
	token, err := pkcs11kek.OpenHooked(context.Background(), cfg, h.call)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = token.Close() })
	return token, h
}

// open opens a token over nothing but the library.
func open(t testing.TB, cfg pkcs11kek.Config) *pkcs11kek.Token {
	t.Helper()
	token, err := pkcs11kek.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = token.Close() })
	return token
}

// admin is another user of the library in this process, as a test of it: it
// does to a token what this package never would.
type admin struct {
	t    testing.TB
	ctx  *pkcs11.Ctx
	slot uint
}

func newAdmin(t testing.TB, cfg pkcs11kek.Config) admin {
	t.Helper()
	a := admin{t: t, ctx: pkcs11.New(cfg.Library)}
	if err := a.ctx.Initialize(); err != nil && err != pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		t.Fatal(err)
	}
	slots, err := a.ctx.GetSlotList(true)
	a.check(err)
	for _, s := range slots {
		if info, err := a.ctx.GetTokenInfo(s); err == nil && info.Label == cfg.Token {
			a.slot = s
			return a
		}
	}
	t.Fatal("no such token")
	return a
}

func (a admin) check(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// do calls f with a session of the user, who is logged in.
func (a admin) do(f func(sh pkcs11.SessionHandle)) {
	a.t.Helper()
	sh, err := a.ctx.OpenSession(a.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	a.check(err)
	defer a.ctx.CloseSession(sh)
	if err := a.ctx.Login(sh, pkcs11.CKU_USER, pin); err != nil && err != pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN) {
		a.t.Fatal(err)
	}
	f(sh)
}

// find returns the objects of a label.
func (a admin) find(label string) (found []pkcs11.ObjectHandle) {
	a.t.Helper()
	a.do(func(sh pkcs11.SessionHandle) { found = a.search(sh, pkcs11.NewAttribute(pkcs11.CKA_LABEL, label)) })
	return found
}

// empty destroys every object.
func (a admin) empty() {
	a.t.Helper()
	a.do(func(sh pkcs11.SessionHandle) {
		for _, o := range a.search(sh) {
			a.check(a.ctx.DestroyObject(sh, o))
		}
	})
}

func (a admin) search(sh pkcs11.SessionHandle, template ...*pkcs11.Attribute) []pkcs11.ObjectHandle {
	a.t.Helper()
	a.check(a.ctx.FindObjectsInit(sh, template))
	found, _, err := a.ctx.FindObjects(sh, 1000)
	a.check(err)
	a.check(a.ctx.FindObjectsFinal(sh))
	return found
}

// counter makes names that no other test has.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) next(t testing.TB) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return fmt.Sprintf("%s %d", t.Name(), c.n)
}
