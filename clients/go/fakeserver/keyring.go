package fakeserver

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// keyring is the state of the KeyService. The lock of the server guards it.
//
// It has versions, states and counts, and no keys. Values stay under the version
// that was in use when a field was rotated, until the work that the rotation
// began has ended; those under a version that is disabled then stay longer.
type keyring struct {
	keys      []*cloakroomv1.Key
	old       map[heldBy]uint64 // values under versions that are not in use
	requests  []*cloakroomv1.KeyRequest
	requestID uint64
	work      []*cloakroomv1.KeyWork
	sealed    string
	workMoved chan struct{} // closed by the next change of work
}

// heldBy is a version of the key of a field.
type heldBy struct {
	field   string
	version uint32
}

// keyAge is how old the first versions are, and dueAfter when they rotate.
const (
	keyAge   = 30 * 24 * time.Hour
	dueAfter = 90 * 24 * time.Hour
)

func newKeyring() keyring {
	r := keyring{old: map[heldBy]uint64{}, workMoved: make(chan struct{})}
	made := timestamppb.New(now().Add(-keyAge))
	add := func(kind cloakroomv1.KeyKind, name string) *cloakroomv1.Key {
		k := cloakroomv1.Key_builder{
			Key: cloakroomv1.KeyName_builder{Kind: kind, Name: name}.Build(), Generation: 1, PrimaryVersion: 1, RotateTime: made,
			Versions: []*cloakroomv1.KeyVersion{cloakroomv1.KeyVersion_builder{
				Version: 1, State: cloakroomv1.KeyState_KEY_STATE_ENABLED, CreateTime: made,
			}.Build()},
		}.Build()
		r.keys = append(r.keys, k)
		return k
	}
	root := add(cloakroomv1.KeyKind_KEY_KIND_ROOT, "")
	root.SetProvider("file: first")
	root.SetRecovery("3 of 5 shares")
	kek := add(cloakroomv1.KeyKind_KEY_KIND_KEK, "")
	kek.SetProvider("file: first")
	kek.SetVersions(nil)
	kek.SetPrimaryVersion(0)
	kek.ClearRotateTime()
	epoch := add(cloakroomv1.KeyKind_KEY_KIND_EPOCH, "")
	epoch.SetProvider("directory")
	epoch.SetDestruction("The file is overwritten and deleted.")
	for _, one := range []struct {
		kind cloakroomv1.KeyKind
		name string
	}{
		{cloakroomv1.KeyKind_KEY_KIND_FIELD, "customers.email"}, {cloakroomv1.KeyKind_KEY_KIND_FIELD, "customers.phone"},
		{cloakroomv1.KeyKind_KEY_KIND_INDEX, "customers.email"}, {cloakroomv1.KeyKind_KEY_KIND_DOMAIN, "default"},
		{cloakroomv1.KeyKind_KEY_KIND_LOOKUP, ""}, {cloakroomv1.KeyKind_KEY_KIND_ROWS, ""},
		{cloakroomv1.KeyKind_KEY_KIND_AUDIT_REF, ""}, {cloakroomv1.KeyKind_KEY_KIND_AUDIT_SIGNER, ""},
	} {
		k := add(one.kind, one.name)
		k.SetDueTime(timestamppb.New(made.AsTime().Add(dueAfter)))
		switch one.kind {
		case cloakroomv1.KeyKind_KEY_KIND_FIELD, cloakroomv1.KeyKind_KEY_KIND_ROWS:
			k.GetVersions()[0].SetUses(1 << 20)
		case cloakroomv1.KeyKind_KEY_KIND_INDEX:
			k.SetDueTime(timestamppb.New(now().Add(-24 * time.Hour)))
		case cloakroomv1.KeyKind_KEY_KIND_DOMAIN:
			k.GetVersions()[0].SetLastSeenTime(timestamppb.New(now().Truncate(24 * time.Hour)))
		}
	}
	return r
}

// SealVault makes the vault say that it is sealed, and why; empty: it is not.
func (s *Server) SealVault(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = why
}

func (r *keyring) key(n *cloakroomv1.KeyName) (*cloakroomv1.Key, *refusal) {
	for _, k := range r.keys {
		if proto.Equal(k.GetKey(), n) {
			return k, nil
		}
	}
	return nil, &refusal{code: codes.NotFound, reason: cloakroomv1.ErrorReason_ERROR_REASON_KEY_NOT_FOUND,
		message: "there is no such key", field: "key"}
}

// keyset returns a key whose versions can be changed one by one.
func (r *keyring) keyset(n *cloakroomv1.KeyName) (*cloakroomv1.Key, *refusal) {
	switch n.GetKind() {
	case cloakroomv1.KeyKind_KEY_KIND_ROOT, cloakroomv1.KeyKind_KEY_KIND_KEK, cloakroomv1.KeyKind_KEY_KIND_EPOCH:
		return nil, wrongKey("key", "only versions of keysets can be changed one by one")
	}
	return r.key(n)
}

// version returns a version of a keyset.
func (r *keyring) version(n *cloakroomv1.KeyName, version uint32) (*cloakroomv1.Key, *cloakroomv1.KeyVersion, *refusal) {
	k, no := r.keyset(n)
	if no != nil {
		return nil, nil, no
	}
	for _, v := range k.GetVersions() {
		if v.GetVersion() == version {
			return k, v, nil
		}
	}
	return nil, nil, &refusal{code: codes.NotFound, reason: cloakroomv1.ErrorReason_ERROR_REASON_KEY_NOT_FOUND,
		message: "the key has no such version", field: "version"}
}

