package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// witness keeps everything that leaves the vault for people to read.
type witness struct {
	mu      sync.Mutex
	text    bytes.Buffer // log lines, errors, entries
	results bytes.Buffer // what a careless log line would make of answers
}

func (w *witness) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

// note keeps a result as a careless log line would print it, and the texts of
// all causes of an error.
func (w *witness) note(results any, err error) {
	fmt.Fprintf(&w.results, "%v %+v %#v\n", results, results, results)
	for ; err != nil; err = errors.Unwrap(err) {
		fmt.Fprintf(w, "%v %+v\n", err, err)
	}
}

func (w *witness) search(t *testing.T, where string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range findCanaries(w.text.Bytes()) {
		t.Errorf("%s hold %s", where, what)
	}
	for _, what := range findCanaries(w.results.Bytes()) {
		if !strings.Contains(what, "subject") { // records name their person
			t.Errorf("printed results hold %s", what)
		}
	}
}

// No value, and no id of a person, stands in any file, log line, error or
// audit entry, whatever was done and whatever went wrong.
func TestNothingLeavesInClear(t *testing.T) {
	h := vaulttest.OnDisk(t)
	logDir := t.TempDir()
	log, err := audit.Open(logDir, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var lines, told witness
	var g *gate
	h.WrapLog = func(audit.Log) audit.Log { return log }
	h.Wrap = func(s store.Store) store.Store { g = &gate{Store: s}; return g }
	h.Logger = slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.Reopen()
	h.Apply(testPolicy)

	everything(t, h, &told)
	failures(t, h, g, &told)
	h.Close()
	if err := log.Check(t.Context()); err != nil {
		t.Error(err)
	}
	entries := 0
	err = log.Read(0, func(_ uint64, raw []byte) error {
		entries++
		e, err := audit.Decode(raw)
		fmt.Fprintf(&told, "%s %+v", raw, e)
		return err
	})
	if err != nil || entries < 30 {
		t.Errorf("%d audit entries and %v", entries, err)
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
	lines.search(t, "log lines")
	told.search(t, "errors and entries")
	if n := searchFiles(t, h.Dir, logDir); n < 4 {
		t.Errorf("only %d files were searched", n)
	}
	if lines.text.Len() == 0 {
		t.Error("nothing was logged: the failures did not happen")
	}
}

// everything stores, changes, reads and deletes canaries.
func everything(t *testing.T, h *vaulttest.Harness, w *witness) {
	t.Helper()
	v, ctx := h.Vault, t.Context()
	rec := record("subject-zzq-9481", "full_name", "Zyxqwv Quibbleforth", "email", "Zyx.Canary@QUIBBLE.example", "email", "qqzyx2@quibble.example",
		"card", "5425 2334 3010 9903", "note", "canarynote7f3a9 with\nbreaks")
	rec.Fields = append(rec.Fields, vault.FieldValues{Field: "photo", Values: []vault.Given{vaulttest.Data([]byte("\x01photo\xff\x00canary\x7f\x80bytes"))}})
	w.note(rec, nil)
	q := vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{rec, record("subject-zzq-9482", "note", "canarynote7f3a9 with\nbreaks")}, RequestID: "r-1"}
	var stored []vault.RecordResult
	for range 3 { // stored, repeated, and refused as another request
		r, err := v.PutRecords(ctx, as("shop"), q)
		if stored == nil {
			stored = r
		}
		w.note(r, err)
		q.Records[1].Fields = fields("note", "changednote8c21e")
	}
	for _, bad := range []vault.RecordInput{
		record("subject-zzq-9481", "note", "changednote8c21e"),
		record("subject-zzq-9482", "email", "refusedcanary5512 at quibble"),
		record("subject-zzq-9483", "card", "5425233430109904"),
		record("subject-zzq-9483", "Mistyped Canaryfield", "x"),
		record("subject-zzq-9483", "photo", "canarynote7f3a9 with\nbreaks"),
		record("subject-zzq-9481\xff", "note", "x"),
	} {
		r, err := v.PutRecords(ctx, as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{bad}})
		w.note(r, err)
		if err != nil || r[0].Err == nil {
			t.Errorf("a bad record was stored: %v", err)
		}
	}
	w.note(order(t, h, "subject-zzq-9481", "Quibble Boulevard 4711"), nil)
	u, err := v.UpdateRecord(ctx, as("shop"), vault.UpdateRequest{Collection: "customers", Record: record("subject-zzq-9482", "note", "changednote8c21e")})
	w.note(u, err)
	k, err := v.Tokenize(ctx, as("shop"), vault.TokenizeRequest{Collection: "customers", Field: "card", Items: []vault.TokenizeItem{
		{SubjectID: "subject-zzq-9481", Value: vaulttest.Text("5425 2334 3010 9903")}, {SubjectID: "subject-zzq-9482", Value: vaulttest.Text("5425233430109904")}}})
	w.note(k, err)
	var tokens []string
	for _, f := range stored[0].Record.Fields {
		tokens = append(tokens, f.Tokens...)
	}
	for _, who := range []string{"reader", "support", "billing", "mailer", "analyst", "stranger"} {
		for _, purpose := range []string{"support", "payment", "newsletter", "Zyxqwv Quibbleforth"} {
			var out vault.Revealed
			err := v.Detokenize(ctx, as(who), vault.DetokenizeRequest{Tokens: tokens, Purpose: purpose}, &out)
			w.note(out, err)
			w.note(&out, nil)
			r, err := v.ReadRecord(ctx, as(who), vault.ReadRequest{Collection: "customers", SubjectID: "subject-zzq-9481", Purpose: purpose})
			w.note(r, err)
		}
	}
	_, err = v.ReadRecord(ctx, as("reader"), vault.ReadRequest{Collection: "customers", SubjectID: "subject-zzq-9481", Purpose: "support", Reason: "because Zyxqwv asked"})
	w.note(nil, err)
	d, err := v.DescribeTokens(ctx, as("shop"), slices.Concat(tokens, []string{"Zyxqwv Quibbleforth"}))
	w.note(len(d), err)
	incidents(t, v, w)
	n, err := v.DeleteRecord(ctx, as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "subject-zzq-9482"})
	w.note(n, err)
}

