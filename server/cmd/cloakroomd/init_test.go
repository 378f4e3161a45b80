package main_test

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInitLayout: the files that the package daemon names, each for the owner
// only but for certificates.
func TestInitLayout(t *testing.T) {
	t.Parallel()
	dir := initVault(t)
	want := map[string]fs.FileMode{
		".": fs.ModeDir | 0o700, "data": fs.ModeDir | 0o700, "data/audit": fs.ModeDir | 0o700,
		"kek": fs.ModeDir | 0o700, "epochs": fs.ModeDir | 0o700, "certs": fs.ModeDir | 0o700,
		"cloakroom.yaml": 0o600, "kek/kek.key": 0o600, "epochs/epoch-0000000001.key": 0o600,
		"data/keys.db": 0o600, "data/values.db": 0o600, "data/values.scattered.db": 0o600,
		"data/audit/00000000000000000000.wal": 0o600, "certs/ca.crt": 0o644, "certs/ca.key": 0o600,
	}
	for _, name := range append([]string{"server", "admin"}, clients...) {
		want["certs/"+name+".crt"], want["certs/"+name+".key"] = 0o644, 0o600
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if mode, ok := want[name]; !ok || info.Mode() != mode {
			t.Errorf("%s has mode %s, want %s", name, info.Mode(), mode)
		}
		delete(want, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
	run(t, nil, daemonPath, "check-config", filepath.Join(dir, "cloakroom.yaml")).want(t, 0)
}

// TestInitThatIsRefused leaves nothing behind.
func TestInitThatIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		args  []string
		code  int
		says  string
		there string // a file that is in the directory before
	}{
		{name: "directory that is not empty", code: 1, says: "not empty", there: "letter"},
		{name: "directory with a hidden file", code: 1, says: "not empty", there: ".hidden"},
		{name: "administrator that is no principal", args: []string{"--admin", "Ada"}, code: 1, says: "spiffe://"},
		{name: "administrator with a DNS name", args: []string{"--admin", "dns:admin.example"}, code: 1, says: "SPIFFE"},
		{name: "client without id", args: []string{"--client", "shop"}, code: 2, says: "NAME=SPIFFE-ID"},
		{name: "client without name", args: []string{"--client", "=spiffe://a.example/b"}, code: 2, says: "NAME=SPIFFE-ID"},
		{name: "client twice", args: []string{"--client", "a=spiffe://a.example/b", "--client", "a=spiffe://a.example/c"}, code: 2, says: "taken"},
		{name: "client called admin", args: []string{"--client", "admin=spiffe://a.example/b"}, code: 2, says: "taken"},
		{name: "client called ca", args: []string{"--client", "ca=spiffe://a.example/b"}, code: 2, says: "taken"},
		{name: "client outside the folder", args: []string{"--client", "../a=spiffe://a.example/b"}, code: 2, says: "NAME=SPIFFE-ID"},
		{name: "client that is no principal", args: []string{"--client", "a=https://a.example/b"}, code: 1, says: "SPIFFE"},
		{name: "host that is none", args: []string{"--host", "not a host"}, code: 1, says: "host"},
		{name: "address that is none", args: []string{"--listen", "nowhere"}, code: 1, says: "listen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "vault")
			if c.there != "" {
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, c.there), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			run(t, nil, daemonPath, append([]string{"init", dir}, c.args...)...).want(t, c.code, c.says)
			entries, err := os.ReadDir(dir)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			for _, e := range entries {
				if e.Name() != c.there {
					t.Errorf("%s was left behind", e.Name())
				}
			}
			if c.there == "" {
				run(t, nil, daemonPath, "init", dir).want(t, 0)
			}
		})
	}
}

func TestInitTakesAnEmptyDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { // readable by others
		t.Fatal(err)
	}
	r := run(t, nil, daemonPath, "init", dir).want(t, 0)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %s, %v", info.Mode(), err)
	}
	for _, text := range []string{"spiffe://cloakroom.example/admin", "kek.key", "Losing the KEK", "serve --config"} {
		if !strings.Contains(r.out, text) {
			t.Errorf("init does not say %q:\n%s", text, r.out)
		}
	}
	run(t, nil, daemonPath, "init", dir).want(t, 1, "not empty")
}

// TestInitSaysHowToGoOn: the command for the first policy works as it is
// printed.
func TestInitSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	dir := filepath.Join(t.TempDir(), "vault")
	r := run(t, nil, daemonPath, "init", dir, "--listen", address).want(t, 0)
	p := serve(t, dir)
	for line := range strings.Lines(r.out) {
		if _, args, ok := strings.Cut(line, "  cloakroom "); ok {
			args = strings.Replace(args, "POLICY.yaml", demoData+"policy.yaml", 1)
			run(t, nil, clientPath, strings.Fields(args)...).want(t, 0)
		}
	}
	if who, err := p.as("admin").WhoAmI(t.Context()); err != nil || who.PolicyVersion != 1 {
		t.Errorf("the policy is not in force: %+v, %v", who, err)
	}
	p.stop()
}

// freeAddress finds a port that nobody has, below those that systems give out
// by themselves, so that no test beside this one gets it meanwhile.
func freeAddress(t *testing.T) string {
	t.Helper()
	for port := 21_000 + os.Getpid()%1000; port < 30_000; port++ {
		address := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil {
			continue
		}
		check(t, l.Close())
		return address
	}
	t.Fatal("no free port")
	return ""
}
