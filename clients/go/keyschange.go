package cloakroom

import (
	"context"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// RotateKey gives a key a fresh version and returns its number. It is used from
// the answer on; older ones still open what they sealed. WatchKeyWork shows the
// work that a rotation begins. Rotating the epoch ends it, in the background.
// The KEK is rotated where it lives; see RewrapRoot.
//
// It is sent once: when the answer was lost, Keys shows whether it was done.
// reason may be empty, and is as for Freeze otherwise.
func (c *Client) RotateKey(ctx context.Context, key KeyName, reason string, options ...RotateOption) (uint32, error) {
	o := c.newCall()
	for _, option := range options {
		option.applyRotate(&o)
	}
	name, err := key.message()
	if err != nil {
		return 0, err
	}
	answer, err := invoke(ctx, c, once, c.keys.RotateKey, cloakroomv1.RotateKeyRequest_builder{
		Key: name, AddOnly: o.addOnly, Reason: reason,
	}.Build())
	if err != nil {
		return 0, err
	}
	return answer.GetVersion(), nil
}

// PromoteKey makes an enabled version the one in use. reason may be empty.
func (c *Client) PromoteKey(ctx context.Context, key KeyName, version uint32, reason string) error {
	name, err := key.message()
	if err != nil {
		return err
	}
	_, err = invoke(ctx, c, idempotent, c.keys.PromoteKey, cloakroomv1.PromoteKeyRequest_builder{
		Key: name, Version: version, Reason: reason,
	}.Build())
	return err
}

// DisableKey refuses a version from the answer on, for calls that are under way
// too. When it was the version in use, the number of the fresh one that replaced
// it is returned, else 0. It is sent again like a read: what is disabled stays
// so. reason is required.
func (c *Client) DisableKey(ctx context.Context, key KeyName, version uint32, reason string) (fresh uint32, err error) {
	name, err := key.message()
	if err != nil {
		return 0, err
	}
	answer, err := invoke(ctx, c, idempotent, c.keys.DisableKey, cloakroomv1.DisableKeyRequest_builder{
		Key: name, Version: version, Reason: reason,
	}.Build())
	if err != nil {
		return 0, err
	}
	return answer.GetFreshVersion(), nil
}

// EnableKey takes a disabled version back. reason is required.
func (c *Client) EnableKey(ctx context.Context, key KeyName, version uint32, reason string) error {
	name, err := key.message()
	if err != nil {
		return err
	}
	_, err = invoke(ctx, c, idempotent, c.keys.EnableKey, cloakroomv1.EnableKeyRequest_builder{
		Key: name, Version: version, Reason: reason,
	}.Build())
	return err
}

// DestroyKey destroys a disabled version for ever: ErrKeyInUse when stored
// values need it. With Force it then becomes a request that two others must
// approve, which is returned; nil says that the version is destroyed. What no
// count can prove unneeded takes that way always: versions of domains, whose
// tokens are outside, and of the audit-ref key, which older entries need.
//
// Everything stored is counted first, so it has no default timeout. It is sent
// once: when the answer was lost, Keys and KeyRequests show whether it was done.
// reason is required.
func (c *Client) DestroyKey(ctx context.Context, key KeyName, version uint32, reason string, options ...DestroyOption) (*KeyRequest, error) {
	o := c.newCall()
	for _, option := range options {
		option.applyDestroy(&o)
	}
	name, err := key.message()
	if err != nil {
		return nil, err
	}
	answer, err := invokeLong(ctx, c, once, c.keys.DestroyKey, cloakroomv1.DestroyKeyRequest_builder{
		Key: name, Version: version, Reason: reason, Force: o.force,
	}.Build())
	if err != nil || !answer.HasRequest() {
		return nil, err
	}
	r := keyRequestFrom(answer.GetRequest())
	return &r, nil
}

// RewrapRoot wraps the root by the KEK that the vault's configuration names as
// the next, or by the present one anew, and returns the names of both. It is sent
// once: when the answer was lost, Keys shows which wraps it. reason may be empty.
func (c *Client) RewrapRoot(ctx context.Context, reason string) (before, after string, err error) {
	answer, err := invoke(ctx, c, once, c.keys.RewrapRoot, cloakroomv1.RewrapRootRequest_builder{Reason: reason}.Build())
	if err != nil {
		return "", "", err
	}
	return answer.GetPreviousKek(), answer.GetKek(), nil
}

// RewrapValues begins to re-wrap what is stored under versions that are not in
// use; a rotation does so by itself. reason may be empty.
func (c *Client) RewrapValues(ctx context.Context, reason string) error {
	_, err := invoke(ctx, c, idempotent, c.keys.RewrapValues, cloakroomv1.RewrapValuesRequest_builder{Reason: reason}.Build())
	return err
}

// PauseRewrap stops the re-wrap until ResumeRewrap, also over restarts of the
// vault. reason may be empty.
func (c *Client) PauseRewrap(ctx context.Context, reason string) error {
	_, err := invoke(ctx, c, idempotent, c.keys.PauseRewrap, cloakroomv1.PauseRewrapRequest_builder{Reason: reason}.Build())
	return err
}

// ResumeRewrap lets a paused re-wrap go on. reason may be empty.
func (c *Client) ResumeRewrap(ctx context.Context, reason string) error {
	_, err := invoke(ctx, c, idempotent, c.keys.ResumeRewrap, cloakroomv1.ResumeRewrapRequest_builder{Reason: reason}.Build())
	return err
}
