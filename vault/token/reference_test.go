package token_test

import (
	"crypto/aes"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/token"
)

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// spell writes payload bytes as the package comment says, by big integers.
func spell(payload []byte) string {
	n, base, digit := new(big.Int).SetBytes(payload), big.NewInt(62), new(big.Int)
	text := make([]byte, 33)
	for i := len(text) - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		text[i] = alphabet[digit.Int64()]
	}
	return "tok_" + string(text)
}

// unspell gives back the payload of a text that has one.
func unspell(text string) []byte {
	n := new(big.Int)
	for _, c := range []byte(strings.TrimPrefix(text, "tok_")) {
		n.Add(n.Mul(n, big.NewInt(62)), big.NewInt(int64(strings.IndexByte(alphabet, c))))
	}
	return n.FillBytes(make([]byte, 25))[1:]
}

// around puts the frame around a block: format, domain, version, checksum.
func around(format byte, domain, version uint16, block [16]byte) []byte {
	p := binary.BigEndian.AppendUint16([]byte{format}, domain)
	p = binary.BigEndian.AppendUint16(p, version)
	p = append(p, block[:]...)
	sum := sha256.Sum256(append([]byte("cloakroom/token/checksum/v1"), p...))
	return append(p, sum[:3]...)
}

// byHand writes a token from the package comment alone.
func byHand(t *testing.T, prf *keys.PRF, id token.ID, check uint16) string {
	t.Helper()
	key, err := prf.Compute(id.Version, "cloakroom/token/v1", binary.BigEndian.AppendUint16(nil, id.Domain))
	if err != nil {
		t.Fatal(err)
	}
	cipher, err := aes.NewCipher(key[:])
	if err != nil {
		t.Fatal(err)
	}
	plain := binary.BigEndian.AppendUint64(nil, id.Ref)
	plain = append(plain, byte(id.Field>>16), byte(id.Field>>8), byte(id.Field))
	plain = binary.BigEndian.AppendUint16(plain, id.Item)
	plain = append(plain, id.Generation)
	plain = binary.BigEndian.AppendUint16(plain, check)
	var block [16]byte
	cipher.Encrypt(block[:], plain)
	return spell(around(1, id.Domain, id.Version, block))
}

// spellOver writes the payload plus 2^192, which 33 digits can still hold.
func spellOver(payload []byte) string { return spell(append([]byte{1}, payload...)) }
