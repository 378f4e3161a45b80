package server_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/cloakroom-vault/cloakroom/clients/go/cloakroomtest"
	"github.com/cloakroom-vault/cloakroom/keys"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/server"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// The contract and the vault number kinds and states alike.
func TestKeyNumbers(t *testing.T) {
	numbers := map[string]int{}
	for k := vault.KeyField; k <= vault.KeyEpoch; k++ {
		numbers["KEY_KIND_"+enumName(k.String())] = int(k)
	}
	for name, s := range map[string]keys.State{"ENABLED": keys.Enabled, "DISABLED": keys.Disabled, "DESTROYED": keys.Destroyed} {
		numbers["KEY_STATE_"+name] = int(s)
	}
	for name, k := range map[string]vault.WorkKind{
		"REWRAP": vault.WorkRewrap, "EPOCH": vault.WorkEpoch, "LOOKUP": vault.WorkLookup, "COMPACT": vault.WorkCompact,
	} {
		numbers["KEY_WORK_KIND_"+name] = int(k)
	}
	for name, s := range map[string]vault.WorkState{
		"RUNNING": vault.WorkRunning, "PAUSED": vault.WorkPaused, "WAITING": vault.WorkWaiting, "DONE": vault.WorkDone,
	} {
		numbers["KEY_WORK_STATE_"+name] = int(s)
	}
	contract := map[string]int{}
	for _, e := range []protoreflect.EnumDescriptor{
		cloakroomv1.KeyKind(0).Descriptor(), cloakroomv1.KeyState(0).Descriptor(),
		cloakroomv1.KeyWorkKind(0).Descriptor(), cloakroomv1.KeyWorkState(0).Descriptor(),
	} {
		for i := range e.Values().Len() {
			if v := e.Values().Get(i); v.Number() != 0 {
				contract[string(v.Name())] = int(v.Number())
			}
		}
	}
	for name, number := range contract {
		if numbers[name] != number {
			t.Errorf("%s is %d in the contract and %d in the vault", name, number, numbers[name])
		}
	}
	if len(numbers) != len(contract) {
		t.Errorf("the vault has %d kinds and states, the contract %d", len(numbers), len(contract))
	}
}

func enumName(text string) string { return strings.ToUpper(strings.ReplaceAll(text, "-", "_")) }

// What the vault says of keys arrives whole.
func TestKeyConversionsLeaveNothingOut(t *testing.T) {
	at := time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	ref := vault.KeyRef{Kind: vault.KeyField, Name: "customers.email"}
	key := server.KeyOut(&vault.Key{
		Ref: ref, Generation: 7, Primary: 2, Rotated: at, Due: at.Add(time.Hour), Provider: "p", Destruction: "d", Recovery: "r",
		Versions: []vault.KeyVersion{{
			Version: 2, State: keys.Enabled, Made: at, Uses: 3, Values: 4, Counted: at, LastSeen: at, CopiesExpire: at,
		}},
	})
	request := server.KeyRequestOut(&vault.KeyRequest{
		ID: 1, Key: ref, Version: 2, Reason: "T", By: "p", At: at, Expires: at, Approved: []string{"q"}, Loss: "all", Values: 3,
	})
	work := server.KeyWorkOut(&vault.KeyWork{
		Kind: vault.WorkEpoch, State: vault.WorkWaiting, Step: "s", Total: 1, Done: 2, Left: 3, Rate: 4, Remaining: 5,
		Started: at, Ended: at, Problem: "p", Epoch: 6,
	})
	for _, m := range []proto.Message{key, key.GetKey(), key.GetVersions()[0], request, work} {
		fields := m.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			if !m.ProtoReflect().Has(fields.Get(i)) {
				t.Errorf("%s is left out", fields.Get(i).FullName())
			}
		}
	}
	if !key.GetDueTime().AsTime().Equal(at.Add(time.Hour)) || key.GetGeneration() != 7 || work.GetLeft() != 3 || work.GetDone() != 2 {
		t.Errorf("mixed up: %v %v", key, work)
	}
	if m := server.KeyWorkOut(&vault.KeyWork{}); m.HasRemaining() || m.HasEndTime() {
		t.Errorf("what is not known is said: %v", m)
	}
	if m := server.KeyOut(&vault.Key{}); m.HasDueTime() || m.HasRotateTime() {
		t.Errorf("what is not known is said: %v", m)
	}
}

