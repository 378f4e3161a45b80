package cloakroom

import (
	"context"
	"fmt"
	"time"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// KeyState says what may be done with a version of a key.
type KeyState string

// The states of the contract.
const (
	// KeyEnabled versions are used.
	KeyEnabled KeyState = "enabled"
	// KeyDisabled versions exist and are refused.
	KeyDisabled KeyState = "disabled"
	// KeyDestroyed versions are gone; only their number is remembered.
	KeyDestroyed KeyState = "destroyed"
)

func keyStateFrom(n cloakroomv1.KeyState) KeyState {
	switch n {
	case cloakroomv1.KeyState_KEY_STATE_ENABLED:
		return KeyEnabled
	case cloakroomv1.KeyState_KEY_STATE_DISABLED:
		return KeyDisabled
	case cloakroomv1.KeyState_KEY_STATE_DESTROYED:
		return KeyDestroyed
	}
	return KeyState(fmt.Sprintf("state_%d", int32(n)))
}

// KeyList is what Keys answers.
type KeyList struct {
	// Keys are the root, the KEK and the epoch, then keysets by kind and name.
	Keys []Key
	// Sealed says why the vault is sealed; empty: it is not.
	Sealed string
}

// Key describes a key. There is no call that shows key material.
type Key struct {
	// Name says which.
	Name KeyName
	// Generation rises with each change.
	Generation uint64
	// Primary is the version in use; 0 for the KEK, which has none here.
	Primary uint32
	// Versions are all that were ever made, rising.
	Versions []KeyVersion
	// RotateTime is when the version in use was made.
	RotateTime time.Time
	// DueTime is when it rotates by itself; zero: never.
	DueTime time.Time
	// Provider is, of the KEK and the epoch, who keeps it; of the root, the KEK
	// that wraps it.
	Provider string
	// Destruction is, of the epoch, how its provider destroys a key.
	Destruction string
	// Recovery is, of the root, such as "3 of 5 shares"; empty: none.
	Recovery string
}

// KeyVersion is one version of a key.
type KeyVersion struct {
	// Version is its number, from 1.
	Version uint32
	// State is what may be done with it.
	State KeyState
	// CreateTime is when it was made.
	CreateTime time.Time
	// Uses is how often it sealed something, rounded up by at most the block in
	// which uses are reserved; 0 for keys that are not limited by use.
	Uses uint64
	// Values is how many stored values need it, as counted at CountTime.
	Values uint64
	// CountTime is zero when its values were not counted yet or it can have none.
	CountTime time.Time
	// LastSeenTime is, of a domain, the day on which the vault last saw a token
	// of it.
	LastSeenTime time.Time
	// CopiesExpireTime is, of an epoch that ended, until when older copies could
	// still be opened.
	CopiesExpireTime time.Time
}

// Keys returns every key with its versions. With CountValues what is stored
// under each version is counted first, which reads all of it: that call has no
// default timeout.
func (c *Client) Keys(ctx context.Context, options ...KeysOption) (KeyList, error) {
	o := c.newCall()
	for _, option := range options {
		option.applyKeys(&o)
	}
	send := invoke[cloakroomv1.ListKeysRequest, cloakroomv1.ListKeysResponse]
	if o.count {
		send = invokeLong
	}
	answer, err := send(ctx, c, idempotent, c.keys.ListKeys, cloakroomv1.ListKeysRequest_builder{Count: o.count}.Build())
	if err != nil {
		return KeyList{}, err
	}
	list := KeyList{Keys: make([]Key, len(answer.GetKeys())), Sealed: answer.GetSealed()}
	for i, m := range answer.GetKeys() {
		list.Keys[i] = keyFrom(m)
	}
	return list, nil
}

func keyFrom(m *cloakroomv1.Key) Key {
	k := Key{
		Name: keyNameFrom(m.GetKey()), Generation: m.GetGeneration(), Primary: m.GetPrimaryVersion(),
		Versions:   make([]KeyVersion, len(m.GetVersions())),
		RotateTime: timeFrom(m.GetRotateTime()), DueTime: timeFrom(m.GetDueTime()),
		Provider: m.GetProvider(), Destruction: m.GetDestruction(), Recovery: m.GetRecovery(),
	}
	for i, v := range m.GetVersions() {
		k.Versions[i] = KeyVersion{
			Version: v.GetVersion(), State: keyStateFrom(v.GetState()), CreateTime: timeFrom(v.GetCreateTime()),
			Uses: v.GetUses(), Values: v.GetValues(), CountTime: timeFrom(v.GetCountTime()),
			LastSeenTime: timeFrom(v.GetLastSeenTime()), CopiesExpireTime: timeFrom(v.GetCopiesExpireTime()),
		}
	}
	return k
}
