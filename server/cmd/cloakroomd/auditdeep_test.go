package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/plain"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

const deepPolicy = `
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
  - name: shop
    rules:
      - {effect: allow, actions: [write, delete, read], fields: ["customers.*"]}
principals:
  - {id: "spiffe://cloakroom.example/admin", roles: [administrator]}
  - {id: "spiffe://cloakroom.example/shop", roles: [shop]}
`

// opened opens a vault directory as the daemon does.
func opened(t *testing.T, dir string) *daemon.Node {
	t.Helper()
	n, err := daemon.Open(t.Context(), configOf(t, dir), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func configOf(t *testing.T, dir string) *config.Config {
	t.Helper()
	c, err := config.Load(filepath.Join(dir, daemon.ConfigName))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func closed(t *testing.T, n *daemon.Node) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

// customer stores the one value of a customer.
func customer(t *testing.T, n *daemon.Node, text string) {
	t.Helper()
	r, err := n.Vault.PutRecords(t.Context(), vault.Caller{Principal: "spiffe://cloakroom.example/shop"}, vault.PutRequest{
		Collection: "customers", Upsert: true, Records: []vault.RecordInput{{
			SubjectID: "c-1", Fields: []vault.FieldValues{{Field: "note", Values: []vault.Given{{Value: plain.Text(text)}}}},
		}},
	})
	if err != nil || r[0].Err != nil {
		t.Fatal(err, r)
	}
}

// cells returns the rows of all cells.
func cells(t *testing.T, s store.Store) (all []store.Row) {
	t.Helper()
	page, err := s.Scan(t.Context(), rows.People, store.Next(rows.ControlKey), nil, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range page {
		if k, err := rows.ParsePersonKey(r.Key); err == nil && k.Field != 0 {
			all = append(all, r)
		}
	}
	return all
}

func TestAuditVerifyDeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vault")
	if exit, _, errs := runLine(t, "init", dir); exit != exitOK {
		t.Fatal(errs)
	}
	conf, log := filepath.Join(dir, daemon.ConfigName), filepath.Join(dir, "data", "audit")
	check := func(name string, exit int, want []string, args ...string) {
		t.Helper()
		got, out, errs := runLine(t, append([]string{"audit", "verify"}, args...)...)
		if got != exit {
			t.Errorf("%s: exit %d, want %d", name, got, exit)
		}
		for _, w := range want {
			if !strings.Contains(out+errs, w) {
				t.Errorf("%s: %q is not in\n%s%s", name, w, out, errs)
			}
		}
		for _, secret := range []string{"c-1", "tea", "coffee"} {
			if strings.Contains(out+errs, secret) {
				t.Errorf("%s: %q was printed", name, secret)
			}
		}
	}
	deep := []string{"--deep", "--config", conf}
	check("a new vault", exitOK, []string{"everything that is stored agrees", "cells           0"}, deep...)

	n := opened(t, dir)
	if _, _, err := n.Vault.ApplyPolicy(t.Context(), vault.Caller{Principal: "spiffe://cloakroom.example/admin"}, vault.ApplyRequest{Document: []byte(deepPolicy)}); err != nil {
		t.Fatal(err)
	}
	customer(t, n, "tea")
	old := cells(t, n.Values)[0]
	check("a vault that is served", exitError, []string{"in use by another process", "hint: another cloakroomd serves this directory"}, deep...)
	closed(t, n)
	before := filepath.Join(t.TempDir(), "audit")
	if err := os.CopyFS(before, os.DirFS(log)); err != nil {
		t.Fatal(err)
	}
	n = opened(t, dir)
	customer(t, n, "coffee")
	now := cells(t, n.Values)[0]
	closed(t, n)
	checkpoint := filepath.Join(t.TempDir(), "checkpoint")
	text, err := os.ReadFile(filepath.Join(log, audit.TreeDir, "checkpoint"))
	if err == nil {
		err = os.WriteFile(checkpoint, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	check("nothing", exitOK, []string{"the audit log holds", "everything that is stored agrees", "faults          0", "cells           1", "persons         1", "without --checkpoint"}, deep...)
	check("with key and checkpoint", exitOK, []string{"which the log goes on from"},
		append(deep, "--vkey", filepath.Join(log, audit.TreeDir, "vkey"), "--checkpoint", checkpoint)...)

	set := func(r store.Row) {
		t.Helper()
		n := opened(t, dir)
		var b store.Batch
		b.Put(rows.People, r.Key, r.Value)
		if err := n.Values.Commit(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		closed(t, n)
	}
	set(old)
	check("an older cell", exitError, []string{
		"cell_older customers.note item 1 person ", "the cell was put back to an older version; last told by entry ", "what is there is told by entry ",
		"faults          1", "cloakroomd: what is stored does not agree with the audit log: 1 faults", "hint: keep a copy",
	}, deep...)
	set(now)
	check("nothing again", exitOK, nil, deep...)

	if err := os.RemoveAll(log); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(log, os.DirFS(before)); err != nil {
		t.Fatal(err)
	}
	check("a log put back", exitError, []string{"log_older", "cell_unwritten customers.note item 1", "hint: keep a copy"}, deep...)
	check("a log put back, and a checkpoint", exitError, []string{"put back to an older state"}, append(deep, "--checkpoint", checkpoint)...)
	exit, _, errs := runLine(t, "serve", "--config", conf)
	if exit != exitError || !strings.Contains(errs, "the audit log is older than the values") || !strings.Contains(errs, "hint: bring back the newest copy") {
		t.Errorf("serve: exit %d, %s", exit, errs)
	}
}

func TestAuditVerifyDeepWrongUse(t *testing.T) {
	for _, args := range [][]string{
		{"--deep"}, {"--deep", "DIR"}, {"--deep", "--config", "FILE", "DIR"}, {"--config", "FILE"}, {"--config", "FILE", "DIR"},
	} {
		if exit, _, errs := runLine(t, append([]string{"audit", "verify"}, args...)...); exit != exitUsage {
			t.Errorf("%q: exit %d, %s", args, exit, errs)
		}
	}
	if exit, _, errs := runLine(t, "audit", "verify", "--deep", "--config", filepath.Join(t.TempDir(), "none")); exit != exitError || !strings.Contains(errs, "no such file") {
		t.Errorf("exit %d, %s", exit, errs)
	}
}

// A log that was replaced by an empty one is refused, unless it was begun as
// one that is lost for good.
func TestServeBeginAuditLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vault")
	if exit, _, errs := runLine(t, "init", dir, "--listen", "127.0.0.1:0"); exit != exitOK {
		t.Fatal(errs)
	}
	conf, log := filepath.Join(dir, daemon.ConfigName), filepath.Join(dir, "data", "audit")
	written(t, dir, 3)
	if err := os.RemoveAll(log); err != nil {
		t.Fatal(err)
	}
	empty, err := audit.Open(log, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := empty.Close(); err != nil {
		t.Fatal(err)
	}
	if exit, _, errs := runLine(t, "serve", "--config", conf); exit != exitError || !strings.Contains(errs, "older than the values") {
		t.Errorf("an empty log: exit %d, %s", exit, errs)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := daemon.BeginLog(ctx, configOf(t, dir), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a log was begun after the end of the context")
	}
	if err := daemon.BeginLog(t.Context(), configOf(t, dir), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	closed(t, opened(t, dir))
}
