package demo

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"strings"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// mistype changes one letter of a token, as a hand on a keyboard would.
func mistype(token string) string {
	last := token[len(token)-1]
	other := byte('a')
	if last == other {
		other = 'b'
	}
	return token[:len(token)-1] + string(other)
}

// codeName is the name of a gRPC code as the contract writes it.
func codeName(e *cloakroom.Error) string {
	var out strings.Builder
	for i, r := range fmt.Sprint(e.Code) {
		if i > 0 && r >= 'A' && r <= 'Z' {
			out.WriteByte('_')
		}
		out.WriteRune(r)
	}
	return strings.ToUpper(out.String())
}

// Token text, as its format is published: "tok_" and 33 base-62 digits of 24
// bytes, the last three a checksum over the others.
const (
	tokenPrefix   = "tok_"
	tokenDigits   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	tokenLen      = 33
	payloadLen    = 24
	blockAt       = 5
	checksumLabel = "cloakroom/token/checksum/v1"
)

// forge makes a token that looks genuine to everybody without the key: the
// form, the domain and the checksum are right, and the enciphered block is a
// guess.
func forge(genuine string) (string, error) {
	digits, ok := strings.CutPrefix(genuine, tokenPrefix)
	n := new(big.Int)
	for _, r := range digits {
		digit := strings.IndexRune(tokenDigits, r)
		ok = ok && digit >= 0
		n.Add(n.Mul(n, big.NewInt(62)), big.NewInt(int64(digit)))
	}
	if !ok || len(digits) != tokenLen || n.BitLen() > 8*payloadLen {
		return "", errors.New("forge: not a token")
	}
	payload := n.FillBytes(make([]byte, payloadLen))
	if _, err := rand.Read(payload[blockAt : payloadLen-3]); err != nil {
		return "", err
	}
	sum := sha256.Sum256(append([]byte(checksumLabel), payload[:payloadLen-3]...))
	copy(payload[payloadLen-3:], sum[:3])
	n.SetBytes(payload)
	text := make([]byte, tokenLen)
	for i := tokenLen - 1; i >= 0; i-- {
		digit := new(big.Int)
		n.DivMod(n, big.NewInt(62), digit)
		text[i] = tokenDigits[digit.Int64()]
	}
	return tokenPrefix + string(text), nil
}