// incidents marks a person and freezes, with canaries where names should be.
func incidents(t *testing.T, v *vault.Vault, w *witness) {
	t.Helper()
	ctx := t.Context()
	for _, subject := range []string{"subject-zzq-9481", "subject-zzq-9499"} {
		w.note(nil, v.MarkHoney(ctx, as("guard"), vault.HoneyRequest{Subject: subject, Refuse: true, Reason: "INC-1"}))
	}
	w.note(nil, v.MarkHoney(ctx, as("guard"), vault.HoneyRequest{Subject: "subject-zzq-9481", Reason: "because Zyxqwv asked"}))
	honeys, err := v.Honeys(ctx, as("guard"))
	w.note(len(honeys), err)
	w.note(nil, v.UnmarkHoney(ctx, as("guard"), "subject-zzq-9482", "INC-1"))
	for kind := vault.FreezePrincipal; kind <= vault.FreezeVault; kind++ {
		f, err := v.Freeze(ctx, as("guard"), vault.FreezeRequest{Kind: kind, Target: "Zyxqwv Quibbleforth", Reason: "INC-1"})
		w.note(f, err)
	}
	w.note(nil, v.Login(ctx, as("guard")))
	w.note(nil, v.UnmarkHoney(ctx, as("guard"), "subject-zzq-9481", "INC-1"))
}

// failures has stores fail and rows damaged under calls that hold canaries.
func failures(t *testing.T, h *vaulttest.Harness, g *gate, w *witness) {
	t.Helper()
	ctx := context.Background()
	got, err := h.Vault.GetRecords(ctx, as("shop"), vault.GetRequest{Collection: "customers", SubjectIDs: []string{"subject-zzq-9481"}})
	if err != nil || got[0].Err != nil {
		t.Fatal(err, got)
	}
	var tokens []string
	for _, f := range got[0].Record.Fields {
		tokens = append(tokens, f.Tokens...)
	}
	for _, cause := range []error{store.ErrFull, store.ErrBroken, store.ErrBusy, store.ErrAmbiguous} {
		g.set(func(*store.Batch) error { return cause }, nil)
		r, err := h.Vault.PutRecords(ctx, as("shop"), vault.PutRequest{Collection: "customers", Upsert: true, Records: []vault.RecordInput{record("subject-zzq-9481", "note", "changednote8c21e")}})
		w.note(r, err)
	}
	g.set(nil, nil)
	for i, r := range scanAll(t, h.Values, rows.People) {
		if k, err := rows.ParsePersonKey(r.Key); err == nil && k.Field != 0 && i%2 == 0 {
			bad := bytes.Clone(r.Value)
			bad[len(bad)/2] ^= 1
			change(t, h.Values, rows.People, r.Key, bad)
		}
	}
	var out vault.Revealed
	w.note(&out, h.Vault.Detokenize(ctx, as("reader"), vault.DetokenizeRequest{Tokens: tokens, Purpose: "support"}, &out))
	change(t, h.Keys, rows.Subjects, scanAll(t, h.Keys, rows.Subjects)[0].Key, nil)
	h.Reopen()
	w.note(&out, h.Vault.Detokenize(ctx, as("reader"), vault.DetokenizeRequest{Tokens: tokens, Purpose: "support"}, &out))
	page, _, err := h.Vault.ListRecords(ctx, as("shop"), vault.ListRequest{Collection: "customers"})
	w.note(len(page), err)
}
