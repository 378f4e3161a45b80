package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// site is a vault directory with its keys and its published log, as a daemon
// has it.
type site struct {
	t   *testing.T
	dir string
	*parts
	h *vaulttest.Harness // for the calls of other tests
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	if err := filekek.Generate(filepath.Join(s.dir, "kek")); err != nil {
		t.Fatal(err)
	}
	if _, err := filekek.CreateEpochs(filepath.Join(s.dir, "epochs")); err != nil {
		t.Fatal(err)
	}
	s.start(true)
	s.apply(testPolicy)
	t.Cleanup(s.stop)
	return s
}

func (s *site) start(create bool) {
	s.t.Helper()
	var err error
	if s.parts, err = openParts(s.t.Context(), s.dir, create); err != nil {
		s.t.Fatal(err)
	}
	signers, err := s.vault.AuditSigners()
	if err == nil {
		err = s.log.Publish(s.t.Context(), signers, nil)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.h = &vaulttest.Harness{Vault: s.vault, Keys: s.keys, Values: s.values}
}

func (s *site) stop() {
	s.t.Helper()
	if s.parts == nil {
		return
	}
	if err := s.close(); err != nil {
		s.t.Error(err)
	}
	s.parts = nil
}

func (s *site) restart() {
	s.t.Helper()
	s.stop()
	s.start(false)
}

func (s *site) apply(document string) {
	s.t.Helper()
	if _, _, err := s.vault.ApplyPolicy(s.t.Context(), as("admin"), vault.ApplyRequest{Document: []byte(document)}); err != nil {
		s.t.Fatal(err)
	}
}

// copyTo copies the directory of a stopped vault.
func (s *site) copyTo(dir string) {
	s.t.Helper()
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		s.t.Fatal(err)
	}
	s.private(dir)
}

// private gives copied files the modes that keys must have.
func (s *site) private(dir string) {
	s.t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// putBack replaces files or folders of the vault by those of a copy.
func (s *site) putBack(from string, names ...string) {
	s.t.Helper()
	for _, name := range names {
		at, was := filepath.Join(s.dir, name), filepath.Join(from, name)
		info, err := os.Stat(was)
		if err == nil {
			err = os.RemoveAll(at)
		}
		if err == nil && info.IsDir() {
			err = os.CopyFS(at, os.DirFS(was))
		} else if err == nil {
			var content []byte
			if content, err = os.ReadFile(was); err == nil {
				err = os.WriteFile(at, content, 0o600)
			}
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	s.private(s.dir)
}

// checked is what a deep check found.
type checked struct {
	report *vault.DeepReport
	found  []vault.Finding
}

// kinds lists the findings without persons and entries.
func (c *checked) kinds() []string {
	var all []string
	for _, f := range c.found {
		line := f.Kind.String()
		if f.Field != "" {
			line += " " + f.Field
		}
		if f.Item != 0 {
			line += fmt.Sprintf(" %d", f.Item)
		}
		all = append(all, line)
	}
	return all
}

// deep stops the vault and checks its directory.
func (s *site) deep() *checked {
	s.t.Helper()
	s.stop()
	c, err := deepDir(s.t.Context(), s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func deepDir(ctx context.Context, dir string) (_ *checked, err error) {
	kek, epochs, err := secrets(dir)
	if err != nil {
		return nil, err
	}
	log, err := audit.Open(filepath.Join(dir, "audit"), audit.Options{SegmentSize: 64 << 10})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	keys, err := boltstore.Open(boltstore.Options{Path: filepath.Join(dir, "keys.db"), Tables: rows.KeyTables()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	return deepOf(ctx, vault.Options{Keys: keys, KEK: kek, Epochs: epochs, Log: log, Values: func(s vault.Sealer) (store.Store, error) {
		return boltstore.Open(boltstore.Options{Path: filepath.Join(dir, "values.db"), Tables: rows.ValueTables(), Seal: s})
	}})
}

func deepOf(ctx context.Context, o vault.Options) (*checked, error) {
	c := &checked{}
	var err error
	c.report, err = vault.Deep(ctx, o, vault.DeepOptions{Found: func(f vault.Finding) { c.found = append(c.found, f) }})
	if err == nil && c.report.Findings != uint64(len(c.found)) {
		err = fmt.Errorf("%d findings are counted and %d were told", c.report.Findings, len(c.found))
	}
	return c, err
}

// optionsOf are those of a closed vault in memory.
func optionsOf(h *vaulttest.Harness, log audit.Log) vault.Options {
	return vault.Options{
		Keys: h.Keys, KEK: h.KEK, Epochs: h.Epochs, Log: log, Now: h.Clock.Now,
		Values: func(vault.Sealer) (store.Store, error) { return h.Values, nil },
	}
}

// deepMemory checks a vault in memory, which it closes.
func deepMemory(t *testing.T, h *vaulttest.Harness, log audit.Log) *checked {
	t.Helper()
	h.Close()
	c, err := deepOf(t.Context(), optionsOf(h, log))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantFound(t *testing.T, c *checked, want ...string) {
	t.Helper()
	if got := c.kinds(); !slices.Equal(got, want) {
		t.Errorf("found\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// dump is every row of the ordered tables of a store.
type dump map[uint8][]store.Row

func dumpOf(t *testing.T, s store.Store, tables []store.Table) dump {
	t.Helper()
	all := dump{}
	for _, table := range tables {
		if table.Kind == store.Ordered {
			all[table.Number] = scanAll(t, s, table.Number)
		}
	}
	return all
}

// row returns the value under a key, nil when there is none.
func (d dump) row(table uint8, key []byte) []byte {
	for _, r := range d[table] {
		if bytes.Equal(r.Key, key) {
			return r.Value
		}
	}
	return nil
}

// person returns all rows of a person.
func (d dump) person(ref uint64) (all []store.Row) {
	for _, r := range d[rows.People] {
		if bytes.HasPrefix(r.Key, rows.RefKey(ref)) {
			all = append(all, r)
		}
	}
	return all
}
