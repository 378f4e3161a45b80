package vault_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// operation is one call that reveals or changes, and how it is to be logged.
type operation struct {
	name   string
	action audit.Action
	// call does it and reports the error, and whether it answered anything
	// beside the error.
	call func(ctx context.Context, h *vaulttest.Harness, token string) (answered bool, err error)
}

var operations = []operation{
	{"put", audit.ActionCreate, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		r, err := h.Vault.PutRecords(ctx, as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record("new", "note", "x")}})
		return r != nil, err
	}},
	{"upsert", audit.ActionUpdate, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		r, err := h.Vault.PutRecords(ctx, as("shop"), vault.PutRequest{Collection: "customers", Upsert: true, Records: []vault.RecordInput{record("c-1", "note", "y")}})
		return r != nil, err
	}},
	{"update", audit.ActionUpdate, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		r, err := h.Vault.UpdateRecord(ctx, as("shop"), vault.UpdateRequest{Collection: "customers", Record: record("c-1", "note", "z")})
		return r != nil, err
	}},
	{"get", audit.ActionRead, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		r, err := h.Vault.GetRecords(ctx, as("shop"), vault.GetRequest{Collection: "customers", SubjectIDs: []string{"c-1"}})
		return r != nil, err
	}},
	{"list", audit.ActionList, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		r, next, err := h.Vault.ListRecords(ctx, as("shop"), vault.ListRequest{Collection: "customers", PageSize: 1})
		return r != nil || next != "", err
	}},
	{"tokenize what is there", audit.ActionTokenize, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		r, err := h.Vault.Tokenize(ctx, as("shop"), vault.TokenizeRequest{Collection: "customers", Field: "email", Items: []vault.TokenizeItem{{SubjectID: "c-1", Value: vaulttest.Text("ada@example.org")}}})
		return r != nil, err
	}},
	{"tokenize", audit.ActionTokenize, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		r, err := h.Vault.Tokenize(ctx, as("shop"), vault.TokenizeRequest{Collection: "customers", Field: "email", Items: []vault.TokenizeItem{{SubjectID: "c-1", Value: vaulttest.Text("other@example.org")}}})
		return r != nil, err
	}},
	{"describe", audit.ActionDescribe, func(ctx context.Context, h *vaulttest.Harness, token string) (bool, error) {
		r, err := h.Vault.DescribeTokens(ctx, as("shop"), []string{token})
		return r != nil, err
	}},
	{"detokenize", audit.ActionReveal, func(ctx context.Context, h *vaulttest.Harness, token string) (bool, error) {
		var out vault.Revealed
		err := h.Vault.Detokenize(ctx, as("reader"), vault.DetokenizeRequest{Tokens: []string{token}, Purpose: "support"}, &out)
		return len(out.Items) > 0 || bytes.Contains(out.ExposeAll()[:cap(out.ExposeAll())], []byte("tea")), err
	}},
	{"read", audit.ActionReveal, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		r, err := h.Vault.ReadRecord(ctx, as("reader"), vault.ReadRequest{Collection: "customers", SubjectID: "c-1", Purpose: "support"})
		return r != nil, err
	}},
	{"get the policy", audit.ActionPolicyRead, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		d, err := h.Vault.GetPolicy(ctx, as("admin"), 0)
		return d != nil, err
	}},
	{"check a policy", audit.ActionPolicyRead, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		n, _, err := h.Vault.ApplyPolicy(ctx, as("admin"), vault.ApplyRequest{Document: []byte(testPolicy + "\n# checked\n"), ValidateOnly: true})
		return n != 0, err
	}},
	{"apply a policy", audit.ActionPolicyApply, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		n, changed, err := h.Vault.ApplyPolicy(ctx, as("admin"), vault.ApplyRequest{Document: []byte(testPolicy + "\n# changed\n")})
		return n != 0 || changed, err
	}},
	{"freeze", audit.ActionFreeze, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		f, err := h.Vault.Freeze(ctx, as("guard"), vault.FreezeRequest{Kind: vault.FreezeRole, Target: "lab", Reason: "INC-1"})
		return f != nil, err
	}},
	{"list freezes", audit.ActionIncidentRead, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		_, err := h.Vault.Freezes(ctx, as("guard"))
		return err == nil, err
	}},
	{"mark a honey record", audit.ActionHoney, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		err := h.Vault.MarkHoney(ctx, as("guard"), vault.HoneyRequest{Subject: "c-0", Reason: "INC-1"})
		return err == nil, err
	}},
	{"list honey records", audit.ActionIncidentRead, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		r, err := h.Vault.Honeys(ctx, as("guard"))
		return r != nil, err
	}},
	{"log in", audit.ActionLogin, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		err := h.Vault.Login(ctx, as("admin"))
		return err == nil, err
	}},
	{"delete", audit.ActionDelete, func(ctx context.Context, h *vaulttest.Harness, _ string) (bool, error) {
		n, err := h.Vault.DeleteRecord(ctx, as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-1"})
		return n.Values != 0, err
	}},
}