func wrongKey(field, message string) *refusal {
	return &refusal{code: codes.InvalidArgument, reason: cloakroomv1.ErrorReason_ERROR_REASON_INVALID_REQUEST, message: message, field: field}
}

// usable refuses a version that is disabled or destroyed.
func usable(v *cloakroomv1.KeyVersion) *refusal {
	switch v.GetState() {
	case cloakroomv1.KeyState_KEY_STATE_DISABLED:
		return &refusal{code: codes.FailedPrecondition, reason: cloakroomv1.ErrorReason_ERROR_REASON_KEY_DISABLED, message: "the version is disabled", field: "version"}
	case cloakroomv1.KeyState_KEY_STATE_DESTROYED:
		return &refusal{code: codes.FailedPrecondition, reason: cloakroomv1.ErrorReason_ERROR_REASON_KEY_DESTROYED, message: "the version is destroyed", field: "version"}
	}
	return nil
}

// freshVersion makes a fresh version; the caller holds the lock.
func (r *keyring) freshVersion(k *cloakroomv1.Key) uint32 {
	fresh := uint32(len(k.GetVersions())) + 1
	k.SetGeneration(k.GetGeneration() + 1)
	k.SetVersions(append(k.GetVersions(), cloakroomv1.KeyVersion_builder{
		Version: fresh, State: cloakroomv1.KeyState_KEY_STATE_ENABLED, CreateTime: timestamppb.New(now()),
	}.Build()))
	return fresh
}

// promote puts a version to use. What was stored so far stays under the one that
// was in use, and work begins; the caller holds the lock.
func (s *Server) promote(k *cloakroomv1.Key, version uint32) {
	before := k.GetPrimaryVersion()
	k.SetPrimaryVersion(version)
	for _, v := range k.GetVersions() {
		if v.GetVersion() == version {
			k.SetRotateTime(v.GetCreateTime())
		}
	}
	if k.HasDueTime() {
		k.SetDueTime(timestamppb.New(k.GetRotateTime().AsTime().Add(dueAfter)))
	}
	switch k.GetKey().GetKind() {
	case cloakroomv1.KeyKind_KEY_KIND_FIELD:
		at := heldBy{k.GetKey().GetName(), version}
		current := s.values(at.field) - min(s.values(at.field), s.behind(at.field))
		delete(s.old, at)
		s.old[heldBy{at.field, before}] += current
		s.beginRewrap()
	case cloakroomv1.KeyKind_KEY_KIND_EPOCH:
		s.beginWork(cloakroomv1.KeyWorkKind_KEY_WORK_KIND_EPOCH, before, uint64(len(s.people)))
	}
}

// values is how many values of a field are stored.
func (s *Server) values(field string) (n uint64) {
	_, name, _ := strings.Cut(field, ".")
	for _, p := range s.people {
		n += uint64(len(p.fields[name]))
	}
	return n
}

// behind is how many values of a field stand under versions that are not in use.
func (r *keyring) behind(field string) (n uint64) {
	for at, count := range r.old {
		if at.field == field {
			n += count
		}
	}
	return n
}

// stale is how many values stand under versions that are not in use: open ones
// can be re-wrapped, the others are under disabled versions.
func (r *keyring) stale() (open, shut uint64) {
	for at, n := range r.old {
		if r.isOpen(at) {
			open += n
		} else {
			shut += n
		}
	}
	return open, shut
}

func (r *keyring) isOpen(at heldBy) bool {
	k, no := r.key(cloakroomv1.KeyName_builder{Kind: cloakroomv1.KeyKind_KEY_KIND_FIELD, Name: at.field}.Build())
	return no == nil && k.GetVersions()[at.version-1].GetState() == cloakroomv1.KeyState_KEY_STATE_ENABLED
}

// count is how many values stand under a version.
func (s *Server) count(k *cloakroomv1.Key, version uint32) uint64 {
	field := k.GetKey().GetName()
	if k.GetKey().GetKind() != cloakroomv1.KeyKind_KEY_KIND_FIELD {
		return 0
	}
	if version == k.GetPrimaryVersion() {
		return s.values(field) - min(s.values(field), s.behind(field))
	}
	return s.old[heldBy{field, version}]
}

// destroy destroys a version and what stands under it; the caller holds the
// lock.
func (s *Server) destroy(k *cloakroomv1.Key, v *cloakroomv1.KeyVersion) {
	v.SetState(cloakroomv1.KeyState_KEY_STATE_DESTROYED)
	v.SetValues(0)
	k.SetGeneration(k.GetGeneration() + 1)
	delete(s.old, heldBy{k.GetKey().GetName(), v.GetVersion()})
	s.requests = slices.DeleteFunc(s.requests, func(q *cloakroomv1.KeyRequest) bool {
		return proto.Equal(q.GetKey(), k.GetKey()) && q.GetVersion() == v.GetVersion()
	})
}

// ask makes a request for a destruction; the caller holds the lock.
func (s *Server) ask(k *cloakroomv1.Key, version uint32, reason, who string) *cloakroomv1.KeyRequest {
	s.requestID++
	n := s.count(k, version)
	loss := fmt.Sprintf("%d stored values of %s can never be read again.", n, k.GetKey().GetName())
	if k.GetKey().GetKind() == cloakroomv1.KeyKind_KEY_KIND_DOMAIN {
		loss = "Every token of this version that was given out opens to nothing."
	}
	q := cloakroomv1.KeyRequest_builder{
		Id: s.requestID, Key: k.GetKey(), Version: version, Reason: reason, RequestedBy: who,
		RequestTime: timestamppb.New(now()), ExpireTime: timestamppb.New(now().Add(7 * 24 * time.Hour)),
		Loss: loss, Values: n,
	}.Build()
	s.requests = append(s.requests, q)
	return q
}
