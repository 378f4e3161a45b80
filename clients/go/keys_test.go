package cloakroom_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

var (
	emailKey  = cloakroom.KeyName{Kind: cloakroom.KeyField, Name: "customers.email"}
	domainKey = cloakroom.KeyName{Kind: cloakroom.KeyDomain, Name: "default"}
	keyDay    = time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	keyBirth  = keyDay.Add(-30 * 24 * time.Hour)
)

func TestParseKeyName(t *testing.T) {
	for text, want := range map[string]cloakroom.KeyName{
		"customers.email":       emailKey,
		"field/customers.email": emailKey,
		"field/17":              {Kind: cloakroom.KeyField, Name: "17"},
		"index/customers.email": {Kind: cloakroom.KeyIndex, Name: "customers.email"},
		"domain/default":        domainKey,
		"domain/a.b":            {Kind: cloakroom.KeyDomain, Name: "a.b"},
		"lookup":                {Kind: cloakroom.KeyLookup},
		"rows":                  {Kind: cloakroom.KeyRows},
		"audit-ref":             {Kind: cloakroom.KeyAuditRef},
		"audit-signer":          {Kind: cloakroom.KeyAuditSigner},
		"root":                  {Kind: cloakroom.KeyRoot},
		"kek":                   {Kind: cloakroom.KeyKEK},
		"epoch":                 {Kind: cloakroom.KeyEpoch},
	} {
		got, err := cloakroom.ParseKeyName(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if again, err := cloakroom.ParseKeyName(got.String()); err != nil || again != want {
			t.Errorf("%s: its text %s gives %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{
		"", "/", "planet", "planet/x", "field", "field/", "field/email", "customers.", ".email", "a.b.c", "field/a.b.c",
		"domain", "domain/", "domain/a/b", "root/", "root/x", "rows/1", "Field/customers.email", "field/1x", "default",
	} {
		if got, err := cloakroom.ParseKeyName(text); err == nil || !strings.Contains(err.Error(), "audit-signer") {
			t.Errorf("%q: %+v, %v", text, got, err)
		} else if text != "" && text != "/" && len(text) > 8 && strings.Contains(err.Error(), text) {
			t.Errorf("%q: the error repeats it", text)
		}
	}
}

func TestKeys(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	if _, err := client.Put(ctx, "customers", ada()); err != nil {
		t.Fatal(err)
	}
	find := func(want cloakroom.KeyName, options ...cloakroom.KeysOption) cloakroom.Key {
		t.Helper()
		list, err := client.Keys(ctx, options...)
		if err != nil || list.Sealed != "" {
			t.Fatal(list.Sealed, err)
		}
		for _, k := range list.Keys {
			if k.Name == want {
				return k
			}
		}
		t.Fatalf("no %s", want)
		return cloakroom.Key{}
	}
	want := cloakroom.Key{
		Name: emailKey, Generation: 1, Primary: 1, RotateTime: keyBirth, DueTime: keyBirth.Add(90 * 24 * time.Hour),
		Versions: []cloakroom.KeyVersion{{Version: 1, State: cloakroom.KeyEnabled, CreateTime: keyBirth, Uses: 1 << 20}},
	}
	if diff := cmp.Diff(want, find(emailKey)); diff != "" {
		t.Error(diff)
	}
	want.Versions[0].Values, want.Versions[0].CountTime = 1, keyDay
	if diff := cmp.Diff(want, find(emailKey, cloakroom.CountValues())); diff != "" {
		t.Error(diff)
	}
	root := cloakroom.Key{
		Name: cloakroom.KeyName{Kind: cloakroom.KeyRoot}, Generation: 1, Primary: 1, RotateTime: keyBirth, Provider: "file: first", Recovery: "3 of 5 shares",
		Versions: []cloakroom.KeyVersion{{Version: 1, State: cloakroom.KeyEnabled, CreateTime: keyBirth}},
	}
	if diff := cmp.Diff(root, find(root.Name)); diff != "" {
		t.Error(diff)
	}
	if k := find(cloakroom.KeyName{Kind: cloakroom.KeyEpoch}); k.Destruction == "" || k.Provider == "" {
		t.Errorf("epoch: %+v", k)
	}
	if k := find(domainKey); k.Versions[0].LastSeenTime.IsZero() {
		t.Errorf("domain: %+v", k)
	}
	s.SealVault("the KEK refuses")
	if list, err := client.Keys(ctx); err != nil || list.Sealed != "the KEK refuses" {
		t.Errorf("sealed: %q, %v", list.Sealed, err)
	}
}

// A version is rotated out, and can be destroyed when nothing stands under it.
func TestKeyLife(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	if _, err := client.Put(ctx, "customers", ada()); err != nil {
		t.Fatal(err)
	}
	if v, err := client.RotateKey(ctx, emailKey, "T-1", cloakroom.AddOnly()); err != nil || v != 2 {
		t.Fatal(v, err)
	}
	primary := func() uint32 {
		t.Helper()
		list, err := client.Keys(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range list.Keys {
			if k.Name == emailKey {
				return k.Primary
			}
		}
		return 0
	}
	if got := primary(); got != 1 {
		t.Errorf("version %d is in use after a rotation that only adds", got)
	}
	if err := client.PromoteKey(ctx, emailKey, 2, ""); err != nil || primary() != 2 {
		t.Fatal(primary(), err)
	}
	if err := client.PromoteKey(ctx, emailKey, 9, ""); !errors.Is(err, cloakroom.ErrKeyNotFound) {
		t.Errorf("promoted a version that is not there: %v", err)
	}
	if fresh, err := client.DisableKey(ctx, emailKey, 1, "T-1"); err != nil || fresh != 0 {
		t.Error(fresh, err)
	}
	if err := client.PromoteKey(ctx, emailKey, 1, ""); !errors.Is(err, cloakroom.ErrKeyDisabled) {
		t.Errorf("promoted a disabled version: %v", err)
	}
	if fresh, err := client.DisableKey(ctx, emailKey, 2, "T-1"); err != nil || fresh != 3 {
		t.Error(fresh, err)
	}
	if err := client.EnableKey(ctx, emailKey, 2, "T-1"); err != nil {
		t.Error(err)
	}
	if r, err := client.DestroyKey(ctx, emailKey, 2, "T-1"); r != nil || !errors.Is(err, cloakroom.ErrInvalidArgument) {
		t.Errorf("destroyed an enabled version: %+v, %v", r, err)
	}
	if r, err := client.DestroyKey(ctx, emailKey, 1, "T-1"); r != nil || !errors.Is(err, cloakroom.ErrKeyInUse) {
		t.Errorf("destroyed a version that values need: %+v, %v", r, err)
	}
	if err := client.EnableKey(ctx, emailKey, 1, "T-1"); err != nil { // what is disabled cannot be re-wrapped
		t.Fatal(err)
	}
	for range client.WatchKeyWork(ctx, cloakroom.UntilIdle()) { // the re-wrap goes on while it is looked at
	}
	if _, err := client.DisableKey(ctx, emailKey, 1, "T-1"); err != nil {
		t.Fatal(err)
	}
	if r, err := client.DestroyKey(ctx, emailKey, 1, "T-1"); r != nil || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := client.DestroyKey(ctx, emailKey, 1, "T-1"); !errors.Is(err, cloakroom.ErrKeyDestroyed) {
		t.Errorf("destroyed twice: %v", err)
	}
	if before, after, err := client.RewrapRoot(ctx, "T-1"); before != "file: first" || after != "file: second" || err != nil {
		t.Error(before, after, err)
	}
	planet := cloakroom.KeyName{Kind: "planet"}
	for name, call := range map[string]func() error{
		"rotate":  func() error { _, err := client.RotateKey(ctx, planet, ""); return err },
		"promote": func() error { return client.PromoteKey(ctx, planet, 1, "") },
		"disable": func() error { _, err := client.DisableKey(ctx, planet, 1, "T"); return err },
		"enable":  func() error { return client.EnableKey(ctx, planet, 1, "T") },
		"destroy": func() error { _, err := client.DestroyKey(ctx, planet, 1, "T"); return err },
	} {
		if err := call(); !errors.Is(err, cloakroom.ErrInvalidArgument) {
			t.Errorf("%s of an unknown kind: %v", name, err)
		}
	}
}

// With force, two others have to approve.
func TestKeyRequests(t *testing.T) {
	s := fakeserver.Start(t)
	ctx := t.Context()
	as := func(name string) *cloakroom.Client {
		dir := t.TempDir()
		s.Authority.WriteClient(t, name, dir+"/c", dir+"/k")
		return dial(t, s, cloakroom.WithTLSFiles(s.CA, dir+"/c", dir+"/k"))
	}
	client, first, second := dial(t, s), as("first"), as("second")
	if _, err := client.Put(ctx, "customers", ada()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DisableKey(ctx, emailKey, 1, "T-1"); err != nil {
		t.Fatal(err)
	}
	got, err := client.DestroyKey(ctx, emailKey, 1, "T-1", cloakroom.Force())
	if err != nil {
		t.Fatal(err)
	}
	want := cloakroom.KeyRequest{
		ID: 1, Key: emailKey, Version: 1, Reason: "T-1", RequestedBy: "tester", RequestTime: keyDay, ExpireTime: keyDay.Add(7 * 24 * time.Hour),
		Loss: "1 stored values of customers.email can never be read again.", Values: 1,
	}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := client.ApproveKeyRequest(ctx, 1, "T-1"); !errors.Is(err, cloakroom.ErrPermissionDenied) {
		t.Errorf("approved by who asked: %v", err)
	}
	if done, err := first.ApproveKeyRequest(ctx, 1, "T-1"); done || err != nil {
		t.Error(done, err)
	}
	if _, err := first.ApproveKeyRequest(ctx, 1, "T-1"); !errors.Is(err, cloakroom.ErrPermissionDenied) {
		t.Errorf("approved twice by one: %v", err)
	}
	want.ApprovedBy = []string{"first"}
	list, err := client.KeyRequests(ctx)
	if diff := cmp.Diff([]cloakroom.KeyRequest{want}, list); err != nil || diff != "" {
		t.Error(diff, err)
	}
	if done, err := second.ApproveKeyRequest(ctx, 1, "T-1"); !done || err != nil {
		t.Error(done, err)
	}
	if _, err := second.ApproveKeyRequest(ctx, 1, "T-1"); !errors.Is(err, cloakroom.ErrApprovalNotFound) {
		t.Errorf("approved when it is done: %v", err)
	}
	if _, err := client.DisableKey(ctx, domainKey, 1, "T-2"); err != nil {
		t.Fatal(err)
	}
	r, err := client.DestroyKey(ctx, domainKey, 1, "T-2")
	if err != nil || r == nil || r.ID != 2 {
		t.Fatalf("a domain without force: %+v, %v", r, err)
	}
	if err := client.WithdrawKeyRequest(ctx, 2, "T-2"); err != nil {
		t.Error(err)
	}
	if err := client.WithdrawKeyRequest(ctx, 2, "T-2"); !errors.Is(err, cloakroom.ErrApprovalNotFound) {
		t.Errorf("withdrawn twice: %v", err)
	}
}

// What must not be done twice is sent once.
func TestKeyCallsAreSentOnce(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	if _, err := client.DisableKey(ctx, domainKey, 1, "T"); err != nil {
		t.Fatal(err)
	}
	for method, call := range map[string]func() error{
		"RotateKey":         func() error { _, err := client.RotateKey(ctx, emailKey, ""); return err },
		"DestroyKey":        func() error { _, err := client.DestroyKey(ctx, domainKey, 1, "T"); return err },
		"ApproveKeyRequest": func() error { _, err := client.ApproveKeyRequest(ctx, 1, "T"); return err },
		"RewrapRoot":        func() error { _, _, err := client.RewrapRoot(ctx, ""); return err },
	} {
		s.Fail(method, fakeserver.Unavailable())
		if err := call(); !errors.Is(err, cloakroom.ErrUnavailable) || s.Calls(method) != 1 {
			t.Errorf("%s: %v, sent %d times", method, err, s.Calls(method))
		}
	}
	for method, call := range map[string]func() error{
		"ListKeys":        func() error { _, err := client.Keys(ctx, cloakroom.CountValues()); return err },
		"PromoteKey":      func() error { return client.PromoteKey(ctx, emailKey, 1, "") },
		"DisableKey":      func() error { _, err := client.DisableKey(ctx, emailKey, 1, "T"); return err },
		"EnableKey":       func() error { return client.EnableKey(ctx, emailKey, 1, "T") },
		"ListKeyRequests": func() error { _, err := client.KeyRequests(ctx); return err },
		"PauseRewrap":     func() error { return client.PauseRewrap(ctx, "") },
		"ResumeRewrap":    func() error { return client.ResumeRewrap(ctx, "") },
		"RewrapValues":    func() error { return client.RewrapValues(ctx, "") },
	} {
		before := s.Calls(method)
		s.LoseAnswer(method, fakeserver.Unavailable())
		if err := call(); err != nil || s.Calls(method) != before+2 {
			t.Errorf("%s: %v, sent %d times", method, err, s.Calls(method)-before)
		}
	}
}

// What reads everything has no default timeout; the rest has.
func TestKeyCallsThatTakeLong(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s, cloakroom.WithTimeout(time.Nanosecond)), t.Context()
	if _, err := client.Keys(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Keys: %v", err)
	}
	if _, err := client.Keys(ctx, cloakroom.CountValues()); err != nil {
		t.Errorf("Keys with a count: %v", err)
	}
	if _, err := client.DestroyKey(ctx, emailKey, 1, "T"); !errors.Is(err, cloakroom.ErrInvalidArgument) {
		t.Errorf("DestroyKey: %v", err)
	}
	if _, err := client.ApproveKeyRequest(ctx, 1, "T"); !errors.Is(err, cloakroom.ErrApprovalNotFound) {
		t.Errorf("ApproveKeyRequest: %v", err)
	}
}

func TestDeleteSaysWhenCopiesAreDead(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	if _, err := client.Put(ctx, "customers", ada()); err != nil {
		t.Fatal(err)
	}
	got, err := client.DeleteRecord(ctx, "customers", "C1")
	if diff := cmp.Diff(cloakroom.Deleted{Values: 4, CopiesExpireTime: keyDay.Add(7 * 24 * time.Hour)}, got); err != nil || diff != "" {
		t.Error(diff, err)
	}
	if _, err := client.Delete(ctx, "customers", "C1"); !errors.Is(err, cloakroom.ErrRecordNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
}

// Kinds and states that this client does not know are shown by their number.
func TestUnknownWork(t *testing.T) {
	s := fakeserver.Start(t)
	s.SetWork(cloakroomv1.KeyWork_builder{Kind: 99, State: 98}.Build())
	for work, err := range dial(t, s).WatchKeyWork(t.Context(), cloakroom.UntilIdle()) {
		if err != nil || work[0].Kind != "kind_99" || work[0].State != "state_98" {
			t.Errorf("%+v, %v", work, err)
		}
	}
}
