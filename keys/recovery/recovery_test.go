package recovery_test

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/recovery"
)

var vaultA, vaultB = [16]byte{0xa}, [16]byte{0xb}

func split(t testing.TB, shares, threshold int) (keys.RecoveryPublic, []recovery.Share) {
	t.Helper()
	public, out, err := recovery.Split(vaultA, shares, threshold)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != shares || int(public.Shares) != shares || int(public.Threshold) != threshold {
		t.Fatalf("%d shares, %d of %d", len(out), public.Threshold, public.Shares)
	}
	return public, out
}

// publicOf returns the public key of a private one, by the standard library.
func publicOf(t testing.TB, secret keys.RecoverySecret) [keys.RecoveryKeySize]byte {
	t.Helper()
	key, err := ecdh.P256().NewPrivateKey(secret.Scalar.Expose()[:])
	if err != nil {
		t.Fatal(err)
	}
	return [keys.RecoveryKeySize]byte(key.PublicKey().Bytes())
}

// Exactly the subsets of enough shares make the key, in any order.
func TestEverySubset(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {2, 2}, {3, 1}, {5, 3}, {4, 4}} {
		t.Run(fmt.Sprintf("%d of %d", size[1], size[0]), func(t *testing.T) {
			public, shares := split(t, size[0], size[1])
			for set := range 1 << size[0] {
				var some []recovery.Share
				for i, s := range shares {
					if set>>i&1 == 1 {
						some = append([]recovery.Share{s}, some...) // falling order
					}
				}
				secret, err := recovery.Combine(vaultA, public, some)
				if enough := bits.OnesCount(uint(set)) >= size[1]; !enough {
					if !errors.Is(err, recovery.ErrTooFew) {
						t.Errorf("subset %b: got %v, want ErrTooFew", set, err)
					}
					continue
				}
				if err != nil || publicOf(t, secret) != public.Key || secret.Set != public.Set {
					t.Errorf("subset %b: another key, %v", set, err)
				}
			}
		})
	}
}

func TestSplitLimits(t *testing.T) {
	for _, size := range [][2]int{{0, 0}, {1, 0}, {1, 2}, {256, 3}, {-1, -1}} {
		if _, _, err := recovery.Split(vaultA, size[0], size[1]); !errors.Is(err, recovery.ErrUsage) {
			t.Errorf("%d of %d: got %v, want ErrUsage", size[1], size[0], err)
		}
	}
	public, shares := split(t, recovery.MaxShares, 2)
	secret, err := recovery.Combine(vaultA, public, []recovery.Share{shares[254], shares[0]})
	if err != nil || publicOf(t, secret) != public.Key {
		t.Errorf("the largest set: %v", err)
	}
}

// Two splittings have nothing in common.
func TestSplitIsFresh(t *testing.T) {
	a, as := split(t, 3, 2)
	b, bs := split(t, 3, 2)
	if a.Key == b.Key || a.Set == b.Set || a.Commitments[0] == b.Commitments[0] || as[0].Expose() == bs[0].Expose() {
		t.Error("two splittings share something")
	}
}

// wrongShare wants the share with this number to be named, and nothing of any
// text to be in the error.
func wrongShare(t *testing.T, err error, number int, texts ...string) {
	t.Helper()
	var se *recovery.ShareError
	if !errors.Is(err, recovery.ErrShare) || !errors.As(err, &se) || se.Number != number {
		t.Errorf("got %v, want share %d to be named", err, number)
		return
	}
	for _, text := range texts {
		body := text[strings.LastIndexByte(text, '-')+1:]
		for i := 0; i+8 <= len(body); i += 4 {
			if strings.Contains(err.Error(), body[i:i+8]) {
				t.Error("the error holds a part of the share")
			}
		}
	}
}

func TestCombineNamesTheWrongShare(t *testing.T) {
	public, shares := split(t, 5, 3)
	_, others := split(t, 5, 3)
	replace := func(i int, change func(s *recovery.Share)) []recovery.Share {
		out := append([]recovery.Share(nil), shares[:3]...)
		change(&out[i])
		return out
	}
	tests := []struct {
		name   string
		shares []recovery.Share
		number int
	}{
		{"another set", replace(1, func(s *recovery.Share) { *s = others[1] }), 2},
		{"another set's value", replace(1, func(s *recovery.Share) { *s = others[1]; s.Set = public.Set }), 2},
		{"renumbered", replace(2, func(s *recovery.Share) { s.Number = 4 }), 4},
		{"number past the set", replace(2, func(s *recovery.Share) { s.Number = 6 }), 6},
		{"another vault", replace(0, func(s *recovery.Share) { s.Vault = vaultB }), 1},
		{"another threshold", replace(0, func(s *recovery.Share) { s.Threshold = 2 }), 1},
		{"twice", []recovery.Share{shares[0], shares[1], shares[0]}, 1},
		{"one too many, and wrong", append(replace(0, func(*recovery.Share) {}), recovery.Share{
			Vault: vaultA, Set: public.Set, Shares: 5, Threshold: 3, Number: 4}), 4},
		{"zero", []recovery.Share{{}}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := recovery.Combine(vaultA, public, tt.shares)
			wrongShare(t, err, tt.number)
		})
	}
}

func TestCombineRefusesPublic(t *testing.T) {
	public, shares := split(t, 3, 2)
	tests := map[string]func(p *keys.RecoveryPublic){
		"no threshold":        func(p *keys.RecoveryPublic) { p.Threshold = 0 },
		"no commitments":      func(p *keys.RecoveryPublic) { p.Commitments = nil },
		"key is no point":     func(p *keys.RecoveryPublic) { p.Key[40] ^= 1 },
		"commitment no point": func(p *keys.RecoveryPublic) { p.Commitments = [][keys.CommitmentSize]byte{{9}} },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			p := public
			change(&p)
			if _, err := recovery.Combine(vaultA, p, shares); !errors.Is(err, recovery.ErrUsage) {
				t.Errorf("got %v, want ErrUsage", err)
			}
		})
	}
}

// The library agrees with Lagrange's formula over the order of P-256, written
// out.
func TestIsShamir(t *testing.T) {
	order, _ := new(big.Int).SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
	public, shares := split(t, 5, 3)
	secret, err := recovery.Combine(vaultA, public, shares[1:4])
	if err != nil {
		t.Fatal(err)
	}
	sum := new(big.Int)
	for i := int64(2); i <= 4; i++ {
		value := bodyOf(t, shares[i-1].Expose())[27 : 27+32]
		term := new(big.Int).SetBytes(value)
		for j := int64(2); j <= 4; j++ {
			if j != i { // × j/(j-i)
				term.Mul(term, big.NewInt(j))
				term.Mul(term, new(big.Int).ModInverse(new(big.Int).Mod(big.NewInt(j-i), order), order))
			}
		}
		sum.Mod(sum.Add(sum, term), order)
	}
	if sum.Cmp(new(big.Int).SetBytes(secret.Scalar.Expose()[:])) != 0 {
		t.Error("another secret")
	}
}
