package main_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

const customers = "customers"

// card is a number that passes the check of card numbers.
const card = "4111111111111111"

// storeCard stores a person with a card and returns the card's token.
func storeCard(t *testing.T, p *process, subject string) string {
	t.Helper()
	out, err := p.as("shop").Put(t.Context(), customers, cloakroom.RecordInput{
		SubjectID: subject, Fields: cloakroom.Fields{"card_pan": cloakroom.Texts(card)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Record.Token("card_pan")
}

// TestCommandLine goes the way of the manual: policy, put, get, reveal, refuse,
// with the two programs as they are shipped.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	p := serve(t, initVault(t))
	p.cli("shop", "put", customers, "ada", "--field", "card_pan="+card).want(t, 3, "PRINCIPAL_UNKNOWN")
	p.applyDemoPolicy()
	p.cli("shop", "put", customers, "ada", "--field", "card_pan="+card, "--field", "email=Ada@Example.org").want(t, 0)
	r := p.cli("shop", "get", customers, "ada", "--output", "json").want(t, 0)
	if strings.Contains(r.out, card) || !strings.Contains(r.out, "tok_") {
		t.Errorf("get says:\n%s", r.out)
	}
	r = p.cli("billing", "record", customers, "ada", "--purpose", "payment").want(t, 0)
	if !strings.Contains(r.out, card) || strings.Contains(r.out, "example.org") {
		t.Errorf("billing sees:\n%s", r.out)
	}
	r = p.cli("support", "record", customers, "ada", "--purpose", "support").want(t, 0)
	if strings.Contains(r.out, card) || !strings.Contains(r.out, "1111") {
		t.Errorf("support sees:\n%s", r.out)
	}
	p.cli("analytics", "record", customers, "ada", "--purpose", "payment").want(t, 3, "ACTION_DENIED")
	p.cli("admin", "record", customers, "ada", "--purpose", "payment").want(t, 3, "ACTION_DENIED")
	p.cli("stranger", "record", customers, "ada", "--purpose", "payment").want(t, 3, "PRINCIPAL_UNKNOWN")
	p.cli("stranger", "health").want(t, 0)
	r = p.cli("shop", "whoami", "--output", "json").want(t, 0)
	var who struct{ Principal string }
	if err := json.Unmarshal([]byte(r.out), &who); err != nil || who.Principal != "spiffe://cloakroom.example/shop" {
		t.Errorf("whoami says %q, %v", r.out, err)
	}
	p.stop()

	// What was stored is there after a restart, the policy with it.
	p = serve(t, p.dir)
	if r := p.cli("billing", "record", customers, "ada", "--purpose", "payment").want(t, 0); !strings.Contains(r.out, card) {
		t.Errorf("after a restart billing sees:\n%s", r.out)
	}
	p.cli("shop", "delete", customers, "ada").want(t, 0)
	p.cli("billing", "record", customers, "ada", "--purpose", "payment").want(t, 3, "RECORD_NOT_FOUND")
	p.stop()
}

// TestSecondProcess on the same directory is told so, and the first goes on.
func TestSecondProcess(t *testing.T) {
	t.Parallel()
	p := serve(t, initVault(t))
	p.applyDemoPolicy()
	token := storeCard(t, p, "first")
	run(t, nil, daemonPath, "serve", "--config", filepath.Join(p.dir, "cloakroom.yaml")).want(t, 1, "in use by another process", "hint: another cloakroomd serves this directory")
	got, err := p.as("billing").DetokenizeOne(t.Context(), token, "payment")
	if err != nil || got.Value.ExposeText() != card {
		t.Errorf("the first process afterwards: %v", err)
	}
	p.stop()
}

// TestPortInUse names the address, and does not look like a fault of the vault.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	p := serve(t, initVault(t))
	other := initVault(t)
	configure(t, other, "listen: 127.0.0.1:0", "listen: "+p.address)
	run(t, nil, daemonPath, "serve", "--config", filepath.Join(other, "cloakroom.yaml")).want(t, 1, "listen", p.address)
}

// TestStopWithCallsInFlight: every call that was answered before and during a
// stop was answered in full, and what it acknowledged is there.
func TestStopWithCallsInFlight(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			p := serve(t, initVault(t))
			p.applyDemoPolicy()
			load := startLoad(t, p, fmt.Sprintf("stop-%d", signal), 8)
			load.waitFor(50)
			if err := p.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := p.wait(); err != nil {
				t.Errorf("the daemon ended with %v\n%s", err, p.log)
			}
			acknowledged := load.stop()
			if strings.Contains(p.log.String(), "level=ERROR") {
				t.Errorf("a stop logs errors:\n%s", p.log)
			}
			p = serve(t, p.dir)
			wantAll(t, p, acknowledged)
			p.stop()
		})
	}
}

// TestLogFormat: JSON when the configuration says so.
func TestLogFormat(t *testing.T) {
	t.Parallel()
	dir := initVault(t)
	configure(t, dir, "format: text", "format: json")
	p := serve(t, dir)
	p.stop()
	for line := range strings.Lines(p.log.String()) {
		var entry struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Level == "" || entry.Msg == "" {
			t.Errorf("not a line of JSON: %q", line)
		}
	}
}
