package recovery

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	shareLabel  = "cloakroom/recovery-share/v1"
	sharePrefix = "cloakroom-share-1-"
	checkSize   = 4
	valueAt     = 16 + 8 + 3
	bodySize    = valueAt + keys.SecretSize + checkSize

	// maxText is longer than any share's text.
	maxText = 256
)

// bodyText is how the body of a share is written. Lower case is easier to copy
// by hand, and 0, 1, 8 and 9 are left out for their likeness to letters.
func bodyText() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

// A Share is one person's part of the private half of a recovery key. It shows
// its number and never its value. The zero Share is none.
type Share struct {
	// Vault is the id of the vault whose root the key opens.
	Vault [16]byte
	// Set names the shares that belong together.
	Set [8]byte
	// Number is 1 to Shares; Threshold shares make the key.
	Number, Shares, Threshold uint8

	value keys.Secret // a scalar of P-256, big-endian
}

// String implements fmt.Stringer: the number, and nothing of the value.
func (s Share) String() string {
	return fmt.Sprintf("recovery share %d of %d [redacted]", s.Number, s.Shares)
}

// GoString implements fmt.GoStringer.
func (s Share) GoString() string { return s.String() }

// Format implements fmt.Formatter: every verb prints the same.
func (s Share) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue implements slog.LogValuer.
func (s Share) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler, which covers JSON and YAML. It
// gives what String gives.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Expose returns the share's text, for the person who is to keep it: one line,
// without a line end. It must not be logged or stored beside the vault.
func (s Share) Expose() string {
	body := make([]byte, 0, bodySize)
	body = append(append(body, s.Vault[:]...), s.Set[:]...)
	body = append(body, s.Shares, s.Threshold, s.Number)
	if v := s.value.Expose(); v != nil {
		body = append(body, v[:]...)
	}
	body = append(body, check(body)...)
	defer clear(body)
	return fmt.Sprintf("%s%dof%d-need%d-%s", sharePrefix, s.Number, s.Shares, s.Threshold, bodyText().EncodeToString(body))
}

// Wipe overwrites the value with zeros, in every copy of the Share.
func (s Share) Wipe() { s.value.Wipe() }

func check(body []byte) []byte {
	sum := sha256.Sum256(append([]byte(shareLabel), body...))
	return sum[:checkSize]
}

// ParseShare reads what Expose wrote. A *ShareError names the share, as far as
// its text says which it is, and the rule that does not hold.
func ParseShare(text string) (Share, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	bad := func(number uint8, rule string) (Share, error) {
		return Share{}, &ShareError{int(number), rule}
	}
	rest, ok := strings.CutPrefix(text, sharePrefix)
	if !ok || len(text) > maxText {
		return bad(0, "the text is not that of a share: it must begin with "+sharePrefix)
	}
	numbers, rest, ok1 := strings.Cut(rest, "-need")
	threshold, encoded, ok2 := strings.Cut(rest, "-")
	number, shares, ok3 := strings.Cut(numbers, "of")
	s := Share{Number: small(number), Shares: small(shares), Threshold: small(threshold)}
	switch {
	case !ok1 || !ok2 || !ok3 || s.Number == 0 || s.Number > s.Shares || s.Threshold == 0 || s.Threshold > s.Shares:
		return bad(s.Number, "the part in clear is not of the form <number>of<shares>-need<threshold>")
	case len(encoded) != bodyText().EncodedLen(bodySize):
		return bad(s.Number, fmt.Sprintf("the body has %d characters, want %d", len(encoded), bodyText().EncodedLen(bodySize)))
	}
	body, err := bodyText().DecodeString(encoded)
	defer clear(body)
	switch {
	case err != nil:
		return bad(s.Number, "the body holds a character other than a to z and 2 to 7")
	case subtle.ConstantTimeCompare(check(body[:len(body)-checkSize]), body[len(body)-checkSize:]) != 1:
		return bad(s.Number, "the check does not fit: a character is wrong")
	case body[24] != s.Shares || body[25] != s.Threshold || body[26] != s.Number:
		return bad(s.Number, "the part in clear was changed")
	}
	copy(s.Vault[:], body)
	copy(s.Set[:], body[16:])
	s.value = keys.CopySecret((*[keys.SecretSize]byte)(body[valueAt:]))
	// One text a share: unused bits at the end and numbers like 01 are refused.
	if s.Expose() != text {
		s.Wipe()
		return bad(s.Number, "the text is not in its one form")
	}
	return s, nil
}

// small reads a number of 1 to 255; 0 when it is none.
func small(text string) uint8 {
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return 0
	}
	return uint8(n)
}
