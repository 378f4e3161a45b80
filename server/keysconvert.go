package server

import (
	"google.golang.org/protobuf/types/known/durationpb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// Kinds and states of keys, and of the work on them, have the same numbers in
// the contract and in the vault; a test holds them together.

func keyNameOut(r vault.KeyRef) *cloakroomv1.KeyName {
	return cloakroomv1.KeyName_builder{Kind: cloakroomv1.KeyKind(r.Kind), Name: r.Name}.Build()
}

func keyOut(k *vault.Key) *cloakroomv1.Key {
	versions := make([]*cloakroomv1.KeyVersion, len(k.Versions))
	for i := range k.Versions {
		v := &k.Versions[i]
		versions[i] = cloakroomv1.KeyVersion_builder{
			Version: v.Version, State: cloakroomv1.KeyState(v.State), CreateTime: timeOut(v.Made),
			Uses: v.Uses, Values: v.Values, CountTime: timeOut(v.Counted),
			LastSeenTime: timeOut(v.LastSeen), CopiesExpireTime: timeOut(v.CopiesExpire),
		}.Build()
	}
	return cloakroomv1.Key_builder{
		Key: keyNameOut(k.Ref), Generation: k.Generation, PrimaryVersion: k.Primary, Versions: versions,
		RotateTime: timeOut(k.Rotated), DueTime: timeOut(k.Due),
		Provider: k.Provider, Destruction: k.Destruction, Recovery: k.Recovery,
	}.Build()
}

func keyRequestOut(r *vault.KeyRequest) *cloakroomv1.KeyRequest {
	return cloakroomv1.KeyRequest_builder{
		Id: r.ID, Key: keyNameOut(r.Key), Version: r.Version, Reason: r.Reason,
		RequestedBy: r.By, RequestTime: timeOut(r.At), ExpireTime: timeOut(r.Expires),
		ApprovedBy: r.Approved, Loss: r.Loss, Values: r.Values,
	}.Build()
}

func keyWorkOut(w *vault.KeyWork) *cloakroomv1.KeyWork {
	out := cloakroomv1.KeyWork_builder{
		Kind: cloakroomv1.KeyWorkKind(w.Kind), State: cloakroomv1.KeyWorkState(w.State), Step: w.Step,
		Total: w.Total, Done: w.Done, Left: w.Left, Rate: w.Rate,
		StartTime: timeOut(w.Started), EndTime: timeOut(w.Ended), Problem: w.Problem, Epoch: w.Epoch,
	}.Build()
	if w.Remaining > 0 {
		out.SetRemaining(durationpb.New(w.Remaining))
	}
	return out
}
