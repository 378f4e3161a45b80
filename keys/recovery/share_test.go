package recovery_test

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/recovery"
)

func encoding() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

// bodyOf decodes the body of a share's text as the package comment draws it.
func bodyOf(t testing.TB, text string) []byte {
	t.Helper()
	body, err := encoding().DecodeString(text[strings.LastIndexByte(text, '-')+1:])
	if err != nil || len(body) != 63 {
		t.Fatalf("a body of %d bytes, %v", len(body), err)
	}
	return body
}

// textOf writes a body with a right check.
func textOf(clear string, body []byte) string {
	sum := sha256.Sum256(append([]byte("cloakroom/recovery-share/v1"), body[:59]...))
	copy(body[59:], sum[:4])
	return clear + encoding().EncodeToString(body)
}

func TestShareText(t *testing.T) {
	_, shares := split(t, 12, 3)
	for _, s := range shares {
		text := s.Expose()
		if strings.ContainsAny(text, " \t\r\n") || len(text) > 140 {
			t.Errorf("not one short line: %d bytes", len(text))
		}
		for _, form := range []string{text, strings.ToUpper(text), " \t" + text + "\r\n"} {
			got, err := recovery.ParseShare(form)
			if err != nil {
				t.Fatalf("share %d: %v", s.Number, err)
			}
			if got.Expose() != text || got.Number != s.Number || got.Vault != vaultA || got.Set != s.Set {
				t.Errorf("share %d is read as another one", s.Number)
			}
		}
		body := bodyOf(t, text)
		if string(body[:16]) != string(vaultA[:]) || string(body[16:24]) != string(s.Set[:]) || body[24] != 12 || body[25] != 3 || body[26] != s.Number {
			t.Errorf("share %d is not as drawn", s.Number)
		}
		if textOf(text[:strings.LastIndexByte(text, '-')+1], body) != text {
			t.Errorf("share %d: another check", s.Number)
		}
	}
}

func TestParseShareRefuses(t *testing.T) {
	_, shares := split(t, 5, 3)
	text := shares[1].Expose()
	clear, body := text[:strings.LastIndexByte(text, '-')+1], text[strings.LastIndexByte(text, '-')+1:]
	other := func(clear string) string { return textOf(clear, bodyOf(t, text)) }
	tests := []struct {
		name, text string
		number     int
	}{
		{"empty", "", 0},
		{"something else", "AGE-SECRET-KEY-1" + body, 0},
		{"another format", strings.Replace(text, "share-1", "share-2", 1), 0},
		{"cut", text[:len(text)-1], 2},
		{"too long", text + "a", 2},
		{"two lines", text[:60] + "\n" + text[60:], 2},
		{"no body", clear, 2},
		{"no numbers", "cloakroom-share-1-" + body, 0},
		{"number 0", other(strings.Replace(clear, "2of5", "0of5", 1)), 0},
		{"number past the set", other(strings.Replace(clear, "2of5", "6of5", 1)), 6},
		{"number past 255", other(strings.Replace(clear, "2of5", "258of5", 1)), 0},
		{"threshold past the set", other(strings.Replace(clear, "need3", "need6", 1)), 2},
		{"another number in clear", other(strings.Replace(clear, "2of5", "3of5", 1)), 3},
		{"another threshold in clear", other(strings.Replace(clear, "need3", "need2", 1)), 2},
		{"number with a zero before it", other(strings.Replace(clear, "2of5", "02of5", 1)), 2},
		{"forbidden character", clear + "1" + body[1:], 2},
		{"unused bits", clear + body[:len(body)-1] + string(nextLetter(body[len(body)-1])), 2},
		{"far too long", text + strings.Repeat("a", 10000), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := recovery.ParseShare(tt.text)
			wrongShare(t, err, tt.number, text)
		})
	}
	for i := range body { // any one character mistyped
		wrong := []byte(body)
		wrong[i] = nextLetter(wrong[i])
		if _, err := recovery.ParseShare(clear + string(wrong)); !errors.Is(err, recovery.ErrShare) {
			t.Errorf("character %d mistyped: %v", i, err)
		}
	}
}

