package main_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// demoCard is the card of the first customer of the sample.
const demoCard = "4876869379361"

// numbers finds numbers, also in groups.
var numbers = regexp.MustCompile(`[0-9](?:[ -]?[0-9])*`)

// TestDemo: it ends well by itself within a minute, shows the card number once
// and no other, finds nothing on the disk, and leaves nothing behind.
func TestDemo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	temp := t.TempDir()
	r := runContext(t, ctx, []string{"TMPDIR=" + temp}, daemonPath, "demo").want(t, 0)
	var cards []string
	for _, text := range numbers.FindAllString(r.out, -1) {
		digits := strings.NewReplacer(" ", "", "-", "").Replace(text)
		if len(digits) >= 13 && len(digits) <= 19 && luhn(digits) {
			cards = append(cards, digits)
		}
	}
	if len(cards) != 1 || cards[0] != demoCard {
		t.Errorf("the output shows the card numbers %v, want one", cards)
	}
	for line := range strings.Lines(r.out) {
		if strings.Contains(line, demoCard) && !strings.Contains(line, "(view plain)") {
			t.Errorf("the card number stands in %q", line)
		}
	}
	for _, text := range []string{
		"2000 records", "0 refused", "****", "PERMISSION_DENIED ACTION_DENIED", "PERMISSION_DENIED PRINCIPAL_UNKNOWN",
		"PERMISSION_DENIED VIEW_DENIED", "FAILED_PRECONDITION CONSENT_REQUIRED", "INVALID_ARGUMENT MALFORMED_TOKEN",
		"NOT_FOUND TOKEN_NOT_FOUND", "files: 0 found", "data/values.db", "data/keys.db", "data/audit/",
	} {
		if !strings.Contains(r.out, text) {
			t.Errorf("the output does not say %q", text)
		}
	}
	if r.errors != "" {
		t.Errorf("standard error:\n%s", r.errors)
	}
	wantEmpty(t, temp)
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range left {
		t.Errorf("%s was left behind", e.Name())
	}
}

// luhn tells whether digits end in the right check digit.
func luhn(digits string) bool {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// TestDemoKeep runs every command that the demo prints, as it stands there,
// then interrupts the demo, which ends well and takes its directory away.
func TestDemoKeep(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	cmd := exec.Command(daemonPath, "demo", "--keep")
	cmd.Env = append(cleanEnv(), "TMPDIR="+temp)
	out, err := cmd.StdoutPipe()
	check(t, err)
	var errs output
	cmd.Stderr = &errs
	check(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	commands := readCommands(t, out, &errs)
	if len(commands) != demoCommands {
		t.Fatalf("%d commands, want %d\n%s", len(commands), demoCommands, &errs)
	}
	for _, c := range []struct {
		has, says string
		code      int
	}{
		{"get customers", "tok_", 0},
		{"billing.crt", "card_pan", 0},
		{"support.crt", "masked", 0},
		{"analytics.crt", "ACTION_DENIED", 1}, // "go run" has one code for all failures
		{"security.crt", "PERSONS", 0},
		{"policy get", "principals:", 0},
		{"whoami", "spiffe://cloakroom.example/shop", 0},
	} {
		for _, command := range commands {
			if !strings.Contains(command, c.has) {
				continue
			}
			r := runIn(t, "../../..", command)
			if r.code != c.code || !strings.Contains(r.out+r.errors, c.says) {
				t.Errorf("%s\nexit code %d, want %d, saying %q\n%s%s", command, r.code, c.code, c.says, r.out, r.errors)
			}
			break
		}
	}
	check(t, cmd.Process.Signal(os.Interrupt))
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after an interrupt: %v\n%s", err, &errs)
	}
	wantEmpty(t, temp)
}

// demoCommands is how many commands the demo proposes.
const demoCommands = 7

// readCommands reads what the demo says to its last command, and returns the
// commands: two lines each, the first ending in a backslash.
func readCommands(t *testing.T, out io.Reader, errs *output) []string {
	t.Helper()
	var commands []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		first, ok := strings.CutSuffix(lines.Text(), `\`)
		if !ok {
			continue
		}
		if !lines.Scan() {
			break
		}
		commands = append(commands, strings.TrimSpace(first)+" "+strings.TrimSpace(lines.Text()))
		if len(commands) == demoCommands {
			return commands
		}
	}
	t.Fatalf("the output ended after %d commands: %v\n%s", len(commands), lines.Err(), errs)
	return nil
}

// runIn runs a line of the shell in a folder.
func runIn(t *testing.T, dir, line string) result {
	t.Helper()
	return run(t, nil, "/bin/sh", "-c", "cd "+dir+" && "+line)
}