// Two more of the security team.
const (
	firstApprover  = "spiffe://cloakroom.example/first"
	secondApprover = "spiffe://cloakroom.example/second"
)

// keyClient calls as a member of the security team.
func keyClient(t *testing.T, s *cloakroomtest.Server, who string) cloakroomv1.KeyServiceClient {
	return cloakroomv1.NewKeyServiceClient(dial(t, s, who))
}

func emailKey() *cloakroomv1.KeyName {
	return cloakroomv1.KeyName_builder{Kind: cloakroomv1.KeyKind_KEY_KIND_FIELD, Name: "customers.email"}.Build()
}

// rewrapped waits until the re-wrap has ended, and returns it.
func rewrapped(t *testing.T, client cloakroomv1.KeyServiceClient) *cloakroomv1.KeyWork {
	t.Helper()
	for {
		for _, w := range idle(t, client) {
			if w.GetKind() == cloakroomv1.KeyWorkKind_KEY_WORK_KIND_REWRAP {
				return w
			}
		}
	}
}

// idle waits until no work on keys is left, and returns the last of it.
func idle(t *testing.T, client cloakroomv1.KeyServiceClient) []*cloakroomv1.KeyWork {
	t.Helper()
	stream, err := client.WatchKeyWork(t.Context(), cloakroomv1.WatchKeyWorkRequest_builder{UntilIdle: true}.Build())
	if err != nil {
		t.Fatal(err)
	}
	var last []*cloakroomv1.KeyWork
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return last
		}
		if err != nil {
			t.Fatal(err)
		}
		last = m.GetWork()
	}
}

// versions are the states of all versions of a key.
func versions(t *testing.T, client cloakroomv1.KeyServiceClient, name *cloakroomv1.KeyName) (*cloakroomv1.Key, []cloakroomv1.KeyState) {
	t.Helper()
	list, err := client.ListKeys(t.Context(), cloakroomv1.ListKeysRequest_builder{Count: true}.Build())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list.GetKeys(), func(k *cloakroomv1.Key) bool { return proto.Equal(k.GetKey(), name) })
	if i < 0 {
		t.Fatalf("no key %v among %d", name, len(list.GetKeys()))
	}
	var states []cloakroomv1.KeyState
	for _, v := range list.GetKeys()[i].GetVersions() {
		states = append(states, v.GetState())
	}
	return list.GetKeys()[i], states
}

// wantReason checks why a call was refused.
func wantReason(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	if status.Code(err) != code || reasonOf(err) != reason {
		t.Errorf("got %v with the reason %q, want %v %s", err, reasonOf(err), code, reason)
	}
}

// A key is rotated, its old version re-wrapped away, disabled and destroyed, by
// the contract alone.
func TestKeyLife(t *testing.T) {
	s := cloakroomtest.New(t, []byte(testPolicy))
	ctx, client := t.Context(), keyClient(t, s, security)
	records := cloakroomv1.NewRecordServiceClient(dial(t, s, shop))
	put, err := records.PutRecord(ctx, cloakroomv1.PutRecordRequest_builder{Collection: "customers", Record: record("k-1", "email", "k1@example.org")}.Build())
	if err != nil {
		t.Fatal(err)
	}
	token := put.GetRecord().GetFields()[0].GetTokens()[0]

	rotated, err := client.RotateKey(ctx, cloakroomv1.RotateKeyRequest_builder{Key: emailKey(), Reason: "T-1"}.Build())
	if err != nil || rotated.GetVersion() != 2 {
		t.Fatal(rotated, err)
	}
	if w := rewrapped(t, client); w.GetState() != cloakroomv1.KeyWorkState_KEY_WORK_STATE_DONE || w.GetLeft() != 0 || w.GetDone() != 1 {
		t.Errorf("work is left: %v", w)
	}
	key, _ := versions(t, client, emailKey())
	if key.GetPrimaryVersion() != 2 || key.GetVersions()[0].GetValues() != 0 || key.GetVersions()[1].GetValues() != 1 || !key.GetVersions()[1].HasCountTime() {
		t.Errorf("after the re-wrap: %v", key)
	}
	one := func(version uint32) *cloakroomv1.DestroyKeyRequest {
		return cloakroomv1.DestroyKeyRequest_builder{Key: emailKey(), Version: version, Reason: "T-1"}.Build()
	}
	_, err = client.DestroyKey(ctx, one(1))
	wantReason(t, err, codes.InvalidArgument, "INVALID_REQUEST") // it is not disabled
	if _, err := client.DisableKey(ctx, cloakroomv1.DisableKeyRequest_builder{Key: emailKey(), Version: 1, Reason: "T-1"}.Build()); err != nil {
		t.Fatal(err)
	}
	if answer, err := client.DestroyKey(ctx, one(1)); err != nil || answer.HasRequest() {
		t.Fatal(answer, err)
	}
	if _, states := versions(t, client, emailKey()); !slices.Equal(states, []cloakroomv1.KeyState{3, 1}) {
		t.Errorf("states %v", states)
	}
	_, err = client.EnableKey(ctx, cloakroomv1.EnableKeyRequest_builder{Key: emailKey(), Version: 1, Reason: "T-1"}.Build())
	wantReason(t, err, codes.FailedPrecondition, "KEY_DESTROYED")
	if got := reveal(t, s, token); got != "k1@example.org" {
		t.Errorf("the value is %q", got)
	}
	for action, want := range map[string]int{"key.rotate": 1, "key.disable": 1, "key.destroy": 1} {
		if got := allowed(s, action); got != want {
			t.Errorf("%d entries of %s, want %d", got, action, want)
		}
	}
}

