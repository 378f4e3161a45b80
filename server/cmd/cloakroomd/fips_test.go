package main_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// What Go's cryptography is told to do; "only" refuses or panics at whatever
// FIPS 140 does not approve.
const (
	notFIPS  = "GODEBUG=fips140=off"
	underOn  = "GODEBUG=fips140=on"
	fipsOnly = "GODEBUG=fips140=only"
)

// cliIn runs the command line as one of the clients in a mode.
func (p *process) cliIn(mode, name string, args ...string) result {
	p.t.Helper()
	certs := filepath.Join(p.dir, "certs")
	return run(p.t, []string{
		mode, "CLOAKROOM_ADDRESS=" + p.address, "CLOAKROOM_CA=" + filepath.Join(certs, "ca.crt"),
		"CLOAKROOM_CERT=" + filepath.Join(certs, name+".crt"), "CLOAKROOM_KEY=" + filepath.Join(certs, name+".key"),
	}, clientPath, args...)
}

// initIn makes a vault directory in a mode.
func initIn(t *testing.T, mode string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "vault")
	args := []string{"init", dir, "--listen", "127.0.0.1:0"}
	for _, name := range []string{"shop", "billing"} {
		args = append(args, "--client", name+"=spiffe://cloakroom.example/"+name)
	}
	run(t, []string{mode}, daemonPath, args...).want(t, 0)
	return dir
}

// TestFIPS goes the whole way, from init to the check of the log, with every
// program in a mode: nothing that it does needs a cipher that is not approved.
func TestFIPS(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{underOn, fipsOnly} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dir := initIn(t, mode)
			p := serve(t, dir, mode)
			p.cliIn(mode, "admin", "policy", "apply", demoData+"policy.yaml").want(t, 0)
			p.cliIn(mode, "shop", "put", customers, "ada", "--field", "card_pan="+card, "--field", "email=Ada@Example.org").want(t, 0)
			wantCard(t, p, mode)
			p.stop()

			p = serve(t, dir, mode) // what was stored opens after a restart
			wantCard(t, p, mode)
			p.cliIn(mode, "shop", "delete", customers, "ada").want(t, 0)
			p.cliIn(mode, "billing", "record", customers, "ada", "--purpose", "payment").want(t, 3, "RECORD_NOT_FOUND")
			p.stop()
			run(t, []string{mode}, daemonPath, "audit", "verify", "--deep", "--config", filepath.Join(dir, "cloakroom.yaml")).want(t, 0)
		})
	}
}

// wantCard wants the card of ada to be revealed.
func wantCard(t *testing.T, p *process, mode string) {
	t.Helper()
	if r := p.cliIn(mode, "billing", "record", customers, "ada", "--purpose", "payment").want(t, 0); !strings.Contains(r.out, card) {
		t.Errorf("in mode %s billing sees:\n%s", mode, r.out)
	}
}

// TestFIPSLater: a vault that was not made in FIPS mode opens under
// fips140=on, where values that are stored again get the approved cipher.
// Under fips140=only the others are refused by a word that says why, and the
// vault serves on.
func TestFIPSLater(t *testing.T) {
	t.Parallel()
	dir := initIn(t, notFIPS)
	p := serve(t, dir, notFIPS)
	p.cliIn(notFIPS, "admin", "policy", "apply", demoData+"policy.yaml").want(t, 0)
	p.cliIn(notFIPS, "shop", "put", customers, "ada", "--field", "card_pan=5555555555554444").want(t, 0)
	p.stop()

	p = serve(t, dir, fipsOnly)
	r := p.cliIn(fipsOnly, "billing", "record", customers, "ada", "--purpose", "payment").want(t, 4, "not revealed")
	if !strings.Contains(r.out, "KEYS_UNAVAILABLE") || !strings.Contains(r.out, "FIPS") {
		t.Errorf("billing is not told why:\n%s", r.out)
	}
	p.stop()

	p = serve(t, dir, underOn)
	p.cliIn(underOn, "billing", "record", customers, "ada", "--purpose", "payment").want(t, 0)
	p.cliIn(underOn, "shop", "update", customers, "ada", "--field", "card_pan="+card).want(t, 0)
	p.stop()

	p = serve(t, dir, fipsOnly)
	wantCard(t, p, fipsOnly)
	p.stop()
	run(t, []string{fipsOnly}, daemonPath, "audit", "verify", "--deep", "--config", filepath.Join(dir, "cloakroom.yaml")).want(t, 0)
}
