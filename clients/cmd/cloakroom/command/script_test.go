package command_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"

	"github.com/cloakroom-vault/cloakroom/clients/cmd/cloakroom/command"
	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestScripts runs testdata/script/*.txtar: a script, then the files that it
// works with. The command runs in this process, against a stand-in of the vault
// over mutual TLS. The scripts know:
//
//	cloakroom ARG...     must succeed; "exit N cloakroom ARG..." must end with N
//	stdin FILE           what the next cloakroom reads
//	[!] stdout REGEXP    must (not) match what the last one wrote
//	[!] stderr REGEXP    the same
//	cmp stdout FILE      must be the same text; or a file instead of stdout
//	[!] exists FILE      must (not) be there
//	env NAME=VALUE       sets a variable, also for $NAME in the script
//	fail METHOD KIND     the next call of the method fails: unavailable, busy, denied
//	calls METHOD N       it was called N times
//	log FROM TO          puts the sample entries FROM to before TO into the audit log
//	lie KIND [N]         makes the audit log lie; see the functions lie and signLog
//	erase SUBJECT        erases a person from what exposure knows
//	wide N               appends an entry about N fields of one person
//	breaking N           the next watch breaks before entry 12, and fails N times when it is opened again
//	seal WHY             the vault says that it is sealed; '' that it is not
//	work STATE DONE TOTAL [PROBLEM]  the only work on keys is a re-wrap that stands so
//	interrupt N cloakroom ARG...  is interrupted when it has written N lines, and must succeed
//
// first.pem and first.key, second.pem and second.key are certificates of two
// others. $VKEY is a file with the key of the log, vkey-2 one with the key that
// takes its place, vkey-other one with that of another log.
//
// Words are split at blanks; 'single quotes' keep them together and stop
// variables.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			newScript(t, string(text)).run()
		})
	}
}

type script struct {
	t              *testing.T
	server         *fakeserver.Server
	lines          []string
	env            map[string]string
	stdin          []byte
	stdout, stderr string
}

func newScript(t *testing.T, text string) *script {
	t.Helper()
	s := &script{t: t, server: fakeserver.Start(t)}
	s.env = map[string]string{
		"CLOAKROOM_ADDRESS": s.server.Address, "CLOAKROOM_CA": s.server.CA, "CLOAKROOM_CERT": s.server.Cert,
		"CLOAKROOM_KEY": s.server.Key, "EMAIL": fakeserver.Token("", "C1", "email", 0), "NOBODY": fakeserver.Token("", "nobody", "email", 0),
	}
	dir := t.TempDir()
	parts := regexp.MustCompile(`(?m)^-- (.+) --\n`).FindAllStringSubmatchIndex(text, -1)
	end := len(text)
	for i := len(parts) - 1; i >= 0; i-- {
		p := parts[i]
		s.write(filepath.Join(dir, text[p[2]:p[3]]), []byte(text[p[1]:end]))
		end = p[0]
	}
	s.lines = strings.Split(text[:end], "\n")
	for _, name := range []string{"customers.csv", "customers_dirty.csv"} {
		content, err := os.ReadFile("../../../../server/demo/data/" + name)
		if err != nil {
			t.Fatal(err)
		}
		s.write(filepath.Join(dir, name), content)
	}
	other := fakeserver.NewAuthority(t)
	other.WriteCA(t, filepath.Join(dir, "other-ca.pem"))
	other.WriteClient(t, "stranger", filepath.Join(dir, "other.pem"), filepath.Join(dir, "other.key"))
	for _, name := range []string{"first", "second"} {
		s.server.Authority.WriteClient(t, name, filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
	}
	s.env["VKEY"] = filepath.Join(dir, "vkey")
	s.write(s.env["VKEY"], []byte(s.server.Audit.VerifierKey+"\n"))
	s.write(filepath.Join(dir, "vkey-2"), []byte(fakeserver.VerifierKey(t, fakeserver.Origin, 2)))
	s.write(filepath.Join(dir, "vkey-other"), []byte(fakeserver.VerifierKey(t, "cloakroom.vault/other", 1)))
	t.Chdir(dir)
	return s
}

func (s *script) write(file string, content []byte) {
	s.t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) run() {
	for i, text := range s.lines {
		words := s.words(text)
		if len(words) == 0 {
			continue
		}
		not := words[0] == "!"
		if not {
			words = words[1:]
		}
		if problem := s.do(words, not); problem != "" {
			s.t.Fatalf("line %d: %s\n%s\nstdout:\n%s\nstderr:\n%s", i+1, text, problem, s.stdout, s.stderr)
		}
	}
}

// words splits a line; a comment begins with "#".
func (s *script) words(text string) []string {
	if strings.HasPrefix(strings.TrimSpace(text), "#") {
		return nil
	}
	var words []string
	for i, part := range strings.Split(text, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		part = os.Expand(part, func(name string) string { return s.env[name] })
		words = append(words, strings.Fields(part)...)
	}
	return words
}

// do runs one line and returns what is wrong, empty when nothing is.
func (s *script) do(words []string, not bool) string {
	name, args := words[0], words[1:]
	switch name {
	case "cloakroom":
		return s.cloakroom("0", args)
	case "exit":
		return s.cloakroom(args[0], args[2:])
	case "interrupt":
		lines, err := strconv.Atoi(args[0])
		if err != nil {
			return err.Error()
		}
		ctx, cancel := context.WithCancel(s.t.Context())
		defer cancel()
		return s.start(ctx, &interrupter{after: lines, cancel: cancel}, "0", args[2:])
	case "log", "lie", "erase", "wide", "breaking":
		return s.audit(name, args)
	case "seal":
		s.server.SealVault(strings.Join(args, " "))
	case "work":
		return s.work(args)
	case "stdin":
		s.stdin = []byte(s.read(args[0]))
	case "stdout", "stderr":
		if regexp.MustCompile("(?m)"+args[0]).MatchString(s.read(name)) == not {
			return "the output is not so"
		}
	case "cmp":
		return cmp.Diff(s.read(args[1]), s.read(args[0]))
	case "exists":
		if _, err := os.Stat(args[0]); (err == nil) == not {
			return fmt.Sprint("it is not so: ", err)
		}
	case "env":
		key, value, _ := strings.Cut(args[0], "=")
		s.env[key] = value
	case "fail":
		s.server.Fail(args[0], map[string]error{
			"unavailable": fakeserver.Unavailable(),
			"busy":        fakeserver.Busy(-1),
			"denied":      fakeserver.Refusal(codes.PermissionDenied, "FIELD_DENIED", "no role of the caller allows it", "email", ""),
		}[args[1]])
	case "calls":
		if got := strconv.Itoa(s.server.Calls(args[0])); got != args[1] {
			return "it was called " + got + " times"
		}
	default:
		return "unknown command of a script"
	}
	return ""
}

func (s *script) read(name string) string {
	switch name {
	case "stdout":
		return s.stdout
	case "stderr":
		return s.stderr
	}
	content, err := os.ReadFile(name)
	if err != nil {
		s.t.Fatal(err)
	}
	// Values that change from run to run stand in the files as variables.
	return os.Expand(string(content), func(name string) string {
		if value, known := s.env[name]; known {
			return value
		}
		return "$" + name
	})
}

func (s *script) cloakroom(want string, args []string) string {
	return s.start(s.t.Context(), &interrupter{}, want, args)
}

func (s *script) start(ctx context.Context, stdout *interrupter, want string, args []string) string {
	var stderr bytes.Buffer
	code := command.Run(ctx, args, command.Environment{
		Stdin: bytes.NewReader(s.stdin), Stdout: stdout, Stderr: &stderr,
		Getenv:    func(name string) string { return s.env[name] },
		ConfigDir: func() (string, error) { return filepath.Join(filepath.Dir(s.env["VKEY"]), "config"), nil },
		Now:       func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) },
	})
	s.server.WaitForStreams() // of this run: the next one must not meet them
	s.stdin, s.stdout, s.stderr = nil, stdout.String(), stderr.String()
	if got := strconv.Itoa(code); got != want {
		return "it ended with exit code " + got
	}
	return ""
}

// A terminal gets a progress bar, and the rest is the same.
func TestImportOnATerminal(t *testing.T) {
	s := newScript(t, "")
	var stdout, stderr bytes.Buffer
	start := time.Now()
	code := command.Run(t.Context(), strings.Fields("import customers customers.csv --id-column customer_id --map latitude+longitude=location"),
		command.Environment{
			Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Terminal: true,
			Getenv: func(name string) string { return s.env[name] },
		})
	if code != 0 || !strings.Contains(stderr.String(), "importing") || strings.Contains(stdout.String(), "importing") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
	}
	t.Logf("2,000 rows in %v", time.Since(start))
}