// reveal opens a token, or returns the reason why it does not.
func reveal(t *testing.T, s *cloakroomtest.Server, token string) string {
	t.Helper()
	out, err := cloakroomv1.NewRevealServiceClient(dial(t, s, billing)).Detokenize(t.Context(), cloakroomv1.DetokenizeRequest_builder{
		Tokens: []string{token}, Purpose: "payment",
	}.Build())
	if err != nil {
		t.Fatal(err)
	}
	if item := out.GetItems()[0]; item.HasError() {
		return item.GetError().GetReason().String()
	}
	return out.GetItems()[0].GetText()
}

// allowed counts the entries of an action that was done.
func allowed(s *cloakroomtest.Server, action string) int {
	n := 0
	for _, e := range s.Log.Entries() {
		if e.Action.String() == action && cloakroomv1.AuditOutcome(e.Outcome) == cloakroomv1.AuditOutcome_AUDIT_OUTCOME_ALLOWED {
			n++
		}
	}
	return n
}

// A version that values need is disabled at once, and goes only with the
// approval of two others.
func TestForcedDestruction(t *testing.T) {
	s := cloakroomtest.New(t, []byte(testPolicy))
	ctx, client := t.Context(), keyClient(t, s, security)
	pause(t, client)
	put, err := cloakroomv1.NewRecordServiceClient(dial(t, s, shop)).PutRecord(ctx,
		cloakroomv1.PutRecordRequest_builder{Collection: "customers", Record: record("k-2", "email", "k2@example.org")}.Build())
	if err != nil {
		t.Fatal(err)
	}
	token := put.GetRecord().GetFields()[0].GetTokens()[0]
	disabled, err := client.DisableKey(ctx, cloakroomv1.DisableKeyRequest_builder{Key: emailKey(), Version: 1, Reason: "T-2"}.Build())
	if err != nil || disabled.GetFreshVersion() != 2 {
		t.Fatal(disabled, err)
	}
	if got := reveal(t, s, token); got != "ERROR_REASON_KEY_DISABLED" {
		t.Errorf("the value under a disabled version: %s", got)
	}
	destroy := cloakroomv1.DestroyKeyRequest_builder{Key: emailKey(), Version: 1, Reason: "T-2"}.Build()
	_, err = client.DestroyKey(ctx, destroy)
	wantReason(t, err, codes.FailedPrecondition, "KEY_IN_USE")
	destroy.SetForce(true)
	answer, err := client.DestroyKey(ctx, destroy)
	if err != nil || !answer.HasRequest() || answer.GetRequest().GetValues() != 1 || answer.GetRequest().GetLoss() == "" ||
		answer.GetRequest().GetRequestedBy() != security || !answer.GetRequest().GetExpireTime().AsTime().After(time.Now()) {
		t.Fatal(answer, err)
	}
	approve := cloakroomv1.ApproveKeyRequestRequest_builder{Id: answer.GetRequest().GetId(), Reason: "T-2"}.Build()
	_, err = client.ApproveKeyRequest(ctx, approve)
	wantReason(t, err, codes.PermissionDenied, "ACTION_DENIED") // it asked for it
	first := keyClient(t, s, firstApprover)
	if done, err := first.ApproveKeyRequest(ctx, approve); err != nil || done.GetDestroyed() {
		t.Fatal(done, err)
	}
	_, err = first.ApproveKeyRequest(ctx, approve)
	wantReason(t, err, codes.PermissionDenied, "ACTION_DENIED") // it has approved
	waiting, err := client.ListKeyRequests(ctx, &cloakroomv1.ListKeyRequestsRequest{})
	if err != nil || len(waiting.GetRequests()) != 1 || !slices.Equal(waiting.GetRequests()[0].GetApprovedBy(), []string{firstApprover}) {
		t.Fatal(waiting, err)
	}
	done, err := keyClient(t, s, secondApprover).ApproveKeyRequest(ctx, approve)
	if err != nil || !done.GetDestroyed() {
		t.Fatal(done, err)
	}
	if got := reveal(t, s, token); got != "ERROR_REASON_KEY_DESTROYED" {
		t.Errorf("the value under a destroyed version: %s", got)
	}
	_, err = client.WithdrawKeyRequest(ctx, cloakroomv1.WithdrawKeyRequestRequest_builder{Id: approve.GetId(), Reason: "T-2"}.Build())
	wantReason(t, err, codes.NotFound, "APPROVAL_NOT_FOUND")
}

