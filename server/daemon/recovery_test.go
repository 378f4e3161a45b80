package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/keys/recovery"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/plain"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

const recoveryPolicy = `
version: 1
purposes:
  - {name: support, basis: contract, text: {en: To help you.}}
collections:
  - name: customers
    fields:
      - {name: note, type: string, category: user.note, purposes: [support]}
roles:
  - name: administrator
    rules:
      - {effect: allow, actions: [policy.apply, policy.read]}
  - name: all
    rules:
      - {effect: allow, actions: [keys.rotate]}
      - {effect: allow, actions: [write, read], fields: ["customers.*"]}
      - {effect: allow, actions: [reveal], fields: ["customers.*"], purposes: [support], views: [plain]}
principals:
  - {id: "spiffe://cloakroom.example/admin", roles: [administrator]}
  - {id: "spiffe://cloakroom.example/user", roles: [all]}
`

// inVault opens a vault, works on it and closes it.
func inVault(t *testing.T, c *config.Config, work func(v *vault.Vault, who vault.Caller)) {
	t.Helper()
	n, err := daemon.Open(t.Context(), c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close() // also when the work ends the test
	work(n.Vault, vault.Caller{Principal: "spiffe://cloakroom.example/user"})
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

// withNote makes a vault with a value, and returns how to look for it.
func withNote(t *testing.T) (*config.Config, func()) {
	t.Helper()
	c := initialised(t)
	token := ""
	inVault(t, c, func(v *vault.Vault, who vault.Caller) {
		by := vault.Caller{Principal: admin}
		if _, _, err := v.ApplyPolicy(t.Context(), by, vault.ApplyRequest{Document: []byte(recoveryPolicy)}); err != nil {
			t.Fatal(err)
		}
		r, err := v.PutRecords(t.Context(), who, vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{{
			SubjectID: "c-1", Fields: []vault.FieldValues{{Field: "note", Values: []vault.Given{{Value: plain.Text("tea")}}}},
		}}})
		if err != nil || r[0].Err != nil {
			t.Fatal(err, r)
		}
		token = r[0].Record.Fields[0].Tokens[0]
	})
	return c, func() {
		t.Helper()
		inVault(t, c, func(v *vault.Vault, who vault.Caller) {
			var out vault.Revealed
			if err := v.Detokenize(t.Context(), who, vault.DetokenizeRequest{Tokens: []string{token}, Purpose: "support"}, &out); err != nil || out.Items[0].Err != nil {
				t.Errorf("the value does not open: %v", err)
			}
		})
	}
}

func createRecovery(t *testing.T, c *config.Config, shares, threshold int) *daemon.RecoveryMade {
	t.Helper()
	made, err := daemon.CreateRecovery(t.Context(), c, daemon.RecoveryOptions{
		Shares: shares, Threshold: threshold, Out: filepath.Join(t.TempDir(), "shares"),
	}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// loseKEK removes the KEK's file and makes another one.
func loseKEK(t *testing.T, c *config.Config) {
	t.Helper()
	if err := os.Remove(c.KEK.File); err != nil {
		t.Fatal(err)
	}
	if err := daemon.MakeKEK(t.Context(), &c.KEK.Provider); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// objectsOf are the objects of the log's entries of recoveries, and all of its
// files.
func objectsOf(t *testing.T, c *config.Config) (objects []string) {
	t.Helper()
	log, err := audit.Open(c.Audit.Directory, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = log.Read(0, func(_ uint64, raw []byte) error {
		e, err := audit.Decode(raw)
		if err == nil && e.Action == audit.ActionRecovery {
			objects = append(objects, e.Principal+" "+e.Object)
		}
		return err
	})
	if err := errors.Join(err, log.Close()); err != nil {
		t.Fatal(err)
	}
	return objects
}

// A vault whose KEK is lost is opened by any of the choices of shares, also
// after the root was rotated, and its values open.
func TestRecovery(t *testing.T) {
	defer goleak.VerifyNone(t)
	c, opens := withNote(t)
	if _, err := daemon.ShowRecovery(t.Context(), c, quiet); !errors.Is(err, daemon.ErrNoRecovery) {
		t.Errorf("show before there is one: %v", err)
	}
	if _, err := daemon.RemoveRecovery(t.Context(), c, quiet); !errors.Is(err, daemon.ErrNoRecovery) {
		t.Errorf("remove before there is one: %v", err)
	}
	if _, err := daemon.UseRecovery(t.Context(), c, nil, quiet); !errors.Is(err, daemon.ErrNoRecovery) {
		t.Errorf("use before there is one: %v", err)
	}
	made := createRecovery(t, c, 5, 3)
	if len(made.Files) != 5 || made.Replaced != nil {
		t.Errorf("made %+v", made)
	}
	for i, path := range made.Files {
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
		if text := readFile(t, path); !strings.HasPrefix(text, "# Cloakroom recovery share ") || strings.Count(text, "cloakroom-share-1-") != 1 {
			t.Errorf("share %d has another form", i+1)
		}
	}
	dir := filepath.Dir(made.Files[0])
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 5 {
		t.Errorf("%d files in the folder, %v", len(entries), err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v, %v", info.Mode(), err)
	}
	opens()
	inVault(t, c, func(v *vault.Vault, who vault.Caller) {
		if _, err := v.RotateKey(t.Context(), who, vault.KeyChange{Key: vault.KeyRef{Kind: vault.KeyRoot}, Reason: "T-1"}); err != nil {
			t.Fatal(err)
		}
	})
	if err := os.Remove(c.KEK.File); err != nil {
		t.Fatal(err)
	}
	if info, err := daemon.ShowRecovery(t.Context(), c, quiet); err != nil || info.Set != made.Set || info.Threshold != 3 || info.Shares != 5 {
		t.Errorf("show without a KEK: %+v, %v", info, err)
	}
	if _, err := daemon.UseRecovery(t.Context(), c, made.Files, quiet); !errors.Is(err, daemon.ErrRecoveryKEK) {
		t.Errorf("use without a new KEK: %v", err)
	}
	var want []string
	by := made.Files
	for _, files := range [][]string{{by[4], by[0], by[2]}, {by[1], by[3], by[2]}, by} { // any order, and more than enough
		if _, err := os.Stat(c.KEK.File); err == nil {
			if err := os.Remove(c.KEK.File); err != nil {
				t.Fatal(err)
			}
		}
		if err := daemon.MakeKEK(t.Context(), &c.KEK.Provider); err != nil {
			t.Fatal(err)
		}
		used, err := daemon.UseRecovery(t.Context(), c, files, quiet)
		if err != nil || used.Set != made.Set || used.KEK == "" {
			t.Fatal(used, err)
		}
		opens()
		want = append(want, "use")
	}
	removed, err := daemon.RemoveRecovery(t.Context(), c, quiet)
	if err != nil || removed.Set != made.Set {
		t.Fatal(removed, err)
	}
	loseKEK(t, c)
	if _, err := daemon.UseRecovery(t.Context(), c, by, quiet); !errors.Is(err, daemon.ErrNoRecovery) {
		t.Errorf("use of shares of a set that was removed: %v", err)
	}
	got := objectsOf(t, c)
	want = append(append([]string{"create"}, want...), "remove")
	if len(got) != len(want) {
		t.Fatalf("the log says %q", got)
	}
	for i, object := range got {
		if !strings.HasPrefix(object, "local:") || !strings.Contains(object, " "+want[i]+" 3 of 5 set ") {
			t.Errorf("entry %d says %q, want %s", i, object, want[i])
		}
	}
}

// Every wrong share is refused, by the name of its file, and nothing is changed.
func TestUseRecoveryRefuses(t *testing.T) {
	c, opens := withNote(t)
	old := createRecovery(t, c, 3, 2)
	made := createRecovery(t, c, 4, 3)
	if made.Replaced == nil || made.Replaced.Set != old.Set {
		t.Errorf("replaced %+v", made.Replaced)
	}
	other := createRecovery(t, initialised(t), 4, 3)
	scratch := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(scratch, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	by := made.Files
	third := readFile(t, by[2])
	at := len(third) - 10
	damaged := file("damaged", third[:at]+map[bool]string{true: "b", false: "a"}[third[at] == 'a']+third[at+1:])
	copied := file("copied", "\n\t"+strings.ToUpper(lastLine(third))+"\r\n\n") // by hand
	before := readFile(t, filepath.Join(c.Directory, "keys.db"))
	for name, tt := range map[string]struct {
		files []string
		want  error
		says  []string
	}{
		"none":            {nil, recovery.ErrTooFew, []string{"0, want 3"}},
		"too few":         {by[:2], recovery.ErrTooFew, []string{"2, want 3"}},
		"twice":           {[]string{by[0], by[1], by[0]}, recovery.ErrShare, []string{by[0], "share 1", "twice"}},
		"the old set":     {[]string{by[0], by[1], old.Files[2]}, recovery.ErrShare, []string{old.Files[2], "share 3", "another set", "replaced"}},
		"another vault":   {[]string{other.Files[0], by[1], by[2]}, recovery.ErrShare, []string{other.Files[0], "another vault"}},
		"damaged":         {[]string{by[0], by[1], damaged}, recovery.ErrShare, []string{damaged, "share 3", "character"}},
		"cut":             {[]string{by[0], by[1], file("cut", third[:len(third)-20])}, recovery.ErrShare, []string{"cut", "share 3"}},
		"empty":           {[]string{by[0], by[1], file("empty", "# nothing\n")}, daemon.ErrShareFile, []string{"empty", "no line"}},
		"two in one":      {[]string{by[0], by[1], file("two", third+third)}, daemon.ErrShareFile, []string{"two", "more than one line"}},
		"something else":  {[]string{by[0], by[1], c.KEK.File}, recovery.ErrShare, []string{c.KEK.File, "begin with"}},
		"not text":        {[]string{filepath.Join(c.Directory, "keys.db"), by[0], by[1]}, daemon.ErrShareFile, []string{"keys.db"}},
		"not there":       {[]string{by[0], by[1], filepath.Join(scratch, "none")}, os.ErrNotExist, []string{"none"}},
		"one of a folder": {[]string{by[0], by[1], scratch}, nil, []string{scratch}},
	} {
		_, err := daemon.UseRecovery(t.Context(), c, tt.files, quiet)
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
			continue
		}
		for _, says := range tt.says {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %q does not say %q", name, err, says)
			}
		}
		for _, path := range append(slices.Clone(by), old.Files...) {
			if body := lastLine(readFile(t, path)); strings.Contains(err.Error(), body[len(body)-20:]) {
				t.Errorf("%s: the error shows a share", name)
			}
		}
	}
	if readFile(t, filepath.Join(c.Directory, "keys.db")) != before {
		t.Error("keys.db was changed")
	}
	opens()
	loseKEK(t, c)
	if _, err := daemon.UseRecovery(t.Context(), c, []string{copied, by[3], by[1]}, quiet); err != nil {
		t.Errorf("a share that was copied by hand: %v", err)
	}
	opens()
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// A folder that is refused, a vault that is served, and a failure leave no
// share behind and no recovery key in force.
func TestCreateRecoveryRefuses(t *testing.T) {
	c := initialised(t)
	create := func(o daemon.RecoveryOptions) error {
		t.Helper()
		if o.Shares == 0 {
			o.Shares, o.Threshold = 5, 3
		}
		_, err := daemon.CreateRecovery(t.Context(), c, o, quiet)
		return err
	}
	refused := func(what string, err, want error, says string) {
		t.Helper()
		if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := daemon.ShowRecovery(t.Context(), c, quiet); !errors.Is(err, daemon.ErrNoRecovery) {
			t.Errorf("%s: a recovery key is in force: %v", what, err)
		}
	}
	scratch := t.TempDir()
	if err := os.WriteFile(filepath.Join(scratch, "letter"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(c.Directory, link); err != nil {
		t.Fatal(err)
	}
	refused("not empty", create(daemon.RecoveryOptions{Out: scratch}), nil, "not empty")
	refused("inside the data", create(daemon.RecoveryOptions{Out: filepath.Join(c.Directory, "shares")}), nil, "inside the data directory")
	refused("inside the data by a link", create(daemon.RecoveryOptions{Out: filepath.Join(link, "deep", "shares")}), nil, "inside the data directory")
	refused("inside the log", create(daemon.RecoveryOptions{Out: filepath.Join(c.Audit.Directory, "shares")}), nil, "inside the d")
	refused("no folder above", create(daemon.RecoveryOptions{Out: filepath.Join(scratch, "none", "shares")}), os.ErrNotExist, "")
	refused("a file", create(daemon.RecoveryOptions{Out: filepath.Join(scratch, "letter")}), nil, "letter")
	refused("nowhere", create(daemon.RecoveryOptions{}), recovery.ErrUsage, "")
	refused("a threshold of 0", create(daemon.RecoveryOptions{Shares: 3, Out: filepath.Join(scratch, "shares")}), recovery.ErrUsage, "threshold")
	refused("256 shares", create(daemon.RecoveryOptions{Shares: 256, Threshold: 3, Out: filepath.Join(scratch, "shares")}), recovery.ErrUsage, "255")
	failed := errors.New("the terminal is gone")
	refused("a terminal that fails", create(daemon.RecoveryOptions{Show: func(string) error { return failed }}), failed, "share 1")
	ctx, stop := context.WithCancel(t.Context())
	_, err := daemon.CreateRecovery(ctx, c, daemon.RecoveryOptions{Shares: 1, Threshold: 1, Show: func(string) error { stop(); return nil }}, quiet)
	refused("a caller who left", err, context.Canceled, "")

	n, err := daemon.Open(t.Context(), c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"create": create(daemon.RecoveryOptions{Out: filepath.Join(scratch, "shares")}),
		"show":   func() error { _, err := daemon.ShowRecovery(t.Context(), c, quiet); return err }(),
		"remove": func() error { _, err := daemon.RemoveRecovery(t.Context(), c, quiet); return err }(),
		"use":    func() error { _, err := daemon.UseRecovery(t.Context(), c, nil, quiet); return err }(),
	} {
		if !errors.Is(err, store.ErrLocked) {
			t.Errorf("%s of a vault that is served: %v", what, err)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(scratch); err != nil || len(entries) != 1 {
		t.Errorf("%d entries were left behind, %v", len(entries)-1, err)
	}
}

// gone is a context that ends when a file is there.
type gone struct {
	context.Context
	path string
}

// Err implements context.Context.
func (g gone) Err() error {
	if _, err := os.Lstat(g.path); err == nil {
		return context.Canceled
	}
	return g.Context.Err()
}

// What fails after the shares were written takes them away again, and leaves
// the set before in force.
func TestCreateRecoveryFails(t *testing.T) {
	c := initialised(t)
	made := createRecovery(t, c, 2, 2)
	out := filepath.Join(t.TempDir(), "shares")
	ctx := gone{t.Context(), filepath.Join(out, "share-2-of-2.txt")}
	_, err := daemon.CreateRecovery(ctx, c, daemon.RecoveryOptions{Shares: 2, Threshold: 2, Out: out}, quiet)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("made, though the caller left: %v", err)
	}
	if _, err := os.Lstat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is there: %v", err)
	}
	if info, err := daemon.ShowRecovery(t.Context(), c, quiet); err != nil || info.Set != made.Set {
		t.Errorf("in force is %+v, %v", info, err)
	}
	if got := objectsOf(t, c); len(got) != 1 {
		t.Errorf("the log says %q", got)
	}
}

// Shares are in no file of the vault, no log, and nothing that is printed, and
// those that are shown open the root as those in files do.
func TestShownShares(t *testing.T) {
	c, opens := withNote(t)
	var shown []string
	var logged bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	made, err := daemon.CreateRecovery(t.Context(), c, daemon.RecoveryOptions{Shares: 3, Threshold: 2, Show: func(text string) error {
		shown = append(shown, text)
		return nil
	}}, logger)
	if err != nil || len(shown) != 3 || len(made.Files) != 0 {
		t.Fatal(made, err)
	}
	loseKEK(t, c)
	var files []string
	for i, text := range shown {
		path := filepath.Join(t.TempDir(), "share")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if i != 1 {
			files = append(files, path)
		}
	}
	if _, err := daemon.UseRecovery(t.Context(), c, files, logger); err != nil {
		t.Fatal(err)
	}
	opens()
	sought := keystest.NewCanary()
	for _, text := range shown {
		share := lastLine(text)
		sought.Add([]byte(share[strings.LastIndexByte(share, '-')+1+50:]))
	}
	if found := sought.Find(logged.Bytes()); found != "" {
		t.Errorf("a share was logged: %s", found)
	}
	err = filepath.WalkDir(filepath.Dir(c.Directory), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && sought.Find([]byte(readFile(t, path))) != "" {
			t.Errorf("a share is in %s", filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