func nextLetter(c byte) byte {
	const letters = "abcdefghijklmnopqrstuvwxyz234567a"
	return letters[strings.IndexByte(letters, c)+1]
}

// A scalar as large as the order is refused, though its check fits.
func TestValueOutOfRange(t *testing.T) {
	public, shares := split(t, 2, 2)
	text := shares[0].Expose()
	body := bodyOf(t, text)
	for i := range 32 {
		body[27+i] = 0xff
	}
	s, err := recovery.ParseShare(textOf(text[:strings.LastIndexByte(text, '-')+1], body))
	if err != nil {
		t.Fatal(err)
	}
	_, err = recovery.Combine(vaultA, public, []recovery.Share{s, shares[1]})
	wrongShare(t, err, 1)
}

func TestShareShowsNothing(t *testing.T) {
	_, shares := split(t, 3, 2)
	type holder struct {
		Share  recovery.Share
		hidden recovery.Share
	}
	held := holder{shares[0], shares[0]}
	body := bodyOf(t, shares[0].Expose())
	value := body[27 : 27+32]
	shown := []string{fmt.Sprintf("%x", value[:4]), fmt.Sprintf("%X", value[:4]), fmt.Sprint(value[:4])[1:8], string(value[:4])}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		if got := fmt.Sprintf(verb, shares[0]); got != "recovery share 1 of 3 [redacted]" {
			t.Errorf("%s prints %q", verb, got)
		}
		for _, s := range shown {
			if strings.Contains(fmt.Sprintf(verb, held)+fmt.Sprintf(verb, &held), s) {
				t.Errorf("a struct that holds a Share shows it with %s", verb)
			}
		}
	}
	if got, err := json.Marshal(shares[0]); err != nil || string(got) != `"recovery share 1 of 3 [redacted]"` {
		t.Errorf("in JSON: %s, %v", got, err)
	}
	_ = held.hidden
	shares[0].Wipe()
	if got := bodyOf(t, shares[0].Expose())[27 : 27+32]; string(got) != string(make([]byte, 32)) {
		t.Error("Wipe left something")
	}
}

// vector is a set that was split once and must combine for ever.
type vector struct {
	Vault       []byte   `json:"vault"`
	Set         []byte   `json:"set"`
	Key         []byte   `json:"key"`
	Commitments [][]byte `json:"commitments"`
	Shares      []string `json:"shares"`
	Scalar      []byte   `json:"scalar"`
}

const vectorFile = "testdata/v1.json"

func TestVector(t *testing.T) {
	text, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	public := keys.RecoveryPublic{
		Set: [8]byte(v.Set), Shares: uint8(len(v.Shares)), Threshold: uint8(len(v.Commitments) + 1),
		Key: [keys.RecoveryKeySize]byte(v.Key),
	}
	for _, c := range v.Commitments {
		public.Commitments = append(public.Commitments, [keys.CommitmentSize]byte(c))
	}
	var shares []recovery.Share
	for _, text := range v.Shares {
		s, err := recovery.ParseShare(text)
		if err != nil {
			t.Fatal(err)
		}
		shares = append(shares, s)
	}
	for from := range len(shares) - len(v.Commitments) {
		secret, err := recovery.Combine([16]byte(v.Vault), public, shares[from:from+len(v.Commitments)+1])
		if err != nil || string(secret.Scalar.Expose()[:]) != string(v.Scalar) {
			t.Errorf("from share %d: another secret, %v", from+1, err)
		}
	}
}

func FuzzParseShare(f *testing.F) {
	_, shares := split(f, 3, 2)
	for _, s := range shares {
		f.Add(s.Expose())
	}
	f.Add("cloakroom-share-1-1of1-need1-")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := recovery.ParseShare(text)
		switch {
		case err != nil && !errors.Is(err, recovery.ErrShare):
			t.Errorf("another error: %v", err)
		case err == nil && s.Expose() != strings.ToLower(strings.TrimSpace(text)):
			t.Error("what is read is not what is written")
		}
	})
}
