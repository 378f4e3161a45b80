package server_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// unaudited are the methods that leave no entry, each with its reason.
var unaudited = map[string]string{
	"PolicyService/WhoAmI": "tells callers what their own certificate says; decides nothing, touches no data",
}

// TestEveryCallIsAudited calls every method of the contract as one who may and
// as one who may not. Both leave an entry with their name.
func TestEveryCallIsAudited(t *testing.T) {
	r := newRig(t)
	r.publish(t)
	token := put(t, r, "audit-1", "audit@example.org")
	methods := contractMethods(t)
	for name := range unaudited {
		if _, ok := methods[name]; !ok {
			t.Errorf("%s is not in the contract", name)
		}
	}
	for name, method := range methods {
		row := matrix[name]
		request := proto.Clone(row.request)
		if q, ok := request.(interface{ SetTokens([]string) }); ok {
			q.SetTokens([]string{token})
		}
		for _, who := range []string{row.allowed[0], stranger} {
			may := who != stranger
			if who == open {
				who, may = stranger, true
			}
			t.Run(name+map[bool]string{true: " allowed", false: " refused"}[may], func(t *testing.T) {
				if may { // what an earlier call deleted
					again(t, r)
					prepare(t, r, request)
				}
				before := len(r.Log.Entries())
				err := call(t, r.as(t, who), method, request)
				if may && err != nil {
					t.Fatal(err)
				}
				var entries []*audit.Entry
				for _, e := range r.Log.Entries()[before:] {
					if e.Principal == who {
						entries = append(entries, e)
					}
				}
				if _, exempt := unaudited[name]; exempt {
					return
				}
				if len(entries) == 0 {
					t.Fatal("no entry names the caller")
				}
				want := audit.Refused
				if may {
					want = audit.Allowed
				}
				refused := slices.ContainsFunc(entries, func(e *audit.Entry) bool { return e.Outcome != want })
				if refused || entries[0].Request == "" || !entries[0].Action.Known() {
					t.Errorf("outcome %v, request %q, action %v", entries[0].Outcome, entries[0].Request, entries[0].Action)
				}
				if !may && entries[0].Refusal != "PRINCIPAL_UNKNOWN" {
					t.Errorf("refusal %q", entries[0].Refusal)
				}
			})
		}
	}
}

// prepare makes what a request ends.
func prepare(t *testing.T, r *rig, request proto.Message) {
	t.Helper()
	incidents := cloakroomv1.NewIncidentServiceClient(r.as(t, security))
	switch q := request.(type) {
	case *cloakroomv1.ThawRequest:
		f, err := incidents.Freeze(t.Context(), cloakroomv1.FreezeRequest_builder{
			Kind: cloakroomv1.FreezeKind_FREEZE_KIND_ROLE, Target: "analyst", Reason: "INC-1",
		}.Build())
		if err != nil {
			t.Fatal(err)
		}
		q.SetId(f.GetFreeze().GetId())
	case *cloakroomv1.UnmarkHoneyRecordRequest:
		_, err := incidents.MarkHoneyRecord(t.Context(), cloakroomv1.MarkHoneyRecordRequest_builder{SubjectId: "m-1", Reason: "INC-1"}.Build())
		if err != nil {
			t.Fatal(err)
		}
	default:
		prepareKey(t, r, request)
	}
}

// prepareKey names a key that there is, with a version in the state that a
// request is for.
func prepareKey(t *testing.T, r *rig, request proto.Message) {
	t.Helper()
	note := cloakroomv1.KeyName_builder{Kind: cloakroomv1.KeyKind_KEY_KIND_FIELD, Name: "customers.note"}.Build()
	domain := cloakroomv1.KeyName_builder{Kind: cloakroomv1.KeyKind_KEY_KIND_DOMAIN, Name: "analytics"}.Build()
	as := func(who string) cloakroomv1.KeyServiceClient { return cloakroomv1.NewKeyServiceClient(r.as(t, who)) }
	// old makes a version that is disabled.
	old := func(key *cloakroomv1.KeyName) uint32 {
		t.Helper()
		fresh, err := as(security).RotateKey(t.Context(), cloakroomv1.RotateKeyRequest_builder{Key: key, AddOnly: true}.Build())
		if err == nil {
			_, err = as(security).DisableKey(t.Context(), cloakroomv1.DisableKeyRequest_builder{Key: key, Version: fresh.GetVersion(), Reason: "INC-1"}.Build())
		}
		if err != nil {
			t.Fatal(err)
		}
		return fresh.GetVersion()
	}
	asked := func(who string) uint64 {
		t.Helper()
		answer, err := as(who).DestroyKey(t.Context(), cloakroomv1.DestroyKeyRequest_builder{Key: domain, Version: old(domain), Reason: "INC-1"}.Build())
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetRequest().GetId()
	}
	switch q := request.(type) {
	case *cloakroomv1.RotateKeyRequest:
		q.SetKey(note)
	case *cloakroomv1.PromoteKeyRequest:
		fresh, err := as(security).RotateKey(t.Context(), cloakroomv1.RotateKeyRequest_builder{Key: note, AddOnly: true}.Build())
		if err != nil {
			t.Fatal(err)
		}
		q.SetKey(note)
		q.SetVersion(fresh.GetVersion())
	case *cloakroomv1.DisableKeyRequest:
		q.SetKey(note) // version 1
	case *cloakroomv1.EnableKeyRequest:
		q.SetKey(note)
		q.SetVersion(old(note))
	case *cloakroomv1.DestroyKeyRequest:
		q.SetKey(note)
		q.SetVersion(old(note))
	case *cloakroomv1.ApproveKeyRequestRequest:
		q.SetId(asked(firstApprover))
	case *cloakroomv1.WithdrawKeyRequestRequest:
		q.SetId(asked(security))
	}
}

// again makes sure that there is the record that the matrix asks for.
func again(t *testing.T, r *rig) {
	t.Helper()
	_, err := cloakroomv1.NewRecordServiceClient(r.as(t, shop)).PutRecord(t.Context(), cloakroomv1.PutRecordRequest_builder{
		Collection: "customers", Record: record("m-1", "email", "m@example.org"), Upsert: true,
	}.Build())
	if err != nil {
		t.Fatal(err)
	}
}

// TestNothingLeavesBeforeTheEntry: while the log holds its receipts back, no
// answer comes; the entry is there before the value.
func TestNothingLeavesBeforeTheEntry(t *testing.T) {
	r := newRig(t)
	token := put(t, r, "before-1", "before@example.org")
	reveals := cloakroomv1.NewRevealServiceClient(r.as(t, billing))
	if _, err := reveals.Detokenize(t.Context(), detokenize(token)); err != nil {
		t.Fatal(err)
	}
	r.Log.Hold()
	answered := make(chan error, 1)
	go func() {
		_, err := reveals.Detokenize(t.Context(), detokenize(token))
		answered <- err
	}()
	policies := cloakroomv1.NewPolicyServiceClient(r.as(t, shop))
	for range 200 {
		if _, err := policies.WhoAmI(t.Context(), &cloakroomv1.WhoAmIRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-answered:
		t.Errorf("answered before the entry was durable: %v", err)
		return
	default:
	}
	before := r.Log.Size()
	r.Log.Release()
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	if r.Log.Size() == before {
		t.Error("no entry")
	}
}