func seeded(t *testing.T) (*vaulttest.Harness, string) {
	t.Helper()
	h := open(t)
	put(t, h, "c-0", "note", "first")
	return h, tokenOf(t, put(t, h, "c-1", "full_name", "Ada Lovelace", "email", "ada@example.org", "note", "tea"), "note")
}

// Every operation leaves an entry that says who did what.
func TestEveryOperationIsLogged(t *testing.T) {
	for _, o := range operations {
		t.Run(o.name, func(t *testing.T) {
			h, token := seeded(t)
			before := len(h.Log.Entries())
			if answered, err := o.call(t.Context(), h, token); err != nil || !answered {
				t.Fatalf("answered %t, %v", answered, err)
			}
			entries := entriesSince(h, before)
			if len(entries) != 1 {
				t.Fatalf("%d entries, want 1", len(entries))
			}
			e := entries[0]
			if e.Action != o.action || e.Outcome != audit.Allowed || e.Principal == "" || e.Request != "test" || e.PolicyVersion == 0 {
				t.Errorf("logged %+v", e)
			}
		})
	}
}

// telling is a log that tells of each entry it got.
type telling struct {
	audit.Log
	appended chan struct{}
}

func (l telling) Append(e *audit.Entry) audit.Receipt {
	r := l.Log.Append(e)
	l.appended <- struct{}{}
	return r
}

// Nothing is answered before its entry is durable.
func TestAnswersWaitForTheLog(t *testing.T) {
	for _, o := range operations {
		t.Run(o.name, func(t *testing.T) {
			h, token := seeded(t)
			appended := make(chan struct{}, 16)
			h.WrapLog = func(l audit.Log) audit.Log { return telling{l, appended} }
			h.Reopen()
			h.Log.Hold()
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			var answered bool
			var err error
			go func() {
				defer close(done)
				answered, err = o.call(ctx, h, token)
			}()
			select {
			case <-appended:
			case <-done: // without asking the log
			}
			select {
			case <-done:
				t.Fatalf("answered before its entry was durable: %t, %v", answered, err)
			default:
			}
			cancel() // the caller gives up: and gets nothing
			<-done
			if answered || !errors.Is(err, context.Canceled) {
				t.Errorf("without a durable entry: answered %t, %v", answered, err)
			}
			h.Log.Release()
			if h.Log.Size() == 0 {
				t.Error("the entry is lost")
			}
		})
	}
}

// A log that cannot be written refuses everything that reveals or changes; it
// goes on by itself once the log does.
func TestNothingWithoutTheLog(t *testing.T) {
	for _, o := range operations {
		t.Run(o.name, func(t *testing.T) {
			h, token := seeded(t)
			was := get(t, h, "c-1")
			h.Log.Fail(errors.New("no space"))
			if err := h.Vault.Healthy(); err == nil {
				t.Error("the vault calls itself healthy")
			}
			answered, err := o.call(t.Context(), h, token)
			wantReason(t, err, vault.AuditUnavailable)
			if answered {
				t.Error("an answer beside the error")
			}
			h.Log.Fail(nil)
			if now := get(t, h, "c-1"); now == nil || now.ETag != was.ETag || get(t, h, "new") != nil || h.Vault.PolicyVersion() != 1 {
				t.Error("something changed while the log could not be written")
			}
			if answered, err := o.call(t.Context(), h, token); err != nil || !answered {
				t.Errorf("after the log came back: answered %t, %v", answered, err)
			}
		})
	}
}

// Refusals are not answered without the log either.
func TestRefusalsNeedTheLog(t *testing.T) {
	h, token := seeded(t)
	h.Log.Fail(errors.New("no space"))
	if _, refusal := reveal(t, h, "billing", token, "payment", 0); refusal != vault.AuditUnavailable {
		t.Errorf("an item's refusal: %v", refusal)
	}
	if _, refusal := reveal(t, h, "shop", token, "payment", 0); refusal != vault.AuditUnavailable {
		t.Errorf("a call's refusal: %v", refusal)
	}
}
