package demo

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/cloakroomtest"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// genuine makes tokens of cards in a vault with the policy of the demo.
func genuine(t *testing.T, n int) (tokens []string, billing *cloakroom.Client) {
	t.Helper()
	s := cloakroomtest.New(t, Policy())
	people, err := customers()
	if err != nil {
		t.Fatal(err)
	}
	var records []cloakroom.RecordInput
	for _, p := range people[:n] {
		records = append(records, p.record)
	}
	results, err := s.Client(trustDomain+"shop").PutMany(t.Context(), collection, records)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		tokens = append(tokens, r.Record.Token("card_pan"))
	}
	return tokens, s.Client(trustDomain + "billing")
}

// TestForgedTokens look genuine to everybody without the key, and open nothing.
func TestForgedTokens(t *testing.T) {
	tokens, billing := genuine(t, 100)
	var forged []string
	for _, token := range tokens {
		f, err := forge(token)
		if err != nil {
			t.Fatal(err)
		}
		if len(f) != len(token) || !strings.HasPrefix(f, tokenPrefix) || f == token {
			t.Errorf("a forged token has the form %q", f)
		}
		forged = append(forged, f)
	}
	wantReason(t, billing, forged, "TOKEN_NOT_FOUND", codes.NotFound)
}

func TestMistypedTokens(t *testing.T) {
	tokens, billing := genuine(t, 100)
	var mistyped []string
	for _, token := range tokens {
		m := mistype(token)
		if len(m) != len(token) || m == token || m[:len(m)-1] != token[:len(token)-1] {
			t.Errorf("%q was mistyped as %q", token, m)
		}
		mistyped = append(mistyped, m)
	}
	wantReason(t, billing, mistyped, "MALFORMED_TOKEN", codes.InvalidArgument)
	for _, last := range "ab0z" {
		token := tokens[0][:len(tokens[0])-1] + string(last)
		if mistype(token) == token {
			t.Errorf("a token that ends in %c stays as it is", last)
		}
	}
}

func wantReason(t *testing.T, billing *cloakroom.Client, tokens []string, reason string, code codes.Code) {
	t.Helper()
	results, err := billing.Detokenize(t.Context(), tokens, "payment")
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		var e *cloakroom.Error
		if !errors.As(r.Err, &e) || e.Reason != reason || e.Code != code {
			t.Errorf("%s: got %v, want %s", tokens[i], r.Err, reason)
		}
	}
}

func TestForgeWantsAToken(t *testing.T) {
	for _, text := range []string{"tok_", "tok_-", "tok_" + strings.Repeat("z", tokenLen), "4111 1111 1111 1111"} {
		if f, err := forge(text); err == nil {
			t.Errorf("%q was forged as %q", text, f)
		}
	}
}

// TestPolicyIsGood: what is shipped is a test's input.
func TestPolicyIsGood(t *testing.T) {
	if _, err := policy.Parse(Policy()); err != nil {
		t.Fatal(err)
	}
	Policy()[0] = 'x'
	if Policy()[0] == 'x' {
		t.Error("the policy can be changed from outside")
	}
}