func pause(t *testing.T, client cloakroomv1.KeyServiceClient) {
	t.Helper()
	if _, err := client.PauseRewrap(t.Context(), cloakroomv1.PauseRewrapRequest_builder{Reason: "T-2"}.Build()); err != nil {
		t.Fatal(err)
	}
}

// What makes no sense is refused as such.
func TestKeyRequestsThatAreWrong(t *testing.T) {
	s := cloakroomtest.New(t, []byte(testPolicy))
	ctx, client := t.Context(), keyClient(t, s, security)
	name := func(kind cloakroomv1.KeyKind, name string) *cloakroomv1.KeyName {
		return cloakroomv1.KeyName_builder{Kind: kind, Name: name}.Build()
	}
	for what, tc := range map[string]struct {
		key    *cloakroomv1.KeyName
		code   codes.Code
		reason string
	}{
		"no key":               {nil, codes.InvalidArgument, "INVALID_REQUEST"},
		"no kind":              {name(0, ""), codes.InvalidArgument, "INVALID_REQUEST"},
		"a kind that is none":  {name(99, ""), codes.InvalidArgument, "INVALID_REQUEST"},
		"a kind of eight bits": {name(256+1, "customers.email"), codes.InvalidArgument, "INVALID_REQUEST"},
		"a kind below zero":    {name(-1, ""), codes.InvalidArgument, "INVALID_REQUEST"},
		"the KEK":              {name(cloakroomv1.KeyKind_KEY_KIND_KEK, ""), codes.InvalidArgument, "INVALID_REQUEST"},
		"no such field":        {noKey, codes.NotFound, "KEY_NOT_FOUND"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := client.RotateKey(ctx, cloakroomv1.RotateKeyRequest_builder{Key: tc.key, Reason: "T-3"}.Build())
			wantReason(t, err, tc.code, tc.reason)
		})
	}
	_, err := client.DisableKey(ctx, cloakroomv1.DisableKeyRequest_builder{Key: emailKey(), Version: 9, Reason: "T-3"}.Build())
	wantReason(t, err, codes.NotFound, "KEY_NOT_FOUND")
	_, err = client.DisableKey(ctx, cloakroomv1.DisableKeyRequest_builder{Key: emailKey(), Version: 1}.Build())
	wantReason(t, err, codes.InvalidArgument, "INVALID_REQUEST")
}

// A watch without an end does not hold a stop up.
func TestKeyWorkWatchEndsWithTheServer(t *testing.T) {
	r := newRig(t)
	stream, err := cloakroomv1.NewKeyServiceClient(r.as(t, security)).WatchKeyWork(t.Context(), &cloakroomv1.WatchKeyWorkRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	r.Server.Stop(time.Hour)
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("ended with %v", err)
	}
}

// A watch that its caller leaves is no failure.
func TestKeyWorkWatchIsLeft(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := cloakroomv1.NewKeyServiceClient(r.as(t, security)).WatchKeyWork(ctx, &cloakroomv1.WatchKeyWorkRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("ended with %v", err)
	}
	r.Server.Stop(time.Hour)
	if text := r.Logs.String(); strings.Contains(text, "a call failed") {
		t.Error(text)
	}
}
