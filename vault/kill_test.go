package vault_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
)

// killState is what the parent knows of a subject: what was acknowledged last,
// and what was tried after that.
type killState struct {
	now, tried   uint64 // number of the state; 0: no record
	trying       bool
	token        string
	requests     []uint64 // acknowledged
	tokensOfDead []string
}

const killRounds = 16

// A vault that is killed at any moment has every acknowledged write, each other
// one wholly or not at all, and an entry for each in its log.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	if err := filekek.Generate(filepath.Join(dir, "kek")); err != nil {
		t.Fatal(err)
	}
	if _, err := filekek.CreateEpochs(filepath.Join(dir, "epochs")); err != nil {
		t.Fatal(err)
	}
	p, err := openParts(t.Context(), dir, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.vault.ApplyPolicy(t.Context(), as("admin"), vault.ApplyRequest{Document: []byte(testPolicy)}); err != nil {
		t.Fatal(err)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	known := map[string]*killState{}
	for w := range killWorkers {
		for n := range killSubjects {
			known[killSubject(w, n)] = &killState{}
		}
	}
	acknowledged := 0
	for range killRounds {
		acknowledged += runAndKill(t, dir, known)
		checkKilled(t, dir, known)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d writes acknowledged in %d lives", acknowledged, killRounds)
	if acknowledged < killRounds*killWorkers {
		t.Errorf("only %d writes were acknowledged", acknowledged)
	}
}

// runAndKill lets a child write and kills it at a random moment, between two
// of its lines. It returns how many writes were acknowledged.
func runAndKill(t *testing.T, dir string, known map[string]*killState) (acknowledged int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	started := false
	for lines.Scan() {
		if !started { // the clock runs from the first write on
			started = true
			time.AfterFunc(time.Duration(rand.IntN(400))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
		word := strings.Fields(lines.Text())
		s := known[word[1]]
		switch word[0] {
		case "try":
			n, err := strconv.ParseUint(word[3], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			s.trying, s.tried = true, 0
			if word[2] == "set" {
				s.tried = n
			}
			s.requests = append(s.requests, n)
		case "ack":
			s.adopt(s.tried, word[2])
			acknowledged++
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Errorf("the child ended by itself: %v", err)
	}
	return acknowledged
}

// adopt takes a state as the one that is stored.
func (s *killState) adopt(n uint64, token string) {
	if n == 0 && s.token != "" {
		s.tokensOfDead, s.token = append(s.tokensOfDead, s.token), ""
	}
	if n != 0 {
		s.token = token
	}
	s.now, s.trying = n, false
}

func checkKilled(t *testing.T, dir string, known map[string]*killState) {
	t.Helper()
	ctx := t.Context()
	p, err := openParts(ctx, dir, false)
	if err != nil {
		t.Fatalf("open after the kill: %v", err)
	}
	defer func() {
		if err := p.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	p.vault.WaitSwept()
	for name, check := range map[string]func(context.Context) error{"keys": p.keys.Check, "values": p.values.Check, "log": p.log.Check} {
		if err := check(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(scanAll(t, p.values, rows.Outbox)); n != 0 {
		t.Errorf("%d rows are left in the outbox", n)
	}
	logged := requestsLogged(t, p.log)
	people := 0
	for _, subject := range slices.Sorted(mapKeys(known)) {
		s := known[subject]
		checkSubject(t, p, subject, s, logged)
		if s.now != 0 {
			people++
		}
	}
	if n := len(scanAll(t, p.keys, rows.Subjects)); n != people {
		t.Errorf("there are %d persons' keys for %d persons", n, people)
	}
}

// checkSubject compares what is stored of a subject with what is known, and
// takes the stored state as known.
func checkSubject(t *testing.T, p *parts, subject string, s *killState, logged map[uint64]bool) {
	t.Helper()
	stored, token := storedState(t, p.vault, subject)
	switch {
	case s.trying && stored == s.tried && stored != s.now:
		s.adopt(stored, token) // not acknowledged, and done: so it is logged
	case stored == s.now:
		if s.trying { // not acknowledged, and not done
			s.requests = s.requests[:len(s.requests)-1]
		}
		s.trying = false
	default:
		t.Errorf("%s: state %d is stored, want %d (or %d, tried: %t)", subject, stored, s.now, s.tried, s.trying)
	}
	if s.now != 0 && token != s.token {
		t.Errorf("%s: the token changed", subject)
	}
	for _, n := range s.requests {
		if !logged[n] {
			t.Errorf("%s: change %d is not in the log", subject, n)
		}
	}
	s.requests = nil
	var out vault.Revealed
	if len(s.tokensOfDead) == 0 {
		return
	}
	last := s.tokensOfDead[max(0, len(s.tokensOfDead)-vault.MaxBatch):]
	if err := p.vault.Detokenize(t.Context(), as("reader"), vault.DetokenizeRequest{Tokens: last, Purpose: "support"}, &out); err != nil {
		t.Fatal(err)
	}
	for i := range last {
		if e := out.Items[i].Err; e == nil || e.Reason != vault.TokenNotFound {
			t.Errorf("%s: a token of an erased person gives %v", subject, e)
		}
	}
}

// storedState reads a subject's record and tells which state it is in; all its
// values must be of one state.
func storedState(t *testing.T, v *vault.Vault, subject string) (n uint64, token string) {
	t.Helper()
	r, err := v.ReadRecord(t.Context(), as("reader"), vault.ReadRequest{Collection: "customers", SubjectID: subject, Purpose: "support"})
	if err != nil {
		if e, ok := err.(*vault.Error); !ok || e.Reason != vault.RecordNotFound {
			t.Errorf("%s: %v", subject, err)
		}
		return 0, ""
	}
	var got []string
	for _, name := range []string{"note", "email", "full_name"} {
		for _, f := range r.Fields {
			for i := range f.Count {
				if it := r.Values.Items[f.First+i]; f.Field == name && it.Err != nil {
					t.Errorf("%s: %s does not open: %v", subject, name, it.Err)
				}
				if f.Field == name {
					got = append(got, name, string(r.Values.Value(f.First+i).Expose()))
				}
			}
		}
	}
	if len(got) == 0 {
		t.Errorf("%s: a record without values", subject)
		return 0, ""
	}
	if _, err := fmt.Sscanf(got[1], "note %d", &n); err != nil || !slices.Equal(got, killValues(n)) {
		t.Errorf("%s: a record of two states", subject)
	}
	held, err := v.GetRecords(t.Context(), as("shop"), vault.GetRequest{Collection: "customers", SubjectIDs: []string{subject}})
	if err != nil || held[0].Err != nil {
		t.Fatal(err, held)
	}
	return n, tokensOf(held[0].Record, "note")[0]
}

// requestsLogged returns the requests of all changes in the log.
func requestsLogged(t *testing.T, log *audit.FileLog) map[uint64]bool {
	t.Helper()
	out := map[uint64]bool{}
	err := log.Read(0, func(_ uint64, raw []byte) error {
		e, err := audit.Decode(raw)
		if err != nil {
			return err
		}
		if e.Action == audit.ActionCreate || e.Action == audit.ActionUpdate || e.Action == audit.ActionDelete {
			n, _ := strconv.ParseUint(e.Request, 10, 64)
			out[n] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
