package main_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// people who have certificates in every test vault.
var clients = []string{"security", "shop", "billing", "support", "shipping", "mailer", "analytics", "officer", "director", "stranger"}

// initVault makes a vault directory that will be served on loopback at a port
// of the system's choice.
func initVault(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "vault")
	args := []string{"init", dir, "--listen", "127.0.0.1:0"}
	for _, name := range clients {
		args = append(args, "--client", name+"=spiffe://cloakroom.example/"+name)
	}
	run(t, nil, daemonPath, args...).want(t, 0)
	return dir
}

// process is a running cloakroomd.
type process struct {
	t       *testing.T
	dir     string
	address string
	cmd     *exec.Cmd
	log     *output
	ended   chan error // holds what Wait returned, once
	gone    bool
}

// serve starts the daemon on a directory and waits until it serves. It is
// killed at the end of the test, when nothing else ended it.
func serve(t *testing.T, dir string, env ...string) *process {
	t.Helper()
	p := &process{t: t, dir: dir, log: &output{}, ended: make(chan error, 1)}
	p.cmd = exec.Command(daemonPath, "serve", "--config", filepath.Join(dir, "cloakroom.yaml"))
	p.cmd.Env = append(cleanEnv(), env...)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	t.Cleanup(p.kill)
	served := make(chan string, 1)
	go p.follow(r, served)
	address, ok := <-served
	if !ok {
		t.Fatalf("the daemon did not start: %v\n%s", p.wait(), p.log)
	}
	p.address = address
	return p
}

var servingLine = regexp.MustCompile(`(?:msg=serving |"msg":"serving",).*address"?[=:]"?([0-9.:]+)`)

// follow copies what the daemon says and tells its address when it serves. At
// the end of the output it waits for the end of the process.
func (p *process) follow(r io.ReadCloser, served chan<- string) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		_, _ = p.log.Write([]byte(line))
		if m := servingLine.FindStringSubmatch(line); m != nil && p.address == "" {
			served <- m[1]
		}
		if err != nil {
			break
		}
	}
	_ = r.Close()
	p.ended <- p.cmd.Wait()
	close(served)
}

// wait waits for the end of the process.
func (p *process) wait() error {
	if p.gone {
		return nil
	}
	p.gone = true
	return <-p.ended
}

// kill ends the process at once, as a power cut would end it.
func (p *process) kill() {
	if !p.gone {
		_ = p.cmd.Process.Kill()
		_ = p.wait()
	}
}

// stop ends the process as an administrator would, and wants it to end well.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.wait(); err != nil {
		p.t.Errorf("the daemon ended with %v\n%s", err, p.log)
	}
}

// as connects with the Go client.
func (p *process) as(name string, options ...cloakroom.Option) *cloakroom.Client {
	p.t.Helper()
	certs := filepath.Join(p.dir, "certs")
	c, err := cloakroom.Dial(p.address, append([]cloakroom.Option{
		cloakroom.WithTLSFiles(filepath.Join(certs, "ca.crt"), filepath.Join(certs, name+".crt"), filepath.Join(certs, name+".key")),
		cloakroom.WithTimeout(20 * time.Second),
	}, options...)...)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	return c
}

// cli runs the command line as one of the clients.
func (p *process) cli(name string, args ...string) result {
	p.t.Helper()
	certs := filepath.Join(p.dir, "certs")
	return run(p.t, []string{
		"CLOAKROOM_ADDRESS=" + p.address, "CLOAKROOM_CA=" + filepath.Join(certs, "ca.crt"),
		"CLOAKROOM_CERT=" + filepath.Join(certs, name+".crt"), "CLOAKROOM_KEY=" + filepath.Join(certs, name+".key"),
	}, clientPath, args...)
}

const demoData = "../../demo/data/"

// applyDemoPolicy puts the policy of the demo in force.
func (p *process) applyDemoPolicy() {
	p.t.Helper()
	p.cli("admin", "policy", "apply", demoData+"policy.yaml").want(p.t, 0)
}

// configure replaces a text in the configuration of a vault directory.
func configure(t *testing.T, dir, old, new string) {
	t.Helper()
	path := filepath.Join(dir, "cloakroom.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), old, new, 1)
	if changed == string(text) {
		t.Fatalf("the configuration does not say %q", old)
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}
