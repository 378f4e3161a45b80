package recovery

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// MaxShares is how many shares a set has at most.
const MaxShares = 255

// Split makes a recovery key for a vault and splits its private half into
// shares, of which threshold make it again. It keeps nothing. ErrUsage unless
// 1 ≤ threshold ≤ shares ≤ MaxShares.
func Split(vaultID [16]byte, shares, threshold int) (keys.RecoveryPublic, []Share, error) {
	none := keys.RecoveryPublic{}
	if threshold < 1 || threshold > shares || shares > MaxShares {
		return none, nil, fmt.Errorf("%w: %d shares with a threshold of %d, want 1 ≤ threshold ≤ shares ≤ %d", ErrUsage, shares, threshold, MaxShares)
	}
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return none, nil, fmt.Errorf("making a recovery key: %w", err)
	}
	raw := key.Bytes()
	defer clear(raw)
	secret := group.P256.NewScalar()
	if err := secret.UnmarshalBinary(raw); err != nil {
		return none, nil, fmt.Errorf("splitting the recovery key: %w", err)
	}
	sharing := secretsharing.New(rand.Reader, uint(threshold-1), secret)

	public := keys.RecoveryPublic{Shares: uint8(shares), Threshold: uint8(threshold)}
	_, _ = rand.Read(public.Set[:])
	copy(public.Key[:], key.PublicKey().Bytes())
	for _, c := range sharing.CommitSecret()[1:] {
		point, err := c.MarshalBinaryCompress()
		if err != nil || len(point) != keys.CommitmentSize {
			// The point at infinity, which a random coefficient never gives.
			return none, nil, fmt.Errorf("committing to the recovery key: %d bytes: %w", len(point), err)
		}
		public.Commitments = append(public.Commitments, [keys.CommitmentSize]byte(point))
	}
	out := make([]Share, shares)
	for i, part := range sharing.Share(uint(shares)) {
		value, err := part.Value.MarshalBinary()
		if err != nil {
			return none, nil, fmt.Errorf("splitting the recovery key: %w", err)
		}
		out[i] = Share{
			Vault: vaultID, Set: public.Set, Number: uint8(i + 1), Shares: public.Shares, Threshold: public.Threshold,
			value: keys.CopySecret((*[keys.SecretSize]byte)(value)),
		}
		clear(value)
	}
	return public, out, nil
}

// Combine puts the private half of a recovery key together. Public is what the
// vault's recovery row holds (keys.RecoveryOf); the shares may stand in any
// order and be more than enough. Every one is verified: a *ShareError names the
// first that is of another vault or set, stands twice, or is not what Split
// made. ErrTooFew when the threshold is not reached. ErrUsage when public
// itself is no public half of a split key.
func Combine(vaultID [16]byte, public keys.RecoveryPublic, shares []Share) (keys.RecoverySecret, error) {
	none := keys.RecoverySecret{}
	commitment, err := commitmentOf(&public)
	if err != nil {
		return none, err
	}
	parts := make([]secretsharing.Share, 0, len(shares))
	given := make(map[uint8]bool, len(shares))
	for _, s := range shares {
		part, rule := s.part(vaultID, &public, commitment)
		if rule == "" && given[s.Number] {
			rule = "it is given twice"
		}
		if rule != "" {
			return none, &ShareError{int(s.Number), rule}
		}
		given[s.Number] = true
		parts = append(parts, part)
	}
	if len(parts) < int(public.Threshold) {
		return none, fmt.Errorf("%w: %d, want %d", ErrTooFew, len(parts), public.Threshold)
	}
	secret, err := secretsharing.Recover(uint(public.Threshold-1), parts)
	if err != nil {
		return none, fmt.Errorf("combining the shares: %w", err)
	}
	raw, err := secret.MarshalBinary()
	if err != nil {
		return none, fmt.Errorf("combining the shares: %w", err)
	}
	defer clear(raw)
	return keys.RecoverySecret{Set: public.Set, Scalar: keys.CopySecret((*[keys.SecretSize]byte)(raw))}, nil
}

// commitmentOf returns the points that shares are verified by.
func commitmentOf(public *keys.RecoveryPublic) (secretsharing.SecretCommitment, error) {
	if public.Threshold == 0 || len(public.Commitments) != int(public.Threshold)-1 {
		return nil, fmt.Errorf("%w: the public half has a threshold of %d and %d commitments", ErrUsage, public.Threshold, len(public.Commitments))
	}
	points := [][]byte{public.Key[:]}
	for i := range public.Commitments {
		points = append(points, public.Commitments[i][:])
	}
	out := make(secretsharing.SecretCommitment, len(points))
	for i, p := range points {
		out[i] = group.P256.NewElement()
		if err := out[i].UnmarshalBinary(p); err != nil || out[i].IsIdentity() {
			return nil, fmt.Errorf("%w: the public half holds what is no point of P-256", ErrUsage)
		}
	}
	return out, nil
}

// part returns the share as the library takes it, or the rule that it breaks.
func (s *Share) part(vaultID [16]byte, public *keys.RecoveryPublic, commitment secretsharing.SecretCommitment) (part secretsharing.Share, rule string) {
	value := s.value.Expose()
	switch {
	case value == nil || s.Number == 0:
		return part, "it holds nothing"
	case s.Vault != vaultID:
		return part, "it is of another vault"
	case s.Set != public.Set:
		return part, "it is of another set"
	case s.Shares != public.Shares || s.Threshold != public.Threshold || s.Number > public.Shares:
		return part, "its numbers are not those of the set"
	}
	part.ID, part.Value = group.P256.NewScalar().SetUint64(uint64(s.Number)), group.P256.NewScalar()
	if err := part.Value.UnmarshalBinary(value[:]); err != nil {
		return part, "its value is no scalar of P-256"
	}
	if !secretsharing.Verify(uint(public.Threshold-1), part, commitment) {
		return part, "it is not what was given out"
	}
	return part, ""
}
